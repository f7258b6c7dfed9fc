"""The settings of an evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from sfumato.evaluation.families import registered_families


class EvaluationOptions(TypedDict, total=False):
    """The fields of `EvaluationSettings`, by name."""

    families: tuple[str, ...]
    k: int | None
    samples: int | None
    sampler: str
    annealing: int
    factors: dict[str, np.ndarray] | None
    extractor: Extractor | None
    target: str | None
    seed: int
    quick: bool


Extractor = Callable[[Tensor], Tensor]
"""Examples in the units of the spec, (B, *shape), to features (B, F)."""


@dataclass(frozen=True)
class EvaluationSettings:
    """The settings of an evaluation.

    Attributes:
        families: names of the families of measures; all unless given.
        k: importance samples of the bound on log p(x); None takes 256, or fewer where the model is costly.
        samples: examples drawn from the model for the measures of samples; None as many as there are to learn from,
            at most 5000.
        sampler: what they are drawn by, as `Autoencoder.sample` takes it; "prior" is the model by itself.
            Where one is named, bounds have beside them the −ELBO with its density of codes in the prior's place.
        annealing: steps of annealed importance sampling, the check of the bound; 0 leaves it out.
        factors: known factors of variation of the examples, name → (N,) values; in addition to those of the data.
        extractor: the user's own features of examples; None trains a small network on the training split.
        target: column of a table that a model trained on samples predicts on real rows; None takes the label, a
            condition that is a category, the last category column, or the last column, the first of these that there
            is.
        seed: of all random draws.
        quick: leave out measures that take more than seconds, as at the end of a training.
    """

    families: tuple[str, ...] = field(default_factory=lambda: tuple(registered_families()))
    k: int | None = None
    samples: int | None = None
    sampler: str = "auto"
    annealing: int = 0
    factors: dict[str, np.ndarray] | None = None
    extractor: Extractor | None = None
    target: str | None = None
    seed: int = 0
    quick: bool = False

    def __post_init__(self) -> None:
        # Not every library takes a seed below 0, or of more than 32 bits.
        object.__setattr__(self, "seed", self.seed % 2**32)


def generator(seed: int) -> torch.Generator:
    """A generator on the CPU that is a function of `seed` alone."""
    return torch.Generator().manual_seed(seed)
