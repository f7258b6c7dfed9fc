"""Opens a source: a built-in set, or the first kind of data that accepts it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa

from sfumato.data.builtin import toy
from sfumato.data.builtin.rows import built_in
from sfumato.data.core.dataset import Dataset
from sfumato.data.core.kinds import Kind
from sfumato.data.core.labels import LABEL
from sfumato.data.core.options import DataOptions
from sfumato.data.core.schema import Schema
from sfumato.data.core.source import Source
from sfumato.data.io.in_memory import unpacked
from sfumato.data.registry import accepting, kinds
from sfumato.errors import SfumatoError
from sfumato.isolation import isolated

DEFAULTS = DataOptions()


@isolated
def open_source(
    source: Any, options: DataOptions, schema: Schema | None = None, forms: tuple[str, ...] = ()
) -> Dataset:
    """Open a source of any kind; see `sfumato.data.open`.

    Raises:
        SfumatoError: if the source is not usable, or an option has nothing to act on in it.
    """
    if isinstance(source, str) and source in toy.SUMMARIES:
        kind, dataset = _open_built_in(source, options, schema)
    elif options.rows is not None:
        raise SfumatoError(f"rows={options.rows} is for the built-in toy sets, which are drawn; leave rows out")
    else:
        wrapped = Source(unpacked(source), schema=schema)
        kind = _kind(wrapped, options)
        options = options if kind.suited is None else kind.suited(options, forms)
        dataset = kind.load(wrapped, options)
    _check_options(kind, dataset, options)
    return dataset


def _kind(source: Source, options: DataOptions) -> Kind:
    """The kind that accepts a source.

    Raises:
        SfumatoError: if none does.
    """
    kind = accepting(source, options)
    if kind is not None:
        return kind
    assert source.path is not None, "tables accept any object in memory"
    if not source.path.exists():
        name = str(source.value)
        if source.path.suffix or "/" in name or not name:
            raise SfumatoError(f"{name or 'an empty name'}: no such file; check the name and the folder")
        raise toy.unknown(name)
    endings = dict.fromkeys(suffix for kind in reversed(kinds()) for suffix in kind.suffixes)
    raise SfumatoError(f"{source.path}: not a kind of file known here; give one of {', '.join(endings)}")


def _check_options(kind: Kind, dataset: Dataset, options: DataOptions) -> None:
    """Refuse options that are for other kinds of data than this one.

    Raises:
        SfumatoError: if there is one.
    """
    for other in kinds():
        for name, use in other.options.items():
            value = getattr(options, name)
            if value == getattr(DEFAULTS, name):
                continue
            own = kind.options.get(name)
            if own is None or (own.likelihoods and dataset.schema.spec.likelihood not in own.likelihoods):
                raise SfumatoError(f"{name} is {value}: that is for {use.on}; leave it out for {dataset.source}")


def _open_built_in(name: str, options: DataOptions, schema: Schema | None) -> tuple[Kind, Dataset]:
    """A built-in set; the label of those that are tables is left out of x unless it is a condition."""
    rows = built_in(name, options)
    source = Source(rows, builtin=name, schema=schema)
    kind = _kind(source, options)
    if not isinstance(rows, pa.Table):
        return kind, kind.load(source, options)
    has_label = LABEL in rows.column_names
    own = replace(options, kinds={LABEL: "categorical"} | options.kinds) if has_label else options
    if own.likelihood == "auto" and name in toy.GAUSSIAN:
        own = replace(own, likelihood="gaussian")
    if has_label:
        if options.label not in (None, LABEL):
            raise SfumatoError(f"label={options.label!r}: the label of {name} is called {LABEL!r}; leave label out")
        own = replace(own, label=LABEL)
        if LABEL not in (*own.given, *own.drop):
            own = replace(own, drop=(*own.drop, LABEL))
    return kind, replace(kind.load(source, own), options=options, has_label=has_label)
