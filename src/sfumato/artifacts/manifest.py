"""`manifest.json`: the files of a finished run, their hashes, versions and format, and a ledger of privacy."""

from __future__ import annotations

import platform
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from sfumato._version import __version__
from sfumato.errors import SfumatoError
from sfumato.files import read_json, sha256, write_json
from sfumato.training.saving.folder import LEDGER_FILE

MANIFEST_FILE = "manifest.json"
RUN_FORMAT = 5
"""Format of run folders. Raise it with every change after which older ones cannot be read, or mean another thing."""
UNSEALED = ("checkpoints",)
"""Folders of a run that are scaffolding, not result."""


def write(folder: Path) -> None:
    """Record every file of `folder` but checkpoints, hidden files and the manifest itself, and the ledger as it is."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    names = [path.relative_to(folder) for path in paths]
    ledger = folder / LEDGER_FILE
    kept = [name for name in names if name.parts[0] not in (*UNSEALED, MANIFEST_FILE) and name.name[0] != "."]
    write_json(
        folder / MANIFEST_FILE,
        {
            "format": RUN_FORMAT,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {
                "sfumato": __version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
            **({"privacy": read_json(ledger)} if ledger.exists() else {}),
            "files": {name.as_posix(): _fingerprint(folder / name) for name in kept},
        },
    )


def read(folder: Path) -> dict[str, Any] | None:
    """The manifest of `folder`; None if the run is not finished.

    Raises:
        SfumatoError: if it is damaged or of another format.
    """
    path = folder / MANIFEST_FILE
    if not path.exists():
        return None
    manifest = read_json(path)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise SfumatoError(f"{path}: damaged, it lists no files; restore it from a copy, or delete it")
    check_format(path, manifest)
    return manifest


def check_format(path: Path, values: Any) -> None:
    """Refuse a file of a run, read as `values`, that another version of sfumato wrote in another format.

    Raises:
        SfumatoError: if so; a file that names no format is of an earlier one.
    """
    written = values.get("format", 0) if isinstance(values, dict) else None
    if not isinstance(written, int):
        raise SfumatoError(f"{path}: damaged, it does not say its format; restore it from a copy, or fit again")
    if written > RUN_FORMAT:
        raise SfumatoError(f"{path}: written by a later version of sfumato; upgrade: pip install -U sfumato")
    if written < RUN_FORMAT:
        raise SfumatoError(
            f"{path}: written by an earlier version of sfumato, whose runs this one cannot read (format {written}, not "
            f"{RUN_FORMAT}); fit again"
        )


def verify(folder: Path, only: Collection[str] | None = None) -> None:
    """Compare the files of `folder` (or `only` some of them) with its manifest, if it has one.

    Raises:
        SfumatoError: if a file is missing or is not the one that was recorded.
    """
    manifest = read(folder)
    if manifest is None:
        return
    for name, recorded in manifest["files"].items():
        if only is not None and name not in only:
            continue
        path = folder / name
        if not path.is_file():
            raise SfumatoError(f"{path}: missing from the run; restore it from a copy, or fit again")
        if _fingerprint(path) != recorded:
            raise SfumatoError(
                f"{path}: damaged, its sha256 is not the recorded one; restore it from a copy, or fit again"
            )


def _fingerprint(path: Path) -> dict[str, Any]:
    return {"sha256": sha256(path), "size": path.stat().st_size}
