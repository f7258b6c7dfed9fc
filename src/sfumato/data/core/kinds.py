"""A kind of data as one object: how a source of it is recognised and opened, and what others need to know of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sfumato.data.core.dataset import Dataset
from sfumato.data.core.lossless import Lossless
from sfumato.data.core.options import DataOptions
from sfumato.data.core.schema import Schema
from sfumato.data.core.source import Source


@dataclass(frozen=True)
class OptionUse:
    """An option that acts on one kind of data alone.

    Attributes:
        on: what it is for, in words, as in "that is for tables".
        likelihoods: those under which it acts; empty for all.
    """

    on: str
    likelihoods: tuple[str, ...] = ()


PRIVATE_OPTIONS = {name: OptionUse("tables and rows of numbers") for name in ("epsilon", "delta", "ranges")}
"""Those of the kinds of data whose schema can be learned with noise."""


@dataclass(frozen=True)
class Kind:
    """A kind of data.

    Each is registered by its own subpackage of `sfumato.data`, in a module called `kind`, or by
    `sfumato.data.registry.register`. Code outside of the subpackage asks this object, never for the kind's name.

    Attributes:
        name: as schemas of this kind have it in `Schema.kind` and in `schema.json`.
        schema: what is learned of such data.
        accepts: whether a source is of this kind.
        load: opens a source that was accepted.
        plural: what examples are called in messages.
        source: what data of this kind are called in messages, after "a"; the name unless given.
        order: kinds are tried in ascending order, and the first that accepts a source opens it; tables, which take
            everything else, are tried last, at 100.
        suffixes: of the files it reads, to be named in messages.
        options: options of the data that act on this kind alone, name → what they are for.
        figures: the module of `sfumato.report.kinds` that draws it; the kind's own name unless given, and where there
            is no such module a report has no figures of examples.
        file_suffix: of files that commands are suggested with; "" for what `Schema.stdout_suffix` says.
        examples_suggested: how many examples the suggested command draws.
        needs_file: why examples cannot go to the terminal, and what to do; "" where they can.
        named_columns: whether examples are rows of a frame, whose columns are found by their names.
        lossless: how examples are taken apart to be compressed, without loss or by codes; None where they cannot be.
        suited: the options for a model that takes these forms of data, where what it takes decides how they are read.
    """

    name: str
    schema: type[Schema]
    accepts: Callable[[Source, DataOptions], bool]
    load: Callable[[Source, DataOptions], Dataset]
    plural: str = "examples"
    source: str = ""
    order: int = 50
    suffixes: tuple[str, ...] = ()
    options: Mapping[str, OptionUse] = field(default_factory=dict)
    figures: str = ""
    file_suffix: str = ""
    examples_suggested: int = 500
    needs_file: str = ""
    named_columns: bool = False
    lossless: type[Lossless[Any]] | None = None
    suited: Callable[[DataOptions, tuple[str, ...]], DataOptions] | None = None
