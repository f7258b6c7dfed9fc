"""The last layer of a decoder: raw outputs of a network to the distribution of x they mean.

A head says which raw numbers it needs (`raw`, the shape per example) and turns them into a distribution. The trunk
before it does not know the likelihood; the head does not know the trunk.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sfumato.distributions import (
    Bernoulli,
    Categorical,
    Columns,
    Distribution,
    Layout,
    LogisticMixture,
    Normal,
    Scaled,
)
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.networks.heads.autoregressive import AutoregressiveHead
from sfumato.networks.heads.base import Head, Scale, bounded_log_scale
from sfumato.spec import DataSpec


class ColumnsHead(Head):
    """Tables and vectors: μ and a learned σ for each real column, logits for every other.

    Arguments:
        unit_scale: fix σ = 1 for the real columns, so that −log p is half the squared error plus a constant.
    """

    real: Tensor
    discrete: Tensor
    starts: Tensor
    order: Tensor

    def __init__(self, spec: DataSpec, *, unit_scale: bool = False) -> None:
        super().__init__()
        layout = Layout.of(spec.columns)
        self._kinds, self._sizes = layout.kinds, layout.sizes
        for name in ("real", "discrete", "starts", "order"):
            self.register_buffer(name, getattr(layout, name), persistent=False)
        self.reals = len(layout.real)
        self.raw = (self.reals + sum(layout.sizes),)
        self.scale = Scale(self.reals, fixed=unit_scale or not self.reals)

    def forward(self, raw: Tensor) -> Distribution:
        if not self._sizes:
            return Normal(raw, self.scale())
        layout = Layout(self._kinds, self._sizes, self.real, self.discrete, self.starts, self.order)
        return Columns(layout, raw[:, : self.reals], self.scale(), raw[:, self.reals :])


class PixelNormalHead(Head):
    """Pictures or vectors of levels: a normal on intensities brought to [0, 1], one learned σ per channel, or σ = 1."""

    def __init__(self, spec: DataSpec, *, unit_scale: bool = False) -> None:
        super().__init__()
        self.raw = spec.shape
        self.levels = spec.fields[0].size
        self.scale = Scale(*((spec.shape[0], 1, 1) if spec.is_picture else (1,)), fixed=unit_scale)

    def forward(self, raw: Tensor) -> Distribution:
        return Scaled(Normal(torch.sigmoid(raw), self.scale()), self.levels)


class PixelBernoulliHead(Head):
    """Pictures of two levels, or grey ones whose intensity is read as a probability."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.raw = spec.shape
        self.levels = spec.fields[0].size

    def forward(self, raw: Tensor) -> Distribution:
        return Bernoulli(raw) if self.levels == 2 else Scaled(Bernoulli(raw), self.levels)


class PixelCategoricalHead(Head):
    """Pictures: one probability for each level of each channel."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.channels, height, width = spec.shape
        self.levels = spec.fields[0].size
        self.raw = (self.channels * self.levels, height, width)

    def forward(self, raw: Tensor) -> Distribution:
        split = raw.view(len(raw), self.channels, self.levels, *raw.shape[2:])
        return Categorical(split.movedim(2, -1))


class LogisticMixtureHead(Head):
    """Pictures: the discretised mixture of logistics of PixelCNN++, exact for 8-bit pictures."""

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


LIKELIHOODS = ("gaussian", "mse", "bernoulli", "categorical", "logistic_mixture", "cells", "autoregressive")


def for_likelihood(spec: DataSpec) -> Head:
    """The head of `spec.likelihood` for data of this shape.

    Raises:
        SfumatoError: if there is no such likelihood, or it does not suit the data.
    """
    name = spec.likelihood
    if name not in LIKELIHOODS:
        raise SfumatoError(f"no likelihood is called {name!r}: {did_you_mean(name, LIKELIHOODS)}")
    if spec.fields[0].kind == "level":
        heads: dict[str, type[Head]] = {"gaussian": PixelNormalHead, "bernoulli": PixelBernoulliHead}
        if spec.is_picture:
            heads |= {"categorical": PixelCategoricalHead, "logistic_mixture": LogisticMixtureHead}
        if name == "mse":
            return PixelNormalHead(spec, unit_scale=True)
        if name in heads:
            return heads[name](spec)
        raise SfumatoError(f"likelihood {name!r} does not suit this data; choose one of mse, {', '.join(heads)}")
    if name in ("bernoulli", "logistic_mixture"):
        raise SfumatoError(
            f"likelihood {name!r} is for pictures and binary vectors; for tables choose one of autoregressive, cells, "
            "gaussian, mse"
        )
    if name == "autoregressive":
        return AutoregressiveHead(spec)
    return ColumnsHead(spec, unit_scale=name == "mse")
