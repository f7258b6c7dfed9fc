"""An encoder whose latents are exactly 0 or not, and the prior made of its answers to learned inputs."""

from __future__ import annotations

import math
from statistics import NormalDist

import torch
from torch import Tensor, nn

from sfumato.distributions import SpikeSlab, SpikeSlabMixture
from sfumato.networks.features import pseudo_inputs
from sfumato.networks.gaussian import Encoder, full

PSEUDO_SPREAD = 0.17
"""Standard deviation of v over latents and examples, for a contrast of 1: measured on images."""

MIN_PSEUDO_GAMMA = 1 / (1 + math.exp(5))
"""γ of a pseudo-input is kept this far from 0 and 1, as the authors' σ(10(γ − ½)) does."""


class SpikeSlabEncoder(nn.Module):
    """q(z | x) = Π_j [ γ_j N(z_j; μ_j, σ_j²) + (1 − γ_j) δ₀(z_j) ], with γ = σ(v).

    The paper's log γ = −ReLU(−v) is this from afar, but has no gradient where v > 0: a gate once open stays so.

    Args:
        normal: the encoder of a normal, whose features, body and layers for μ and log σ it takes over.
        contrast: how decided the gates start. At 0 all are about ⅓ open. Otherwise v's weights w are so many times what
            torch would give them, less their mean, which leaves out what all inputs have in common: each latent starts
            on for some examples and off for the others.
        share: with a contrast, about the part of the latents that starts on for an example.

    Shapes: x (B, *shape), given None, mask like x or None; to `SpikeSlab` over (B, L).
    """

    def __init__(self, normal: Encoder, contrast: float = 0.0, share: float = 0.5) -> None:
        super().__init__()
        self.features = normal.features
        self.body = normal.body
        self.normal = normal.normal
        self.v = nn.Linear(self.normal.inputs, self.normal.latent_dim)
        with torch.no_grad():
            if contrast:
                self.v.weight.copy_(contrast * (self.v.weight - self.v.weight.mean(1, keepdim=True)))
            self.v.bias.fill_(contrast * PSEUDO_SPREAD * NormalDist().inv_cdf(share) if contrast else -math.log(2))

    def forward(self, x: Tensor, given: Tensor | None = None, mask: Tensor | None = None) -> SpikeSlab:
        return self.of(self.features(x, mask))

    def of(self, features: Tensor) -> SpikeSlab:
        """The posterior of an input that is given as its features."""
        h = self.body(features)
        return SpikeSlab(self.normal(h), torch.sigmoid(full(self.v(h))))


class PseudoInputs(nn.Module):
    """p(z) = Σ_u π_u q(z | x_u): the encoder's own answers to U learned inputs, with γ between `least` and 1 − `least`.

    Were γ of all pseudo-inputs free to reach 0 for a latent, no example could afford to use it, and it would never
    learn to be of use.

    The inputs are learned as features (an image's intensities from −1 to 1, a column's embedding), which is what
    the encoder sees of data of any kind.

    Args:
        encoder: the model's own; it is not a part of this module, and its parameters stay the encoder's.
        shape: of one example.
        count: number of pseudo-inputs U.
        least: the least γ.
    """

    def __init__(
        self, encoder: SpikeSlabEncoder, shape: tuple[int, ...], count: int, least: float = MIN_PSEUDO_GAMMA
    ) -> None:
        super().__init__()
        self._encoder = (encoder,)
        self.inputs = pseudo_inputs(encoder.features, shape, count)
        self.logits = nn.Parameter(torch.zeros(count))
        self.least = least

    def forward(self, given: Tensor | None, n: int) -> SpikeSlabMixture:
        return SpikeSlabMixture(self.logits, self.components(), n)

    def components(self) -> SpikeSlab:
        """q(z | x_u) with its γ kept from 0 and 1, over (U, L)."""
        q = self._encoder[0].of(self.inputs)
        return SpikeSlab(q.slab, self.least + (1 - 2 * self.least) * q.gamma)
