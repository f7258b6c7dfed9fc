"""The Wasserstein autoencoder with MMD (MMD-VAE): only the codes as a whole are held to the prior."""

from __future__ import annotations

from typing import ClassVar, Self

from torch import nn

from sfumato.batch import Batch, Loss
from sfumato.models.latent import LatentModel
from sfumato.networks import decoder_for, encoder_for, sizes_for
from sfumato.objectives import Kernel, KernelName, discrepancy, kernel_for, rate
from sfumato.ranges import Positive, Weight
from sfumato.spec import DataSpec, Size


class WAE(LatentModel):
    """Tolstikhin et al. 2018, Wasserstein auto-encoders, algorithm 2; the InfoVAE of Zhao et al. 2017 with α = 1.

        loss = −E_q(z|x) log p(x|z) + λ·MMD²(q(z), p(z))

    The cost of the paper is the distortion here, a sum over the entries of x. The encoder may be random; nothing but
    the distortion says how much, so `rate` is measured, not minimised, and `score` is a looser bound than a VAE's.

    Args:
        encoder: encoder(x, given, mask) → q(z | x).
        decoder: decoder(z, given) → p(x | z).
        prior: prior(given, n) → p(z), or the number of latents of a standard normal.
        kernel: k of ‖u − v‖², see `sfumato.objectives.mmd`.
        lam: λ.
    """

    data_forms = ("vector", "image", "symbols")
    remedies: ClassVar = {"discrepancy_weight": "lam"}

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        prior: nn.Module | int,
        kernel: Kernel,
        *,
        lam: float = 1000.0,
    ) -> None:
        super().__init__(encoder, decoder, prior)
        self.kernel = kernel
        self.lam = lam

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        q = self.encode(batch)
        z = q.sample()
        distortion = -self.decode(z, batch.given).log_prob(batch.x, batch.mask)
        prior = self.prior(len(batch), batch.given)
        apart = discrepancy(z, prior, self.kernel)
        measured = {"rate": rate(q, prior, z).sum(1)}
        return {"model": Loss({"distortion": distortion, "mmd": apart}, {"mmd": self.lam}, measured)}

    @classmethod
    def build(
        cls,
        spec: DataSpec,
        size: Size,
        *,
        lam: Weight | None = None,
        kernel: KernelName = "imq",
        bandwidth: Positive | None = None,
    ) -> Self:
        """A Wasserstein autoencoder with networks for `spec`.

        Args:
            lam: λ, weight of the discrepancy of codes and prior in nats; 16 for each entry, from 100 to 1000
            kernel: inverse multiquadratics of seven widths, or one Gaussian
            bandwidth: h of the Gaussian kernel exp(−‖Δ‖²/h²); the number of latents, as in the authors' code
        """
        sizes = sizes_for(spec, size)
        return cls(
            encoder_for(spec, sizes),
            decoder_for(spec, sizes),
            sizes.latent_dim,
            kernel_for(kernel, sizes.latent_dim, bandwidth),
            lam=min(max(100.0, 16.0 * spec.entries), 1000.0) if lam is None else lam,
        )
