"""The hierarchical VAE: several layers of latents, inferred and generated from the top down (ladder, very deep VAE)."""

from __future__ import annotations

import math
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from sfumato.batch import Batch, Loss
from sfumato.distributions import Distribution
from sfumato.distributions.noise import spread
from sfumato.errors import SfumatoError
from sfumato.models.base import Model
from sfumato.models.latent import LatentModel
from sfumato.networks import Sizes, sizes_for
from sfumato.networks.features import GivenFeatures, LevelFeatures, for_fields, leave_out
from sfumato.networks.heads import for_likelihood
from sfumato.networks.hierarchical.hierarchy import (
    Choose,
    HierarchicalPosterior,
    HierarchicalPrior,
    Hierarchy,
    draw,
    log_density,
    middle,
    repeated,
    taken,
    tempered,
    walk,
)
from sfumato.networks.hierarchical.ladder import Ladder
from sfumato.networks.hierarchical.top_down import TopDown, all_sizes
from sfumato.networks.mlp import Reshape
from sfumato.objectives import Ramp, free_bits
from sfumato.ranges import BelowOne, Count, Natural, Weight
from sfumato.spec import DataSpec, Size


class HierarchicalVAE(LatentModel):
    """Sønderby et al. 2016, Ladder variational autoencoders; Child 2021, Very deep VAEs.

        p(x, z|c) = p(x|z,c) p(z_L|c) Π_l p(z_l|z_>l,c),    q(z|x,c) = q(z_L|x,c) Π_l q(z_l|z_>l,x,c)
        loss(x) = −E_q log p(x|z,c) + w·Σ_l E_q KL(q(z_l|z_>l,x,c) ‖ p(z_l|z_>l,c))       `distortion` + `rate`

    Layers are numbered from the data up: z_1 is next to x, z_L at the top. `rate_l` is the KL of one layer, with the
    layers above drawn from q. With free bits λ, the loss has `charged_rate` Σ_l max(λ, mean rate_l) instead.

    A code is all layers side by side, the top one first, shape (B, Σ_l L_l): so `encode`, `decode`, `prior` and
    `log_weight` are those of a `LatentModel`. The code that stands for an example holds each layer's posterior mean
    given the means above it.

    Args:
        net: the networks, a `Ladder`, a `TopDown` or any other `Hierarchy`.
        free_bits: λ in nats, for each layer; 0 is the negative ELBO.
        condition_dropout: probability of leaving a condition out in training.
        warmup: w as a function of the step.

    >>> from sfumato.models import build
    >>> from sfumato.spec import DataSpec, Field
    >>> model = build("hierarchical_vae", DataSpec((8,), (Field("real"),)), layers=3)
    >>> loss = model.losses(Batch(torch.zeros(5, 8)), step=0)["model"]
    >>> sorted(loss.terms), sorted(loss.metrics)
    (['distortion', 'rate'], ['rate_1', 'rate_2', 'rate_3'])
    """

    conditions = "optional"
    remedies: ClassVar = {
        "free_bits": "free_bits",
        "warmup": "warmup",
        "cycles": "cycles",
        "condition_dropout": "condition_dropout",
    }

    def __init__(
        self, net: Hierarchy, *, free_bits: float = 0.0, condition_dropout: float = 0.0, warmup: Ramp = Ramp()
    ) -> None:
        Model.__init__(self)
        self.net = net
        self.free_bits = free_bits
        self.condition_dropout = condition_dropout
        self.warmup = warmup

    @property
    def latent_layers(self) -> int:
        """Number of layers L."""
        return len(self.net.shapes)

    @property
    def code_size(self) -> int:
        """Number of latents of all layers together."""
        return sum(self.net.sizes)

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        given = batch.given
        if self.training and self.condition_dropout and given is not None:
            given = leave_out(given, self.condition_dropout)
        down = self._posterior(batch, given).walk(draw)
        distortion = -self.net.observe(down.end).log_prob(batch.x, batch.mask)
        pairs = zip(down.posteriors, down.priors, strict=True)
        rates = torch.stack([q.kl(p).flatten(1).sum(1) for q, p in pairs][::-1], 1)
        layer_rates = {f"rate_{layer}": rate for layer, rate in enumerate(rates.unbind(1), 1)}
        weight = self.warmup(step)
        if self.free_bits:
            terms = {"distortion": distortion, "charged_rate": free_bits(rates, self.free_bits)}
            return {"model": Loss(terms, {"charged_rate": weight}, metrics={"rate": rates.sum(1), **layer_rates})}
        return {"model": Loss({"distortion": distortion, "rate": rates.sum(1)}, {"rate": weight}, layer_rates)}

    def encode(self, batch: Batch) -> HierarchicalPosterior:
        """q(z | x, c) of all layers side by side, top first; its `mode` is each layer's mean given those above."""
        return self._posterior(batch, batch.given)

    def decode(self, z: Tensor, given: Tensor | None = None) -> Distribution:
        """p(x | z, c) for all layers side by side, top first."""
        return self.net.observe(walk(self.net, len(z), given, taken(self.net.pieces(z))).end)

    def prior(self, n: int, given: Tensor | None = None) -> HierarchicalPrior:
        """p(z | c) for n examples, of all layers side by side, top first."""
        return HierarchicalPrior(self.net, n, given)

    def sample(self, n: int, given: Tensor | None = None, *, temperature: float = 1.0, noise: bool = True) -> Tensor:
        """Draw z_L, …, z_1 from their priors, then x ~ p(x | z, c); shape (n, *shape).

        Args:
            temperature: factor on the deviation of every layer's prior.
            noise: draw x from p(x | z, c); False gives its `mode`.
        """
        p = self.net.observe(walk(self.net, n, given, tempered(temperature)).end)
        return p.sample() if noise else p.mode()

    def reconstruct(
        self, batch: Batch, *, given: Tensor | None = None, noise: bool = False, layers: int | None = None
    ) -> Tensor:
        """x → z → x, shape (B, *shape): the mode of p(x | z, c), with the top layers from q and the others from p.

        Args:
            given: conditions of the way down to x, (B, G); those of the batch when None.
            noise: draw each layer, and x, instead of taking the mean of each and the mode of p(x | z, c).
            layers: how many layers from the top take their posterior; those below have their prior alone to go by.
                None is all of them, 0 none.

        Raises:
            SfumatoError: if there are not so many layers.
        """
        total = self.latent_layers
        layers = total if layers is None else layers
        if not 0 <= layers <= total:
            raise SfumatoError(f"layers is {layers}: the model has {total}, give a whole number from 0 to {total}")
        choose: Choose = draw if noise else middle
        down = self.encode(batch).walk(lambda at, p, q: choose(at, p, q if at < layers else None))
        if given is not None:
            z = down.z
            down = walk(self.net, len(batch), given, lambda at, p, q: z[at] if at < layers else choose(at, p, None))
        p = self.net.observe(down.end).with_total_of(batch.x, batch.mask)
        return p.sample() if noise else p.mode()

    def log_weight_parts(self, batch: Batch, k: int, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        n = len(batch)
        q = self.encode(batch).repeat(k)
        down = q.walk(draw if noise is None else q.by(spread(noise.to(q.evidence[0]), n, k)))
        x, mask = batch.x.repeat_interleave(k, 0), repeated(batch.mask, k)
        log_p = self.net.observe(down.end).log_prob(x, mask)
        log_ratio = log_density(down.priors, down.z) - log_density(down.posteriors, down.z)
        return log_p.view(n, k), log_ratio.view(n, k)

    def _posterior(self, batch: Batch, given: Tensor | None) -> HierarchicalPosterior:
        return HierarchicalPosterior(self.net, self.net.evidence(batch.x, given, batch.mask), given)

    @classmethod
    def build(
        cls,
        spec: DataSpec,
        size: Size,
        *,
        layers: Count | None = None,
        ladder: bool = True,
        free_bits: Weight = 0.0,
        condition_dropout: BelowOne = 0.1,
        warmup: Natural = 1000,
        cycles: Count = 1,
    ) -> Self:
        """A hierarchical VAE with networks for `spec`: a ladder, or a deep top-down net where the network is conv.

        `latent_dim` and `width` are those of the ladder's layer next to the data, halved at each layer above it. Of the
        deep net, `latent_dim` is the number at each position of its top size, halved at each larger size.

        Args:
            layers: layers of latents; chosen from the data unless given
            ladder: the posterior of a layer is made of encoder and top-down prior; no leaves it to the encoder alone
            free_bits: nats of rate that each layer has for free; cures latents that are ignored
            condition_dropout: how often each condition is left out in training, so that it may be left out later
            warmup: steps over which the weight of the rate rises from 0, so that no layer is given up before it is of
                use
            cycles: how often the warm-up is repeated (cyclical annealing)
        """
        sizes = sizes_for(spec, size)
        given = GivenFeatures(spec.given) if spec.given else None
        make = _deep if sizes.kind == "conv" else _ladder
        net = make(spec, sizes, layers, given, ladder)
        warm = Ramp(warmup, cycles)
        return cls(net, free_bits=free_bits, condition_dropout=condition_dropout, warmup=warm)


def _ladder(spec: DataSpec, sizes: Sizes, layers: int | None, given: GivenFeatures | None, merged: bool) -> Ladder:
    count = layers or min(5, max(2, int(math.log2(sizes.latent_dim))))
    latents = [max(sizes.latent_dim >> at, min(2, sizes.latent_dim)) for at in range(count)]
    widths = [max(sizes.width >> at, min(32, sizes.width)) for at in range(count)]
    features, head = for_fields(spec), for_likelihood(spec)
    inputs = spec.entries if isinstance(features, LevelFeatures) else features.outputs
    shaped = [] if len(head.raw) == 1 else [Reshape(head.raw)]
    return Ladder(
        features,
        inputs,
        head,
        latents,
        widths,
        sizes.depth,
        given,
        nn.Sequential(nn.Linear(widths[0], math.prod(head.raw)), *shaped),
        merged=merged,
    )


def _deep(spec: DataSpec, sizes: Sizes, layers: int | None, given: GivenFeatures | None, merged: bool) -> TopDown:
    return TopDown(
        for_fields(spec),
        spec.shape,
        for_likelihood(spec),
        sizes.latent_dim,
        sizes.width,
        sizes.depth,
        layers or 2 * len(all_sizes(spec.shape)),
        given,
        merged=merged,
    )
