"""Augmentation: real examples followed by generated ones of the classes that need them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from sfumato.data.core.labels import LABEL
from sfumato.data.io import frames
from sfumato.data.tables.schema import TableSchema
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.estimator.evaluation_data import named_set
from sfumato.estimator.methods.generation import GenerationMixin
from sfumato.formatting import free_name
from sfumato.isolation import isolated
from sfumato.tasks.balancing import rows_to_add

GENERATED_MARK = "generated"
"""Column that marks generated rows, where its name is free."""


class AugmentedExamples(NamedTuple):
    """Real and generated examples that are not rows of a table.

    Attributes:
        x: the real examples, then the generated ones, (N, *shape).
        labels: of all of them, (N,).
        generated: which of them are generated, (N,) of booleans.
    """

    x: np.ndarray
    labels: np.ndarray
    generated: np.ndarray


class AugmentationMixin(GenerationMixin):
    """`augment` of `Autoencoder`."""

    @isolated
    def augment(
        self,
        X: Any,
        target: str | None = None,
        *,
        balance: bool | int = True,
        rows: int | None = None,
        mark: str | None = None,
        seed: int | None = None,
        **sampling: Any,
    ) -> Any:
        """X with generated examples x ~ p(x | class) below it, marked as such.

        >>> import pandas as pd
        >>> from sfumato import Autoencoder
        >>> noise = np.random.default_rng(0)
        >>> X = pd.DataFrame({"size": noise.normal(size=60), "kind": ["a"] * 50 + ["b"] * 10})
        >>> auto = Autoencoder("cvae", given=["kind"], steps=20).fit(X)
        >>> more = auto.augment(X, seed=0)
        >>> more["kind"].value_counts().tolist(), int(more["generated"].sum())
        ([50, 50], 40)

        Args:
            X: the real examples, with their classes.
            target: the condition that is balanced; None takes the only one. Other conditions of a generated row are
                drawn from training rows of its class.
            balance: True generates as many as bring every class to the size of the largest, a number N as many as bring
                it to N at least; False keeps the shares of the classes.
            rows: generated rows in all; None generates what `balance` needs.
            mark: name of the column that is True for generated rows; None is "generated", with a number if X has such a
                column. For tables only.
            seed: of the draws; None draws anew each time.
            sampling: other options of `sample`, as sampler="prior" or rules=["start <= end"].

        Returns:
            A frame like X with one column more: all rows of X, unchanged and in their order, then the generated ones.
            Columns that the model was not trained on are missing there. For arrays and images `AugmentedExamples`.

        Raises:
            SfumatoError: if the target is not a condition of the model or not a category, or X has no classes.
        """
        target = self._balanced_condition(target)
        X = named_set(self.config_, self.schema_, X)
        counts = Counter(label for label in self.column(X, target) if label is not None)
        if not counts:
            raise SfumatoError(f"column {target!r} has no value in any row; give rows with their classes")
        added = rows_to_add({label: counts[label] for label in sorted(counts, key=str)}, balance, rows)
        classes = [label for label, count in added.items() for _ in range(count)]
        samples = self.sample(len(classes), {target: classes}, seed=seed, **sampling)
        if isinstance(self.schema_, TableSchema):
            return _frame_with(self.schema_, X, samples, mark)
        if mark is not None:
            raise SfumatoError(
                f"mark {mark!r}: it names a column of a table; for arrays it is `generated` of the result"
            )
        real = self.read(X)
        names, dtype = np.array(classes, str), real.labels.dtype
        # numpy takes the word False for True.
        labels = np.concatenate([real.labels, names == str(True) if dtype.kind == "b" else names.astype(dtype)])
        generated = np.repeat([False, True], [len(real.x), len(classes)])
        return AugmentedExamples(np.concatenate([real.x, np.asarray(samples)]), labels, generated)

    def _balanced_condition(self, target: str | None) -> str:
        """The condition that is balanced, a category."""
        self._model()
        names = self.schema_.given_names
        if not names:
            raise SfumatoError(
                f"this {self.config_.model} was trained without conditions, so no class can be drawn; fit a cvae with "
                f"given={target or LABEL}"
            )
        if target is None:
            if len(names) > 1:
                raise SfumatoError(f"target: say which condition is balanced: {' or '.join(names)}")
            return names[0]
        if target not in names:
            raise SfumatoError(f"target {target!r} is not a condition of this model; {did_you_mean(target, names)}")
        return target


def with_generated(real: pa.Table, samples: pa.Table, mark: str | None = None) -> tuple[pa.Table, str]:
    """Real rows, then generated ones, with a column more that is True for these; and the name of that column.

    Args:
        real: all columns, in their order and types.
        samples: generated rows; columns that they lack are missing.
        mark: name of the new column; None is "generated", with a number where that is taken.

    Raises:
        SfumatoError: if there is a column of the name `mark`.

    >>> with_generated(pa.table({"a": [1, 2]}), pa.table({"a": [3.0]}))[0].to_pylist()[1:]
    [{'a': 2, 'generated': False}, {'a': 3, 'generated': True}]
    """
    mark = free_mark(real.column_names, mark)
    columns = []
    for field, column in zip(real.schema, real.columns, strict=True):
        if field.name in samples.column_names:
            more = _as_type(samples[field.name], field.type)
        else:
            more = pa.chunked_array([pa.nulls(len(samples), field.type)])
        columns.append(pa.chunked_array([*column.chunks, *more.chunks], field.type).unify_dictionaries())
    marks = pa.chunked_array([pa.array(np.repeat([False, True], [len(real), len(samples)]))])
    return pa.table([*columns, marks], schema=pa.schema([*real.schema, pa.field(mark, pa.bool_())])), mark


def free_mark(names: Sequence[str], mark: str | None = None) -> str:
    """The name of the column that marks generated rows: `mark`, or "generated" with a number where that is taken.

    Raises:
        SfumatoError: if there is a column of the name `mark`.

    >>> free_mark(["a", "generated"])
    'generated_2'
    """
    if mark is None:
        return free_name(GENERATED_MARK, names)
    if mark in names:
        raise SfumatoError(f"mark {mark!r}: there is such a column already; choose another name")
    return mark


def _as_type(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if not pa.types.is_dictionary(kind):
        return column.cast(kind, safe=False)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(kind.value_type, safe=False).dictionary_encode().cast(kind)


def _frame_with(schema: TableSchema, source: Any, samples: Any, mark: str | None) -> Any:
    """A frame like the source, with samples below."""
    real, kind = frames.read(source, keep=[column.name for column in schema.columns], reading=schema.reading)
    return frames.give(with_generated(real, schema.as_table(samples), mark)[0], kind)
