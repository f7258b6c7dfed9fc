"""The β-TCVAE: the rate cut in three, of which the total correlation is weighted by β."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from sfumato.batch import Batch, Loss
from sfumato.distributions import Normal
from sfumato.models.latent import LatentModel
from sfumato.networks import decoder_for, encoder_for, sizes_for
from sfumato.objectives import Ramp, decomposed_rate
from sfumato.objectives.joint import joint
from sfumato.ranges import Count, Natural, Weight
from sfumato.spec import DataSpec, Size


class BetaTCVAE(LatentModel):
    """Chen et al. 2018, Isolating sources of disentanglement in variational autoencoders.

        loss = −E_q(z|x) log p(x|z) + w·[α·I(x; z) + β·KL(q(z) ‖ Π_d q(z_d)) + γ·Σ_d KL(q(z_d) ‖ p(z_d))]

    The three terms are estimated from the one draw z ~ q(z|x) of each example and add up to log q(z|x) − log p(z),
    whose mean is the rate: with α = β = γ = 1 this is the VAE. The mutual information of N examples is at most log N,
    and its estimate from a batch is noisy; their sum is not.

    No total correlation is below 0, but its stratified estimate from a batch much smaller than the data is, the more so
    the narrower the posteriors are. β > 1 would pay for that β times over, and does in the paper's objective: here β
    weighs only an estimate above 0, in the mean over the batch.

    Args:
        encoder: encoder(x, given, mask) → q(z | x), a `Normal`.
        decoder: decoder(z, given) → p(x | z).
        prior: prior(given, n) → p(z), or the number of latents of a standard normal.
        examples: N, the number of training examples; 0 if unknown, then that of each batch.
        alpha: α.
        beta: β.
        gamma: γ.
        estimator: of q(z) from a batch, see `sfumato.objectives.log_weights`.
        warmup: w as a function of the step.
    """

    data_forms = ("vector", "image", "symbols")
    remedies: ClassVar = {"rate_weight": "beta", "warmup": "warmup", "cycles": "cycles"}

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        prior: nn.Module | int,
        examples: int,
        *,
        alpha: float = 1.0,
        beta: float = 6.0,
        gamma: float = 1.0,
        estimator: Literal["stratified", "weighted"] = "stratified",
        warmup: Ramp = Ramp(),
    ) -> None:
        super().__init__(encoder, decoder, prior)
        self.examples = examples
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.estimator = estimator
        self.warmup = warmup

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        weight = self.warmup(step)
        q = self.encode(batch)
        if not isinstance(q, Normal):
            raise TypeError(f"the encoder of a β-TCVAE returns a Normal, not a {type(q).__name__}")
        z = q.sample()
        distortion = -self.decode(z, batch.given).log_prob(batch.x, batch.mask)
        log_prior = self.prior(len(batch), batch.given).log_prob(z)
        parts = decomposed_rate(q, z, log_prior, self.examples, self.estimator)
        total_rate = parts.mutual_information + parts.total_correlation + parts.dimension_rate
        seen = joint(parts.total_correlation.detach()).mean() > 0
        weights: dict[str, float | Tensor] = {
            "mutual_information": weight * self.alpha,
            "total_correlation": weight * torch.where(seen, self.beta, min(self.beta, 1.0)),
            "dimension_rate": weight * self.gamma,
        }
        return {"model": Loss({"distortion": distortion, **parts._asdict()}, weights, metrics={"rate": total_rate})}

    @classmethod
    def build(
        cls,
        spec: DataSpec,
        size: Size,
        *,
        alpha: Weight = 1.0,
        beta: Weight = 6.0,
        gamma: Weight = 1.0,
        estimator: Literal["stratified", "weighted"] = "stratified",
        warmup: Natural = 0,
        cycles: Count = 1,
    ) -> Self:
        """A β-TCVAE with networks for `spec`.

        Args:
            alpha: weight of the mutual information of data and code
            beta: weight of the total correlation; above 1 for latents that do not depend on one another
            gamma: weight of each latent's own distance from the prior
            estimator: of the density of codes from a batch, minibatch-stratified or minibatch-weighted sampling
            warmup: steps over which the weights of all three rise from 0
            cycles: how often the warm-up is repeated (cyclical annealing)
        """
        sizes = sizes_for(spec, size)
        return cls(
            encoder_for(spec, sizes),
            decoder_for(spec, sizes),
            sizes.latent_dim,
            spec.examples,
            alpha=alpha,
            beta=beta,
            gamma=gamma,
            estimator=estimator,
            warmup=Ramp(warmup, cycles),
        )
