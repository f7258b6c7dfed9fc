"""Examples of any kind as vectors, and the structure and overlap of sets of vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sfumato.batch import flagged_mask
from sfumato.evaluation.metrics.set_distances import neighbourhoods
from sfumato.spec import DataSpec, Field

POOLED = 1024
"""Images with more values than this are pooled."""
CHANCE_SHUFFLES = 10
"""Permutations of the data that estimate what chance alone gives."""
DIRECTIONS = 32


class Vectors:
    """Maps examples to vectors (N, F), standardised by some real ones.

    Pixels are intensities, counts shares of their total. Any other number gives its standardised value and the
    square of that, so that circles are seen too; categories are one-hot. Missing values are the mean.

    Args:
        spec: of the data.
        x, mask: the real examples, as in a `Batch`.

    Attributes:
        owner: the entry of an example that each of the F numbers belongs to, (F,).
        category: whether it belongs to a category, (F,); square: whether it is the square of another.
    """

    def __init__(self, spec: DataSpec, x: Tensor, mask: Tensor | None) -> None:
        self.spec = spec
        self.owner, self.category, self.square = np.empty(0, int), np.empty(0, bool), np.empty(0, bool)
        values = self._raw(x, mask)
        filled = np.where(np.isnan(values).all(0), 0.0, values)
        self._mean = np.nanmean(filled, 0)
        spread = np.nanstd(values - self._mean, 0) if len(values) else np.ones(values.shape[1])
        spread = np.full_like(spread, spread.mean()) if spec.is_image else spread
        varies = np.nanmax(filled, 0, initial=-np.inf) > np.nanmin(filled, 0, initial=np.inf)
        varies = varies | (spec.is_image & (spread > 0))
        self._factor = np.divide(1.0, spread, out=np.zeros_like(spread), where=varies)
        for category, size in self._categories():
            self._factor[self.owner == category] *= size**-0.5

    def of(self, x: Tensor, mask: Tensor | None = None) -> np.ndarray:
        """Examples in the units of the spec as vectors, (N, F)."""
        scaled = (self._raw(x, mask) - self._mean) * self._factor
        # One outlier must not dominate.
        return np.nan_to_num(scaled).clip(-10, 10)

    def _raw(self, x: Tensor, mask: Tensor | None) -> np.ndarray:
        x = x.detach().cpu().double()
        if self.spec.fields[0].kind == "level":
            if self.spec.is_image and self.spec.entries > POOLED:
                x = F.avg_pool2d(x, max(2, round((self.spec.entries / POOLED) ** 0.5)))
            flat = x.flatten(1)
            self.owner = np.arange(flat.shape[1])
            self.category = self.square = np.zeros(flat.shape[1], bool)
            nothing = None if mask is None else ~mask.cpu().flatten(1).any(1)
            return flat.numpy() if nothing is None else flat.masked_fill(nothing[:, None], torch.nan).numpy()
        if self.spec.fields[0].kind == "count":
            # Shares, of which expectations are not off as their logarithms are.
            known = x if mask is None else x.masked_fill(~mask.cpu(), 0)
            flat = known / known.sum(1, keepdim=True).clamp_min(1)
            self.owner = np.arange(flat.shape[1])
            self.category = self.square = np.zeros(flat.shape[1], bool)
            return flat.numpy()
        for seen in (mask, flagged_mask(x, self.spec)):
            if seen is not None:
                x = x.masked_fill(~seen.cpu(), torch.nan)
        parts, owner, category, square = [], [], [], []
        for place, (field, column) in enumerate(zip(self.spec.columns, x.flatten(1).unbind(1), strict=True)):
            if field.kind == "category":
                levels = torch.arange(field.size)
                part = torch.where(column[:, None].isnan(), torch.nan, (column[:, None] == levels).double())
            else:
                centred = (column - 0.5 * field.size) / field.size if field.kind == "cells" else column
                part = torch.stack([centred, centred.square()], 1)
            parts.append(part)
            owner += [place] * part.shape[1]
            named = field.kind == "category"
            category += [named] * part.shape[1]
            square += [not named and bool(at) for at in range(part.shape[1])]
        self.owner, self.category, self.square = np.array(owner), np.array(category), np.array(square)
        return torch.cat(parts, 1).numpy()

    def _categories(self) -> list[tuple[int, int]]:
        return [(place, field.size) for place, field in enumerate(self.spec.columns) if field.kind == "category"]


class RecordVectors(Vectors):
    """`Vectors` of mixed records: those of each part, beside each other; every part weighs the same."""

    def __init__(self, spec: DataSpec, x: Tensor, mask: Tensor | None) -> None:
        self.spec = spec
        self._own = [Vectors(part.spec, *self._cut(place, x, mask)) for place, part in enumerate(spec.parts)]
        starts = [place.start for place in spec.places]
        self.owner = np.concatenate([own.owner + start for own, start in zip(self._own, starts, strict=True)])
        self.category = np.concatenate([own.category for own in self._own])
        self.square = np.concatenate([own.square for own in self._own])

    def of(self, x: Tensor, mask: Tensor | None = None) -> np.ndarray:
        pieces = [own.of(*self._cut(place, x, mask)) for place, own in enumerate(self._own)]
        return np.concatenate([piece / np.sqrt(piece.shape[1]) for piece in pieces], 1)

    def _cut(self, part: int, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The entries of a part in its shape, and which of them are there."""
        place, shape = self.spec.places[part], self.spec.parts[part].spec.shape
        known = None if mask is None else mask[:, place].reshape(-1, *shape)
        return x[:, place].reshape(-1, *shape), known


@dataclass(frozen=True)
class Structure:
    """Structure of vectors by parallel analysis (Horn 1965).

    Attributes:
        eigenvalues: eigenvalues of the covariance over their sum, (K,), descending.
        chance: the largest obtained by shuffling each entry among the examples, (K,).
    """

    eigenvalues: np.ndarray
    chance: np.ndarray

    @property
    def directions(self) -> int:
        """Number of leading directions with more variance than by chance."""
        above = self.eigenvalues > self.chance
        return int(above.argmin()) if not above.all() else len(above)

    def beyond_chance(self, directions: int) -> float:
        """The share of the variance in so many leading directions, minus that by chance."""
        count = min(directions, self.directions)
        return float((self.eigenvalues - self.chance)[:count].sum())


def residuals(vectors: np.ndarray, given: Tensor | None, fields: Sequence[Field]) -> np.ndarray:
    """Residuals of vectors (N, F) after linear regression on the conditions (N, G).

    A category enters as one column for each value and one for missing; a number as itself, its square, and a flag.
    """
    if given is None:
        return vectors
    columns = [np.ones((len(vectors), 1))]
    for field, column in zip(fields, given.detach().cpu().double().unbind(1), strict=True):
        missing = column.isnan()
        known = column.nan_to_num(0.0)
        if field.kind == "category":
            indicators = (known[:, None] == torch.arange(field.size)) & ~missing[:, None]
            columns.append(torch.cat([indicators, missing[:, None]], 1).double().numpy())
        else:
            columns.append(torch.stack([known, known.square(), missing.double()], 1).numpy())
    design = np.concatenate(columns, 1)
    left: np.ndarray = vectors - design @ np.linalg.lstsq(design, vectors, rcond=None)[0]
    return left


def structure(vectors: np.ndarray, owner: np.ndarray, seed: int) -> Structure:
    """The structure of vectors (N, F); columns with the same `owner` are shuffled together."""
    random = np.random.default_rng(seed)
    chance = []
    for _ in range(CHANCE_SHUFFLES):
        order = random.random((len(vectors), owner.max() + 1)).argsort(0)
        chance.append(_spectrum(np.take_along_axis(vectors, order[:, owner], 0)))
    return Structure(_spectrum(vectors), np.max(chance, 0))


def _spectrum(vectors: np.ndarray) -> np.ndarray:
    centred = vectors - vectors.mean(0)
    gram = centred @ centred.T if len(centred) < centred.shape[1] else centred.T @ centred
    values = np.linalg.eigvalsh(gram)[::-1].clip(0)
    return values / max(values.sum(), 1e-12)


def explained_variance(vectors: np.ndarray, reconstructions: np.ndarray, category: np.ndarray) -> float:
    """The share of the variance of vectors (N, F) that reconstructions explain.

    For numbers, 1 − mean squared error / variance, so that shrinkage to the mean is penalised; for categories, which
    are reconstructed as their mode, the squared correlation.
    """
    real, restored = vectors - vectors.mean(0), reconstructions - reconstructions.mean(0)
    variance, spread = (real**2).mean(0), (restored**2).mean(0)
    product = variance * spread
    shared = np.divide((real * restored).mean(0) ** 2, product, out=np.zeros_like(product), where=product > 1e-12)
    error = ((vectors - reconstructions) ** 2).mean(0)
    left = 1 - np.divide(error, variance, out=np.ones_like(error), where=variance > 1e-12)
    return float((np.where(category, shared, left) * variance).sum() / max(variance.sum(), 1e-12))


class Overlap(NamedTuple):
    """What share of real examples others reach, by neighbourhoods.

    See `sfumato.evaluation.metrics.set_distances`.

    Attributes:
        coverage: share that has one of the others nearby. Low if those scatter too widely or are of too few kinds.
        recall: share that is near one of the others. Low if those are blurred or of too few kinds.
    """

    coverage: float
    recall: float


class RealVectors:
    """Real vectors (N, F) to compare others with, all projected to the main directions of the real ones."""

    def __init__(self, real: np.ndarray) -> None:
        self._mean = real.mean(0)
        self._axes = np.linalg.svd(real - self._mean, full_matrices=False)[2][:DIRECTIONS].T
        self._real = self._projected(real)

    def overlap(self, vectors: np.ndarray) -> Overlap:
        """Coverage and recall of the real vectors by `vectors`."""
        _, recall, _, coverage = neighbourhoods(self._real, self._projected(vectors), error=False)[0]
        return Overlap(float(coverage), float(recall))

    def _projected(self, vectors: np.ndarray) -> np.ndarray:
        return np.asarray((vectors - self._mean) @ self._axes)
