"""Heads of rows of columns: tables, vectors, and the steps of sequences."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from sfumato.distributions import Columns, Distribution, Layout, Normal
from sfumato.networks.heads.base import COLUMNS, Head, LearnedScale, register
from sfumato.spec import DataSpec


class ColumnsHead(Head):
    """Tables and vectors: μ and a learned σ for each real column, logits for every other.

    Args:
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
        self.scale = LearnedScale(self.reals, fixed=unit_scale or not self.reals)

    def forward(self, raw: Tensor) -> Distribution:
        if not self._sizes:
            return Normal(raw, self.scale())
        layout = Layout(self._kinds, self._sizes, self.real, self.discrete, self.starts, self.order)
        return Columns(layout, raw[:, : self.reals], self.scale(), raw[:, self.reals :])


for _name in ("gaussian", "cells", "categorical"):
    register(_name, ColumnsHead, on=COLUMNS)
register("mse", partial(ColumnsHead, unit_scale=True), on=COLUMNS)
