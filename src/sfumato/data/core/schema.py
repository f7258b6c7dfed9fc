"""The schema of a data set: names, labels, ranges and scales, and the transform from raw data to tensors and back."""

from __future__ import annotations

import json
import logging
import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from sfumato.data.core.batching.batches import Resident
from sfumato.data.core.blanks import WithBlanks
from sfumato.data.core.conditions.matching import matching
from sfumato.data.core.conditions.remembered import rows_to_json
from sfumato.data.core.conditions.values import repeated
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.formatting import count
from sfumato.spec import DataSpec

if TYPE_CHECKING:
    import pyarrow as pa

    from sfumato.data.core.labels import Label

logger = logging.getLogger("sfumato.data")

TRIED = 8
"""Number of values of a column that replace an example's own, to explain its score."""


class Varied(NamedTuple):
    """Rows with other values in one column.

    Attributes:
        column: its name, or its number in an array, counted from 0.
        rows: raw rows, N·(1 + K): one as it is, then with each of the usual values, then the next.
        own: the N values of the rows, None where missing.
        usual: the K usual values.
    """

    column: str
    rows: Any
    own: list[Any]
    usual: list[Any]


class Schema(WithBlanks):
    """Statistics of the data, learned on the training split only; saved with the model.

    Attributes:
        kind: the name of its kind of data, such as "table", "image" or "vector".
        of_columns: whether an example is a row of columns, each with a meaning of its own.
        spec: all that a model may know; its likelihood is resolved, never "auto".
        given_names: names of the conditions, in the order of `spec.given`.
        given_rows: (M, G) encoded conditions of at most `REMEMBERED` training rows, NaN where missing.
        label_names: names of the indices in `Batches.labels`; set by `data.open` once the schema is learned.
        label: how separate labels are encoded; None for tables, whose label is a column.
        shows_conditions: whether decoded examples hold their conditions.
    """

    kind: ClassVar[str]
    file_suffix: str = ""
    """Of files that commands are suggested with, where it is not that of the kind."""
    shows_conditions: ClassVar[bool] = False
    of_columns: ClassVar[bool] = False
    spec: DataSpec
    given_names: tuple[str, ...] = ()
    given_rows: Tensor | None = None
    label_names: tuple[str, ...] = ()
    label: Label | None = None

    @cached_property
    def _said(self) -> set[str]:
        return set()

    def _tell(self, notes: Iterable[str], where: str = "") -> None:
        """Warn of what should be known; of each note once."""
        for note in notes:
            if note not in self._said:
                logger.warning("%s%s", where, note)
                self._said.add(note)

    def equivalent(self, other: Schema) -> bool:
        """Whether two schemas are saved alike, regardless of the dtype of labels."""
        first, second = (json.loads(json.dumps(schema.to_dict())) for schema in (self, other))
        for schema in (first, second):
            if schema.get("label"):
                del schema["label"]["dtype"]
        return bool(first == second)

    def batches(self, raw: Any) -> Resident:
        """Raw examples in the units of `spec`, held so that some can be taken at a time."""
        encoded = self.encode(raw)
        return Resident(encoded.x, encoded.given, time=encoded.time)

    def decode_complete(self, x: Tensor, given: Tensor | None = None) -> Any:
        """`decode`, with a value also where x says that there is none."""
        return self.decode(x, given)

    def decode_beside(self, x: Tensor, given: Tensor | None, raw: Any, source: Any, *, complete: bool = False) -> Any:
        """`decode` of what was made of `raw`, row by row: what is not modelled is as it is there.

        Args:
            x, given: as `decode` takes them.
            raw: what `read` made of `source`.
            source: what the user gave.
            complete: give a value also where it is modelled that `raw` has none.
        """
        return self.decode(x, given)

    @abstractmethod
    def write(self, raw: Any, path: str | Path) -> None:
        """Write raw examples; what `path` ends in decides the format.

        Raises:
            SfumatoError: if the format is not one for this kind of data.
        """

    def named(self, raw: Any, source: Any) -> dict[str, list[Any]]:
        """What the examples are called where they come from: name of a column → a name for each; empty if nothing.

        Args:
            raw: what `read` made of `source`.
            source: what the user gave.
        """
        return {}

    def write_beside(self, values: Any, path: str | Path, raw: Any, source: Any) -> None:
        """`write` what was made of `raw`, example by example, under the names those have.

        Args:
            values: as `write` takes it.
            path: where to.
            raw: what `read` made of `source`.
            source: what the user gave.

        Raises:
            SfumatoError: as `write` does.
        """
        self.write(values, path)

    def take(self, raw: Any, rows: Sequence[int]) -> Any:
        """Some of the examples that `read` gives, by their numbers from 0, in this order."""
        return raw[np.asarray(rows, int)]

    def write_annotated(self, what: str, columns: Mapping[str, np.ndarray], path: str | Path, source: Any) -> bool:
        """Write numbers for each example into a copy of their source, where its format has a place for them.

        Args:
            what: "codes" or "classes".
            columns: name → one value for each example; of classes first the class, then the probability of each.
            path: where to.
            source: what the user gave.

        Returns:
            Whether it was written; False where there is no such place, and columns are written as a table.

        Raises:
            SfumatoError: if the file cannot be written.
        """
        return False

    def possible_conditions(self) -> list[str]:
        """Names of columns that can be conditions."""
        return []

    def column(self, source: Any, name: str) -> list[Any]:
        """A named column of a source for each example, modelled or not; None where missing.

        Args:
            source: a path, frame or array.
            name: of a column, or of the label.

        Raises:
            SfumatoError: if there is no such column.
        """
        raise SfumatoError(f"{name!r}: these data have no columns beside their examples")

    def as_table(self, raw: Any) -> pa.Table | None:
        """Raw examples as rows of a table, for kinds where an example is one; None for all others."""
        return None

    def write_strips(self, raw: Any, path: str | Path, across: int) -> None:
        """`write` examples of which `across` in a row belong together; images side by side.

        Raises:
            SfumatoError: as `write` does.
        """
        self.write(raw, path)

    @property
    def stdout_suffix(self) -> str:
        """Ending of the format that examples take on a terminal."""
        return ".csv"

    @property
    def example_size(self) -> str:
        """The size of one example, as a person says it."""
        return count(self.spec.entries, "column")

    @abstractmethod
    def encode_condition(self, name: str, values: Sequence[Any]) -> Tensor:
        """Raw values of one condition as floats, shape (len(values),); NaN where None or missing.

        Raises:
            SfumatoError: if a value is not one the condition can take.
        """

    @abstractmethod
    def describe(self) -> list[dict[str, str]]:
        """Rows to show before training: column, kind, modelled, missing, note."""

    @abstractmethod
    def log_jacobian(self, x: Tensor) -> Tensor:
        """(B,): Σ log of scales and cell widths; log-density in raw units = the model's log_prob − log_jacobian."""

    def log_reference(self, x: Tensor) -> Tensor:
        """(B,): Σ log of the densities that scores compare with; score = the model's log_prob − log_reference.

        By default the density is 1 per unit of the data: scores are log-densities there.
        """
        return self.log_jacobian(x)

    def characters(self, x: Tensor) -> np.ndarray | None:
        """How many characters each example has, its end counted as one, (B,), whatever its tokens; None but of text."""
        return None

    def log_marginal(self, x: Tensor) -> Tensor | None:
        """(B,): Σ log of how frequent each value is by itself, in units of x; None where that is not kept."""
        return None

    def out_of_range_penalty(self, raw: Any) -> np.ndarray:
        """(N,), or (1,) for all: nats that examples cost for values unlike any in training; 0 where all have a density.

        Args:
            raw: what `read` gives.
        """
        return np.zeros(1)

    def varied(self, raw: Any, rows: Sequence[int]) -> Iterator[Varied]:
        """For each column, some rows each with usual values in turn in the place of its own.

        What is missing stays so, unless it is modelled which cells of the column are.

        Args:
            raw: what `read` gives.
            rows: which of its rows.
        """
        raise NotImplementedError("only examples that are rows of columns can be varied by column")

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values, with `kind`, `spec`, `given_names`, `given_rows` and `label_names` among them."""

    def shared_entries(self) -> dict[str, Any]:
        """The part of `to_dict` that all schemas share."""
        return {
            "kind": self.kind,
            "spec": self.spec.to_dict(),
            "given_names": list(self.given_names),
            "given_rows": rows_to_json(self.given_rows),
            "label_names": list(self.label_names),
        }

    @classmethod
    @abstractmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Back from `to_dict`."""

    def entry_groups(self) -> dict[str, list[int]]:
        """The entries of x that hold each column, that of its value first; numbered x1, x2, … where none has a name."""
        modelled = [row for row in self.describe() if not row["modelled"].startswith(("not modelled", "condition"))]
        names = [row["column"] for row in modelled]
        if len(set(names)) != self.spec.entries:
            names = [f"x{place + 1}" for place in range(self.spec.entries)]
        return {name: [place] for place, name in enumerate(names)}

    def classes(self) -> list[Any]:
        """The values of the first condition, a category, in the order of their indices."""
        return [] if self.label is None else self.label.values.tolist()

    def conditions(self, given: Mapping[str, Any], n: int, *, seed: int = 0, marginal: bool = False) -> Tensor | None:
        """Conditions for n examples, shape (n, G); None if the schema has no conditions.

        Those not named are drawn together from training rows that agree with the named categories and are nearest in
        the named numbers and times, see `matching`; with `marginal` they are left out (NaN).

        Args:
            given: name → one value for all, or a sequence of n values; None leaves the condition out.
            n: how many.
            seed: of the draw.
            marginal: leave out what is not named.

        Raises:
            SfumatoError: if a name or a value is not known, or a sequence is not n long.
        """
        if not isinstance(given, Mapping):
            raise SfumatoError(f"given is {given!r}: give conditions with their values, as {{'species': 'Adelie'}}")
        for name in given:
            if name not in self.given_names:
                raise SfumatoError(_unknown_condition(name, self.given_names))
        if not self.given_names:
            return None
        columns = {
            self.given_names.index(name): self.encode_condition(name, repeated(name, value, n))
            for name, value in given.items()
        }
        if marginal or self.given_rows is None or not len(self.given_rows):
            drawn = torch.full((n, len(self.given_names)), math.nan)
        else:
            ordered = [self.spec.given[index].kind != "category" for index in columns]
            wanted = torch.stack(list(columns.values()), 1) if columns else torch.zeros(n, 0)
            drawn = self.given_rows[matching(self.given_rows[:, list(columns)], wanted, ordered, seed)].clone()
        for index, column in columns.items():
            drawn[:, index] = column
        return drawn


def _unknown_condition(name: str, known: tuple[str, ...]) -> str:
    if not known:
        return f"condition {name!r}: this model was trained without conditions; leave it out"
    return f"condition {name!r} is not one of this model; {did_you_mean(name, known)}"
