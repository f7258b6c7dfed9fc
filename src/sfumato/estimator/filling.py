"""A file with blanks and the same file with them filled."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sfumato.data.columns.base import plain
from sfumato.data.io import csv, frames
from sfumato.data.io.csv import filling
from sfumato.data.io.csv.dialect import detect
from sfumato.data.tables.schema import TableSchema
from sfumato.errors import SfumatoError
from sfumato.estimator.imputer import Imputer
from sfumato.files import replacing


class FileToFill:
    """A table in a file, some cells of which are blank.

    Args:
        path: of the file.

    Raises:
        SfumatoError: if there is no such file, or it is no table.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        _, self._ending = frames.checked(path)
        self._schema: TableSchema | None = None

    def imputer(self, model: str, options: Mapping[str, Any], **how: Any) -> Imputer:
        """An `Imputer` trained on the file.

        Args:
            model: the model's name.
            options: of the data, the model and the training.
            how: `seed`, `device` and `verbose`.

        Raises:
            SfumatoError: if the file has no blank, or an option cannot be used.
        """
        rest = {"device": how["device"], **options}
        steps = rest.pop("steps", None)
        imputer = Imputer(model, steps=steps, random_state=how["seed"], verbose=how["verbose"], options=rest)
        imputer.fit(self.path)
        schema = imputer.autoencoder_.schema_
        if not isinstance(schema, TableSchema):
            raise SfumatoError(f"{self.path}: not a table; fill arrays and images by sfumato complete RUN FILE")
        self._schema = schema
        self._raw = schema.read(self.path)
        if not any(self.blanks().values()):
            raise SfumatoError(f"{self.path}: has no blank cell that could be filled")
        return imputer

    def blanks(self) -> dict[str, int]:
        """Number of blank cells of each column that has some and can be filled."""
        assert self._schema is not None, "the file was read"
        return {name: int(cells.sum()) for name, cells in self._schema.blank_cells(self._raw).items() if cells.any()}

    def write(
        self, imputer: Imputer, out: Path, *, draws: int | None, intervals: float | None, overwrite: bool
    ) -> list[Path]:
        """Write the filled table, or `draws` of them; the paths that were written.

        Args:
            imputer: as `imputer` gives it.
            out: where to; with draws `-1`, `-2`, … stand before the ending.
            draws: number of tables with draws; None for one with the best values.
            intervals: coverage of the ends that stand beside numbers; None for none.
            overwrite: replace files that exist.

        Raises:
            SfumatoError: if a file exists, or its ending is none of a table.
        """
        ending = frames.suffix(out)
        if draws is None:
            paths, tables = [out], [imputer.transform(self._raw)]
        else:
            stem = out.name[: -len(ending)]
            paths = [out.with_name(f"{stem}-{number + 1}{ending}") for number in range(draws)]
            for path in paths:
                if path.exists() and not overwrite:
                    raise SfumatoError(f"{path}: exists already; choose another name or add --overwrite")
            tables = imputer.sample(self._raw, draws)
        for path, table in zip(paths, tables, strict=True):
            filled = self._table(table)
            if intervals is not None:
                ends = [self._table(end) for end in imputer.predict_interval(self._raw, intervals)]
                frames.write(self._with_ends(filled, *ends), path)
            elif _is_text(self._ending) and _is_text(ending):
                self._write_text(filled, path)
            else:
                frames.write(filled, path)
        return paths

    def _table(self, frame: Any) -> pa.Table:
        assert self._schema is not None, "the file was read"
        return self._schema.as_table(frame)

    def _with_ends(self, filled: pa.Table, low: pa.Table, high: pa.Table) -> pa.Table:
        """The table, and behind each column of numbers with blanks the ends of their intervals, empty elsewhere."""
        assert self._schema is not None, "the file was read"
        blank, numbers = self._schema.blank_cells(self._raw), self._schema.numbers
        for name in [name for name in numbers if blank[name].any()]:
            for suffix, table in (("high", high), ("low", low)):
                column = plain(table[name])
                ends = pc.if_else(pa.array(blank[name]), column, pa.scalar(None, column.type))
                place = filled.column_names.index(name) + 1
                filled = filled.add_column(place, f"{name}_{suffix}", ends)
        return filled

    def _write_text(self, filled: pa.Table, path: Path) -> None:
        """The file's own bytes, with the words of the blank cells in them."""
        assert self._schema is not None, "the file was read"
        cells: dict[str, dict[int, str]] = {}
        point = detect(self.path, self._schema.reading).point
        for name, blank in self._schema.blank_cells(self._raw).items():
            rows = np.flatnonzero(blank)
            if len(rows):
                words = csv.words(filled.schema.field(name), filled[name].take(pa.array(rows)))
                if pa.types.is_floating(filled[name].type):
                    words = pc.replace_substring(words, ".", point)
                cells[name] = dict(zip(rows.tolist(), words.to_pylist(), strict=True))
        filled_text = filling.fill(self.path, cells, self._schema.reading)
        with replacing(path) as place:
            place.write_bytes(gzip.compress(filled_text) if path.suffix == ".gz" else filled_text)


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse options that leave columns without values.

    Raises:
        SfumatoError: if there are some.
    """
    if options.get("given"):
        raise SfumatoError("--given: every column is filled, so that none is a condition; leave it out")


def _is_text(ending: str) -> bool:
    return "parquet" not in ending and ending != ".pq"
