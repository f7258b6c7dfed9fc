"""What a sweep has done so far, in a file that is whole at any moment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from sfumato.artifacts.run import place
from sfumato.errors import SfumatoError
from sfumato.files import read_json, write_json
from sfumato.studies.sweep_run import Outcome

SWEEP_FILE = "sweep.json"
BEST = "best"


@dataclass
class Ledger:
    """The folder of a sweep: `sweep.json`, a folder for each run, and `best`, a link to the best of them.

    Attributes:
        folder: where all of it lies.
        told: what must stay the same when the sweep goes on: source, options, the measure it chooses by.
        outcomes: of each run, by the name of its folder.
        lower: whether lower values of the measure are better.
    """

    folder: Path
    told: Mapping[str, Any]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    lower: bool = True

    @classmethod
    def open(cls, name: str, told: Mapping[str, Any]) -> Ledger:
        """The sweep of this name, begun or gone on with.

        Raises:
            SfumatoError: if something else is there, or a sweep that was told otherwise.
        """
        folder = place(name)
        path = folder / SWEEP_FILE
        if not path.exists():
            if (folder.is_dir() and any(folder.iterdir())) or folder.is_file():
                raise SfumatoError(f"{folder}: exists already and is not a sweep; choose another name with --run")
            folder.mkdir(parents=True, exist_ok=True)
            return cls(folder, told)
        values = read_json(path)
        for key, value in told.items():
            before = values["told"].get(key)
            if before != value:
                raise SfumatoError(
                    f"{folder}: is a sweep {_otherwise(key, before, value)}; choose another name with --run"
                )
        outcomes = {run: Outcome(**one) for run, one in values["runs"].items()}
        return cls(folder, told, outcomes, values["lower"])

    def add(self, run: str, outcome: Outcome) -> None:
        """Record what came of a run, and link the best."""
        self.outcomes[run] = outcome
        self.write()

    def write(self) -> None:
        """Bring everything to the disk."""
        best = self.best()
        runs = {name: asdict(outcome) for name, outcome in self.outcomes.items()}
        write_json(self.folder / SWEEP_FILE, {"told": dict(self.told), "lower": self.lower, "best": best, "runs": runs})
        if best is not None:
            _link(self.folder / BEST, best)

    def finished(self) -> list[str]:
        """Runs that are done."""
        return [name for name, outcome in self.outcomes.items() if outcome.done]

    def medians(self) -> dict[str, float]:
        """The median over seeds of each configuration, by what the names of its runs begin with."""
        values: dict[str, list[float]] = {}
        for name, outcome in self.outcomes.items():
            if outcome.done and outcome.value is not None:
                values.setdefault(configuration(name), []).append(outcome.value)
        return {name: median(found) for name, found in values.items()}

    def best(self) -> str | None:
        """The best run of the configuration with the best median; None before any is done."""
        sign = 1 if self.lower else -1
        usable = {name: sign * value for name, value in self.medians().items() if math.isfinite(value)}
        if not usable:
            return None
        chosen = min(usable, key=lambda name: usable[name])
        runs = [name for name in self.finished() if configuration(name) == chosen]
        return min(runs, key=lambda name: sign * (self.outcomes[name].value or 0.0))


def configuration(run: str) -> str:
    """The name of a run without its seed.

    >>> configuration("beta_vae-beta=4-seed12")
    'beta_vae-beta=4'
    """
    return run.rpartition("-seed")[0]


def _otherwise(key: str, before: Any, now: Any) -> str:
    """What was told another way.

    >>> _otherwise("options", {"steps": 3000, "beta": 1}, {"steps": 300, "beta": 1})
    'with other options (steps 3000, not 300)'
    """
    if not isinstance(before, Mapping) or not isinstance(now, Mapping):
        return f"with another {key} ({before}, not {now})"
    apart = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    said = [f"{name} {before.get(name, 'not given')}, not {now.get(name, 'given')}" for name in apart]
    return f"with other {key} ({'; '.join(said)})"


def _link(path: Path, target: str) -> None:
    """A link to `target` beside it; where the file system has none, nothing, as `sweep.json` names the best too."""
    new = path.with_name(f".{path.name}")
    try:
        new.unlink(missing_ok=True)
        new.symlink_to(target, target_is_directory=True)
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
