"""The columns of a table learned from its training rows, and the spec that follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import pyarrow as pa

from sfumato import likelihoods
from sfumato.data import columns
from sfumato.data.columns.base import Column
from sfumato.data.columns.flags import Flag, missing_together, with_flags
from sfumato.data.core.options import DataOptions
from sfumato.data.tables import orders
from sfumato.data.tables.dependence import Dependence, find
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.spec import DataSpec, Field

PRIVATE_LIKELIHOOD = "cells"
"""Of a private training unless given: under an autoregressive one gradients are so long that little is left of them
when they are cut."""


class Learned(NamedTuple):
    """What `TableSchema` has of these names, and its spec."""

    columns: list[Column]
    spec: DataSpec
    missing_together: list[list[str]]
    dependences: list[Dependence]


def kinds_of(frame: pa.Table, options: DataOptions) -> dict[str, str]:
    """The kind of each column that is not dropped; see `TableSchema.kinds`."""
    names = frame.column_names
    named_by_option = {"drop": options.drop, "given": options.given, "kind": tuple(options.kinds)}
    for option, named in named_by_option.items():
        for name in named:
            if name not in names:
                raise SfumatoError(f"{option}={name!r} is not a column; {did_you_mean(name, names)}")
    return {
        name: options.kinds.get(name) or columns.infer(name, frame[name]) for name in names if name not in options.drop
    }


def learn_columns(
    frame: pa.Table, options: DataOptions, kinds: Mapping[str, str] | None, examples: int | None
) -> Learned:
    """Learn the columns of these kinds from the training rows; see `TableSchema.learn`."""
    usual = "autoregressive" if options.epsilon is None else PRIVATE_LIKELIHOOD
    likelihood = likelihoods.chosen(options.likelihood, "table", "tables", usual)
    if frame.num_rows < 2:
        raise SfumatoError(f"{frame.num_rows} rows to learn from; a table needs at least 2 training rows")
    kinds = kinds_of(frame, options) if kinds is None else kinds
    for name in options.given:
        if kinds[name] in ("constant", "identifier"):
            raise SfumatoError(
                f"given={name!r} is {'an' if kinds[name] == 'identifier' else 'a'} {kinds[name]} and cannot be a "
                f"condition; leave it out, or set its kind, as {name}=categorical"
            )
    learned = [
        columns.learn(
            name,
            kind,
            frame.schema.field(name),
            frame[name],
            None if name in options.given or not likelihood.cells else options.cells,
            whole=name in (*options.given, *options.kinds, options.label),
        )
        for name, kind in kinds.items()
    ]
    fields = {column.name: column.field for column in learned}
    dependences = []
    if options.dependences:
        modelled = [column for column in learned if column.field is not None]
        dependences = find(modelled, frame, keep=(*options.given, *filter(None, [options.label])))
    others = unconditional(learned, options.given, dependences)
    together = missing_together(others, frame) if options.missing_cells else []
    entries = with_flags(others, together)
    x = _fields(entries)
    if all(column.field is None for column in others):
        raise SfumatoError(
            "no column is left to model: all are constants, identifiers, conditions or dropped; keep one"
        )
    hollow = next((name for name in options.given if fields[name] is None), None)
    if hollow is not None:
        raise SfumatoError(f"given={hollow!r} has no value in the training rows and cannot be a condition; drop it")
    given = [field for name in options.given if (field := fields[name]) is not None]
    total = frame.num_rows if examples is None else examples
    kept_orders = orders.find(entries, frame) if options.orders and likelihood.joint_cells else []
    spec = DataSpec(
        (len(x),),
        orders.on_lines(x, entries, kept_orders),
        tuple(given),
        likelihood.name,
        total,
        orders=tuple(kept_orders),
    )
    return Learned(learned, spec, together, dependences)


def unconditional(columns: Sequence[Column], given: Sequence[str], dependences: Sequence[Dependence]) -> list[Column]:
    """The columns that are neither conditions nor follow from another."""
    apart = {*given, *(dependence.column.name for dependence in dependences)}
    return [column for column in columns if column.name not in apart]


def flag_places(entries: Sequence[Column | Flag]) -> dict[str, int]:
    """Name of a column → place of its flag among the entries."""
    flags = [(place, entry) for place, entry in enumerate(entries) if isinstance(entry, Flag)]
    return {column.name: place for place, flag in flags for column in flag.columns}


def _fields(entries: Sequence[Column | Flag]) -> list[Field]:
    """The fields of x, those of columns with the place of their flag."""
    flags, fields = flag_places(entries), []
    for entry in entries:
        field = entry.field
        assert field is not None, "what is not modelled has no entry"
        fields.append(field if isinstance(entry, Flag) else replace(field, flag=flags.get(entry.name)))
    return fields
