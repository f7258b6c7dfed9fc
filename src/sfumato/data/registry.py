"""The kinds of data there are: found in the subpackages of `sfumato.data`, or registered by other packages."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from sfumato.data.core.kinds import Kind
from sfumato.data.core.options import DataOptions
from sfumato.data.core.schema import Schema
from sfumato.data.core.source import Source
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.extensions import import_extensions

_REGISTERED: dict[str, Kind] = {}


@cache
def _shipped() -> tuple[Kind, ...]:
    """The `KIND` of every subpackage that has a module `kind`."""
    package = import_module("sfumato.data")
    modules = [f"sfumato.data.{module.name}.kind" for module in pkgutil.iter_modules(package.__path__) if module.ispkg]
    return tuple(import_module(name).KIND for name in modules if find_spec(name) is not None)


def kinds() -> tuple[Kind, ...]:
    """All kinds of data, in the order in which they are tried on a source.

    >>> kinds()[-1].name
    'table'
    """
    import_extensions()
    return tuple(sorted((*_shipped(), *_REGISTERED.values()), key=lambda kind: (kind.order, kind.name)))


def register(kind: Kind) -> None:
    """Add a kind of data that another package defines. To be called wherever its runs are opened, too.

    Raises:
        ValueError: if there is another kind of this name.
    """
    if kind.name in {other.name for other in kinds()} and _REGISTERED.get(kind.name) != kind:
        raise ValueError(f"there is a kind of data {kind.name!r} already; choose another name")
    _REGISTERED[kind.name] = kind


def named(name: str) -> Kind:
    """The kind of this name.

    Raises:
        SfumatoError: if there is none.
    """
    known = {kind.name: kind for kind in kinds()}
    if name not in known:
        guess = did_you_mean(name, known)
        raise SfumatoError(
            f"data of kind {name!r} are not known here; {guess}, or import the module that registers this kind"
        )
    return known[name]


def kind_of(schema: Schema) -> Kind:
    """The kind of data a schema describes."""
    return named(schema.kind)


def accepting(source: Source, options: DataOptions) -> Kind | None:
    """The first kind that takes a source for its own; None if none does."""
    return next((kind for kind in kinds() if kind.accepts(source, options)), None)


def load_schema(values: Mapping[str, Any]) -> Schema:
    """A schema from its `to_dict`.

    Raises:
        SfumatoError: if its kind is not known to this version.
    """
    return named(str(values.get("kind"))).schema.from_dict(values)
