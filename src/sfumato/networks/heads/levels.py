"""Heads of images, and of vectors of levels."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from sfumato.distributions import Bernoulli, Categorical, Distribution, LogisticMixture, Normal, Scaled
from sfumato.networks.heads.base import IMAGES, LEVELS, Head, LearnedScale, bounded_log_scale, register
from sfumato.spec import DataSpec


class PixelNormalHead(Head):
    """Images or vectors of levels: a normal on intensities brought to [0, 1], one learned σ per channel, or σ = 1."""

    def __init__(self, spec: DataSpec, *, unit_scale: bool = False) -> None:
        super().__init__()
        self.raw = spec.shape
        self.levels = spec.fields[0].size
        self.scale = LearnedScale(*((spec.shape[0], 1, 1) if spec.is_image else (1,)), fixed=unit_scale)

    def forward(self, raw: Tensor) -> Distribution:
        return Scaled(Normal(torch.sigmoid(raw), self.scale()), self.levels)


class PixelBernoulliHead(Head):
    """Images of two levels, or grey ones whose intensity is read as a probability."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.raw = spec.shape
        self.levels = spec.fields[0].size

    def forward(self, raw: Tensor) -> Distribution:
        return Bernoulli(raw) if self.levels == 2 else Scaled(Bernoulli(raw), self.levels)


class PixelCategoricalHead(Head):
    """Images: one probability for each level of each channel."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.channels, height, width = spec.shape
        self.levels = spec.fields[0].size
        self.raw = (self.channels * self.levels, height, width)

    def forward(self, raw: Tensor) -> Distribution:
        split = raw.view(len(raw), self.channels, self.levels, *raw.shape[2:])
        return Categorical(split.movedim(2, -1))


class LogisticMixtureHead(Head):
    """Images: the discretised mixture of logistics of PixelCNN++, exact for 8-bit images."""

    def __init__(self, spec: DataSpec, components: int = 10) -> None:
        super().__init__()
        self.channels, height, width = spec.shape
        self.levels = spec.fields[0].size
        self.components = components
        self.pairs = self.channels * (self.channels - 1) // 2
        self.raw = (components * (1 + 2 * self.channels + self.pairs), height, width)

    def forward(self, raw: Tensor) -> Distribution:
        per_component = raw.view(len(raw), self.components, -1, *raw.shape[2:])
        logits, means, log_scales, coefficients = per_component.split([1, self.channels, self.channels, self.pairs], 2)
        return LogisticMixture(
            logits.squeeze(2), means, bounded_log_scale(log_scales - 1.0, -7.0), coefficients, self.levels
        )


for _values in (LEVELS, IMAGES):
    register("gaussian", PixelNormalHead, on=_values)
    register("mse", partial(PixelNormalHead, unit_scale=True), on=_values)
    register("bernoulli", PixelBernoulliHead, on=_values)
register("categorical", PixelCategoricalHead, on=IMAGES)
register("logistic_mixture", LogisticMixtureHead, on=IMAGES)
