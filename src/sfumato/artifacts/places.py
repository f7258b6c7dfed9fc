"""Where run folders lie: by name or path, free or taken, and how a new one gets there whole."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from sfumato.errors import SfumatoError, did_you_mean
from sfumato.files import ROOT

CONFIG_FILE, SCHEMA_FILE, WEIGHTS_FILE, METRICS_FILE = (
    "config.toml",
    "schema.json",
    "model.safetensors",
    "metrics.jsonl",
)


def place(name: str | os.PathLike[str], root: str | os.PathLike[str] = ROOT) -> Path:
    """Where a run of this name lies: a bare name under `root`, anything with a folder in it as it is.

    >>> place("p").as_posix(), place("./p").as_posix(), place("elsewhere/p").as_posix()
    ('runs/p', 'p', 'elsewhere/p')
    """
    if not str(name):
        raise SfumatoError("the name of the run is empty; give one, or leave it out")
    path = Path(name).expanduser()
    if path.name in ("", ".."):
        # The current folder and those above it have names too, though not written here.
        path = path.resolve()
        if not path.name:
            raise SfumatoError(f"{path}: the root of the disk is no run; name a folder in it")
        return path
    return Path(root) / path if path.name == str(name) else path


def check_free(name: str | os.PathLike[str] | None, root: str | os.PathLike[str] = ROOT) -> None:
    """Refuse, before any work is done, a run folder that exists or cannot be made; None is an automatic name.

    Raises:
        SfumatoError: if so.
    """
    path = Path(root) / "run" if name is None else place(name, root)
    if name is not None and path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise SfumatoError(f"{path}: exists already; choose another name for the run")
    staging(path).rmdir()


def staging(path: Path) -> Path:
    """A new hidden folder beside `path`, to be filled and then moved there."""
    parts = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        parts.mkdir(parents=True)
    except OSError as error:
        raise SfumatoError(
            f"{path.parent}: cannot write runs here ({error.strerror}); choose a folder you may write to"
        ) from None
    return parts


def moved(parts: Path, path: Path) -> bool:
    """Rename `parts` to `path` unless something is there; an empty folder is nothing.

    Into the current folder its files are moved, so that it stays the current one.
    """
    try:
        if path.is_dir() and path.samefile("."):
            if any(path.iterdir()):
                return False
            for file in parts.iterdir():
                file.rename(path / file.name)
            return True
        parts.rename(path)
    except OSError:
        if not path.exists():
            raise
        return False
    return True


def found_run(name: str | os.PathLike[str], root: str | os.PathLike[str]) -> Path:
    here, under = Path(name).expanduser(), place(name, root)
    for path in (under, here, Path(root) / here):
        if (path / CONFIG_FILE).exists() or (path / WEIGHTS_FILE).exists():
            return path
    if here.is_dir() or under.is_dir():
        raise SfumatoError(f"{name}: not a run folder, it has no {CONFIG_FILE}")
    known = [path.name for path in Path(root).glob("[!.]*") if (path / CONFIG_FILE).exists()]
    hint = did_you_mean(str(name), sorted(known)) if known else f"there are no runs in {root}/ yet"
    raise SfumatoError(f"{name}: no such run; {hint}")
