"""The data types of a training step: a `Batch` of examples in, a `Loss` out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from sfumato.spec import DataSpec


@dataclass(frozen=True)
class Batch:
    """B examples.

    Attributes:
        x: values, shape (B, *spec.shape), in the units of `Field` (pixels may stay uint8).
        given: conditions, shape (B, len(spec.given)), float; NaN where a condition is left out or missing.
        mask: True where x was observed, shape of x; None when everything was.
        time: time stamps of the steps of a sequence, shape (B, T); None for anything else.
    """

    x: Tensor
    given: Tensor | None = None
    mask: Tensor | None = None
    time: Tensor | None = None

    def __len__(self) -> int:
        return self.x.shape[0]

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on `device`."""
        moved = {
            name: value.to(device, non_blocking=True)
            for name in ("x", "given", "mask", "time")
            if (value := getattr(self, name)) is not None
        }
        return replace(self, **moved)


@dataclass(frozen=True)
class Loss:
    """What one player minimises, in nats per example, by named terms.

    total = mean over the batch of Σ_k weight_k · term_k

    Attributes:
        terms: name → shape (B,), unweighted, so that `rate` is always the rate whatever β is.
        weights: name → factor of the term in the total; 1 where absent.
        metrics: name → shape (B,): measured and logged, not minimised.
    """

    terms: Mapping[str, Tensor]
    weights: Mapping[str, float | Tensor] = field(default_factory=dict)
    metrics: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def per_example(self) -> Tensor:
        """Weighted sum of the terms, shape (B,)."""
        total: Tensor | None = None
        for name, term in self.terms.items():
            weight = self.weights.get(name, 1.0)
            part = term if isinstance(weight, float) and weight == 1.0 else weight * term
            total = part if total is None else total + part
        assert total is not None, "a Loss needs at least one term"
        return total

    @property
    def total(self) -> Tensor:
        """Mean of `per_example` over the batch, a scalar."""
        return self.per_example.mean()


def flagged_mask(x: Tensor, spec: DataSpec) -> Tensor | None:
    """The mask of examples that a model drew: False where the flag of an entry says that it is missing.

    Args:
        x: (B, *spec.shape), every entry filled in.
        spec: of the data.

    Returns:
        Shape of x; None where the data have no flags, see `Field.flag`.

    >>> from sfumato.spec import Field
    >>> spec = DataSpec((2,), (Field("category", 2), Field("cells", 4, missing=True, flag=0)))
    >>> flagged_mask(torch.tensor([[1.0, 2.5], [0.0, 3.5]]), spec)
    tensor([[ True, False],
            [ True,  True]])
    """
    if not spec.flags:
        return None
    mask = torch.ones_like(x, dtype=torch.bool)
    mask[:, list(spec.flags)] = x[:, list(spec.flags.values())] < 0.5
    return mask
