"""The whole state of a training on disk: written beside its place, flushed, renamed; the last two are kept."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from sfumato.errors import SfumatoError
from sfumato.files import read_tensors, write_tensors
from sfumato.training.optim.untraced import untraced

CHECKPOINTS_KEPT = 2


class Checkpoints:
    """The files `step-000000123.safetensors` of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def paths(self) -> list[Path]:
        """The checkpoints there are, newest first."""
        return sorted(self.folder.glob("step-*.safetensors"), reverse=True)

    def save(self, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Write one checkpoint and remove those before the last two, and what a killed writer left behind."""
        ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        metadata = {"state": json.dumps({**state, "crc": _crc(ready)})}
        write_tensors(self.folder / f"step-{step:09d}.safetensors", ready, metadata)
        for old in [*self.paths()[CHECKPOINTS_KEPT:], *self.folder.glob(".step-*")]:
            old.unlink(missing_ok=True)

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The newest checkpoint that is whole; None where there has been none.

        Raises:
            SfumatoError: if there are checkpoints and all of them are damaged.
        """
        paths = self.paths()
        for path in paths:
            try:
                tensors, metadata = read_tensors(path)
                state = json.loads(metadata["state"])
            except (SfumatoError, KeyError, json.JSONDecodeError):
                continue
            if state.pop("crc") == _crc(tensors):
                return tensors, state
        if paths:
            raise SfumatoError(f"{self.folder}: all checkpoints are damaged; restore one, or start a new run")
        return None


def _crc(tensors: Mapping[str, Tensor]) -> int:
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(name.encode(), value)
        value = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, value)
    return value


def make_folder(folder: Path) -> None:
    """Make a folder that may be there already.

    Raises:
        SfumatoError: if it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SfumatoError(f"{folder}: cannot be made ({error.strerror}); choose another folder") from None


def flatten(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under `prefix/name`."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `flatten` put under `prefix`."""
    start = f"{prefix}/"
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


@untraced()
def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The tensors of an optimizer's state as `index/name`."""
    return {
        f"{index}/{name}": value
        for index, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }


@untraced()
def optimizer_numbers(optimizer: Optimizer) -> dict[str, Any]:
    """What in an optimizer's state is not a tensor, as `index/name`."""
    return {
        f"{index}/{name}": value
        for index, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
        if not isinstance(value, Tensor)
    }


@untraced()
def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
    """Put back what `optimizer_tensors` and `optimizer_numbers` took."""
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**tensors, **numbers}.items():
        index, _, name = key.partition("/")
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
