"""Variational sparse coding: each example uses a few latents, and all its others are exactly 0."""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import Tensor

from sfumato.batch import Batch, Loss
from sfumato.distributions import Normal, SpikeSlab
from sfumato.errors import SfumatoError
from sfumato.models.latent import LatentModel
from sfumato.networks import decoder_for, encoder_for, sizes_for
from sfumato.networks.sparse.spike_slab import MIN_PSEUDO_GAMMA, PseudoInputs, SpikeSlabEncoder
from sfumato.objectives import Ramp
from sfumato.objectives.rate import joint_mean
from sfumato.ranges import Count, Inside, Natural, Positive, Weight
from sfumato.spec import DataSpec, Size


class SparseVAE(LatentModel):
    """Tonolini, Jensen and Murray-Smith 2019, Variational sparse coding.

        q(z|x) = Π_j [ γ_j N(z_j; μ_j, σ_j²) + (1 − γ_j) δ₀(z_j) ]
        loss(x) = −E_q(z|x) log p(x|z) + w·Σ_u ω_u(x) KL(q(z|x) ‖ p_u)    `distortion` + `rate`
                  + w·KL(ω(x) ‖ π)                                         `selection`
                  + s·Σ_j KL(γ̄_j ‖ α)                                      `sparsity`

    with p_u = q(z|x_u) for pseudo-inputs x_u, ω_u(x) ∝ π_u exp(−KL(q(z|x) ‖ p_u)), and γ̄_j the mean over examples of
    γ_j; w is 1 after the warm-up. The first three terms are then the negative ELBO under p(z) = Σ_u π_u p_u, with the ω
    that makes it least. In training z is the relaxed draw σ(c(u − 1 + γ))·(μ + σε); in evaluation it is an exact one.
    `encode(batch)` gives a `SpikeSlab`, whose `mode` is 0 wherever the spike is the likelier.

    Training may begin with the paper's two phases: first the slab is held at N(0, 1), so that γ alone learns which
    latents are used; then its μ and log σ grow in, multiplied by λ(t) from 0 to 1, while the slope c grows from a fifth
    of its end.

    Four things are not the paper's, with which few latents were ever on, the same for all examples. (1) `sparsity` was
    J Σ_u ω_u KL(γ̄_u ‖ α), with J latents and γ̄_u the mean over them of γ at x_u: it counts how many are on, and is as
    content with the same two for all examples. Ours is never less than that of the mean of all γ, and near 0 only if
    each latent is on in a part α of the examples. (2) γ of pseudo-inputs keeps away from 0, as in the authors' code.
    (3) γ is σ(v). (4) ω was a network's answer, and `selection` left out.

    Densities of z are with respect to the mixed measure of `SpikeSlab`, for q and p alike: `log_weight` is right.

    Args:
        encoder: encoder(x, given, mask) → q(z | x); its parts `features` and `of` are called one after the other.
        decoder: decoder(z, given) → p(x | z).
        prior: the pseudo-inputs, with this same encoder.
        alpha: α, the part of the latents that an example should use, and of the examples that should use a latent.
        slope: c at its end.
        sparsity: s; with 1 α is a price that a few nats of likeness may outweigh, and a larger one makes it a limit.
        spike_steps: steps of the first phase.
        slab_steps: steps over which the slab grows in.
        warmup: w as a function of the step.
    """

    data_forms = ("vector", "image", "symbols")
    remedies: ClassVar = {"warmup": "warmup"}

    encoder: SpikeSlabEncoder
    prior_net: PseudoInputs

    def __init__(
        self,
        encoder: SpikeSlabEncoder,
        decoder: torch.nn.Module,
        prior: PseudoInputs,
        *,
        alpha: float = 0.01,
        slope: float = 100.0,
        sparsity: float = 1.0,
        spike_steps: int = 0,
        slab_steps: int = 0,
        warmup: Ramp = Ramp(),
    ) -> None:
        super().__init__(encoder, decoder, prior)
        if not 0 < alpha < 1:
            raise SfumatoError(f"alpha is {alpha}: give the part of the latents in use, between 0 and 1")
        self.alpha = alpha
        self.slope = slope
        self.sparsity = sparsity
        self.warmup = warmup
        self.spike_steps = spike_steps
        self.grown = Ramp(slab_steps)

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        grown = self.grown(step - self.spike_steps) if step >= self.spike_steps else 0.0
        q = scaled(self.encoder.of(self.encoder.features(batch.x, batch.mask)), grown)
        p = scaled(self.prior_net.components(), grown)
        z = q.relaxed(self.slope * (0.2 + 0.8 * grown)) if self.training else q.sample()
        distortion = -self.decode(z, batch.given).log_prob(batch.x, batch.mask)
        rates = q.kl_to_each(p)
        log_pi = torch.log_softmax(self.prior_net.logits, 0)
        log_omega = torch.log_softmax(log_pi - rates, 1)
        omega = log_omega.exp()
        terms = {
            "distortion": distortion,
            "rate": (omega * rates).sum(1),
            "selection": (omega * (log_omega - log_pi)).sum(1),
            "sparsity": sparsity(q.gamma, self.alpha),
        }
        weight = self.warmup(step)
        weights = {"rate": weight, "selection": weight, "sparsity": self.sparsity}
        return {"model": Loss(terms, weights, metrics={"active": q.gamma.mean(1)})}

    def schedules_done(self, step: int) -> bool:
        return super().schedules_done(step) and step >= self.spike_steps + self.grown.end

    @torch.no_grad()
    def usage(self) -> Tensor:
        """P(z_j ≠ 0) under the prior, Σ_u π_u γ_uj: the share of examples that use each latent, shape (L,)."""
        return torch.softmax(self.prior_net.logits, 0) @ self.prior_net.components().gamma

    @classmethod
    def build(
        cls,
        spec: DataSpec,
        size: Size,
        *,
        alpha: Inside | None = None,
        pseudo_inputs: Count = 10,
        slope: Positive = 100.0,
        contrast: Weight = 0.0,
        sparsity: Weight = 1.0,
        spike_steps: Natural = 0,
        slab_steps: Natural = 0,
        warmup: Natural = 0,
    ) -> Self:
        """A sparse VAE with networks for `spec`.

        Args:
            alpha: the part of the latents that an example is to use; 0.01 unless given, or five of them if that is more
            pseudo_inputs: number of learned inputs whose codes are the prior
            slope: how near the draws of training come to exact zeros at the end
            contrast: how decided and different the gates of latents start; 25 helps with hundreds of latents, 0 with
                few
            sparsity: weight of keeping to alpha; 1 prices it, and a larger one makes it a limit
            spike_steps: steps in which only the choice of latents is learned
            slab_steps: steps over which their values grow in after that
            warmup: steps over which the weight of the rate rises from 0
        """
        sizes = sizes_for(spec, size)
        part = min(max(0.01, 5 / sizes.latent_dim), 0.5) if alpha is None else alpha
        encoder = SpikeSlabEncoder(encoder_for(spec, sizes), contrast, share=min(max(4 * part, 0.01), 0.5))
        return cls(
            encoder,
            decoder_for(spec, sizes),
            PseudoInputs(encoder, spec.shape, pseudo_inputs, min(MIN_PSEUDO_GAMMA, part / 2)),
            alpha=part,
            slope=slope,
            sparsity=sparsity,
            spike_steps=spike_steps,
            slab_steps=slab_steps,
            warmup=Ramp(warmup),
        )


def scaled(q: SpikeSlab, grown: float) -> SpikeSlab:
    """`q` with μ and log σ multiplied by λ: at 0 its slab is N(0, 1)."""
    return q if grown == 1.0 else SpikeSlab(Normal(grown * q.slab.mean, grown * q.slab.log_scale), q.gamma)


def sparsity(gamma: Tensor, alpha: float) -> Tensor:
    """Σ_j KL(γ̄_j ‖ α) with γ̄ the mean over the batch, shared out so that its mean is that; shape (B, L) to (B,).

    The cost of a latent that is on is log γ̄_j/α for each example: 0 where a share α of the examples use it, negative
    where fewer do. The gradient is that of Σ_j KL(γ̄_j ‖ α) too.

    >>> gamma = torch.tensor([[0.9, 0.5], [0.1, 0.5]])
    >>> sparsity(gamma, 0.5)
    tensor([0., 0.])
    """
    used = joint_mean(gamma.detach())
    on, off = torch.log(used / alpha), torch.log((1 - used) / (1 - alpha))
    return gamma @ on + (1 - gamma) @ off
