"""Fair representations: what codes tell of a protected column, and what that costs a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sfumato.data.registry import kind_of
from sfumato.errors import SfumatoError
from sfumato.estimator.methods.uses.explanations import MAX_TARGET_CLASSES, ExplanationsMixin, known_rows
from sfumato.evaluation.metrics.columns import Aligned, schema_columns
from sfumato.evaluation.subject import some
from sfumato.isolation import isolated
from sfumato.tasks.fairness import FOLDS, Predictability, predictability, without_linear

MOST_FAIRNESS_ROWS = 10_000
MOST_CATEGORIES = 50


@dataclass(frozen=True)
class Representation:
    """One way to represent the examples.

    Attributes:
        name: of it.
        protected, target: how well each is told from it.
    """

    name: str
    protected: Predictability
    target: Predictability


@dataclass(frozen=True)
class FairnessReport:
    """What representations tell of a protected column and of a target.

    Attributes:
        protected, target: names of the columns.
        rows: how many examples.
        representations: the columns, the codes, and both without what is linear in the protected column.
    """

    protected: str
    target: str
    rows: int
    representations: list[Representation]

    def __getitem__(self, name: str) -> Representation:
        return next(each for each in self.representations if each.name == name)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values: areas under the ROC curve."""
        return {
            "protected": self.protected,
            "target": self.target,
            "rows": self.rows,
            "representations": [
                {"name": each.name, "protected": each.protected._asdict(), "target": each.target._asdict()}
                for each in self.representations
            ],
        }


class FairnessMixin(ExplanationsMixin):
    """`fairness` of `Autoencoder`."""

    @isolated
    def fairness(self, X: Any, protected: str, target: str, *, seed: int = 0) -> FairnessReport:
        """How well a protected column is told from codes, and what the codes keep of a target.

        Boosted trees and logistic regression predict both columns, in five folds, from five representations: the
        columns that are modelled and neither of the two, the latent means, one draw of each code, and columns and means
        with what is linear in the protected column removed (`sfumato.tasks.without_linear`), the baseline that needs no
        model. Areas under the ROC curve: 0.5 is not told at all.

        Args:
            X: rows of a table with both columns; at most 10,000 of them are used.
            protected: a category that codes should not tell, mostly a condition of the model.
            target: a category that they should.
            seed: of the choice of rows, the folds and the trees.

        Raises:
            SfumatoError: if the examples are no rows of a table, or a column is not there or not a category, or the
                codes hold the target because the model was trained on it.
        """
        self._model()
        if not kind_of(self.schema_).named_columns:
            raise SfumatoError("fairness is for tables, whose columns have names")
        if protected == target:
            raise SfumatoError(f"protected and target are both {target!r}; name two columns")
        modelled = self.schema_.entry_groups()
        if target in modelled or target in self.schema_.given_names:
            raise SfumatoError(
                f"target {target!r} was trained on, so codes may hold its value; fit again with drop={target}"
            )
        raw = self.read(X)
        columns = [self.column(X, name) for name in (protected, target)]
        known = known_rows(*columns)
        rows = known[some(len(known), MOST_FAIRNESS_ROWS, seed).numpy()]
        classes = [_classes(name, values, rows) for name, values in zip((protected, target), columns, strict=True)]
        chosen = self.schema_.take(raw, rows.tolist())
        table = [column for column in schema_columns(self.schema_, [chosen]) if column.name not in (protected, target)]
        inputs, codes = _features(table), self.encode(chosen)
        sets = {
            "columns": inputs,
            "columns, linear removed": without_linear(inputs, classes[0]),
            "codes": codes,
            "codes, drawn": self.encode(chosen, noise=True, seed=seed),
            "codes, linear removed": without_linear(codes, classes[0]),
        }
        representations = [
            Representation(name, *(predictability(features, answers, seed) for answers in classes))
            for name, features in sets.items()
        ]
        return FairnessReport(protected, target, len(rows), representations)


def _classes(name: str, values: Sequence[Any], rows: np.ndarray) -> np.ndarray:
    """Numbers of classes of these rows."""
    kinds, numbers = np.unique([str(values[row]) for row in rows], return_inverse=True)
    if not 2 <= len(kinds) <= MAX_TARGET_CLASSES:
        raise SfumatoError(f"column {name!r} has {len(kinds)} different values; give 2 to {MAX_TARGET_CLASSES} classes")
    counts = np.bincount(numbers)
    if counts.min() < FOLDS:
        raise SfumatoError(f"column {name!r}: {kinds[counts.argmin()]!r} has fewer than {FOLDS} rows; leave them out")
    return np.asarray(numbers)


def _features(table: Sequence[Aligned]) -> np.ndarray:
    """Columns as numbers: standardised with the median where missing, and a column for each frequent category."""
    parts = []
    for column in table:
        values = column.values[0]
        missing = np.isnan(values)
        if column.levels:
            counts = np.bincount(values[~missing].astype(int), minlength=len(column.levels))
            parts += [values == level for level in np.argsort(-counts, kind="stable")[:MOST_CATEGORIES]]
        elif not missing.all():
            filled = np.where(missing, np.median(values[~missing]), values)
            parts.append((filled - filled.mean()) / (filled.std() or 1.0))
        if missing.any():
            parts.append(missing)
    return np.stack(parts, 1).astype(float)
