"""What `data.open` was given, as each kind of data is shown it in turn."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.data.io import arrays
from sfumato.data.io.arrays import Arrays

if TYPE_CHECKING:
    from sfumato.data.core.schema import Schema


class Source:
    """A source that is to be opened. What takes time to look at is read once, whichever kinds ask for it.

    Attributes:
        value: what the user gave, unpacked; or the rows of a built-in set.
        path: the same where it is a path, else None.
        builtin: name of the built-in set the rows are of; "" for anything else.
        schema: what is known of the data already, by which they are encoded; None learns it.

    >>> Source([[1.0, 2.0]]).arrays.x.shape
    (1, 2)
    >>> Source("people.csv").endswith(".csv", ".tsv")
    True
    """

    def __init__(self, value: Any, builtin: str = "", schema: Schema | None = None) -> None:
        self.value = value
        self.schema = schema
        self.path = Path(value) if isinstance(value, str | Path) else None
        self.builtin = builtin

    def endswith(self, *suffixes: str) -> bool:
        """Whether it is a path with one of these endings, ignoring case."""
        return self.path is not None and self.path.name.lower().endswith(suffixes)

    def described(self, otherwise: str) -> str:
        """The source as messages and `Dataset.source` name it: its path, its built-in set, or `otherwise`."""
        if self.builtin:
            return f"built-in set {self.builtin}"
        return otherwise if self.path is None else str(self.value)

    @cached_property
    def arrays(self) -> Arrays | None:
        """Its arrays: of an array, a tensor, a sparse matrix, a list of rows, a pair (X, y), a `.npy` or a `.npz`.

        Raises:
            SfumatoError: if it is one of these and cannot be used.
        """
        if isinstance(self.value, Arrays):
            return self.value
        if self.path is not None:
            readable = self.path.suffix in (".npy", ".npz") and self.path.is_file()
            return arrays.from_file(self.path) if readable else None
        return arrays.from_memory(self.value) if arrays.is_array(self.value) else None
