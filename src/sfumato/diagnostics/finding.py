"""The results of the doctor's checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

HEALTHY = "healthy"


@dataclass(frozen=True)
class Finding:
    """A problem of a run; or, with the name "healthy", that there are none.

    Attributes:
        name: identifier; stable, so that runs can be compared by it.
        severity: "serious" if the model should not be used as it is, "minor" if it can be.
        words: one or two sentences for the user, with the numbers.
        numbers: the values behind the sentences, name → value.
        number: which of them measures whether a cure helped; empty where there is no cure.
        better: the better direction of that number.
        cure: options to change, by name; empty if no option fixes it.
        model: the other model that `cure` is for; empty where it is for the same one.
        command: the command that fits again with the cure; empty if there is none.
    """

    name: str
    severity: Literal["serious", "minor", "healthy"]
    words: str
    numbers: dict[str, float] = field(default_factory=dict)
    number: str = ""
    better: Literal["lower", "higher"] = "higher"
    cure: dict[str, Any] = field(default_factory=dict)
    model: str = ""
    command: str = ""

    @property
    def is_healthy(self) -> bool:
        """Whether there are no problems."""
        return self.name == HEALTHY

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values, without empty ones."""
        return {name: value for name, value in vars(self).items() if value not in ("", {})}


@dataclass(frozen=True)
class Passed:
    """The result of a check that found no problem.

    Attributes:
        words: a short clause on what was measured.
        numbers: the values that a finding would have, name → value.
    """

    words: str
    numbers: dict[str, float] = field(default_factory=dict)
