"""The β-VAE: a weighted rate, or a rate held to a capacity that grows."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from torch import nn

from sfumato.batch import Batch, Loss
from sfumato.errors import SfumatoError
from sfumato.models.latent import LatentModel, check_free, chosen_free
from sfumato.networks import decoder_for, encoder_for, prior_for, sizes_for
from sfumato.objectives import Ramp, charged_rate, gap_of_mean, rate
from sfumato.ranges import Count, Natural, Weight
from sfumato.spec import DataSpec, Size


class BetaVAE(LatentModel):
    """Higgins et al. 2017, β-VAE; with a capacity, Burgess et al. 2018, Understanding disentangling in β-VAE.

        loss(x) = −E_q(z|x) log p(x|z) + w·β·KL(q(z|x) ‖ p(z))
        loss(x) = −E_q(z|x) log p(x|z) + γ·|KL(q(z|x) ‖ p(z)) − C(t)|        (when a capacity C is given)

    Distortion and rate are sums over all dimensions in nats per example, so β means the same on every data set and
    β = 1 is the VAE. C is compared with the mean rate of the batch and grows linearly from 0 to its end.

    Args:
        encoder: encoder(x, given, mask) → q(z | x), a `Normal`.
        decoder: decoder(z, given) → p(x | z).
        prior: prior(given, n) → p(z), or the number of latents of a standard normal.
        beta: β.
        capacity: the end value of C in nats, or None for the first form.
        gamma: γ.
        free_bits: each latent's mean rate below this many nats is free; not with a capacity.
        free_rate: the whole code's mean rate below this many nats is free; not with a capacity or `free_bits`.
        warmup: w (or C(t) divided by its end) as a function of the step.
    """

    data_forms = ("vector", "image", "symbols")
    separable = True
    joint_options = ("capacity", "free_bits", "free_rate")
    remedies: ClassVar = {
        "rate_weight": "beta",
        "capacity": "capacity",
        "free_bits": "free_bits",
        "free_rate": "free_rate",
        "warmup": "warmup",
        "cycles": "cycles",
        "mixture_prior": "prior",
    }

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        prior: nn.Module | int,
        *,
        beta: float = 4.0,
        capacity: float | None = None,
        gamma: float = 1000.0,
        free_bits: float = 0.0,
        free_rate: float = 0.0,
        warmup: Ramp = Ramp(),
    ) -> None:
        super().__init__(encoder, decoder, prior)
        if capacity is not None and (free_bits or free_rate):
            held = "free_bits" if free_bits else "free_rate"
            raise SfumatoError(f"capacity and {held} both hold the rate up: choose one of them")
        self.beta = beta
        self.capacity = capacity
        self.gamma = gamma
        check_free(free_bits, free_rate)
        self.free_bits, self.free_rate = free_bits, free_rate
        self.warmup = warmup

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        weight = self.warmup(step)
        q = self.encode(batch)
        z = q.sample()
        distortion = -self.decode(z, batch.given).log_prob(batch.x, batch.mask)
        rates = rate(q, self.prior(len(batch), batch.given), z)
        total_rate = rates.sum(1)

        if self.capacity is not None:
            gap = gap_of_mean(total_rate, weight * self.capacity)
            return {
                "model": Loss(
                    {"distortion": distortion, "capacity_gap": gap},
                    {"capacity_gap": self.gamma},
                    {"rate": total_rate},
                )
            }
        charged = charged_rate(rates, z.shape[1], self.free_bits, self.free_rate)
        if charged is not None:
            terms = {"distortion": distortion, "charged_rate": charged}
            return {"model": Loss(terms, {"charged_rate": weight * self.beta}, metrics={"rate": total_rate})}
        return {"model": Loss({"distortion": distortion, "rate": total_rate}, {"rate": weight * self.beta})}

    @staticmethod
    def chosen_by_data(
        spec: DataSpec,
        capacity: float | None = None,
        free_bits: float | None = None,
        free_rate: float | None = None,
    ) -> dict[str, float]:
        """Options that follow from the data where they are not given: β, and what of the rate is free.

        4 is for images, whose pixels repeat each other. The columns of a table, and the symbols of a sequence, do so
        far less: at β = 4 not one latent is worth its rate.

        >>> from sfumato.spec import Field
        >>> BetaVAE.chosen_by_data(DataSpec((1, 8, 8), (Field("level", 256),)))
        {'beta': 4.0}
        >>> BetaVAE.chosen_by_data(DataSpec((3,), (Field("real"),)))
        {'beta': 1.0}
        """
        return {"beta": 4.0 if spec.is_image else 1.0} | (
            chosen_free(spec, free_bits, free_rate) if capacity is None else {}
        )

    @classmethod
    def build(
        cls,
        spec: DataSpec,
        size: Size,
        *,
        prior: Literal["standard", "mixture", "vamp", "flow"] = "standard",
        components: Count = 64,
        beta: Weight | None = None,
        capacity: Weight | None = None,
        gamma: Weight = 1000.0,
        free_bits: Weight | None = None,
        free_rate: Weight | None = None,
        warmup: Natural = 0,
        cycles: Count = 1,
    ) -> Self:
        """A β-VAE with networks for `spec`.

        Args:
            prior: standard normal, or learned: a mixture of normals, of posteriors (vamp), or a flow (needs zuko)
            components: components of the mixture prior, or pseudo-inputs of the vamp
            beta: weight of the rate; above 1 for simpler, more separate latents, below 1 for sharper reconstructions
                (default: 4 for images, else 1)
            capacity: hold the rate at this many nats instead of weighting it; reached over `warmup` steps
            gamma: how strongly the capacity is held
            free_bits: nats of rate that each latent has for free; cures latents that are ignored (default: 0.25 of
                symbols, 0.5 of more than 32 without a capacity, else 0)
            free_rate: nats of rate that the whole code has for free, whichever latents carry it (default: 0.5 of tables
                whose columns are modelled given those before them, unless free_bits or a capacity is given; else 0)
            warmup: steps over which the weight of the rate, or the capacity, rises from 0
            cycles: how often the warm-up is repeated (cyclical annealing)
        """
        sizes = sizes_for(spec, size)
        encoder = encoder_for(spec, sizes)
        chosen = cls.chosen_by_data(spec, capacity, free_bits, free_rate)
        return cls(
            encoder,
            decoder_for(spec, sizes),
            prior_for(encoder, spec.shape, prior, components),
            beta=chosen["beta"] if beta is None else beta,
            capacity=capacity,
            gamma=gamma,
            free_bits=chosen.get("free_bits", free_bits or 0.0),
            free_rate=chosen.get("free_rate", free_rate or 0.0),
            warmup=Ramp(warmup, cycles),
        )
