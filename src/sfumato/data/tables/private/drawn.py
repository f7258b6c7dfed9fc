"""Rows that a table's schema is learned from in a private training, drawn from noisy counts of single columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sfumato.data.columns.base import is_text, plain, without_nan, worked
from sfumato.data.core.batching.batches import Resident
from sfumato.data.core.batching.encoded import Encoded
from sfumato.data.core.options import DataOptions
from sfumato.data.core.private.columns import CountedColumn, PrivateColumns, ranges
from sfumato.data.core.private.marginals import NoisyCounts, apportioned
from sfumato.data.tables.private.pairs import tree_batches
from sfumato.data.tables.schema import TableSchema
from sfumato.errors import SfumatoError
from sfumato.formatting import listed
from sfumato.privacy_budget import PAIRS_SHARE, Budget, ColumnCharge

NUMBERS = ("continuous", "integer", "datetime")
"""Kinds of columns whose values lie on a line."""
SHUFFLE_SEED = 0
"""Of the order of drawn values, which says nothing of the data."""


def private_rows(frame: pa.Table, kinds: Mapping[str, str], options: DataOptions) -> tuple[pa.Table, ColumnCharge]:
    """As many rows as `frame`, each column drawn by itself from noisy counts, and what these cost.

    Args:
        frame: the training rows.
        kinds: of columns.
        options: with the budget, and the ranges that the user gave.

    Raises:
        SfumatoError: if numbers or times are spelled as text, or a range cannot be found.
    """
    assert options.epsilon is not None, "only a private training learns with noise"
    numbers = [name for name, kind in kinds.items() if kind in NUMBERS]
    given = ranges(options, numbers)
    counted = [
        CountedColumn(name, kind in NUMBERS, kind != "continuous", given.get(name))
        for name, kind in kinds.items()
        if kind != "identifier"
    ]
    budget = Budget.of(options.epsilon, options.delta, len(frame))
    private = PrivateColumns(counted, len(frame), budget)
    by_name = {column.name: column for column in counted}
    random = np.random.default_rng(SHUFFLE_SEED)
    arrays = {}
    for name in kinds:
        field = frame.schema.field(name)
        values = plain(frame[name])
        if name not in by_name:
            drawn = _identifiers(len(frame), values.type)
        elif by_name[name].is_number:
            drawn = _numbers(private, by_name[name], without_nan(values))
        else:
            drawn = _categories(private.counts, without_nan(values))
        shuffled = drawn.take(pa.array(random.permutation(len(drawn))))
        arrays[name] = _as_declared(shuffled, frame[name]) if pa.types.is_dictionary(field.type) else shuffled
    schema = pa.schema([frame.schema.field(name).with_type(array.type) for name, array in arrays.items()])
    return pa.table(list(arrays.values()), schema=schema), private.charge(_uncovered(kinds, options))


def drawn_rows(
    schema: TableSchema, train: Resident, options: DataOptions, charge: ColumnCharge
) -> tuple[Resident | None, ColumnCharge]:
    """Rows drawn along a tree of noisy counts of pairs, and what they cost beside `charge`; none of a single column."""
    assert options.epsilon is not None, "only a private training learns with noise"
    columns = [*schema.entries, *schema.given_columns]
    if len(columns) < 2:
        return None, charge
    multiplier = Budget.of(options.epsilon, options.delta, len(train)).multiplier(PAIRS_SHARE)
    # A condition may be left out of any row.
    fields = [*schema.spec.columns, *(replace(given, missing=True) for given in schema.spec.given)]
    shares = [None if (logs := column.frequencies()) is None else np.exp(logs) for column in columns]
    drawn = tree_batches(train, fields, shares, multiplier)
    charged = (*charge.charged, "how often each two columns have each two of their parts, at most 12 of a column")
    multipliers = (*charge.noise_multipliers, multiplier)
    return drawn, replace(charge, noise_multipliers=multipliers, charged=charged)


def filled(encoded: Encoded, schema: TableSchema) -> Encoded:
    """Encoded rows without holes where the schema knows of none: with the most frequent category or cell.

    What is rare is not in a private schema: a category that few rows have is read as missing, and where hardly any cell
    is missing, missing cells are not modelled. Each row is changed by itself.
    """
    x = encoded.x.clone()
    for place, (entry, known) in enumerate(zip(schema.entries, schema.spec.columns, strict=True)):
        if known.missing:
            continue
        shares = entry.frequencies()
        usual = 0.0 if shares is None else float(shares.argmax()) + 0.5 * (known.kind == "cells")
        x[:, place] = x[:, place].nan_to_num(usual)
    return Encoded(x, encoded.given)


def _as_declared(drawn: pa.Array, column: pa.ChunkedArray) -> pa.Array:
    """Drawn labels as categories of the column's type, in the order in which it declares them."""
    declared = column.unify_dictionaries().chunk(0).dictionary
    labels = declared.filter(pc.is_in(declared, value_set=drawn.unique()))
    index = pc.index_in(drawn, value_set=labels, skip_nulls=True)
    return pa.DictionaryArray.from_arrays(index.cast(column.type.index_type), labels, ordered=column.type.ordered)


def _identifiers(rows: int, kind: pa.DataType) -> pa.Array:
    """Identifiers that say nothing of the data."""
    numbers = pa.array(np.arange(rows))
    return numbers.cast(pa.string()) if is_text(kind) else numbers.cast(worked(kind), safe=False)


def _numbers(private: PrivateColumns, column: CountedColumn, values: pa.Array) -> pa.Array:
    """Numbers or times of the column's own type.

    Raises:
        SfumatoError: if they are spelled as text.
    """
    kind = values.type
    if is_text(kind):
        raise SfumatoError(
            f"column {column.name!r} spells numbers or times as text, of which epsilon takes none; write them as plain "
            f"numbers, set --kind {column.name}=categorical, or drop it"
        )
    ticks = (
        values.cast(pa.int32() if pa.types.is_date32(kind) or pa.types.is_time32(kind) else pa.int64())
        if (pa.types.is_temporal(kind))
        else values
    )
    exact = ticks.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    drawn = private.numbers(column, exact)
    array = pa.array(drawn, mask=np.isnan(drawn))
    if pa.types.is_floating(kind):
        return array.cast(kind)
    if pa.types.is_decimal(kind):
        return pc.round(array, kind.scale).cast(kind, safe=False)
    return pc.round(array).cast(ticks.type, safe=False).cast(worked(kind), safe=False)


def _categories(counts: NoisyCounts, values: pa.Array) -> pa.Array:
    """Categories that many rows have; what the others hold counts as missing where it is more than noise."""
    total, present = len(values), values.drop_null()
    missing = counts.present(values.null_count)
    seen = present.dictionary_encode() if len(present) else pa.array([], values.type).dictionary_encode()
    labels, noisy = counts.frequent(seen.indices.to_numpy(zero_copy_only=False))
    left = total - missing - float(noisy.sum())
    if left > 3 * counts.noise * np.sqrt(len(labels) + 1):
        missing += left
    of_rows = apportioned(np.append(noisy, missing), total)
    known = seen.dictionary.take(pa.array(labels, pa.int64()))
    index = np.repeat(np.arange(len(labels) + 1), of_rows)
    return known.take(pa.array(index, mask=index == len(labels)))


def _uncovered(kinds: Mapping[str, str], options: DataOptions) -> tuple[str, ...]:
    guessed = [name for name in kinds if name not in options.kinds]
    words = ["names and types of columns, as the file has them", "the number of training rows"]
    if guessed:
        words.append(f"the kind of {listed(guessed)}, which is read from the file (state it with --kind)")
    return tuple(words)
