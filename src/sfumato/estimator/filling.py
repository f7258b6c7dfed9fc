"""A file with blanks and the same file with them filled."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sfumato import data
from sfumato.config import resolve
from sfumato.data.columns.base import plain
from sfumato.data.io import csv, frames
from sfumato.data.io.csv import filling
from sfumato.data.io.csv.dialect import Dialect, detect
from sfumato.data.tables.schema import TableSchema
from sfumato.errors import SfumatoError
from sfumato.estimator.imputer import Imputer, training_options
from sfumato.files import replacing
from sfumato.randomness.generators import chosen_seed


class FileToFill:
    """A table in a file, some cells of which are blank.

    Args:
        path: of the file.
        model: the name of the model that fills it.
        options: of the data, the model and the training.
        how: `seed`, `device` and `verbose`.

    Raises:
        SfumatoError: if there is no such file, it is no table or has no blank, or an option cannot be used.
    """

    def __init__(self, path: str, model: str, options: Mapping[str, Any], **how: Any) -> None:
        self.path = Path(path)
        _, self._ending = frames.checked(path)
        if options.get("given"):
            raise SfumatoError("--given: every column is filled, so that none is a condition; leave it out")
        rest = {"device": how["device"], **options}
        steps = rest.pop("steps", None)
        self.imputer = Imputer(model, steps=steps, random_state=how["seed"], verbose=how["verbose"], options=rest)
        # Opened once more by the training, which takes minutes where this takes seconds: what has no blank is refused
        # before it.
        config = resolve(model, training_options(rest) | {"seed": chosen_seed(how["seed"])})
        schema = data.open(self.path, options=config.data).schema
        if not isinstance(schema, TableSchema):
            raise SfumatoError(f"{self.path}: not a table; fill arrays and images by sfumato complete RUN FILE")
        self._schema, self._raw = schema, schema.read(self.path)
        self._blank = {name: cells for name, cells in schema.blank_cells(self._raw).items() if cells.any()}
        if not self._blank:
            raise SfumatoError(f"{self.path}: has no blank cell that could be filled")

    @property
    def blanks(self) -> dict[str, int]:
        """Number of blank cells of each column that has some and can be filled."""
        return {name: int(cells.sum()) for name, cells in self._blank.items()}

    def train(self) -> None:
        """Train the imputer on the file."""
        self.imputer.fit(self.path)

    def write(self, paths: Sequence[Path], *, draws: bool, intervals: float | None) -> None:
        """Write the filled table.

        Args:
            paths: where to, as `output_paths` gives them.
            draws: write draws in the place of the best values.
            intervals: coverage of the ends that stand beside numbers; None for none.

        Raises:
            SfumatoError: if a file cannot be written.
        """
        tables = self.imputer.sample(self._raw, len(paths)) if draws else [self.imputer.transform(self._raw)]
        for path, table in zip(paths, tables, strict=True):
            filled = self._schema.as_table(table)
            if intervals is not None:
                ends = self.imputer.predict_interval(self._raw, intervals)
                frames.write(self._with_ends(filled, *map(self._schema.as_table, ends)), path)
            elif _is_text(self._ending) and _unpacked(frames.suffix(path)) == _unpacked(self._ending):
                self._write_text(filled, path)
            else:
                frames.write(filled, path)

    def _with_ends(self, filled: pa.Table, low: pa.Table, high: pa.Table) -> pa.Table:
        """The table, and behind each column of numbers with blanks the ends of their intervals, empty elsewhere."""
        for name in [name for name in self._schema.numbers if name in self._blank]:
            for suffix, table in (("high", high), ("low", low)):
                column = plain(table[name])
                ends = pc.if_else(pa.array(self._blank[name]), column, pa.scalar(None, column.type))
                place = filled.column_names.index(name) + 1
                filled = filled.add_column(place, f"{name}_{suffix}", ends)
        return filled

    def _write_text(self, filled: pa.Table, path: Path) -> None:
        """The file's own bytes, with the words of the blank cells in them."""
        cells: dict[str, dict[int, str]] = {}
        for name, blank in self._blank.items():
            rows = np.flatnonzero(blank)
            words = csv.words(filled.schema.field(name), filled[name].take(pa.array(rows)))
            if pa.types.is_floating(filled[name].type):
                words = pc.replace_substring(words, ".", self._dialect.point)
            cells[name] = dict(zip(rows.tolist(), words.to_pylist(), strict=True))
        filled_text = filling.fill(self.path, cells, self._dialect)
        with replacing(path) as place:
            place.write_bytes(gzip.compress(filled_text) if path.suffix.lower() == ".gz" else filled_text)

    @cached_property
    def _dialect(self) -> Dialect:
        """The layout of the file, a text file."""
        return detect(self.path, self._schema.reading)


def output_paths(out: Path, draws: int | None, *, overwrite: bool) -> list[Path]:
    """The files that a filled table is written to.

    Args:
        out: where to; with draws `-1`, `-2`, … stand before the ending.
        draws: number of tables with draws; None for one with the best values.
        overwrite: replace files that exist.

    Raises:
        SfumatoError: if the ending is none of a table, or a file with draws exists.
    """
    ending = frames.suffix(out)
    if draws is None:
        return [out]
    stem = out.name[: -len(ending)]
    paths = [out.with_name(f"{stem}-{number + 1}{ending}") for number in range(draws)]
    for path in paths:
        if path.exists() and not overwrite:
            raise SfumatoError(f"{path}: exists already; choose another name or add --overwrite")
    return paths


def _is_text(ending: str) -> bool:
    return "parquet" not in ending and ending != ".pq"


def _unpacked(ending: str) -> str:
    return ending.removesuffix(".gz")
