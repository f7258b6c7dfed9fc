"""The conditional VAE: encoder, prior and decoder all see the conditions, any of which may be left out."""

from __future__ import annotations

from typing import Literal

from torch import nn

from sfumato.batch import Batch, Loss
from sfumato.errors import SfumatoError
from sfumato.models._latent import LatentModel
from sfumato.networks import (
    GivenPrior,
    StandardPrior,
    decoder_for,
    encoder_for,
    sizes_for,
)
from sfumato.networks.features import GivenFeatures, leave_out
from sfumato.objectives import Ramp, free_bits, rate
from sfumato.ranges import BelowOne, Count, Natural, Weight
from sfumato.spec import DataSpec, Size

NEEDS_CONDITIONS = True
TAKES_SYMBOLS = True


class CVAE(LatentModel):
    """Sohn, Lee and Yan 2015, Learning structured output representation using deep conditional generative models.

        loss(x, c) = −E_q(z|x,c) log p(x|z,c) + w·β·KL(q(z|x,c) ‖ p(z|c))

    During training each condition of each example is left out with probability `condition_dropout`, so that one model
    holds p(x), p(x | a) and p(x | a, b): leave out (NaN) what is not to be conditioned on.

    Arguments:
        encoder: encoder(x, given, mask) → q(z | x, c), a `Normal`.
        decoder: decoder(z, given) → p(x | z, c).
        prior: prior(given, n) → p(z | c), or the number of latents of a standard normal that no condition moves.
        condition_dropout: probability of leaving a condition out.
        beta: β.
        free_bits: each latent's mean rate below this many nats is free.
        warmup: w as a function of the step.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        prior: nn.Module | int,
        *,
        condition_dropout: float = 0.1,
        beta: float = 1.0,
        free_bits: float = 0.0,
        warmup: Ramp = Ramp(),
    ) -> None:
        super().__init__(encoder, decoder, prior)
        self.condition_dropout = condition_dropout
        self.beta = beta
        self.free_bits = free_bits
        self.warmup = warmup

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        weight = self.warmup(step) * self.beta
        given = batch.given
        if self.training and self.condition_dropout and given is not None:
            given = leave_out(given, self.condition_dropout)
        q = self.encoder(batch.x, given, batch.mask)
        z = q.sample()
        distortion = -self.decode(z, given).log_prob(batch.x, batch.mask)
        rates = rate(q, self.prior(len(batch), given), z)
        if self.free_bits:
            terms = {"distortion": distortion, "charged_rate": free_bits(rates, self.free_bits, z.shape[1])}
            return {"model": Loss(terms, {"charged_rate": weight}, also={"rate": rates.sum(1)})}
        return {"model": Loss({"distortion": distortion, "rate": rates.sum(1)}, {"rate": weight})}


def build(
    spec: DataSpec,
    size: Size,
    *,
    prior: Literal["learned", "standard"] = "learned",
    condition_dropout: BelowOne = 0.1,
    beta: Weight = 1.0,
    free_bits: Weight = 0.0,
    warmup: Natural = 0,
    cycles: Count = 1,
) -> CVAE:
    """A conditional VAE with networks for `spec`.

    Args:
        prior: learned from the conditions, or a standard normal that they do not move
        condition_dropout: how often each condition is left out in training, so that it may be left out later
        beta: weight of the rate
        free_bits: nats of rate that each latent has for free; cures latents that are ignored
        warmup: steps over which the weight of the rate rises from 0
        cycles: how often the warm-up is repeated (cyclical annealing)
    """
    if not spec.given:
        raise SfumatoError("cvae needs at least one condition: name columns with given (--given COLUMN)")
    sizes = sizes_for(spec, size)
    if prior == "learned":
        prior_net: nn.Module = GivenPrior(GivenFeatures(spec.given), sizes.latent_dim, min(sizes.width * 2, 128))
    else:
        prior_net = StandardPrior(sizes.latent_dim)
    return CVAE(
        encoder_for(spec, sizes, conditional=True),
        decoder_for(spec, sizes, conditional=True),
        prior_net,
        condition_dropout=condition_dropout,
        beta=beta,
        free_bits=free_bits,
        warmup=Ramp(warmup, cycles),
    )
