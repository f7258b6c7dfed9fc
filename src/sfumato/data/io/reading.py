"""What a person says of how tables are read, and the rates that sound can have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

LOWEST_RATE, HIGHEST_RATE = 1000, 384_000
"""Samples a second of sound."""


@dataclass(frozen=True)
class Reading:
    """How tables are read.

    Attributes:
        missing: words that stand for missing values besides the usual ones, `missing.SURELY_MISSING`, or with "" among
            them instead of those; in frames and Parquet files these words alone.
        header: "auto", "yes" or "none": whether the first line of a text file holds the names of the columns.
    """

    missing: tuple[str, ...] | None = None
    header: str = "auto"

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {"missing": None if self.missing is None else list(self.missing), "header": self.header}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Back from `to_dict`."""
        return cls(None if values["missing"] is None else tuple(values["missing"]), values["header"])


USUAL = Reading()
