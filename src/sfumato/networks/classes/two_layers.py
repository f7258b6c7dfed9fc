"""Two layers of latents, the upper one under a class: the networks between them, and their joint distributions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sfumato.distributions import Latent, Normal, Posterior, StandardNormal
from sfumato.distributions.base import each
from sfumato.networks.classes.class_prior import ClassPrior
from sfumato.networks.features import GivenFeatures
from sfumato.networks.gaussian import NormalLayer
from sfumato.networks.mlp import MLP


class LayerNormal(nn.Module):
    """N(μ(z, c), σ(z, c)²): the latents of one layer given those of another and the conditions.

    Args:
        inputs: number of latents it is given.
        latent_dim: number of latents it describes.
        given: features of the conditions.
        width: hidden width.
        depth: hidden layers.

    Shapes: z (B, inputs) and c (B, G) to `Normal` over (B, latent_dim).
    """

    def __init__(self, inputs: int, latent_dim: int, given: GivenFeatures, width: int, depth: int) -> None:
        super().__init__()
        self.given = given
        self.body = MLP(inputs + given.outputs, width, depth)
        self.normal = NormalLayer(self.body.outputs, latent_dim)

    def forward(self, z: Tensor, given: Tensor) -> Normal:
        normal: Normal = self.normal(self.body(torch.cat([z, self.given(given, z)], 1)))
        return normal


class TwoLayerPosterior(Posterior):
    """q(z1 | x) q(z2 | z1, y) over both layers side by side, (B, L1 + L2), z1 first.

    Its mode is the mean of z1, and the mean of z2 given that.

    Args:
        lower: q(z1 | x), over (B, L1).
        upper: (z1, y) → q(z2 | z1, y).
        given: y, (B, 1).
    """

    def __init__(self, lower: Normal, upper: Callable[[Tensor, Tensor], Normal], given: Tensor) -> None:
        self.lower, self.upper, self.given = lower, upper, given

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        z1, z2 = x.tensor_split([self.lower.mean.shape[1]], 1)
        return self.lower.log_prob(z1) + self.upper(z1, self.given).log_prob(z2)

    def sample(self, temperature: float = 1.0) -> Tensor:
        z1 = self.lower.sample(temperature)
        return torch.cat([z1, self.upper(z1, self.given).sample(temperature)], 1)

    def draw(self, noise: Tensor) -> Tensor:
        lower, upper = noise.tensor_split([self.lower.mean.shape[1]], 1)
        z1 = self.lower.draw(lower)
        return torch.cat([z1, self.upper(z1, self.given).draw(upper)], 1)

    def mode(self) -> Tensor:
        z1 = self.lower.mode()
        return torch.cat([z1, self.upper(z1, self.given).mode()], 1)

    def repeat(self, times: int) -> TwoLayerPosterior:
        return TwoLayerPosterior(self.lower.repeat(times), self.upper, each(self.given, times))


class TwoLayerPrior(Latent):
    """p(z2) p(z1 | z2, y) over both layers side by side, (n, L1 + L2), z1 first; summed over p(y) where y is not known.

    Its mode is z2 = 0 and the mean of z1 given that, with the most likely class where there is none.

    Args:
        upper: p(z2), over (n, L2).
        lower: (z2, y) → p(z1 | z2, y).
        classes: p(y).
        given: y, NaN where it is not known, (n, 1).
    """

    def __init__(
        self, upper: StandardNormal, lower: Callable[[Tensor, Tensor], Normal], classes: ClassPrior, given: Tensor
    ) -> None:
        self.upper, self.lower, self.classes, self.given = upper, lower, classes, given

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        z1, z2 = x.tensor_split([x.shape[1] - self.upper.dim], 1)
        log_p = self.lower(z2, self.classes.likeliest(self.given)).log_prob(z1)
        unknown = self.given[:, 0].isnan()
        if bool(unknown.any()):
            inner, outer = z1[unknown], z2[unknown]
            joint = [
                self.lower(outer, inner.new_full((len(inner), 1), y)).log_prob(inner) + log_p_class
                for y, log_p_class in enumerate(self.classes.log_prob)
            ]
            log_p = log_p.index_put((unknown,), torch.stack(joint, 1).logsumexp(1))
        return self.upper.log_prob(z2) + log_p

    def sample(self, temperature: float = 1.0) -> Tensor:
        z2 = self.upper.sample(temperature)
        return torch.cat([self.lower(z2, self.classes.drawn(self.given)).sample(temperature), z2], 1)

    def mode(self) -> Tensor:
        z2 = self.upper.mode()
        return torch.cat([self.lower(z2, self.classes.likeliest(self.given)).mode(), z2], 1)

    def repeat(self, times: int) -> TwoLayerPrior:
        return TwoLayerPrior(self.upper.repeat(times), self.lower, self.classes, each(self.given, times))
