"""What the doctor says of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

HEALTHY = "healthy"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a run, or, under the name "healthy", that nothing was found.

    Attributes:
        name: what it is called; stable, so that runs can be compared by it.
        severity: "serious" if the model should not be used before it is cured, "minor" if it can be.
        words: one or two sentences for a person, with the numbers.
        numbers: what the sentences rest on, name → value.
        number: which of them a cure is judged by; empty where there is no cure.
        better: which way is better for it.
        cure: options to change, by name; empty where no option cures it.
        model: the other model that `cure` is for; empty where it is for the same one.
        command: what to type to fit again with the cure; empty where there is none.
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
        """Whether this says that nothing was found."""
        return self.name == HEALTHY

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values, without what is not there."""
        return {name: value for name, value in vars(self).items() if value not in ("", {})}


@dataclass(frozen=True)
class Well:
    """What the doctor says where a sickness is not there.

    Attributes:
        words: how well it looks, in a few.
        numbers: those that a finding of it would rest on, name → value.
    """

    words: str
    numbers: dict[str, float] = field(default_factory=dict)
