"""Differential expression: which counts differ between two groups of examples, and how surely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from sfumato import likelihoods
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.estimator import inference
from sfumato.estimator.methods.fitted import FittedMixin
from sfumato.evaluation.metrics.counts import USUAL_TOTAL
from sfumato.evaluation.subject import some
from sfumato.isolation import isolated
from sfumato.models.protocols import Encodes, require
from sfumato.randomness.generators import chosen_seed, seeded
from sfumato.tasks.differential import called, decoder_of, differences

MOST_OF_GROUP = 2000
"""Examples of a group that are used, at most."""
OTHERS = "all others"


@dataclass(frozen=True)
class DifferentialExpression:
    """What differs between two groups; arrays have one number for each of D columns.

    Attributes:
        names: of the columns.
        first, second: what the groups are called.
        sizes: how many examples of each were used.
        lfc: posterior mean of log₂ of the ratio of mean shares, first over second.
        deviation: its posterior standard deviation.
        low, high: its central 95%.
        probability: of |lfc| above `threshold`.
        expected_fdp: expected share of false discoveries if this column and all more probable ones are called.
        called: whether it is called different, so that the expected share of false ones is at most `fdp`.
        means: counts per 10,000 of each group, (2, D).
        threshold, fdp: as they were given.
    """

    names: tuple[str, ...]
    first: str
    second: str
    sizes: tuple[int, int]
    lfc: np.ndarray
    deviation: np.ndarray
    low: np.ndarray
    high: np.ndarray
    probability: np.ndarray
    expected_fdp: np.ndarray
    called: np.ndarray
    means: np.ndarray
    threshold: float
    fdp: float

    def to_table(self) -> pa.Table:
        """A row for each column of the counts, the most probable difference first, of equal ones the largest."""
        order = np.lexsort((-np.abs(self.lfc), -self.probability))
        columns: dict[str, Any] = {
            "column": [self.names[place] for place in order.tolist()],
            "lfc": self.lfc[order],
            "lfc_sd": self.deviation[order],
            "lfc_low": self.low[order],
            "lfc_high": self.high[order],
            "probability": self.probability[order],
            "expected_fdp": self.expected_fdp[order],
            "called": self.called[order],
            "mean_first": self.means[0, order],
            "mean_second": self.means[1, order],
        }
        return pa.table(columns)


class DifferentialMixin(FittedMixin):
    """`differential_expression` of `Autoencoder`."""

    @isolated
    def differential_expression(
        self,
        X: Any,
        groups: str | Sequence[Any],
        first: Any = None,
        second: Any = None,
        *,
        threshold: float = 0.25,
        fdp: float = 0.05,
        draws: int = 100,
        seed: int = 0,
    ) -> DifferentialExpression:
        """Which columns of counts differ between two groups of examples, with uncertainty.

        The log fold change of a column is log₂ of the ratio of its mean shares in the two groups. Draws of it hold what
        is not known of codes, what other examples of the groups might have been measured, and how far the decoder is
        off for a group, which the counts themselves say; see `sfumato.tasks.differential.differences`. They are shrunk
        towards the usual change as far as all columns together say (`sfumato.tasks.shrinkage`), so that the few that
        seem large among many by chance are not taken at their word.

        Columns are called as long as the expected share of false ones among them, the mean of 1 − P(|lfc| > threshold),
        stays within `fdp`. Conditions other than the groups, such as batches, are made alike: in each draw all examples
        are decoded under those of one training example.

        Args:
            X: the examples.
            groups: name of a column that says which group an example is of, or one value for each example.
            first: value of the first group; may be left out where there are two.
            second: value of the second; all others unless given.
            threshold: smallest |log₂ fold change| that counts.
            fdp: accepted expected share of false discoveries among the columns that are called.
            draws: of the posterior.
            seed: of the draws, and of the choice of at most 2,000 examples of a group.

        Raises:
            SfumatoError: if the model is not of counts, a group is not there, or a number is out of range.
        """
        model = inference.exact(self._model())
        encodes = require(model, Encodes, "compare groups")
        if not likelihoods.named(self.schema_.spec.likelihood).counts:
            raise SfumatoError("differential expression is for counts; fit with a likelihood such as negative_binomial")
        if draws < 2 or threshold < 0 or not 0 < fdp < 1:
            raise SfumatoError("give at least 2 draws, a threshold of 0 or more, and an fdp between 0 and 1")
        raw = self.read(X)
        values = self.column(X, groups) if isinstance(groups, str) else list(groups)
        total = len(self.schema_.batches(raw))
        if len(values) != total:
            raise SfumatoError(f"groups has {len(values)} values for {total} examples; give one for each")
        sides, names = _sides(values, first, second, seed)
        seed = chosen_seed(seed)
        with seeded(next(model.parameters()).device, seed, model), torch.no_grad():
            batches = [list(self._batches(self.schema_.take(raw, rows), None)) for rows in sides]
            given = self._alike(groups if isinstance(groups, str) else "", draws, seed)
            drawn = differences(decoder_of(encodes), batches, given, draws)
        posterior = drawn.shrunken()
        probability = posterior.beyond(threshold)
        found, expected = called(probability, fdp)
        return DifferentialExpression(
            names=tuple(self.schema_.entry_groups()),
            first=names[0],
            second=names[1],
            sizes=(len(sides[0]), len(sides[1])),
            lfc=_array(posterior.mean),
            deviation=_array(posterior.deviation),
            low=_array(posterior.quantile(0.025)),
            high=_array(posterior.quantile(0.975)),
            probability=_array(probability),
            expected_fdp=_array(expected),
            called=_array(found),
            means=USUAL_TOTAL * _array(drawn.shares),
            threshold=threshold,
            fdp=fdp,
        )

    def _alike(self, groups: str, draws: int, seed: int) -> list[Tensor | None]:
        """Conditions of training examples, one for each draw, without that by which examples are grouped."""
        names = self.schema_.given_names
        if not names or set(names) == {groups}:
            return [None] * draws
        rows = self.schema_.conditions({}, draws, seed=seed)
        assert rows is not None, "there are conditions"
        if groups in names:
            rows[:, names.index(groups)] = torch.nan
        return list(rows.split(1))


def _sides(values: Sequence[Any], first: Any, second: Any, seed: int) -> tuple[list[list[int]], tuple[str, str]]:
    """The numbers of the examples of both groups, and what these are called."""
    words = [None if value is None or value != value else str(value) for value in values]
    known = sorted({word for word in words if word is not None})
    if first is None:
        if len(known) != 2 or second is not None:
            raise SfumatoError(f"there are {len(known)} groups; name the first: {did_you_mean('', known)}")
        first, second = known
    for name in (first, *(() if second is None else (second,))):
        if str(name) not in known:
            raise SfumatoError(f"no example is of group {str(name)!r}; {did_you_mean(str(name), known)}")
    if str(first) == str(second):
        raise SfumatoError(f"both groups are {str(first)!r}; name two")
    own = [row for row, word in enumerate(words) if word == str(first)]
    other = [
        row
        for row, word in enumerate(words)
        if word is not None and (word == str(second) if second is not None else word != str(first))
    ]
    if not other:
        raise SfumatoError(f"all examples are of group {str(first)!r}; there is nothing to compare them with")
    sides = [[rows[at] for at in some(len(rows), MOST_OF_GROUP, seed).tolist()] for rows in (own, other)]
    return sides, (str(first), OTHERS if second is None else str(second))


def _array(values: Tensor) -> np.ndarray:
    return np.asarray(values.cpu().numpy())
