"""Distributions over pixels: intensities 0 … levels − 1, as they stand in an image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sfumato.distributions import noise
from sfumato.distributions.base import Distribution, observed, sum_event
from sfumato.distributions.discrete import draw


class Scaled(Distribution):
    """A distribution over intensities brought to [0, 1]: x = (levels − 1)·y, y ~ base.

    The density is that of y, so that it does not depend on how many levels the file happens to have.

    >>> from sfumato.distributions.discrete import Bernoulli
    >>> Scaled(Bernoulli(torch.full((1, 1), 50.0)), 256).mode()
    tensor([[255.]])
    """

    def __init__(self, base: Distribution, levels: int) -> None:
        self.base = base
        self.top = levels - 1

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.base.log_prob(x / self.top, mask)

    def sample(self) -> Tensor:
        return self.base.sample() * self.top

    def mode(self) -> Tensor:
        return self.base.mode() * self.top

    def features(self) -> Tensor:
        return self.base.features()


class LogisticMixture(Distribution):
    """Discretised mixture of logistics over whole pixels: an exact probability for each 8-bit image.

    With y = 2x/(levels − 1) − 1 and h = 1/(levels − 1), for one pixel of C channels

        p(x) = Σ_m π_m Π_c [ σ((y_c + h − μ_mc)/s_mc) − σ((y_c − h − μ_mc)/s_mc) ],

    the outermost levels reaching to ±∞, and μ_mc shifted by Σ_{c' < c} tanh(k_mcc')·y_c' (Salimans et al. 2017,
    PixelCNN++, eq. 2–3). The difference of sigmoids is computed in log space without cancellation, so the
    probabilities of all values add up to one.

    Args:
        logits: log π up to a constant, shape (B, M, H, W).
        means: μ, shape (B, M, C, H, W).
        log_scales: log s, shape of `means`; bounded from below by the caller.
        coefficients: k before tanh, shape (B, M, C(C−1)/2, H, W), pairs in the order (1,0), (2,0), (2,1), …
        levels: number of intensities.
    """

    def __init__(self, logits: Tensor, means: Tensor, log_scales: Tensor, coefficients: Tensor, levels: int) -> None:
        self.logits = logits
        self.means = means
        self.log_scales = log_scales
        self.coefficients = torch.tanh(coefficients)
        self.levels = levels

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = observed(x, mask)
        y = (2.0 / (self.levels - 1)) * x.to(self.means.dtype) - 1.0
        y = y.unsqueeze(1)
        means = torch.stack([self.mean_given(channel, y) for channel in range(self.means.shape[2])], 2)
        inverse = torch.exp(-self.log_scales)
        half = 1.0 / (self.levels - 1)
        above = (y - means + half) * inverse
        below = (y - means - half) * inverse
        middle = -F.softplus(-above) - F.softplus(below) + _log1mexp(2 * half * inverse)
        level = x.unsqueeze(1)
        log_mass = torch.where(
            level <= 0,
            -F.softplus(-above),
            torch.where(level >= self.levels - 1, -F.softplus(below), middle),
        )
        if mask is not None:
            log_mass = log_mass.where(mask.unsqueeze(1), 0.0)
        pixels = torch.logsumexp(log_mass.sum(2) + torch.log_softmax(self.logits, 1), 1)
        return sum_event(pixels)

    def sample(self) -> Tensor:
        chosen = draw(self.logits.movedim(1, -1))
        return self._assemble(chosen, noisy=True)

    def mode(self) -> Tensor:
        return self._assemble(self.logits.argmax(1), noisy=False)

    def features(self) -> Tensor:
        """Σ_m π_m μ_m of each entry, from 0 to 1; what channels tell each other is left out."""
        weights = torch.softmax(self.logits, 1).unsqueeze(2)
        return ((weights * self.means).sum(1).clamp(-1, 1) / 2 + 0.5).flatten(1)

    def mean_given(self, channel: int, y: Tensor) -> Tensor:
        """μ of one channel given the channels before it; y of shape (B, 1 or M, C, H, W)."""
        mean = self.means[:, :, channel]
        start = channel * (channel - 1) // 2
        for earlier in range(channel):
            mean = mean + self.coefficients[:, :, start + earlier] * y[:, :, earlier]
        return mean

    def _assemble(self, chosen: Tensor, *, noisy: bool) -> Tensor:
        """Build an image channel by channel from one mixture component per pixel, shape (B, C, H, W)."""
        index = chosen.unsqueeze(1)
        channels: list[Tensor] = []
        for channel in range(self.means.shape[2]):
            so_far = torch.stack(channels, 1).unsqueeze(1) if channels else self.means[:, :, :0]
            value = self.mean_given(channel, so_far).gather(1, index).squeeze(1)
            if noisy:
                u = noise.uniform(value).clamp(1e-5, 1 - 1e-5)
                scale = torch.exp(self.log_scales[:, :, channel].gather(1, index).squeeze(1))
                value = value + scale * torch.logit(u)
            steps = torch.round((value.clamp(-1, 1) + 1) * ((self.levels - 1) / 2))
            channels.append(steps * (2 / (self.levels - 1)) - 1)
        # Whole numbers, which the way there and back is off by a few 1e-5.
        return ((torch.stack(channels, 1) + 1) * ((self.levels - 1) / 2)).round()


def _log1mexp(x: Tensor) -> Tensor:
    """log(1 − e^−x) for x > 0."""
    return torch.log(-torch.expm1(-x))
