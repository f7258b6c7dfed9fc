"""Mixed records: the schemas of their parts, and the way from rows to one tensor and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from sfumato.data.core.batching.encoded import Encoded
from sfumato.data.core.schema import Schema
from sfumato.data.images.schema import ImageSchema
from sfumato.data.io.reading import Reading
from sfumato.data.records import images, raw, writing
from sfumato.data.records.raw import Pictures, RawRecords, RawRows
from sfumato.data.tables.completing import filled
from sfumato.data.tables.schema import TableSchema
from sfumato.data.text.lines import Lines
from sfumato.data.text.schema import SymbolSchema
from sfumato.errors import SfumatoError
from sfumato.spec import DataSpec, Part

COLUMNS = "columns"
"""What the part is called that is made of several columns."""


class RecordSchema(Schema):
    """x = the entries of the parts, flat, one part after another: columns of values, texts, images; NaN where missing.

    Every part is encoded by the schema of its own kind. An example is a row of a frame; images are paths in a file,
    relative to its folder, and arrays in a frame in memory. Whether cells are missing is not modelled: a part or a cell
    that is missing says nothing.

    Attributes:
        table: of the columns of values together; None where all are images and texts.
        texts: name of a column → the schema of its texts.
        pictures: name of a column → the schema of its images.
        names: of all columns, in order.
        missing: share of training rows in which a text or an image is missing, by name.
        frame_kind: what the rows were, see `frames.read`; `decode` gives that back.
        reading: how text files are read.
    """

    kind: ClassVar[str] = "record"

    def __init__(
        self,
        table: TableSchema | None,
        texts: Mapping[str, SymbolSchema],
        pictures: Mapping[str, ImageSchema],
        *,
        names: Sequence[str],
        missing: Mapping[str, float],
        frame_kind: str,
        reading: Reading,
        label_names: Sequence[str] = (),
    ) -> None:
        self.table, self.texts, self.pictures = table, dict(texts), dict(pictures)
        self.names, self.missing = tuple(names), dict(missing)
        self.frame_kind, self.reading = frame_kind, reading
        self.label_names = tuple(label_names)
        parts = [Part(name, schema.spec) for name, schema in self.parts.items()]
        self.spec = DataSpec.of_parts(parts, max(part.spec.examples for part in parts))

    @property
    def parts(self) -> dict[str, Schema]:
        """Name of each part → its schema, in the order in which x has them."""
        table: dict[str, Schema] = {}
        if self.table is not None:
            one = len(self.table.names) == 1
            name = self.table.names[0] if one else COLUMNS
            while not one and name in self.names:
                name += "_"
            table[name] = self.table
        return {**table, **self.texts, **self.pictures}

    def split(self, x: Tensor) -> dict[str, Tensor]:
        """The entries of each part, in its shape: name → (N, *shape)."""
        return {
            part.name: x[:, place].reshape(-1, *part.spec.shape)
            for part, place in zip(self.spec.parts, self.spec.places, strict=True)
        }

    def read(self, source: Any, *, need_x: bool = True) -> RawRecords:
        """As in `Schema`; columns that are not there are missing in every row.

        Raises:
            SfumatoError: if no column is one of the schema, or a value or an image cannot be taken.
        """
        if isinstance(source, RawRecords):
            return source
        cells = raw.read(source, (*self.texts, *self.pictures), self.reading)
        if not set(self.names) & set(cells.names):
            raise SfumatoError(f"{cells.where}no column is one of this model; name them {', '.join(self.names[:12])}")
        self._tell(
            (
                f"column {name!r} is not one this model was trained on; it is passed over"
                for name in cells.names
                if name not in self.names and (self.table is None or name not in self.table.dropped)
            ),
            cells.where,
        )
        return RawRecords(
            self._read_table(cells),
            {name: self._read_text(cells, name) for name in self.texts},
            {
                name: images.read(cells, name, schema) if name in cells.names else images.none(len(cells), schema)
                for name, schema in self.pictures.items()
            },
            len(cells),
        )

    def _read_table(self, cells: RawRows) -> pa.Table | None:
        if self.table is None:
            return None
        own = [column.name for column in self.table.columns if column.name in cells.table.column_names]
        if not own:
            return self.table.all_blank(len(cells))
        try:
            return self.table.read_with_blanks(cells.table.select(own))[0]
        except SfumatoError as error:
            raise SfumatoError(f"{cells.where}{error}") from None

    def _read_text(self, cells: RawRows, name: str) -> np.ndarray:
        """Texts, None where missing; those of symbols never seen are told of."""
        values = texts_of(cells, name) if name in cells.names else np.full(len(cells), None, object)
        there = np.array([value is not None for value in values])
        if there.any():
            self.texts[name].checked(Lines(values[there], None, f"{cells.where}column {name!r}"))
        return values

    def read_with_blanks(self, source: Any) -> tuple[RawRecords, np.ndarray | None]:
        return self.read(source), None

    def all_blank(self, n: int) -> RawRecords:
        empty = {name: np.full(n, None, object) for name in self.texts}
        none = {name: images.none(n, schema) for name, schema in self.pictures.items()}
        return RawRecords(None if self.table is None else self.table.all_blank(n), empty, none, n)

    def encode(self, raw: Any) -> Encoded:
        records = self.read(raw)
        pieces = [] if self.table is None else [self.table.encode(records.table).x]
        for name, schema in self.texts.items():
            values = records.texts[name]
            there = np.array([value is not None for value in values])
            x = schema.encode(np.where(there, values, "")).x
            x[torch.from_numpy(~there)] = torch.nan
            pieces.append(x.flatten(1))
        for name, pictures in self.pictures.items():
            x = pictures.encode(records.pictures[name].pixels).x.float()
            x[torch.from_numpy(~records.pictures[name].present)] = torch.nan
            pieces.append(x.flatten(1))
        return Encoded(torch.cat(pieces, 1), None)

    def decode(self, x: Tensor, given: Tensor | None = None) -> Any:
        own = self.split(x.detach().cpu())
        table = None if self.table is None else self.table.decode_table(next(iter(own.values())))
        texts = {
            name: [
                None if gone else text for text, gone in zip(schema.decode(own[name]), _gone(own[name]), strict=True)
            ]
            for name, schema in self.texts.items()
        }
        pictures = {
            name: Pictures(schema.decode(own[name].nan_to_num(0.0)), ~_gone(own[name]))
            for name, schema in self.pictures.items()
        }
        return self._framed(table, texts, pictures)

    def _framed(
        self, table: pa.Table | None, texts: Mapping[str, Sequence[Any]], pictures: Mapping[str, Pictures]
    ) -> Any:
        """Values, texts and images as the kind of frame that came in, all columns in their order."""
        columns = {} if table is None else dict(zip(table.column_names, table.columns, strict=True))
        fields = {} if table is None else {field.name: field for field in table.schema}
        for name, values in texts.items():
            columns[name] = pa.chunked_array([pa.array(list(values), pa.string())])
            fields[name] = pa.field(name, pa.string())
        names = [name for name in self.names if name in columns]
        plainly = pa.table([columns[name] for name in names], schema=pa.schema([fields[name] for name in names]))
        cells = {name: own.cells() for name, own in pictures.items()}
        return raw.as_frame(plainly if names else None, cells, self.names, self.frame_kind)

    def filled(
        self, raw: RawRecords, x: Tensor, given: Tensor | None, source: Any = None, hidden: np.ndarray | None = None
    ) -> Any:
        own = self.split(x.detach().cpu())
        table = None
        if self.table is not None and raw.table is not None:
            table = filled(self.table, raw.table, next(iter(own.values())), None)
        texts = {
            name: [
                new if value is None else value
                for value, new in zip(raw.texts[name], schema.decode(own[name]), strict=True)
            ]
            for name, schema in self.texts.items()
        }
        pictures = {}
        for name, schema in self.pictures.items():
            there = raw.pictures[name].present
            pixels = np.where(
                there.reshape(-1, *[1] * (raw.pictures[name].pixels.ndim - 1)),
                raw.pictures[name].pixels,
                schema.decode(own[name]),
            )
            pictures[name] = Pictures(pixels, np.ones(len(there), bool))
        return self._framed(table, texts, pictures)

    def with_fixed(self, raw: RawRecords, fix: Mapping[str, Any]) -> tuple[RawRecords, Any]:
        if not fix:
            return raw, {}
        others = [name for name in fix if self.table is None or name in (*self.texts, *self.pictures)]
        for name in others:
            if name not in self.texts:
                return super().with_fixed(raw, fix)
            value = self._read_text(RawRows(pa.table({name: [str(fix[name])]}), {}, (name,), "arrow"), name)[0]
            texts = np.array([value if text is None else text for text in raw.texts[name]], object)
            raw = replace(raw, texts={**raw.texts, name: texts})
        rest = {name: value for name, value in fix.items() if name not in others}
        if self.table is None or not rest:
            return raw, {}
        table, sets = self.table.with_fixed(raw.table, rest)
        return replace(raw, table=table), sets

    def sets_of(self, raw: RawRecords, sets: Any) -> Any:
        return sets if self.table is None else self.table.sets_of(raw.table, sets)

    def blank_like(self, blank: Any, raw: Any) -> np.ndarray:
        raise SfumatoError("blank is for arrays and images; leave cells of a record empty that are to be filled")

    def centre(self, x: Tensor, weights: Tensor) -> Tensor:
        pieces = []
        for (_, schema), part, place in zip(self.parts.items(), self.spec.parts, self.spec.places, strict=True):
            own = x[:, :, place].reshape(*x.shape[:2], *part.spec.shape)
            pieces.append(schema.centre(own, weights).flatten(1))
        return torch.cat(pieces, 1)

    def take(self, raw: RawRecords, rows: Sequence[int]) -> RawRecords:
        return raw.take(rows)

    def column(self, source: Any, name: str) -> list[Any]:
        cells = raw.read(source, (*self.texts, *self.pictures), self.reading)
        if name not in cells.names:
            return super().column(source, name)
        return cells.cells(name)

    def write(self, raw_records: Any, path: str | Path) -> None:
        """Write rows as .csv, .tsv or .parquet, with their images as PNG files in a folder beside it, NAME_files.

        Raises:
            SfumatoError: if the ending is another, or the place cannot be written to.
        """
        rows = raw.read(raw_records, (*self.texts, *self.pictures), self.reading)
        forms = {} if self.table is None else {one.name: one.form.field(one.name) for one in self.table.columns}
        writing.write(rows, path, self.pictures, forms)

    def encode_condition(self, name: str, values: Sequence[Any]) -> Tensor:
        raise SfumatoError(f"condition {name!r}: mixed records have none; leave it out")

    def describe(self) -> list[dict[str, str]]:
        rows = {} if self.table is None else {row["column"]: row for row in self.table.describe()}
        for name, schema in self.parts.items():
            if schema is self.table:
                continue
            row = schema.describe()[0]
            what = "image" if name in self.pictures else "text"
            gone = f"{self.missing[name]:.1%}" if self.missing[name] else ""
            rows[name] = row | {"column": name, "kind": f"{what}, {row['kind']}", "missing": gone}
        return [rows[name] for name in self.names if name in rows]

    @property
    def example_size(self) -> str:
        return ", ".join(f"{name} ({schema.example_size})" for name, schema in self.parts.items())

    def entry_groups(self) -> dict[str, list[int]]:
        groups: dict[str, list[int]] = {}
        for (name, schema), place in zip(self.parts.items(), self.spec.places, strict=True):
            if schema is self.table:
                groups |= self.table.entry_groups()
            else:
                groups[name] = list(range(place.start, place.stop))
        return groups

    def log_jacobian(self, x: Tensor) -> Tensor:
        return self._over_parts(x, "log_jacobian")

    def log_reference(self, x: Tensor) -> Tensor:
        return self._over_parts(x, "log_reference")

    def _over_parts(self, x: Tensor, method: str) -> Tensor:
        """Σ over the parts that are there of what a method of their schemas says, (B,)."""
        total = x.new_zeros(len(x))
        for (_, schema), own in zip(self.parts.items(), self.split(x).values(), strict=True):
            gone = own.isnan().flatten(1).all(1)
            total = total + getattr(schema, method)(own).to(total).masked_fill(gone, 0.0)
        return total

    def out_of_range_penalty(self, raw: RawRecords) -> np.ndarray:
        return np.zeros(1) if self.table is None else self.table.out_of_range_penalty(raw.table)

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.shared_entries(),
            "table": None if self.table is None else self.table.to_dict(),
            "texts": {name: schema.to_dict() for name, schema in self.texts.items()},
            "pictures": {name: schema.to_dict() for name, schema in self.pictures.items()},
            "names": list(self.names),
            "missing": self.missing,
            "frame_kind": self.frame_kind,
            "reading": self.reading.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            None if values["table"] is None else TableSchema.from_dict(values["table"]),
            {name: SymbolSchema.from_dict(own) for name, own in values["texts"].items()},
            {name: ImageSchema.from_dict(own) for name, own in values["pictures"].items()},
            names=values["names"],
            missing=values["missing"],
            frame_kind=values["frame_kind"],
            reading=Reading.from_dict(values["reading"]),
            label_names=values["label_names"],
        )


def texts_of(cells: RawRows, name: str) -> np.ndarray:
    """The texts of a column, (N,) objects; None where missing."""
    values = np.empty(len(cells), object)
    values[:] = [None if value is None else str(value) for value in cells.cells(name)]
    return values


def _gone(x: Tensor) -> np.ndarray:
    """Which examples of a part have no entry, (N,)."""
    return np.asarray(x.isnan().flatten(1).all(1).numpy())
