"""Sequences of symbols as a kind of data: lines of text, lists of strings, and arrays of whole numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sfumato.data.core.batching.batches import Resident
from sfumato.data.core.dataset import Dataset
from sfumato.data.core.kinds import Kind, OptionUse
from sfumato.data.core.labels import codes
from sfumato.data.core.options import DataOptions
from sfumato.data.core.source import Source
from sfumato.data.core.split import split
from sfumato.data.text import lines, tokens
from sfumato.data.text.lines import Lines
from sfumato.data.text.lossless import LosslessText
from sfumato.data.text.schema import SymbolSchema, check_length
from sfumato.errors import SfumatoError


def accepts(source: Source, options: DataOptions) -> bool:
    """Whether it holds strings or lines of text, or an option says that it holds symbols."""
    if isinstance(source.value, Lines):
        return True
    return not source.builtin and lines.is_requested(source.value, options)


def load(source: Source, options: DataOptions) -> Dataset:
    """Sequences of symbols, held whole.

    Raises:
        SfumatoError: if they are to be read from disk while training, or one is longer than the options allow.
    """
    column = lines.TextColumn(options.text, options.label) if options.text else None
    table = column.load(source.value) if column else None
    if column and table is None:
        raise SfumatoError(
            f"text={options.text!r}: that is a column of a table; leave it out for {source.described('x')}"
        )
    content = lines.load(source.value) if table is None else table
    if options.tokens != "characters" and content.x.dtype.kind != "O":
        raise SfumatoError(f"tokens={options.tokens}: that is for text, and {content.name} holds numbers; leave it out")
    if options.label is not None and table is None:
        raise SfumatoError(f"label={options.label!r}: lines have no columns; name the column of text too (text)")
    if options.streaming == "yes":
        raise SfumatoError("streaming=yes: sequences are held whole; leave streaming out")
    where = source.described(content.name)
    parts = split(len(content), options.split, labels=codes(content.labels), seed=options.seed, source=where)
    split_up = [
        replace(content, x=content.x[rows], labels=None if content.labels is None else content.labels[rows])
        for rows in parts
    ]
    own = tokens.learn(split_up[0].x.tolist(), options) if content.x.dtype.kind == "O" else None
    longest, notes = check_length(content, options, own)
    schema = SymbolSchema.learn(split_up[0], options, longest=longest, tokens=own, column=column)
    batches = []
    for part in split_up:
        encoded = schema.encode(schema.checked(part))
        index = None if schema.label is None or part.labels is None else schema.label.index(part.labels)
        batches.append(Resident(encoded.x, encoded.given, index))
    train, valid, test = batches
    name = Path(content.name).name.partition(".")[0]
    return Dataset(name, where, schema, train, valid, test, options, notes=notes, has_label=content.labels is not None)


KIND = Kind(
    name="symbols",
    schema=SymbolSchema,
    accepts=accepts,
    load=load,
    plural="sequences of symbols",
    source="set of symbols",
    order=20,
    suffixes=lines.TEXT,
    lossless=LosslessText,
    options={
        "longest": OptionUse("sequences of symbols"),
        "text": OptionUse("tables with a column of text"),
        "tokens": OptionUse("text"),
        "vocabulary": OptionUse("text"),
        "symbols": OptionUse("files of text and arrays of whole numbers"),
    },
)
