"""Tables: rows of named columns, each of its own kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from sfumato.data import columns
from sfumato.data.columns.base import Column, is_text, plain
from sfumato.data.columns.flags import Flag, with_flags
from sfumato.data.core.batching.encoded import Encoded
from sfumato.data.core.conditions.named import ConditionColumns
from sfumato.data.core.conditions.remembered import remember, rows_from_json
from sfumato.data.core.options import DataOptions
from sfumato.data.io import frames
from sfumato.data.io.reading import USUAL, Reading
from sfumato.data.tables import orders
from sfumato.data.tables.completing import TableWithBlanks
from sfumato.data.tables.dependence import Dependence
from sfumato.data.tables.learning import flag_places, kinds_of, learn_columns, unconditional
from sfumato.data.tables.scored import ScoredTable
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.spec import DataSpec

ROWS_AT_A_TIME = 1 << 16
"""Rows encoded at a time, to limit memory besides the result."""


class TableSchema(ScoredTable, TableWithBlanks):
    """A table's columns.

    Every statistic is of the training split. With likelihood `cells` (what `auto` is) a numeric column is cut into
    atoms and quantile cells, see `columns.cells.Cells`; with `gaussian` or `mse` it is shifted and scaled. Labels
    are category indices either way. Conditions are category indices and standardised numbers. Constants and
    identifiers are not modelled: a constant comes back as it is, whole-number identifiers go on after the largest
    seen, text becomes a placeholder.

    Attributes:
        columns: all columns that are not dropped, in the table's order.
        frame_kind: what the table was: file, pandas, polars or arrow; `decode` gives that back.
        reading: which words are missing values, and whether text files have a header; of new data too.
        dropped: columns that were left out of the training.
        hints: of columns: what the user may want to fix, shown before training.
        dependences: columns that follow from another, and are looked up instead of being modelled.
        missing_together: names of the columns of which it is modelled which cells are missing, those together that are
            missing in the same training rows.

    >>> rows = pa.table({"species": ["Adelie", "Gentoo", "Adelie"], "year": [2007, 2009, None]})
    >>> schema = TableSchema.learn(rows, DataOptions(given=("species",)))
    >>> schema.names, schema.spec.fields  # whether a year is missing, and the year
    (('year',), (Field(kind='category', size=2, missing=False), Field(kind='cells', size=2, missing=True)))
    >>> x, given, _ = schema.encode(rows)
    >>> x[:, 0].tolist(), x[:, 1].tolist(), given[:, 0].tolist()
    ([0.0, 0.0, 1.0], [0.5, 1.5, nan], [0.0, 1.0, 0.0])
    >>> schema.decode(x, given).equals(rows)
    True
    """

    kind: ClassVar[str] = "table"
    shows_conditions: ClassVar[bool] = True
    of_columns: ClassVar[bool] = True

    def __init__(
        self,
        columns: Sequence[Column],
        spec: DataSpec,
        *,
        given_names: Sequence[str] = (),
        frame_kind: str = "arrow",
        given_rows: Tensor | None = None,
        label_names: Sequence[str] = (),
        reading: Reading = USUAL,
        hints: Mapping[str, str] | None = None,
        dropped: Sequence[str] = (),
        missing_together: Sequence[Sequence[str]] = (),
        dependences: Sequence[Dependence] = (),
    ) -> None:
        self.columns = tuple(columns)
        self.spec = spec
        self.given_names = tuple(given_names)
        self.frame_kind = frame_kind
        self.given_rows = given_rows
        self.label_names = tuple(label_names)
        self.reading = reading
        self.hints = dict(hints or {})
        self.dropped = tuple(dropped)
        self.missing_together = tuple(map(tuple, missing_together))
        self.dependences = tuple(dependences)
        by_name = {column.name: column for column in columns}
        self._given = [by_name[name] for name in self.given_names]
        others = unconditional(columns, self.given_names, self.dependences)
        self._x = [column for column in others if column.field is not None]
        self._entries = with_flags(others, self.missing_together)
        self._flags = flag_places(self._entries)

    @property
    def entries(self) -> tuple[Column | Flag, ...]:
        """What the entries of x are, in order: columns, and flags of those whose missing cells are modelled."""
        return tuple(self._entries)

    @property
    def given_columns(self) -> tuple[Column, ...]:
        """The columns that are conditions, in order."""
        return tuple(self._given)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the entries of x, in order.

        Conditions, constants and identifiers are not among them.
        """
        return tuple(column.name for column in self._x)

    @staticmethod
    def kinds(frame: pa.Table, options: DataOptions) -> dict[str, str]:
        """The kind of each column that is not dropped: as `options.kinds` says, else inferred.

        Types and the question whether a column is constant or an identifier are looked at in the whole table, so
        give it whole; numbers are learned from the training split alone.

        Raises:
            SfumatoError: if an option names a column that is not there, or a column holds no value.
        """
        return kinds_of(frame, options)

    @classmethod
    def learn(
        cls,
        frame: pa.Table,
        options: DataOptions,
        *,
        frame_kind: str = "arrow",
        examples: int | None = None,
        kinds: Mapping[str, str] | None = None,
        hints: Mapping[str, str] | None = None,
    ) -> Self:
        """Learn the training rows.

        Args:
            frame: the training rows (or, of very many, a random part of them), as `frames.read` gives them.
            options: how columns are taken.
            frame_kind: what the table was, as `frames.read` says.
            examples: number of training rows; None if `frame` holds all of them.
            kinds: of columns, from `TableSchema.kinds` on the whole table; None looks at `frame`.
            hints: of columns, from the whole table.

        Raises:
            SfumatoError: if an option does not fit the table, a column holds no value, or nothing is left to model.
        """
        learned = learn_columns(frame, options, kinds, examples)
        names = {column.name for column in learned.columns}
        schema = cls(
            learned.columns,
            learned.spec,
            given_names=options.given,
            frame_kind=frame_kind,
            reading=options.reading,
            hints={name: hint for name, hint in (hints or {}).items() if name in names},
            dropped=options.drop,
            missing_together=learned.missing_together,
            dependences=learned.dependences,
        )
        if options.given:
            schema.given_rows = remember(schema._matrix(frame, schema._given), options.seed)
        return schema

    def named_array(self, source: Any) -> Any:
        """An array of as many columns as the table has under their names, what a pipeline hands on of a frame; or X."""
        if not isinstance(source, np.ndarray) or source.ndim != 2 or source.shape[1] != len(self.columns):
            return source
        return {column.name: source[:, place] for place, column in enumerate(self.columns)}

    def read(self, source: Any, *, need_x: bool = True) -> pa.Table:
        """A path, frame or mapping as an arrow table of this schema's columns, checked.

        Columns are found by their names, wherever they stand. What is no mistake but should be known (other columns,
        categories never seen in training, numbers out of range) is reported once, through the logger `sfumato.data`.

        Args:
            source: path, frame, mapping of names to columns, or an array of all columns in their order.
            need_x: whether modelled columns must be there; without it only conditions are taken, those there are.

        Raises:
            SfumatoError: if a column is missing, or holds a value it cannot take.
        """
        where = f"{source}: " if isinstance(source, str | Path) else ""
        table = self.select(source, need_x=need_x)
        absent = [column.name for column in self._given if column.name not in table.column_names]
        try:
            notes = [f"condition {name!r} has no column; it is left out" for name in absent if need_x]
            notes += self.notes(table)
        except SfumatoError as error:
            raise SfumatoError(f"{where}{error}") from None
        self._tell(notes, where)
        return table

    def select(self, source: Any, *, need_x: bool = True) -> pa.Table:
        """This schema's columns of a table, with values unchecked; see `read`.

        Raises:
            SfumatoError: if a column is missing, or there are no rows.
        """
        where = f"{source}: " if isinstance(source, str | Path) else ""
        texts = {c.name: pa.string() for c in self.columns if is_text(c.form.type)}
        names = [column.name for column in self.columns]
        table, _ = frames.read(self.named_array(source), types=texts, keep=names, reading=self.reading)
        wanted = [*self._x, *self._given] if need_x else self._given
        missing = [column.name for column in self._x if need_x and column.name not in table.column_names]
        if missing:
            raise SfumatoError(f"{where}{_missing(missing, table.column_names)}")
        others = [name for name in table.column_names if name not in (*names, *self.dropped)] if need_x else []
        here = [c for c in self.columns if c.name in table.column_names and (need_x or c in wanted)]
        table = table.select([column.name for column in here])
        if not table.num_rows:
            raise SfumatoError(f"{where}no rows; give at least one")
        self._tell(
            (f"column {other!r} is not one this model was trained on; it is passed over" for other in others), where
        )
        return table

    def cautions(self, options: DataOptions) -> tuple[str, ...]:
        """Notes on how columns are treated, shown before training, except for what the options request."""
        identifiers = [name for name, kind in options.kinds.items() if kind == "identifier"]
        return tuple(filter(None, (column.caution() for column in self.columns if column.name not in identifiers)))

    def notes(self, raw: pa.Table) -> list[str]:
        """What is no mistake but should be known before `raw` is encoded.

        Raises:
            SfumatoError: at a value a column cannot take.
        """
        sources = [(column, column.notes) for column in self._x]
        sources += [(column, column.condition_notes) for column in self._given]
        return [
            note for column, of in sources if column.name in raw.column_names for note in of(plain(raw[column.name]))
        ]

    def encode(self, raw: Any) -> Encoded:
        """Rows as x of shape (N, D) and given of shape (N, G), float32; NaN where missing.

        Args:
            raw: an arrow table with this schema's columns, or what `read` takes.

        Raises:
            SfumatoError: at a value a column cannot take.
        """
        table = raw if isinstance(raw, pa.Table) else self.read(raw)
        given = self._matrix(table, self._given) if self._given else None
        return Encoded(self._matrix(table, self._entries), given)

    def encode_given(self, raw: pa.Table) -> Tensor | None:
        """The conditions of rows alone, (N, G); NaN where a condition's column is not there."""
        return self._matrix(raw, self._given) if self._given else None

    def _matrix(self, table: pa.Table, chosen: Sequence[Column | Flag]) -> Tensor:
        matrix = np.full((table.num_rows, len(chosen)), np.nan, np.float32)
        for place, column in enumerate(chosen):
            if isinstance(column, Flag):
                matrix[:, place] = column.encode(table)
                continue
            if column.name not in table.column_names:
                if column in self._given:
                    continue
                raise SfumatoError(_missing([column.name], table.column_names))
            values = column.fit(plain(table[column.name]))
            for start in range(0, len(values), ROWS_AT_A_TIME):
                entries = column.encode(values.slice(start, ROWS_AT_A_TIME))
                matrix[start : start + ROWS_AT_A_TIME, place] = (
                    column.within(entries) if column in self._given else entries
                )
        return torch.from_numpy(matrix)

    def decode(self, x: Tensor, given: Tensor | None = None) -> Any:
        """Rows as the kind of frame the schema was learned on, all columns in their order and types.

        Numbers are brought inside the range seen in training. NaN becomes a missing value, as does what the flags of x
        say is missing, and conditions if `given` is None.
        """
        return frames.give(self.decode_table(x, given), self.frame_kind)

    def decode_complete(self, x: Tensor, given: Tensor | None = None) -> Any:
        return frames.give(self.decode_table(x, given, {}), self.frame_kind)

    def decode_table(
        self, x: Tensor, given: Tensor | None = None, absent: Mapping[str, np.ndarray] | None = None
    ) -> pa.Table:
        """`decode`, as an arrow table.

        Args:
            x, given: as `decode` takes them.
            absent: name of a column → which of its cells are missing, (N,) booleans; None asks the flags of x.
        """
        rows = x.detach().cpu().numpy()
        if absent is None:
            absent = {name: rows[:, place] >= 0.5 for name, place in self._flags.items()}
        places = {entry.name: place for place, entry in enumerate(self._entries) if isinstance(entry, Column)}
        conditions = None if given is None else given.detach().cpu().numpy()
        nothing = np.full(len(rows), np.nan)
        plain_values: dict[str, pa.Array] = {}
        for column in self.columns:
            if column in self._given:
                place = self._given.index(column)
                entries = nothing if conditions is None else conditions[:, place]
            else:
                entries = rows[:, places[column.name]] if column in self._x else nothing
            values = column.decode(entries)
            if column.name in absent:
                values = pc.if_else(pa.array(absent[column.name]), pa.scalar(None, values.type), values)
            plain_values[column.name] = values
        for one in self.dependences:
            plain_values[one.column.name] = one.look_up(plain_values[one.determinant.name])
        arrays = [column.form.dress(plain_values[column.name]) for column in self.columns]
        # Identifiers may have outgrown their type.
        fields = [c.form.field(c.name).with_type(values.type) for c, values in zip(self.columns, arrays, strict=True)]
        return pa.table(arrays, schema=pa.schema(fields))

    def decode_beside(
        self, x: Tensor, given: Tensor | None, raw: pa.Table, source: Any, *, complete: bool = False
    ) -> Any:
        """`decode` with the identifiers and constants of `raw`, and with the index where `source` has one.

        Cells are missing where those of `raw` are, if it is modelled that cells of their columns are.
        """
        flagged = [column for column in self._x if column.name in self._flags and not complete]
        table = self.decode_table(x, given, {entry.name: entry.absent(plain(raw[entry.name])) for entry in flagged})
        for place, column in enumerate(self.columns):
            if column.field is None and column.name in raw.column_names:
                kept = column.form.dress(plain(raw[column.name]))
                table = table.set_column(place, column.form.field(column.name).with_type(kept.type), kept)
        frame = frames.give(table, self.frame_kind)
        if self.frame_kind == "pandas" and len(getattr(source, "index", ())) == len(frame):
            frame.index = source.index
        return frame

    def entry_groups(self) -> dict[str, list[int]]:
        groups = {entry.name: [place] for place, entry in enumerate(self._entries) if isinstance(entry, Column)}
        for place, entry in enumerate(self._entries):
            for column in entry.columns if isinstance(entry, Flag) else ():
                groups[column.name].append(place)
        return groups

    def take(self, raw: pa.Table, rows: Sequence[int]) -> pa.Table:
        return raw.take(pa.array(rows, pa.int64()))

    def possible_conditions(self) -> list[str]:
        return [column.name for column in self.columns]

    def column(self, source: Any, name: str) -> list[Any]:
        table, _ = frames.read(self.named_array(source), reading=self.reading)
        if name not in table.column_names:
            raise SfumatoError(f"column {name!r} is not there; {did_you_mean(name, table.column_names)}")
        listed: list[Any] = plain(table[name]).to_pylist()
        return listed

    def write(self, raw: Any, path: str | Path) -> None:
        """Write rows as .csv, .tsv or .parquet, each also with .gz.

        Raises:
            SfumatoError: if the ending is another, or the place cannot be written to.
        """
        frames.suffix(path)
        frames.write(self.as_table(raw), path)

    def as_table(self, raw: Any) -> pa.Table:
        """Rows as an arrow table whose fields say how they are spelled in text."""
        table, _ = frames.read(raw)
        forms = {column.name: column.form.field(column.name) for column in self.columns}
        fields = [
            field.with_metadata(forms[field.name].metadata) if field.name in forms else field for field in table.schema
        ]
        return pa.table(table.columns, schema=pa.schema(fields))

    def encode_condition(self, name: str, values: Sequence[Any]) -> Tensor:
        """Values of one condition as floats, shape (len(values),); NaN where None.

        Text, as the command line has it, is taken as the number, time or label it spells. Numbers and times beyond
        the range seen in training are said to be so and taken as the nearest end, as in new data.

        Raises:
            SfumatoError: if a value is not one the condition can take.
        """
        entries, notes = ConditionColumns(self._given).encode_values(name, values)
        self._tell(notes)
        return entries

    def classes(self) -> list[Any]:
        """The values of the first condition, a category, in the order of their indices."""
        return ConditionColumns(self._given).classes()

    def describe(self) -> list[dict[str, str]]:
        """Rows to show before training: column, kind, modelled, missing, note."""
        lines, follows = [], {one.column.name: one.determinant.name for one in self.dependences}
        kept = orders.described(self.spec.orders, self._entries)
        for column in self.columns:
            modelled, note = column.described()
            note = self.hints.get(column.name, note)
            note = ", ".join(filter(None, (note, kept.get(column.name))))
            share = f"{column.missing:.1%}" if column.missing else ""
            if column in self._given:
                modelled = f"condition, {modelled}"
            elif column.name in follows:
                modelled = f"follows from {follows[column.name]}"
            elif column.field is None and column.name in self._flags:
                modelled = "which cells are missing"
            lines.append(
                {"column": column.name, "kind": column.kind, "modelled": modelled, "missing": share, "note": note}
            )
        return lines

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            **self.shared_entries(),
            "frame_kind": self.frame_kind,
            "reading": self.reading.to_dict(),
            "hints": self.hints,
            "dropped": list(self.dropped),
            "missing_together": [list(group) for group in self.missing_together],
            "dependences": [one.to_dict() for one in self.dependences],
            "columns": [column.to_dict() for column in self.columns],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Back from `to_dict`."""
        loaded = [columns.load(column) for column in values["columns"]]
        return cls(
            loaded,
            DataSpec.from_dict(values["spec"]),
            given_names=values["given_names"],
            frame_kind=values["frame_kind"],
            given_rows=rows_from_json(values["given_rows"]),
            label_names=values["label_names"],
            reading=Reading.from_dict(values["reading"]),
            hints=values["hints"],
            dropped=values["dropped"],
            missing_together=values["missing_together"],
            dependences=[Dependence.from_dict(one, loaded) for one in values["dependences"]],
        )


def _missing(missing: Sequence[str], names: Sequence[str]) -> str:
    """What to say of columns that are not there: what they may be called, or what to do."""
    close = did_you_mean(missing[0], names)
    many = len(missing) > 1
    subject = f"columns {', '.join(map(repr, missing[:12]))} are" if many else f"column {missing[0]!r} is"
    if close.endswith("?"):
        return f"{subject} missing; {close}"
    cure = "columns of these names, empty where they are" if many else "a column of this name, empty where it is"
    return f"{subject} missing; give {cure} not known"
