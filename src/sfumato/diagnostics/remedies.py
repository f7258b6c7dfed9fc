"""Commands that fit a run again with other options."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any


def command(cure: Mapping[str, Any], run: str, name: str, model: str = "") -> str:
    """The line that fits a run again with other options.

    >>> command({"beta": 1.0, "split": (0.8, 0.1, 0.1), "equilibrium": False}, "runs/a", "a-cured")
    'sfumato fit --config runs/a/config.toml --beta 1 --split 0.8 0.1 0.1 --no-equilibrium --run a-cured'
    >>> command({"given": ("kind", "a b")}, "runs/a", "a-cured", "cvae")
    "sfumato fit --config runs/a/config.toml --model cvae --given kind --given 'a b' --run a-cured"

    Args:
        cure: options by name.
        run: path of the run folder; empty if it was never written, and the line is Python code.
        name: of the new run.
        model: another model, if the cure needs one.
    """
    if not run:
        arguments = ", ".join(f"{option}={value!r}" for option, value in cure.items())
        return f"sfumato.fit(X, model={model!r}, {arguments})" if model else f"model.set_params({arguments}).fit(X)"
    words = ["--model", model] if model else []
    words += [word for option, value in cure.items() for word in typed(option, value)]
    return shlex.join(["sfumato", "fit", "--config", f"{run}/config.toml", *words, "--run", name])


def free(path: Path) -> Iterator[Path]:
    """Unused names for cured runs next to a run.

    >>> names = free(Path("runs/a"))
    >>> next(names).as_posix(), next(names).as_posix()
    ('runs/a-cured', 'runs/a-cured-2')
    """
    for number in count(1):
        candidate = path.with_name(f"{path.name}-cured" + (f"-{number}" if number > 1 else ""))
        if not candidate.exists():
            yield candidate


def typed(option: str, value: Any) -> list[str]:
    """An option and its value as command-line arguments."""
    flag = option.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    if option == "given":
        return [word for name in value for word in ([f"--given={name}"] if name[:1] == "-" else ["--given", name])]
    parts = value if isinstance(value, tuple | list) else (value,)
    return [f"--{flag}", *(f"{part:g}" if isinstance(part, float) else str(part) for part in parts)]
