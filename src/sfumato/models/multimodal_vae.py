"""The multimodal VAE: records of parts of different kinds, any of which may be missing (MVAE, MMVAE, MoPoE)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from sfumato.batch import Batch, Loss
from sfumato.distributions import Experts, Latent, Posterior, RecordDistribution
from sfumato.distributions.noise import uniform
from sfumato.distributions.parts import random_subset
from sfumato.models.latent import LatentModel
from sfumato.networks import PartsDecoder, PartsEncoder, decoder_for, encoder_for, sizes_for, sizes_of_part
from sfumato.objectives import Ramp, rate
from sfumato.ranges import Natural, Share
from sfumato.spec import DataSpec, Part, Size

HIDDEN_SHARE = 0.5
"""Share of the parts in training of which some entries, columns or pixels or symbols, are hidden from the encoder: the
rest can be asked for them, and an expert does not become surer of new examples than it is right."""


class MultimodalVAE(LatentModel):
    """Wu and Goodman 2018; Shi et al. 2019; Sutter, Daunhawer and Vogt 2021.

    A record x = (x_1, …, x_M) has one code. Each part has a decoder p(x_m | z) and an encoder that is an expert on the
    code, q_m(z | x_m). A part that is missing has no expert and no term:

        q_S(z | x) ∝ p(z) Π_{m ∈ S} q_m(z | x_m)                                            (product of experts)
        loss(x) = −E_S E_{q_S} Σ_{m ∈ T} w_m log p(x_m | z) + w·KL(q_S ‖ p(z))

    In training the code is that of a subset S of the parts that are there, drawn anew for each example, so that any
    parts can be asked for the others:

    * mixture-of-products (MoPoE): S is any subset, T are all parts that are there. The mean over S bounds the ELBO of
      the mixture of all q_S from above.
    * product (MVAE): S is half the time all parts, else any subset, T = S: each is an ELBO of the parts in S.
    * mixture (MMVAE): q(z | x) is the mixture of the q_m, T are all parts that are there.

    Codes, bounds and scores are by all parts that are there: q_S of them, or the mixture.

    Args:
        encoder: q(z | x) by parts, see `PartsEncoder`.
        decoder: p(x | z) by parts, see `PartsDecoder`.
        prior: number of latents of a standard normal, or prior(given, n) → N(0, 1).
        parts: the parts, in order.
        experts: "mixture-of-products", "product" or "mixture".
        balance: w_m = (max_k D_k / D_m)^balance, D_m the number of entries of a part; 0 is the likelihood itself.
        warmup: w as a function of the step.

    >>> import torch
    >>> from sfumato.models import build
    >>> from sfumato.spec import Field
    >>> image, word = DataSpec((1, 2, 2), (Field("level", 256),)), DataSpec((1,), (Field("category", 3),), (), "cells")
    >>> model = build("multimodal_vae", DataSpec.of_parts([Part("word", word), Part("image", image)]))
    >>> loss = model.losses(Batch(torch.zeros(5, 5)), step=0)["model"]
    >>> sorted(loss.terms), loss.per_example.shape
    (['distortion of image', 'distortion of word', 'rate'], torch.Size([5]))
    """

    data_forms = ("record",)
    remedies: ClassVar = {"warmup": "warmup"}

    encoder: PartsEncoder

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        prior: nn.Module | int,
        *,
        parts: Sequence[Part],
        experts: Literal["mixture-of-products", "product", "mixture"] = "mixture-of-products",
        balance: float = 0.0,
        warmup: Ramp = Ramp(),
    ) -> None:
        super().__init__(encoder, decoder, prior)
        self.parts = tuple(parts)
        self.experts = experts
        largest = max(part.spec.entries for part in parts)
        self.weights = [(largest / part.spec.entries) ** balance for part in parts]
        self.warmup = warmup

    @property
    def noise_size(self) -> int:
        """As in `LatentModel`; a draw from the mixture takes one number more, which chooses the expert."""
        return self.code_size + (self.experts == "mixture")

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        experts = self.encoder.experts(batch.x, None, self._shown(batch))
        q, wanted = self._posterior(experts)
        z = q.sample()
        p = self.decode(z)
        assert isinstance(p, RecordDistribution), "records are decoded part by part"
        distortions = -p.log_probs(batch.x, batch.mask)
        if wanted is not None:
            distortions = distortions.where(wanted, 0.0)
        terms = {f"distortion of {part.name}": own for part, own in zip(self.parts, distortions.unbind(1), strict=True)}
        weights: dict[str, float | Tensor] = dict(zip(terms, self.weights, strict=True))
        terms["rate"] = rate(q, self.prior(len(batch)), z).sum(1)
        weights["rate"] = self.warmup(step)
        return {"model": Loss(terms, weights, metrics={"distortion": distortions.sum(1)})}

    def encode_known(self, x: Tensor, given: Tensor | None = None, mask: Tensor | None = None) -> Latent:
        """q(z | x_known) of the parts of which something is known."""
        known: Latent = self.encoder(x, given, mask)
        return known

    def _posterior(self, experts: Experts) -> tuple[Posterior, Tensor | None]:
        """q of this step, and the parts that are reconstructed from it, (B, M); None for all."""
        if self.experts == "mixture":
            return experts.mixture(), None
        chosen = random_subset(experts.present, experts.means)
        if self.experts == "mixture-of-products":
            return experts.among(chosen).product(), None
        whole = uniform(experts.means, len(chosen), 1) < 0.5
        chosen = torch.where(whole, experts.present, chosen)
        return experts.among(chosen).product(), chosen

    def _shown(self, batch: Batch) -> Tensor | None:
        """What the encoders see of an example, (B, D): in training a share of the entries is hidden, never a part."""
        if not self.training:
            return batch.mask
        mask = torch.ones_like(batch.x, dtype=torch.bool) if batch.mask is None else batch.mask.clone()
        for place in self.encoder.places:
            if place.stop - place.start == 1:
                continue
            share, some = uniform(batch.x, 2 * len(mask)).view(2, -1, 1)
            shown = mask[:, place] & ((uniform(batch.x, *mask[:, place].shape) < share) | (some > HIDDEN_SHARE))
            mask[:, place] = torch.where(shown.any(1, keepdim=True), shown, mask[:, place])
        return mask

    @classmethod
    def build(
        cls,
        spec: DataSpec,
        size: Size,
        *,
        experts: Literal["mixture-of-products", "product", "mixture"] = "mixture-of-products",
        balance: Share = 1.0,
        warmup: Natural = 0,
    ) -> Self:
        """A multimodal VAE with networks for each part of `spec`.

        Args:
            experts: how the parts that are there make one code: mixture-of-products (MoPoE), product (MVAE), or
                mixture (MMVAE)
            balance: weight of small parts beside large ones, from 0, the likelihood itself, to 1, all parts alike
            warmup: steps over which the weight of the rate rises from 0
        """
        sizes = sizes_for(spec, size)
        own = [(part.spec, sizes_of_part(part.spec, sizes)) for part in spec.parts]
        return cls(
            PartsEncoder(spec, [encoder_for(*each) for each in own], mixture=experts == "mixture"),
            PartsDecoder(spec, [decoder_for(*each) for each in own]),
            sizes.latent_dim,
            parts=spec.parts,
            experts=experts,
            balance=balance,
            warmup=Ramp(warmup),
        )
