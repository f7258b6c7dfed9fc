"""The conditional VAE: encoder and decoder see the conditions, any of which may be left out; the code need not."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import torch
from torch import nn

from sfumato.batch import Batch, Loss
from sfumato.errors import SfumatoError
from sfumato.models.latent import LatentModel, check_free, chosen_free
from sfumato.networks import (
    GivenPrior,
    StandardPrior,
    decoder_for,
    encoder_for,
    sizes_for,
)
from sfumato.networks.features import GivenFeatures, leave_out
from sfumato.objectives import InverseMultiquadratic, Ramp, charged_rate, group_mmd, rate, standardised
from sfumato.ranges import BelowOne, Count, Natural, Weight
from sfumato.spec import DataSpec, Size

FIRST_BETA = 40.0
"""Weight of the rate in the first steps: no code says anything at that price."""
FIRST = 1000
"""Steps over which it falls to β, at most."""


class CVAE(LatentModel):
    """Sohn, Lee and Yan 2015, Learning structured output representation using deep conditional generative models.

        loss(x, c) = −E_q(z|x,c) log p(x|z,c) + w·b·KL(q(z|x,c) ‖ p(z|c))

    with b = β, but for the first steps: there it falls from 40 to β, so that the decoder learns what c says before
    codes say anything (our choice, with β of images).

    With a standard normal for p(z|c), the default, the codes of all examples with the same c should look like N(0, 1),
    so z says nothing of c, and an example can be decoded under another c: what z holds stays, what c says changes. How
    far that is so depends on β and on how many latents there are: separate codes for each of K classes cost
    log K nats at most, little compared with the rate of an image. A prior learned from c (Sohn, Lee and Yan) does not
    ask for it: codes may say all of c again, and do. It gives the better likelihood, and a decoder that listens to z
    alone.

    With `independence` λ above 0 codes are made not to say what the conditions that are categories are:

        loss + λ·Σ_g (n_g/n) [MMD²(draws of group g, draws of all others) + MMD²(means of g, means of all others)]

    with the groups of each condition in the batch and the kernel of the WAE (Louizos et al. 2016, The variational fair
    autoencoder, with a kernel of seven widths and of draws alone). Means are standardised in the batch, so that they
    cannot escape by shrinking, and the encoder is not shown these conditions: only the decoder is. See
    `sfumato.objectives.group_mmd`.

    During training each condition of each example is left out with probability `condition_dropout`, so that one model
    holds p(x), p(x | a) and p(x | a, b): leave out (NaN) what is not to be conditioned on.

    Args:
        encoder: encoder(x, given, mask) → q(z | x, c), a `Normal`.
        decoder: decoder(z, given) → p(x | z, c).
        prior: prior(given, n) → p(z | c), or the number of latents of a standard normal that no condition moves.
        condition_dropout: probability of leaving a condition out.
        beta: β.
        free_bits: each latent's mean rate below this many nats is free.
        warmup: w as a function of the step.
        conditions_first: steps over which b falls from 40 to β.
        independence: λ, in nats.
        categories: places of the conditions that codes are to be independent of; the encoder is to ignore them.
    """

    data_forms = ("vector", "image", "symbols")
    conditions = "required"
    separable = True
    joint_options = ("free_bits", "free_rate", "independence")
    remedies: ClassVar = {
        "rate_weight": "beta",
        "free_bits": "free_bits",
        "free_rate": "free_rate",
        "warmup": "warmup",
        "cycles": "cycles",
        "condition_dropout": "condition_dropout",
        "standard_prior": "prior",
        "learned_prior": "prior",
    }

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        prior: nn.Module | int,
        *,
        condition_dropout: float = 0.1,
        beta: float = 1.0,
        free_bits: float = 0.0,
        free_rate: float = 0.0,
        warmup: Ramp = Ramp(),
        conditions_first: int = 0,
        independence: float = 0.0,
        categories: tuple[int, ...] = (),
    ) -> None:
        super().__init__(encoder, decoder, prior)
        self.condition_dropout = condition_dropout
        self.beta = beta
        check_free(free_bits, free_rate)
        self.free_bits, self.free_rate = free_bits, free_rate
        self.warmup = warmup
        self.conditions_first = Ramp(conditions_first)
        self.independence = independence
        self.categories = categories

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        above = max(FIRST_BETA - self.beta, 0.0) * (1 - self.conditions_first(step))
        weight = self.warmup(step) * (self.beta + above)
        given = batch.given
        if self.training and self.condition_dropout and given is not None:
            given = leave_out(given, self.condition_dropout)
        q = self.encoder(batch.x, given, batch.mask)
        z = q.sample()
        distortion = -self.decode(z, given).log_prob(batch.x, batch.mask)
        rates = rate(q, self.prior(len(batch), given), z)
        terms, weights, metrics = {"distortion": distortion}, {}, {}
        charged = charged_rate(rates, z.shape[1], self.free_bits, self.free_rate)
        if charged is not None:
            terms["charged_rate"] = charged
            weights["charged_rate"], metrics["rate"] = weight, rates.sum(1)
        else:
            terms["rate"], weights["rate"] = rates.sum(1), weight
        if self.independence and batch.given is not None:
            # x may tell a condition that no network is shown, so all rows count.
            kernel = InverseMultiquadratic(z.shape[1])
            codes = (z, standardised(q.mode()))
            apart = [group_mmd(each, batch.given[:, place], kernel) for place in self.categories for each in codes]
            terms["dependence"], weights["dependence"] = torch.stack(apart).sum(0), self.independence
        return {"model": Loss(terms, weights, metrics=metrics)}

    @staticmethod
    def chosen_by_data(
        spec: DataSpec,
        prior: str = "standard",
        planned: int = 4 * FIRST,
        free_bits: float | None = None,
        free_rate: float | None = None,
    ) -> dict[str, float | int]:
        """Options that follow from the data where they are not given.

        β of images is √D/4 within 2 to 8 for D values, and conditions come first for 1,000 steps, or a quarter of those
        planned, where no condition moves the prior: both keep codes from saying them.

        Under a normal likelihood whose scale is learned, a code says the more nats the more values there are, and log
        K of them for a class weigh the less: on MNIST codes said all of it at β = 1, and a third of it at 4.

        >>> from sfumato.spec import Field
        >>> CVAE.chosen_by_data(DataSpec((1, 28, 28), (Field("level", 256),)))
        {'beta': 7.0, 'conditions_first': 1000}
        """
        if not spec.is_image or prior == "learned":
            return {"beta": 1.0, "conditions_first": 0} | (
                chosen_free(spec, free_bits, free_rate) if spec.is_symbols else {}
            )
        beta = min(max(2.0, spec.entries**0.5 / 4), 8.0) if spec.likelihood == "gaussian" else 2.0
        return {"beta": beta, "conditions_first": min(FIRST, planned // 4)}

    @classmethod
    def build(
        cls,
        spec: DataSpec,
        size: Size,
        *,
        prior: Literal["standard", "learned"] = "standard",
        condition_dropout: BelowOne = 0.1,
        beta: Weight | None = None,
        free_bits: Weight | None = None,
        free_rate: Weight | None = None,
        warmup: Natural = 0,
        cycles: Count = 1,
        conditions_first: Natural | None = None,
        independence: Weight = 0.0,
    ) -> Self:
        """A conditional VAE with networks for `spec`.

        Args:
            prior: a standard normal, so that codes say nothing of the conditions and these can be changed; or learned
                from them (a better likelihood, as for filling in what a condition shows a part of)
            condition_dropout: how often each condition is left out in training, so that it may be left out later
            beta: weight of the rate; more for codes that say less of the conditions (default: 1, of images
                2 to 8, the more the larger they are)
            free_bits: nats of rate that each latent has for free; cures latents that are ignored (default: 0.25 of
                symbols, 0.5 of more than 32, else 0)
            free_rate: nats of rate that the whole code has for free, whichever latents carry it; they may come to carry
                the conditions (default: 0)
            warmup: steps over which the weight of the rate rises from 0
            cycles: how often the warm-up is repeated (cyclical annealing)
            conditions_first: steps over which the weight of the rate falls from 40 to beta, so that conditions are
                learned before codes (default: for images 1000, or a quarter of the steps; else 0)
            independence: weight of a discrepancy (MMD) between the codes of examples whose conditions are other
                categories, which the encoder is not shown then, so that codes do not tell them: for fair
                representations, such as 30; it costs much of what codes say of all else too
        """
        if not spec.given:
            raise SfumatoError("cvae needs at least one condition: name columns with given (--given COLUMN)")
        categories = tuple(place for place, field in enumerate(spec.given) if field.kind == "category")
        if independence and not categories:
            raise SfumatoError(f"independence is {independence:g}: no condition is a category; name one with given")
        sizes = sizes_for(spec, size)
        chosen = cls.chosen_by_data(spec, prior, free_bits=free_bits, free_rate=free_rate)
        beta = chosen["beta"] if beta is None else beta
        first = int(chosen["conditions_first"]) if conditions_first is None else conditions_first
        if prior == "learned":
            prior_net: nn.Module = GivenPrior(GivenFeatures(spec.given), sizes.latent_dim, min(sizes.width * 2, 128))
        else:
            prior_net = StandardPrior(sizes.latent_dim)
        return cls(
            encoder_for(spec, sizes, conditional=True, hidden=categories if independence else ()),
            decoder_for(spec, sizes, conditional=True),
            prior_net,
            condition_dropout=condition_dropout,
            beta=beta,
            free_bits=chosen.get("free_bits", free_bits or 0.0),
            free_rate=chosen.get("free_rate", free_rate or 0.0),
            warmup=Ramp(warmup, cycles),
            conditions_first=first,
            independence=independence,
            categories=categories,
        )
