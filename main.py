"""Train a model by the short spelling: python main.py --model name=vae --cuda=False --dataset=moons.

What follows `name=` are options of the model (`--model name=beta_vae,beta=4`); `--dataset` is a built-in set, a file or
a folder; all else is what `sfumato fit` takes (`--epochs=20`, `--run=NAME`), and the work is done by it.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

ENVIRONMENT = Path(__file__).resolve().parent / ".venv" / "bin" / "python"
YES = ("true", "yes", "1")
NO = ("false", "no", "0")


def translate(arguments: Sequence[str]) -> list[str]:
    """The arguments of `sfumato` that say the same.

    >>> translate(["--model", "name=beta_vae,beta=4", "--cuda=False", "--dataset=moons", "--epochs=3"])
    ['fit', 'moons', '--model', 'beta_vae', '--beta', '4', '--device', 'cpu', '--epochs=3']
    """
    source: list[str] = []
    rest: list[str] = []
    waiting = list(arguments)
    while waiting:
        flag, equals, value = waiting.pop(0).partition("=")
        if flag not in ("--model", "--cuda", "--dataset"):
            rest.append(flag + equals + value)
            continue
        if not equals and waiting and not waiting[0].startswith("--"):
            value = waiting.pop(0)
        if flag == "--dataset":
            source = [value]
        elif flag == "--cuda":
            rest += ["--device", _device(value)]
        else:
            while waiting and not waiting[0].startswith("-") and "=" in waiting[0]:
                value += "," + waiting.pop(0)
            rest += _model(value)
    return ["fit", *source, *rest] if source or rest else ["fit", "--help"]


def _device(value: str) -> str:
    if value.lower() in ("", *YES):
        return "cuda"
    if value.lower() in NO:
        return "cpu"
    raise SystemExit(f"main.py: --cuda={value}: say --cuda=True or --cuda=False")


def _model(value: str) -> list[str]:
    flags: list[str] = []
    for part in value.split(","):
        name, equals, setting = part.partition("=")
        if name == "name" or not equals:
            flags += ["--model", setting or name]
        else:
            flags += ["--" + name.replace("_", "-"), setting]
    return flags


def main() -> None:
    if importlib.util.find_spec("sfumato") is None:
        if ENVIRONMENT.exists() and Path(sys.executable) != ENVIRONMENT:
            os.execv(ENVIRONMENT, [str(ENVIRONMENT), *sys.argv])
        print("main.py: sfumato is not installed; type: make demo", file=sys.stderr)
        raise SystemExit(2)
    from sfumato.cli import main as command_line

    raise SystemExit(command_line(translate(sys.argv[1:])))


if __name__ == "__main__":
    main()
