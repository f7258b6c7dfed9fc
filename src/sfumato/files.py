"""Atomic file writes: a temporary file is flushed to disk, then renamed."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sfumato.errors import SfumatoError

ROOT = "runs"
"""The folder of runs that have a bare name."""


def named(path: Path) -> str:
    """The name that commands take for a run at `path`.

    >>> named(Path("runs/a")), named(Path("else/a")), named(Path("a"))
    ('a', 'else/a', './a')
    """
    if path.parent == Path(ROOT):
        return path.name
    return f"./{path}" if path.parent == Path() else str(path)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; on a clean exit, flush it to disk and rename it to `path`.

    A process killed at any moment leaves either the old file or the new one, never a part of one.

    Raises:
        SfumatoError: if the folder cannot be written to.
    """
    target = Path(path)
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=target.suffix)
    except OSError as error:
        raise SfumatoError(
            f"{target}: cannot write here ({error.strerror}); choose a folder you may write to"
        ) from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
        _flush_folder(target.parent)
    except OSError as error:
        raise SfumatoError(
            f"{target}: could not be written ({error.strerror}); free some space or choose another place"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON; NaN and infinity are refused, as JSON has no word for them."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read JSON back.

    Raises:
        SfumatoError: if the file is missing or damaged.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SfumatoError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SfumatoError(f"{path}: damaged, not readable as JSON ({error}); restore it from a copy") from None


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        SfumatoError: if it is missing or not TOML.
    """
    import tomllib

    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SfumatoError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SfumatoError(f"{path}: not readable as TOML ({error}); fix it or restore a copy") from None


def finite(value: Any) -> Any:
    """A value for JSON, which has no word for NaN and infinity: they become null.

    >>> finite({"value": float("nan"), "parts": [1.0, float("inf")]})
    {'value': None, 'parts': [1.0, None]}
    """
    if isinstance(value, Mapping):
        return {str(name): finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, as hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None
) -> None:
    """Write named tensors as safetensors, whole or not at all."""
    from safetensors.torch import save_file

    ready = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        save_file(ready, str(temporary), metadata=dict(metadata or {}))


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Read named tensors and their metadata from a safetensors file.

    Raises:
        SfumatoError: if the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
    except FileNotFoundError:
        raise SfumatoError(f"{path}: no such file") from None
    except (OSError, SafetensorError) as error:
        raise SfumatoError(f"{path}: damaged, not readable as safetensors ({error})") from None


def files_in(folder: Path) -> Iterator[Path]:
    """All files under a folder that are not hidden."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in names if not name.startswith("."))


def empty_folder(path: Path) -> None:
    """Make a folder for what is written.

    Raises:
        SfumatoError: if it cannot be made, or holds something.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise SfumatoError(f"{path}: the folder is not empty, and nothing is overwritten; choose another name")
    except OSError as error:
        raise SfumatoError(f"{path}: cannot be written ({error.strerror}); choose another folder") from None


def numbered(total: int, suffix: str) -> list[str]:
    """Names of so many files, numbers of one length.

    >>> numbered(11, ".wav")[:2]
    ['00.wav', '01.wav']
    """
    digits = len(str(max(total - 1, 1)))
    return [f"{number:0{digits}d}{suffix}" for number in range(total)]
