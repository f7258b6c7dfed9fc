"""Tables as a kind of data: files and frames of named columns."""

from __future__ import annotations

from sfumato.data.core.kinds import PRIVATE_OPTIONS, Kind, OptionUse
from sfumato.data.core.options import DataOptions
from sfumato.data.core.source import Source
from sfumato.data.io import frames
from sfumato.data.tables.load import open_table
from sfumato.data.tables.lossless import LosslessTable
from sfumato.data.tables.schema import TableSchema
from sfumato.formatting import any_of
from sfumato.likelihoods import LIKELIHOODS

IN_CELLS = tuple(name for name, likelihood in LIKELIHOODS.items() if likelihood.cells)
"""Likelihoods for which numbers are cut into cells."""
IN_JOINT_CELLS = tuple(name for name in IN_CELLS if LIKELIHOODS[name].joint)
"""Those under which columns depend on each other."""


def accepts(source: Source, options: DataOptions) -> bool:
    """Whether it is a table file, a folder of such files, or any other object in memory."""
    if source.path is None:
        return True
    return source.path.exists() and (frames.is_parts(source.path) or source.endswith(*frames.TABLE_SUFFIXES))


KIND = Kind(
    name="table",
    schema=TableSchema,
    accepts=accepts,
    load=open_table,
    plural="tables",
    order=100,
    suffixes=frames.TABLE_SUFFIXES,
    options={
        **PRIVATE_OPTIONS,
        "missing_values": OptionUse("tables"),
        "missing_cells": OptionUse("tables"),
        "orders": OptionUse(f"tables with the likelihood {any_of(IN_JOINT_CELLS)}", IN_JOINT_CELLS),
        "dependences": OptionUse("tables"),
        "header": OptionUse("text files of tables"),
        "cells": OptionUse(f"tables with the likelihood {any_of(IN_CELLS)}", IN_CELLS),
    },
    file_suffix=".csv",
    named_columns=True,
    lossless=LosslessTable,
)
