"""The columns of a table's schema, which its parts share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from torch import Tensor

from sfumato.data.columns.base import Column
from sfumato.data.columns.flags import Flag
from sfumato.data.core.schema import Schema
from sfumato.data.io.reading import Reading
from sfumato.data.tables.dependence import Dependence


class TableColumns(Schema):
    """What the parts of `TableSchema` share.

    Attributes:
        columns, frame_kind, reading, dependences: as `TableSchema` has them.
    """

    columns: tuple[Column, ...]
    frame_kind: str
    reading: Reading
    dependences: tuple[Dependence, ...]

    @property
    @abstractmethod
    def entries(self) -> tuple[Column | Flag, ...]:
        """What the entries of x are, in order: columns, and flags of those whose missing cells are modelled."""

    @abstractmethod
    def named_array(self, source: Any) -> Any:
        """An array of as many columns as the table has under their names, what a pipeline hands on of a frame; or X."""

    @abstractmethod
    def decode_table(
        self, x: Tensor, given: Tensor | None = None, absent: Mapping[str, np.ndarray] | None = None
    ) -> pa.Table:
        """`decode`, as an arrow table."""

    def place(self, column: Column) -> int:
        """The place of a modelled column among the entries of x."""
        return self.entries.index(column)
