"""The FactorVAE: latents made independent of one another by an adversary that spots when they are not."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sfumato.batch import Batch, Loss
from sfumato.models.base import END, trainable
from sfumato.models.latent import LatentModel
from sfumato.networks import MLP, decoder_for, encoder_for, sizes_for
from sfumato.networks.gaussian import full
from sfumato.objectives import Ramp, rate, second_half_permuted, telling_apart
from sfumato.ranges import Count, Natural, Positive, Weight
from sfumato.spec import DataSpec, Size


class FactorVAE(LatentModel):
    """Kim and Mnih 2018, Disentangling by factorising.

        model:          −E_q(z|x) log p(x|z) + w·KL(q(z|x) ‖ p(z)) + w·γ·[log D₀(z) − log D₁(z)]
        discriminator:  ½[−log D₀(z) − log D₁(z′)]

    D₀ is the probability that z was drawn from q(z), D₁ = 1 − D₀ that it was drawn from Π_d q(z_d), so the mean of
    log D₀ − log D₁ estimates the total correlation KL(q(z) ‖ Π_d q(z_d)). The discriminator separates the codes z of
    the first half of the batch from z′, the codes of the second half with each dimension permuted. It has one output,
    the log ratio. The encoder is called once for the whole batch.

    What early stopping watches is distortion + rate: an estimate of the total correlation means another thing with
    every state of the discriminator, and is 0 before that has learned anything.

    Args:
        encoder: encoder(x, given, mask) → q(z | x).
        decoder: decoder(z, given) → p(x | z).
        prior: prior(given, n) → p(z), or the number of latents of a standard normal.
        discriminator: (B, L) to (B, 1), log D₀ − log D₁.
        gamma: γ.
        discriminator_lr: learning rate of the discriminator's Adam(0.5, 0.9); None for that of the model.
        warmup: w as a function of the step.
    """

    data_forms = ("vector", "image", "symbols")
    remedies: ClassVar = {"total_correlation_weight": "gamma", "warmup": "warmup", "cycles": "cycles"}

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        prior: nn.Module | int,
        discriminator: nn.Module,
        *,
        gamma: float = 10.0,
        discriminator_lr: float | None = 1e-4,
        warmup: Ramp = Ramp(),
    ) -> None:
        super().__init__(encoder, decoder, prior)
        self.discriminator = discriminator
        self.gamma = gamma
        self.discriminator_lr = discriminator_lr
        self.warmup = warmup

    def players(self) -> dict[str, list[nn.Parameter]]:
        own = trainable(self.encoder, self.decoder, self.prior_net)
        return {"model": own, "discriminator": trainable(self.discriminator)}

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        weight = self.warmup(step)
        q = self.encode(batch)
        z = q.sample()
        distortion = -self.decode(z, batch.given).log_prob(batch.x, batch.mask)
        total_rate = rate(q, self.prior(len(batch), batch.given), z).sum(1)

        log_ratio = full(self.discriminator(z))[:, 0]
        permuted = full(self.discriminator(second_half_permuted(z)))[:, 0]
        # Each player differentiates its own parameters only, so one D(z) serves both: as D(z) and as D(sg z).
        duel = telling_apart(log_ratio, permuted)
        return {
            "model": Loss(
                {"distortion": distortion, "rate": total_rate, "total_correlation": log_ratio},
                {"rate": weight, "total_correlation": weight * self.gamma},
            ),
            "discriminator": Loss({"cross_entropy": duel.cross_entropy}, metrics={"correct": duel.correct}),
        }

    def optimizer(self, player: str, parameters: list[nn.Parameter], lr: float, weight_decay: float) -> Optimizer:
        if player == "model":
            return super().optimizer(player, parameters, lr, weight_decay)
        return torch.optim.Adam(parameters, lr=self.discriminator_lr or lr, betas=(0.5, 0.9), fused=True)

    def monitor(self, batch: Batch) -> Tensor:
        terms = self.losses(batch, END)["model"].terms
        return terms["distortion"] + terms["rate"]

    @classmethod
    def build(
        cls,
        spec: DataSpec,
        size: Size,
        *,
        gamma: Weight = 10.0,
        discriminator_width: Count | None = None,
        discriminator_depth: Count | None = None,
        discriminator_lr: Positive | None = None,
        warmup: Natural = 0,
        cycles: Count = 1,
    ) -> Self:
        """A FactorVAE with networks for `spec`.

        Args:
            gamma: weight of the total correlation; the paper's best lie between 10 and 40
            discriminator_width: its hidden width; 1000 for images of more than 1024 values, otherwise 256
            discriminator_depth: its hidden layers; 6 for images of more than 1024 values, otherwise 3
            discriminator_lr: its learning rate; 1e-4 for images of more than 1024 values, otherwise that of the model
            warmup: steps over which the weights of rate and total correlation rise from 0
            cycles: how often the warm-up is repeated (cyclical annealing)
        """
        sizes = sizes_for(spec, size)
        large = spec.is_image and spec.entries > 1024
        width = discriminator_width or (1000 if large else 256)
        depth = discriminator_depth or (6 if large else 3)
        hidden = MLP(sizes.latent_dim, width, depth, partial(nn.LeakyReLU, 0.2))
        return cls(
            encoder_for(spec, sizes),
            decoder_for(spec, sizes),
            sizes.latent_dim,
            nn.Sequential(*hidden, nn.Linear(hidden.outputs, 1)),
            gamma=gamma,
            discriminator_lr=discriminator_lr or (1e-4 if large else None),
            warmup=Ramp(warmup, cycles),
        )
