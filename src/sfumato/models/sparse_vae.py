"""Variational sparse coding: each example uses a few latents, and all its others are exactly 0."""

from __future__ import annotations

import torch
from torch import Tensor

from sfumato.batch import Batch, Loss
from sfumato.distributions import Normal, SpikeSlab
from sfumato.distributions.spike_slab import bernoulli_kl
from sfumato.errors import SfumatoError
from sfumato.models._latent import LatentModel
from sfumato.networks import decoder_for, encoder_for, sizes_for
from sfumato.networks.spike_slab import PseudoInputs, SpikeSlabEncoder
from sfumato.objectives import Ramp
from sfumato.spec import DataSpec, Size

TAKES_SYMBOLS = True


class SparseVAE(LatentModel):
    """Tonolini, Jensen and Murray-Smith 2019, Variational sparse coding.

        q(z|x) = Π_j [ γ_j N(z_j; μ_j, σ_j²) + (1 − γ_j) δ₀(z_j) ]
        loss(x) = −E_q(z|x) log p(x|z) + Σ_u ω_u(x) KL(q(z|x) ‖ q(z|x_u))          `distortion` + `rate`
                  + KL(ω(x) ‖ π)                                                    `selection`
                  + J Σ_u ω_u(x) KL(γ̄_u ‖ α)                                        `sparsity`

    with pseudo-inputs x_u, a selector ω(x) of them, J latents, and γ̄_u the mean over them of γ at x_u. The first three
    terms are the negative ELBO under p(z) = Σ_u π_u q(z|x_u); the paper leaves `selection` (at most log U nats) out.
    In training z is the relaxed draw σ(c(u − 1 + γ))·(μ + σε); in evaluation it is an exact one. `encode(batch)`
    gives a `SpikeSlab`, whose `point` is 0 wherever the spike is the likelier.

    Training has two phases: first the slab is held at N(0, 1), so that γ alone learns which latents are used; then
    its μ and log σ grow in, multiplied by λ(t) from 0 to 1, while the slope c
    grows from a fifth of its end.

    Densities of z are with respect to the mixed measure of `SpikeSlab`, for q and p alike: `log_weight` is right.

    Arguments:
        encoder: encoder(x, given, mask) → q(z | x); its parts `features` and `of` are called one after the other.
        decoder: decoder(z, given) → p(x | z).
        prior: the pseudo-inputs, with this same encoder.
        alpha: α, the part of the latents that a pseudo-input should use.
        slope: c at its end.
        spike_steps: steps of the first phase.
        slab_steps: steps over which the slab grows in.
    """

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
        spike_steps: int = 0,
        slab_steps: int = 0,
    ) -> None:
        super().__init__(encoder, decoder, prior)
        if not 0 < alpha < 1:
            raise SfumatoError(f"alpha is {alpha}: give the part of the latents in use, between 0 and 1")
        self.alpha = alpha
        self.slope = slope
        self.spike_steps = spike_steps
        self.grown = Ramp(slab_steps)

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        grown = self.grown(step - self.spike_steps) if step >= self.spike_steps else 0.0
        features = self.encoder.features(batch.x, batch.mask)
        q = scaled(self.encoder.of(features), grown)
        p = scaled(self.prior_net.components(), grown)
        log_omega = self.prior_net.select(features)
        omega = log_omega.exp()

        z = q.relaxed(self.slope * (0.2 + 0.8 * grown)) if self.training else q.sample()
        distortion = -self.decode(z, batch.given).log_prob(batch.x, batch.mask)
        rates = pairwise(q).kl(p).sum(2)
        selection = (omega * (log_omega - torch.log_softmax(self.prior_net.logits, 0))).sum(1)
        used = p.gamma.mean(1)
        sparsity = p.gamma.shape[1] * bernoulli_kl(used, torch.full_like(used, self.alpha))
        terms = {
            "distortion": distortion,
            "rate": (omega * rates).sum(1),
            "selection": selection,
            "sparsity": omega @ sparsity,
        }
        return {"model": Loss(terms, also={"active": q.gamma.mean(1)})}

    @torch.no_grad()
    def usage(self) -> Tensor:
        """P(z_j ≠ 0) under the prior, Σ_u π_u γ_uj: the share of examples that use each latent, shape (L,)."""
        return torch.softmax(self.prior_net.logits, 0) @ self.prior_net.components().gamma


def scaled(q: SpikeSlab, grown: float) -> SpikeSlab:
    """`q` with μ and log σ multiplied by λ: at 0 its slab is N(0, 1)."""
    return q if grown == 1.0 else SpikeSlab(Normal(grown * q.slab.mean, grown * q.slab.log_scale), q.gamma)


def pairwise(q: SpikeSlab) -> SpikeSlab:
    """`q` of shape (B, 1, L), to stand against components of shape (U, L)."""
    return SpikeSlab(Normal(q.slab.mean.unsqueeze(1), q.slab.log_scale.unsqueeze(1)), q.gamma.unsqueeze(1))


def build(
    spec: DataSpec,
    size: Size,
    *,
    alpha: float | None = None,
    pseudo_inputs: int = 10,
    slope: float = 100.0,
    spike_steps: int | None = None,
    slab_steps: int | None = None,
) -> SparseVAE:
    """A sparse VAE with networks for `spec`.

    Args:
        alpha: the part of the latents that an example uses; 0.01 unless given, or that of five latents if it is more
        pseudo_inputs: number of learned inputs whose codes are the prior
        slope: how near the draws of training come to exact zeros at the end
        spike_steps: steps in which only the choice of latents is learned; 1 for each 200 examples unless given
        slab_steps: steps over which their values grow in after that; 1 for each 100 examples unless given
    """
    if pseudo_inputs < 1:
        raise SfumatoError(f"pseudo_inputs is {pseudo_inputs}: give a whole number of at least 1")
    sizes = sizes_for(spec, size)
    encoder = SpikeSlabEncoder(encoder_for(spec, sizes))
    return SparseVAE(
        encoder,
        decoder_for(spec, sizes),
        PseudoInputs(encoder, spec.shape, pseudo_inputs, min(sizes.width, 128)),
        alpha=min(max(0.01, 5 / sizes.latent_dim), 0.5) if alpha is None else alpha,
        slope=slope,
        spike_steps=spec.examples // 200 if spike_steps is None else spike_steps,
        slab_steps=spec.examples // 100 if slab_steps is None else slab_steps,
    )
