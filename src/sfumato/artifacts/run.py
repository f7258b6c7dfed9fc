"""One run folder."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import tomli_w
import torch

from sfumato import models
from sfumato.artifacts import manifest
from sfumato.artifacts.places import (
    CONFIG_FILE,
    METRICS_FILE,
    SCHEMA_FILE,
    WEIGHTS_FILE,
    found_run,
    moved,
    place,
    staging,
)
from sfumato.data.core.schema import Schema
from sfumato.data.registry import load_schema
from sfumato.errors import SfumatoError
from sfumato.files import ROOT, named, read_json, read_tensors, read_toml, write_json, write_tensors, write_text
from sfumato.models import registry
from sfumato.randomness.generators import redirected, seeded
from sfumato.training.private.ledger import Ledger
from sfumato.training.saving.folder import LEDGER_FILE
from sfumato.training.saving.history import as_json

if TYPE_CHECKING:
    from sfumato.models.base import Model


class Run:
    """A folder that holds a model and all there is to know of how it came to be.

        config.toml  schema.json  model.safetensors  metrics.jsonl  privacy.json  manifest.json
        checkpoints/  figures/  report.html

    A folder appears under its name only once config, schema and weights are in it; `model.safetensors` is the
    best so far at any moment; `manifest.json` closes a finished run. Nothing in it is pickled.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.name

    @property
    def called(self) -> str:
        """How it is typed in a command: by its name where that is enough.

        >>> Run(Path("runs/a")).called, Run(Path("else where/a")).called
        ('a', "'else where/a'")
        """
        return shlex.quote(named(self.path))

    @classmethod
    def create(
        cls,
        name: str | os.PathLike[str] | None,
        config: Mapping[str, Any],
        schema: Schema,
        model: Model,
        *,
        metrics: Sequence[Mapping[str, Any]] | None = None,
        privacy: Ledger | None = None,
        stem: str = "run",
        root: str | os.PathLike[str] = ROOT,
        overwrite: bool = False,
    ) -> Self:
        """Make a new run folder; in the place of one that is there already only if told to.

        Args:
            name: a name under `root`, or a path; None takes `stem`, `stem-2`, … whichever is free.
            config: the tables of `config.toml`.
            schema: what was learned of the data.
            model: its weights are written as they are, so that the run can be loaded from its first moment.
            metrics: the lines of a training that is over, which seals the run; None when it is still to come.
            privacy: the ledger of a private training that is over.
            stem: what an automatic name starts with.
            root: the folder of runs.
            overwrite: put the new run in the place of one that has this name.

        Raises:
            SfumatoError: if the folder exists or cannot be written.
        """
        wanted = Path(root) / stem if name is None else place(name, root)
        parts = staging(wanted)
        try:
            write_text(parts / CONFIG_FILE, tomli_w.dumps(config))
            write_json(parts / SCHEMA_FILE, {"format": manifest.RUN_FORMAT, **schema.to_dict()})
            write_tensors(parts / WEIGHTS_FILE, model.state_dict())
            if privacy is not None:
                write_json(parts / LEDGER_FILE, privacy.to_dict())
            if metrics is not None:
                write_text(parts / METRICS_FILE, "".join(map(as_json, metrics)))
                manifest.write(parts)
            if overwrite and (wanted / CONFIG_FILE).exists():
                old = wanted.with_name(f"{parts.name}.old")
                wanted.rename(old)
                parts.rename(wanted)
                shutil.rmtree(old, ignore_errors=True)
                return cls(wanted)
            number = 1
            while True:
                path = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
                if moved(parts, path):
                    return cls(path)
                if name is not None:
                    raise SfumatoError(f"{path}: exists already; choose another name for the run")
                number += 1
        finally:
            shutil.rmtree(parts, ignore_errors=True)

    @classmethod
    def open(cls, name: str | os.PathLike[str], *, root: str | os.PathLike[str] = ROOT) -> Self:
        """Open a run by its name under `root` or by its path, and check that it is whole.

        A run that was killed while training has no manifest yet and opens with its last good weights.

        Raises:
            SfumatoError: if there is no such run, another version wrote it in another format, or one of its files is
                missing or damaged.
        """
        path = found_run(name, root)
        for needed in (CONFIG_FILE, SCHEMA_FILE, WEIGHTS_FILE):
            if not (path / needed).is_file():
                raise SfumatoError(f"{path / needed}: missing; this is not a whole run folder, fit again")
        manifest.verify(path, only=(CONFIG_FILE, SCHEMA_FILE, WEIGHTS_FILE))
        # A run that was killed has no manifest that tells its format.
        manifest.check_format(path / SCHEMA_FILE, read_json(path / SCHEMA_FILE))
        return cls(path)

    def config(self) -> dict[str, Any]:
        """The tables of `config.toml`: data, model, training; with source and version.

        Raises:
            SfumatoError: if the file is damaged.
        """
        path = self.path / CONFIG_FILE
        tables = read_toml(path)
        if not isinstance(tables.get("model"), dict) or "name" not in tables["model"]:
            raise SfumatoError(f"{path}: does not say which model this is; restore it from a copy")
        return tables

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Replace `config.toml`, when a resumed run is told to go on for longer."""
        write_text(self.path / CONFIG_FILE, tomli_w.dumps(config))

    def schema(self) -> Schema:
        """What was learned of the data.

        Raises:
            SfumatoError: if the file is damaged.
        """
        path = self.path / SCHEMA_FILE
        values = read_json(path)
        try:
            return load_schema(values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SfumatoError(f"{path}: damaged ({error}); restore it from a copy, or fit again") from None

    def model(self, name: str | None = None) -> Model:
        """The model with its best weights, in evaluation mode, on the CPU.

        Args:
            name: the reference of the model, where the one in `config.toml` means nothing here.

        Raises:
            SfumatoError: if the weights are missing or damaged, or do not fit what config and schema say.
        """
        path = self.path / WEIGHTS_FILE
        tables = self.config()
        table = tables["model"] if name is None else {**tables["model"], "name": name}
        registry.check_available(table["name"], str(tables.get("origin", "")))
        model = build(table, self.schema())
        tensors, _ = read_tensors(path)
        try:
            model.load_state_dict(tensors, strict=True)
        except RuntimeError as error:
            reason = str(error).partition("\n")[2].strip().partition("\n")[0].strip()
            raise SfumatoError(
                f"{path}: does not fit the model of {CONFIG_FILE} ({reason}); restore both from one copy, or fit anew "
                "what an older version left"
            ) from None
        return model.eval()

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`; a last line cut short by a kill is left out.

        Raises:
            SfumatoError: if a line before the last is damaged.
        """
        path = self.path / METRICS_FILE
        if not path.exists():
            return []
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        records = []
        for number, line in enumerate(lines, 1):
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError:
                if number < len(lines):
                    raise SfumatoError(f"{path}: line {number} is damaged; restore it from a copy") from None
        return records

    def privacy(self) -> Ledger | None:
        """The ledger of a private training; None of any other.

        Raises:
            SfumatoError: if the file is damaged.
        """
        path = self.path / LEDGER_FILE
        return Ledger.from_dict(read_json(path), str(path)) if path.exists() else None

    def sealed(self) -> bool:
        """Whether the run is finished and its files are recorded."""
        return (self.path / manifest.MANIFEST_FILE).exists()

    def seal(self) -> None:
        """Record every file with its hash; again after files were added, such as a report."""
        manifest.write(self.path)

    def unseal(self) -> None:
        """Forget the record, before files are to change."""
        (self.path / manifest.MANIFEST_FILE).unlink(missing_ok=True)

    def verify(self) -> None:
        """Compare every recorded file with its hash, pictures and report too.

        Raises:
            SfumatoError: if one is missing or damaged.
        """
        manifest.verify(self.path)


def build(table: Mapping[str, Any], schema: Schema, seed: int = 0) -> Model:
    """The untrained model that a config's table `model` names, for data of `schema`.

    Its weights are a function of `seed`; torch's global generator is left as it is.
    """
    options = {name: value for name, value in table.items() if name != "name"}
    with seeded(torch.device("cpu"), seed), redirected():
        return models.build(table["name"], schema.spec, **options)
