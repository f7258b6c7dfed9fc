"""The VAE with a sparse decoder, which shows which columns each latent drives."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from sfumato.batch import Batch, Loss
from sfumato.distributions import Columns, Distribution, Normal
from sfumato.distributions.noise import joint_rows
from sfumato.errors import SfumatoError
from sfumato.models.latent import LatentModel
from sfumato.networks import encoder_for, sizes_for
from sfumato.networks.sparse.sparse_decoder import SparseDecoder
from sfumato.objectives import Ramp, rate
from sfumato.ranges import Natural, Positive
from sfumato.spec import DataSpec, Size

DEGREES, SCALE = 3.0, 0.195
"""ν and ξ of the prior of σ²: on standardised data P(σ² < 1) = 0.9, as in the paper."""


class SparseDecoderVAE(LatentModel):
    """Moran, Sridhar, Wang and Blei 2022, Identifiable deep generative models via sparse decoding.

        x_j ~ N(f_j(w_j ⊙ z), σ_j²)        (or another likelihood of column j)
        w_jk ~ η_k Laplace(λ₁) + (1 − η_k) Laplace(λ₀),  η_k ~ Beta(a, b),  σ_j² ~ InverseGamma(ν/2, νξ/2)

        loss(x) = −E_q(z|x) log p(x|z) + w·KL(q(z|x) ‖ p(z)) + (1/N) [ s·penalty + scale_penalty ]
        penalty = Σ_jk (λ₁p*_jk + λ₀(1 − p*_jk)) |w_jk|        scale_penalty = Σ_j (ν + 2) log σ_j + νξ / 2σ_j²

    with N training examples: for s = 1 the negative ELBO, and with it an EM algorithm for the spike-and-slab lasso
    (Ročková and George 2018), whose E and M steps are taken at the start of each training step, from W alone:

        p*_jk = η_k λ₁ e^(−λ₁|w_jk|) / (η_k λ₁ e^(−λ₁|w_jk|) + (1 − η_k) λ₀ e^(−λ₀|w_jk|))
        η_k   = (Σ_j p*_jk + a − 1) / (a + b + D − 2)

    The released code minimises something else. Its squared error is a mean over the D columns, its KL a mean over the L
    latents, and its penalties are divided by the B of a training batch and not by N. A mean over columns is made good
    by σ_j, which shrinks by √D, so what remains is the loss above with KL/L and 1/B: that is `scaling` "released". Two
    things of the released code are not taken over: its νξ/2σ_j² is that of the shrunk σ_j, D times ours; and its p* has
    no λ₁/λ₀, the ratio of the two densities at 0.
    "elbo" is the bound itself. With a thousand examples its prior of W is too faint to clear what leaks from one latent
    into another's columns; s = 10, that prior to the tenth power, clears it (our choice, not the paper's).

    Args:
        encoder: encoder(x, given, mask) → q(z | x), a `Normal`.
        decoder: a `SparseDecoder`.
        prior: prior(given, n) → p(z), or the number of latents of a standard normal.
        examples: N.
        scaling: "released" or "elbo".
        spike: λ₀, the larger: how hard a weight that should be 0 is pressed.
        slab: λ₁.
        sparsity: s, how many times the prior of W counts.
        warmup: w as a function of the step.
    """

    independent_columns = True
    remedies: ClassVar = {"released_scaling": "scaling", "warmup": "warmup"}

    decoder: SparseDecoder
    p_star: Tensor
    eta: Tensor
    rows: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        decoder: SparseDecoder,
        prior: nn.Module | int,
        *,
        examples: int,
        scaling: Literal["released", "elbo"] = "released",
        spike: float = 10.0,
        slab: float = 1.0,
        sparsity: float = 1.0,
        warmup: Ramp = Ramp(),
    ) -> None:
        super().__init__(encoder, decoder, prior)
        if not spike > slab > 0:
            raise SfumatoError(f"spike is {spike} and slab {slab}: give rates with spike > slab > 0, such as 10 and 1")
        if scaling not in ("released", "elbo"):
            raise SfumatoError(f"scaling is {scaling!r}: choose released or elbo")
        if not sparsity > 0:
            raise SfumatoError(
                f"sparsity is {sparsity}: give how many times the prior counts, above 0, such as 1 or 10"
            )
        self.examples = max(examples, 1)
        self.scaling = scaling
        self.spike, self.slab, self.sparsity = spike, slab, sparsity
        self.warmup = warmup
        entries, latents = decoder.w.shape
        self.a, self.b = 1.0, float(entries)
        self.register_buffer("p_star", torch.full((entries, latents), 0.5))
        self.register_buffer("eta", torch.full((latents,), 0.5))
        self.register_buffer("rows", torch.zeros(()), persistent=False)

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        if self.training:
            self._expect_and_maximise()
            self.rows.clamp_(min=joint_rows() or len(batch))
        q = self.encode(batch)
        z = q.sample()
        p = self.decode(z, batch.given)
        distortion = -p.log_prob(batch.x, batch.mask)
        rates = rate(q, self.prior(len(batch), batch.given), z).sum(1)

        w = self.decoder.w
        penalty = ((self.slab * self.p_star + self.spike * (1 - self.p_star)) * w.abs()).sum()
        of_penalties: Tensor | float
        if self.scaling == "elbo":
            of_rate, of_penalties = self.warmup(step), 1 / self.examples
        else:
            # Validation uses the training loss, independent of the size of validation batches.
            rows = torch.where(self.rows > 0, self.rows, float(len(batch)))
            of_rate, of_penalties = self.warmup(step) / w.shape[1], 1 / rows
        terms = {
            "distortion": distortion,
            "rate": rates,
            "penalty": penalty.expand(len(batch)),
            "scale_penalty": scale_penalty(p, w).expand(len(batch)),
        }
        weights = {"rate": of_rate, "penalty": self.sparsity * of_penalties, "scale_penalty": of_penalties}
        return {"model": Loss(terms, weights)}

    def drives(self) -> Tensor:
        """Which entries of x each latent drives: |w_jk| where the slab is the likelier, exactly 0 elsewhere; (D, L)."""
        w = self.decoder.w.detach()
        return torch.where(self._slab_probability(w) > 0.5, w.abs(), 0.0)

    @torch.no_grad()
    def _expect_and_maximise(self) -> None:
        self.p_star.copy_(self._slab_probability(self.decoder.w))
        entries = self.decoder.w.shape[0]
        eta = (self.p_star.sum(0) + self.a - 1) / (self.a + self.b + entries - 2)
        self.eta.copy_(eta.clamp(1e-10, 1 - 1e-6))

    def _slab_probability(self, w: Tensor) -> Tensor:
        """p*, shape (D, L)."""
        log_odds = torch.log(self.eta) - torch.log1p(-self.eta) + math.log(self.slab / self.spike)
        return torch.sigmoid(log_odds + (self.spike - self.slab) * w.abs())

    @classmethod
    def build(
        cls,
        spec: DataSpec,
        size: Size,
        *,
        scaling: Literal["released", "elbo"] = "released",
        spike: Positive = 10.0,
        slab: Positive = 1.0,
        sparsity: Positive = 1.0,
        warmup: Natural = 0,
    ) -> Self:
        """A VAE with a sparse decoder for `spec`.

        Args:
            scaling: of rate and penalties, as in the authors' released code, or those of the bound (elbo)
            spike: rate of the Laplace prior of weights that are to vanish; larger is sparser
            slab: rate of the Laplace prior of the others
            sparsity: how many times the prior of the weights counts; 10 with the elbo clears what leaks between latents
            warmup: steps over which the weight of the rate rises from 0
        """
        sizes = sizes_for(spec, size)
        return cls(
            encoder_for(spec, sizes),
            SparseDecoder(spec, sizes.latent_dim, sizes.width, sizes.depth),
            sizes.latent_dim,
            examples=spec.examples,
            scaling=scaling,
            spike=spike,
            slab=slab,
            sparsity=sparsity,
            warmup=Ramp(warmup),
        )


def scale_penalty(p: Distribution, like: Tensor) -> Tensor:
    """−log p(σ) of the real columns up to a constant, a scalar; 0 where there are none."""
    normal = p.normal if isinstance(p, Columns) else p
    if not isinstance(normal, Normal):
        return like.new_zeros(())
    log_scale = normal.log_scale
    return ((DEGREES + 2) * log_scale + 0.5 * DEGREES * SCALE * torch.exp(-2 * log_scale)).sum()
