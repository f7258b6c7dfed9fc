"""A data set augmented: a conditional model fitted to it, and the rows that it generates for each class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sfumato.data.columns.base import is_number
from sfumato.data.core.labels import LABEL
from sfumato.data.io import frames
from sfumato.data.io.reading import Reading
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.estimator import Autoencoder, fit
from sfumato.estimator.methods.uses.augmentation import AugmentedExamples, free_mark
from sfumato.files import replacing
from sfumato.isolation import isolated
from sfumato.studies.augmentation_check import FOLDS, AugmentationCheck, check_augmentation
from sfumato.tasks.balancing import rows_to_add

MAX_BALANCED_CLASSES = 50
"""A column of numbers with more values than this is not one of classes."""
SPLIT = (0.9, 0.1, 0.0)
"""Shares of training and validation rows: nothing is tested on the rest, so there is none."""


@dataclass(frozen=True)
class Augmented:
    """An augmented data set.

    Attributes:
        examples: the real and the generated examples, as `Autoencoder.augment` returns them.
        auto: the fitted model that generated them.
        target: the column that says the class of each.
        generated: how many were generated.
        check: what augmentation changes for a classifier, if it was measured.
    """

    examples: Any
    auto: Autoencoder
    target: str
    generated: int
    check: AugmentationCheck | None = None

    def write(self, path: Path, source: Any) -> None:
        """Write the examples: a table in the spelling of the file that `source` is, arrays as x, y and generated.

        Raises:
            SfumatoError: if the extension of the path does not fit, or the place cannot be written to.
        """
        check_path(path, source)
        if isinstance(self.examples, AugmentedExamples):
            x, y, generated = self.examples
            with replacing(path) as temporary, open(temporary, "wb") as file:
                np.savez_compressed(file, x=x, y=y, generated=generated)
            return
        table, real = frames.read(self.examples)[0], _read(source, self.auto.config_.data.reading)
        fields = {} if real is None else {field.name: field for field in real.schema}
        written = [fields.get(field.name, field) for field in table.schema]
        columns = [column.cast(field.type) for column, field in zip(table.columns, written, strict=True)]
        frames.write(pa.table(columns, schema=pa.schema(written)), path)


def check_path(path: Path, source: Any) -> None:
    """Refuse an extension in which an augmented source cannot be written.

    Raises:
        SfumatoError: if it cannot.
    """
    if _is_table(source):
        frames.suffix(path)
    elif path.suffix != ".npz" and not path.name.endswith(frames.TABLE_SUFFIXES):
        raise SfumatoError(f"{path}: images and arrays with their labels are written as .npz; use this extension")


@isolated
def augment(
    source: Any,
    target: str = LABEL,
    *,
    balance: bool | int = True,
    rows: int | None = None,
    mark: str | None = None,
    check: bool = False,
    folds: int = FOLDS,
    model: Any = "cvae",
    seed: int = 0,
    run: str | Path | bool | None = None,
    progress: bool = False,
    log: Callable[[str], None] | None = None,
    **options: Any,
) -> Augmented:
    """Fit a conditional model, and put rows that it generates for each class below the real ones.

    All classes share one model, with the class as a condition, so that a rare class takes what is common to all from
    the others. It is trained on nine tenths of the rows and stopped by the last tenth. Augment the rows that a
    classifier is trained on, never those that it is tested on.

    Args:
        source: as `sfumato.fit` takes it: a path, a frame, or (X, y).
        target: the column of the class; "label" for arrays and images with labels.
        balance, rows, mark: as `Autoencoder.augment` takes them.
        check: measure by cross-validation what augmentation brings, see `check_augmentation`.
        folds: of that cross-validation.
        model: name of a model that takes conditions.
        seed: of the split, the training and the draws.
        run: where the fitted model is written, as `sfumato.fit` takes it.
        progress: show progress bars.
        log: called with a line for each fold of the check.
        options: other options of the data, the model and the training; `given` names conditions besides the target.

    Raises:
        SfumatoError: if there is no such column, it does not hold classes, or an option is not usable.
    """
    if options.get("epsilon") is not None:
        raise SfumatoError("epsilon: real rows stand beside generated ones here; use fit with epsilon, and sample")
    options = {"split": SPLIT} | options
    others = options.get("given") or ()
    others = (others,) if isinstance(others, str) else tuple(others)
    options["given"] = (target, *(name for name in others if name != target))
    table = _read(source, Reading(options.get("missing_values"), options.get("header", "auto")))
    if table is not None:
        if _as_classes(table, target, balance is not False):
            options["kinds"] = {target: "categorical"} | dict(options.get("kinds") or {})
        # What cannot be done is refused before the model is trained.
        free_mark(table.column_names, mark)
        rows_to_add(Counter(table[target].drop_null().to_pylist()), balance, rows)
    auto = fit(source, model=model, seed=seed, progress=progress, run=run, **options)
    examples = auto.augment(source, target, balance=balance, rows=rows, mark=mark, seed=seed)
    generated = len(examples.x if isinstance(examples, AugmentedExamples) else examples) - len(
        auto.column(source, target)
    )
    measured = None
    if check:
        how = {"model": model, "progress": progress, **options}
        measured = check_augmentation(
            auto, source, target, balance=balance, rows=rows, folds=folds, seed=seed, log=log, **how
        )
    return Augmented(examples, auto, target, generated, measured)


def _is_table(source: Any) -> bool:
    """Whether it is a frame or a file of a table; text and arrays are not, nor is the name of a built-in set."""
    if not isinstance(source, str | Path):
        return frames.is_frame(source)
    endings = [ending for ending in frames.TABLE_SUFFIXES if not ending.startswith(".txt")]
    return Path(source).name.lower().endswith(tuple(endings)) or frames.is_parts(Path(source))


def _read(source: Any, reading: Reading) -> pa.Table | None:
    """A source that is a table as such, with all its columns."""
    return frames.read(source, reading=reading)[0] if _is_table(source) else None


def _as_classes(table: pa.Table, target: str, balanced: bool) -> bool:
    """Whether the target is a column of numbers that stand for classes.

    Raises:
        SfumatoError: if there is no such column, or it is to be balanced and does not hold classes.
    """
    if target not in table.column_names:
        raise SfumatoError(f"target {target!r}: there is no such column; {did_you_mean(target, table.column_names)}")
    values = pc.count_distinct(table[target]).as_py()
    numbers = is_number(table[target].type)
    if balanced and (values > MAX_BALANCED_CLASSES if numbers else values > len(table) // 2):
        raise SfumatoError(
            f"target {target!r}: it has {values:,} different values and so does not hold classes; "
            "generate a number of rows without balancing them"
        )
    if values < 2:
        raise SfumatoError(f"target {target!r}: all rows have the same value; give a column of at least two classes")
    return numbers and values <= MAX_BALANCED_CLASSES
