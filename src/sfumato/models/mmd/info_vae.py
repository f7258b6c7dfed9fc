"""The InfoVAE: codes that match the prior as a whole, at a smaller price on what each one says."""

from __future__ import annotations

from typing import ClassVar, Self

from torch import nn

from sfumato.batch import Batch, Loss
from sfumato.errors import SfumatoError
from sfumato.models.latent import LatentModel
from sfumato.networks import decoder_for, encoder_for, sizes_for
from sfumato.objectives import Kernel, KernelName, Ramp, discrepancy, kernel_for, rate, usual_weight
from sfumato.ranges import AtMostOne, Count, Natural, Positive, Weight
from sfumato.spec import DataSpec, Size


class InfoVAE(LatentModel):
    """Zhao, Song and Ermon 2017, InfoVAE: information maximizing variational autoencoders, eq. 6.

        loss = −E_q(z|x) log p(x|z) + w·(1 − α)·KL(q(z|x) ‖ p(z)) + (α + λ − 1)·MMD²(q(z), p(z))

    α = 0, λ = 1 is the VAE; α = 1 leaves the KL out: the MMD-VAE, or Wasserstein autoencoder, a model of its own here
    (`wae`). The distortion is a sum over the entries of x, so λ has to be on that scale. MMD² is the unbiased estimate
    from the draws of the batch, the prior's part of it exact; it is negative at times.

    Args:
        encoder: encoder(x, given, mask) → q(z | x).
        decoder: decoder(z, given) → p(x | z).
        prior: prior(given, n) → p(z), or the number of latents of a standard normal.
        kernel: k of ‖u − v‖², see `sfumato.objectives.mmd`.
        alpha: α.
        lam: λ, at least 1 − α.
        warmup: w as a function of the step.
    """

    data_forms = ("vector", "image", "symbols")
    remedies: ClassVar = {"discrepancy_weight": "lam", "forgiven_rate": "alpha", "warmup": "warmup", "cycles": "cycles"}

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        prior: nn.Module | int,
        kernel: Kernel,
        *,
        alpha: float = 0.5,
        lam: float = 1000.0,
        warmup: Ramp = Ramp(),
    ) -> None:
        super().__init__(encoder, decoder, prior)
        if alpha + lam < 1 - 1e-9:
            raise SfumatoError(
                f"alpha {alpha:g} and lam {lam:g} weigh the discrepancy with {alpha + lam - 1:g}, which would drive "
                f"codes away from the prior: give lam of at least {1 - alpha:g}"
            )
        self.kernel = kernel
        self.alpha = alpha
        self.lam = lam
        self.warmup = warmup

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        q = self.encode(batch)
        z = q.sample()
        distortion = -self.decode(z, batch.given).log_prob(batch.x, batch.mask)
        prior = self.prior(len(batch), batch.given)
        return {
            "model": Loss(
                {
                    "distortion": distortion,
                    "rate": rate(q, prior, z).sum(1),
                    "mmd": discrepancy(z, prior, self.kernel),
                },
                {"rate": self.warmup(step) * (1 - self.alpha), "mmd": self.alpha + self.lam - 1},
            )
        }

    @classmethod
    def build(
        cls,
        spec: DataSpec,
        size: Size,
        *,
        alpha: AtMostOne = 0.5,
        lam: Weight | None = None,
        kernel: KernelName = "imq",
        bandwidth: Positive | None = None,
        warmup: Natural = 0,
        cycles: Count = 1,
    ) -> Self:
        """An InfoVAE with networks for `spec`.

        Args:
            alpha: how much of the rate is forgiven; 0 is the VAE plus the discrepancy, 1 forgives all of it
            lam: λ, of which α + λ − 1 weighs the discrepancy of codes and prior in nats, and is not negative; 4 times
                the root of the entries, at least 20
            kernel: inverse multiquadratics of seven widths, or one Gaussian
            bandwidth: h of the Gaussian kernel exp(−‖Δ‖²/h²); the number of latents, as in the authors' code
            warmup: steps over which the weight of the rate rises from 0
            cycles: how often the warm-up is repeated (cyclical annealing)
        """
        sizes = sizes_for(spec, size)
        return cls(
            encoder_for(spec, sizes),
            decoder_for(spec, sizes),
            sizes.latent_dim,
            kernel_for(kernel, sizes.latent_dim, bandwidth),
            alpha=alpha,
            lam=usual_weight(spec.entries) if lam is None else lam,
            warmup=Ramp(warmup, cycles),
        )
