"""The state of a sweep, in a file that is replaced atomically."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from sfumato.artifacts.places import place
from sfumato.errors import SfumatoError
from sfumato.files import read_json, write_json
from sfumato.studies.sweep_run import Outcome

SWEEP_FILE = "sweep.json"
BEST = "best"


@dataclass
class SweepState:
    """The folder of a sweep: `sweep.json`, a folder for each run, and `best`, a link to the best of them.

    Attributes:
        folder: the folder of the sweep.
        settings: must stay the same when the sweep is resumed: source, options, seed, the measure to choose by.
        outcomes: the outcome of each run, by the name of its folder.
        lower: whether lower values of the measure are better.
    """

    folder: Path
    settings: Mapping[str, Any]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    lower: bool = True

    @classmethod
    def open(cls, name: str, settings: Mapping[str, Any]) -> SweepState:
        """Open the sweep of this name, or start it.

        Raises:
            SfumatoError: if something else is there, or a sweep with other settings.
        """
        folder = place(name)
        path = folder / SWEEP_FILE
        if not path.exists():
            if (folder.is_dir() and any(folder.iterdir())) or folder.is_file():
                raise SfumatoError(f"{folder}: exists already and is not a sweep; choose another name with --run")
            folder.mkdir(parents=True, exist_ok=True)
            return cls(folder, settings)
        values = read_json(path)
        if "settings" not in values:
            raise SfumatoError(f"{path}: written by an earlier version of sfumato; choose another name with --run")
        for key, value in settings.items():
            before = values["settings"].get(key)
            if before != value:
                raise SfumatoError(
                    f"{folder}: is a sweep {_difference(key, before, value)}; choose another name with --run"
                )
        outcomes = {run: Outcome(**outcome) for run, outcome in values["runs"].items()}
        return cls(folder, settings, outcomes, values["lower"])

    def add(self, run: str, outcome: Outcome) -> None:
        """Record the outcome of a run, and link the best one."""
        self.outcomes[run] = outcome
        self.write()

    def write(self) -> None:
        """Write the state to disk."""
        best = self.best()
        runs = {name: asdict(outcome) for name, outcome in self.outcomes.items()}
        write_json(
            self.folder / SWEEP_FILE, {"settings": dict(self.settings), "lower": self.lower, "best": best, "runs": runs}
        )
        if best is not None:
            _link(self.folder / BEST, best)

    def finished(self) -> list[str]:
        """Finished runs."""
        return [name for name, outcome in self.outcomes.items() if outcome.done]

    def medians(self) -> dict[str, float]:
        """The median over seeds of each configuration, by its name."""
        values: dict[str, list[float]] = {}
        for name, outcome in self.outcomes.items():
            if outcome.done and outcome.value is not None:
                values.setdefault(configuration(name), []).append(outcome.value)
        return {name: median(seeds) for name, seeds in values.items()}

    def best(self) -> str | None:
        """The best run of the configuration with the best median; None before any run has finished."""
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


def _difference(key: str, before: Any, now: Any) -> str:
    """How a setting differs.

    >>> _difference("options", {"steps": 3000, "beta": 1}, {"steps": 300, "beta": 1})
    'with other options (steps 3000, not 300)'
    """
    if not isinstance(before, Mapping) or not isinstance(now, Mapping):
        return f"with another {key} ({before}, not {now})"
    apart = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    changes = [f"{name} {before.get(name, 'not set')}, not {now.get(name, 'set')}" for name in apart]
    return f"with other {key} ({'; '.join(changes)})"


def _link(path: Path, target: str) -> None:
    """Create a link to `target`; skipped if the file system has no links, as `sweep.json` names the best run too."""
    new = path.with_name(f".{path.name}")
    try:
        new.unlink(missing_ok=True)
        new.symlink_to(target, target_is_directory=True)
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
