"""Conditions that are named columns of a table beside the examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from sfumato.data import columns
from sfumato.data.columns.base import Column, plain
from sfumato.data.columns.styles import flattening
from sfumato.data.core.options import DataOptions
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.spec import Field

NOT_CONDITIONS = ("constant", "identifier")


def kinds_beside(table: pa.Table, options: DataOptions) -> dict[str, str]:
    """The kind of each column, as `options.kinds` says, else inferred; those that no column can be of are left out.

    Give the whole table: whether a column is constant or an identifier is looked at in all rows.
    """
    return {
        name: options.kinds.get(name) or columns.infer(name, table[name])
        for name in table.column_names
        if name in options.kinds or (columns.supported(table[name].type) and not flattening(name, table[name]))
    }


def check_named(names: Sequence[str], kinds: Mapping[str, str], option: str, where: str) -> None:
    """Refuse columns that are not there, or cannot be a condition.

    Raises:
        SfumatoError: if there is one.
    """
    for name in names:
        if name not in kinds:
            cure = did_you_mean(name, kinds) if kinds else "nothing is known of its examples but their counts"
            raise SfumatoError(f"{option}={name!r} is not a column of {where}; {cure}")
        if kinds[name] in NOT_CONDITIONS:
            article = "an" if kinds[name] == "identifier" else "a"
            raise SfumatoError(
                f"{option}={name!r} is {article} {kinds[name]}; leave it out, or set its kind, as {name}=categorical"
            )


class ConditionColumns:
    """Conditions learned on the training rows of a table.

    Attributes:
        columns: as learned, in the order of the conditions.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)

    @classmethod
    def learn(cls, table: pa.Table, kinds: Mapping[str, str], names: Sequence[str], where: str) -> Self:
        """Learn some columns of the training rows.

        Args:
            table: the training rows.
            kinds: of all columns, from `kinds_beside` of the whole table.
            names: which columns are conditions.
            where: what the table is called in messages.

        Raises:
            SfumatoError: if a column is not there, cannot be a condition, or has no value.
        """
        check_named(names, kinds, "given", where)
        learned = [columns.learn(name, kinds[name], table.schema.field(name), table[name], None) for name in names]
        hollow = next((column.name for column in learned if column.field is None), None)
        if hollow is not None:
            raise SfumatoError(f"given={hollow!r} has no value in the training rows and cannot be a condition; drop it")
        return cls(learned)

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def fields(self) -> tuple[Field, ...]:
        """What a model may know of them."""
        return tuple(column.field for column in self.columns if column.field is not None)

    def encode(self, table: pa.Table) -> Tensor | None:
        """The conditions of rows, (N, G); NaN where missing, or where there is no such column; None without any."""
        if not self.columns:
            return None
        matrix = np.full((table.num_rows, len(self.columns)), np.nan, np.float32)
        for place, column in enumerate(self.columns):
            if column.name in table.column_names:
                matrix[:, place] = column.within(column.encode(column.fit(plain(table[column.name]))))
        return torch.from_numpy(matrix)

    def decode(self, given: Tensor | None) -> dict[str, pa.Array]:
        """Conditions as columns of values, as they came."""
        if given is None:
            return {}
        rows = given.detach().cpu().double().numpy()
        return {
            column.name: column.form.dress(column.decode(rows[:, place])) for place, column in enumerate(self.columns)
        }

    def encode_values(self, name: str, values: Sequence[Any]) -> tuple[Tensor, list[str]]:
        """Values of one condition as floats, (N,), and notes on those beyond the range seen in training.

        Raises:
            SfumatoError: if a value is not one the condition can take.
        """
        column = self.columns[self.names.index(name)]
        unbounded = column.condition(values)
        entries = column.within(unbounded)
        beyond = [values[place] for place in np.flatnonzero(np.abs(unbounded - entries) > 0).tolist()]
        beyond = list(dict.fromkeys(beyond))
        return torch.from_numpy(entries), [column.beyond_range(len(beyond), beyond[0])] if beyond else []

    def classes(self) -> list[Any]:
        """The values of the first condition, a category, in the order of their indices."""
        field = self.columns[0].field
        assert field is not None, "a condition has a field"
        values: list[Any] = self.columns[0].decode(np.arange(field.size, dtype=np.float64)).to_pylist()
        return values

    def notes(self, table: pa.Table) -> list[str]:
        """What should be known of rows before they are encoded."""
        there = [column for column in self.columns if column.name in table.column_names]
        absent = [column.name for column in self.columns if column not in there]
        notes = [f"condition {name!r} has no column; it is left out" for name in absent]
        return notes + [note for column in there for note in column.condition_notes(plain(table[column.name]))]

    def to_list(self) -> list[dict[str, Any]]:
        """As JSON-ready values."""
        return [column.to_dict() for column in self.columns]

    @classmethod
    def from_list(cls, values: Sequence[Mapping[str, Any]]) -> Self:
        """Back from `to_list`."""
        return cls([columns.load(each) for each in values])
