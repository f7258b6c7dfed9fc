"""The runs of a comparison: options and measures of each, and which measures are comparable."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sfumato import likelihoods
from sfumato.data import open as open_data
from sfumato.data.core.batching.batches import Resident
from sfumato.data.core.dataset import Dataset
from sfumato.errors import SfumatoError
from sfumato.estimator import Autoencoder, load
from sfumato.evaluation import Measure, registered_families, store

UNCOMPARED_OPTIONS = ("seed", "device", "checkpoint_every", "tensorboard", "streaming")
"""Options that are not part of a configuration: runs that differ only in these are repetitions."""

SAME = ("size", "drop", "sequences", "id", "time", "kinds")
"""Options of the data that change what an example is."""


@dataclass(frozen=True)
class ComparedRun:
    """One run that is compared.

    Attributes:
        name: as the user named it.
        auto: the model with its schema, config and history.
        measures: by name.
        how: their origin: "evaluation.json", or "quick" if they were computed for the comparison.
        quick: the families that were computed for the comparison, by quick measures.
        weights: a fingerprint of the weights, equal if a training was repeated.
        apart: families that were not evaluated the same way for all runs, and could not be computed again.
        unseen: measures of `sfumato evaluate` that are not compared, as not all runs have them.
        data: opened again, to draw from; None if they were in memory.
    """

    name: str
    auto: Autoencoder
    measures: dict[str, Measure]
    how: str
    data: Dataset | None = None
    quick: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    weights: str = ""

    @property
    def seed(self) -> int:
        """Seed of its training."""
        return int(self.auto.config_.training.seed)

    @property
    def seconds(self) -> float | None:
        """Training time in seconds."""
        lines = self.auto.history_.lines
        return float(lines[-1]["seconds"]) if lines else None

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(parameter.numel() for parameter in self.auto.model_.parameters())

    def options(self) -> dict[tuple[str, str], Any]:
        """The options that define its configuration, by table and name."""
        tables = self.auto.config_.to_dict()
        return {
            (table, name): value
            for table in ("model", "data", "training")
            for name, value in tables[table].items()
            if name not in UNCOMPARED_OPTIONS
        }

    def likelihood_of(self) -> tuple[str, str]:
        """What its bounds are bounds of: a key that must be equal for bounds to be comparable, and a description."""
        spec = self.auto.schema_.spec
        kinds = [(field.kind, field.size if field.kind in ("level", "category") else 0) for field in spec.fields]
        cells = self.auto.config_.data.cells if any(field.kind == "cells" for field in spec.fields) else None
        of_what = likelihoods.named(spec.likelihood).quantity
        given = self.auto.schema_.given_names
        key = json.dumps([of_what, spec.shape, kinds, cells, sorted(given)])
        description = f"{spec.likelihood}" + (f" given {', '.join(given)}" if given else "")
        return key, description


def load_runs(runs: Sequence[str], X: Any = None, *, seed: int = 0, device: str = "auto") -> list[ComparedRun]:
    """Load runs with their measures: those of `sfumato evaluate`, or else quick ones, on the same test split.

    The stored measures of a family are used if all runs have them with the same settings; otherwise quick ones are
    computed for all runs.

    Raises:
        SfumatoError: if a run is given twice or is damaged, or has no measures and its data cannot be opened.
    """
    opened: dict[str, Dataset] = {}
    loaded: list[tuple[str, Autoencoder, Dataset | None]] = []
    paths: list[Path] = []
    every: list[store.Kept] = []
    for name in runs:
        auto = load(name, device=device)
        assert auto.run_ is not None, "a loaded run has a folder"
        if any(auto.run_.path.samefile(other) for other in paths):
            raise SfumatoError(f"{name}: is given twice; leave out one")
        kept = store.kept(auto.run_.path)
        loaded.append((name, auto, _opened(name, auto, X, opened, needed=kept is None)))
        paths.append(auto.run_.path)
        every.append(kept or store.Kept([], {}))
    unlike = tuple(family for family in registered_families() if not _evaluated_alike(every, family))
    whole = all(data is not None for _, _, data in loaded)
    return [_measured(*run, kept, unlike, whole, seed) for run, kept in zip(loaded, every, strict=True)]


def _evaluated_alike(every: Sequence[store.Kept], family: str) -> bool:
    first = every[0].settings(family)
    return first is not None and all(kept.settings(family) == first for kept in every[1:])


def _opened(name: str, auto: Autoencoder, X: Any, opened: dict[str, Dataset], *, needed: bool) -> Dataset | None:
    """The data of a run; None if they are missing and not needed."""
    try:
        data = _data(auto, X, opened)
    except SfumatoError:
        if needed:
            raise
        return None
    if data is None and needed:
        raise SfumatoError(f"{name}: was trained on data in memory; compare it in Python, where the data are")
    return data


def _measured(
    name: str,
    auto: Autoencoder,
    data: Dataset | None,
    kept: store.Kept,
    unlike: tuple[str, ...],
    whole: bool,
    seed: int,
) -> ComparedRun:
    """A run whose families `unlike` are computed again if that is possible for all runs, or if it has none of them."""
    quick = tuple(family for family in unlike if whole or family not in kept.how)
    measures = [measure for measure in kept.measures if measure.family not in quick]
    if quick and data is not None:
        measures += auto.evaluate(data, quick=True, seed=seed, families=quick)
    how = "quick" if len(quick) == len(registered_families()) else store.EVALUATION_FILE
    apart = () if whole else unlike
    by_name = {measure.name: measure for measure in measures}
    unseen = tuple(measure.name for measure in kept.measures if measure.name not in by_name)
    assert auto.run_ is not None, "a loaded run has a folder"
    return ComparedRun(name, auto, by_name, how, data, quick, apart, unseen, store.fingerprint(auto.run_.path))


def _data(auto: Autoencoder, X: Any, opened: dict[str, Dataset]) -> Dataset | None:
    """The data of a run, opened once for all runs that read them the same way; None if they were in memory."""
    config = auto.config_
    source = config.source or X
    if source is None:
        return None
    if config.training.epsilon is not None:
        # Its schema cannot be learned again.
        return open_data(source, options=config.data, schema=auto.schema_)
    key = json.dumps([config.source, config.to_dict()["data"]], sort_keys=True, default=str)
    if key not in opened:
        opened[key] = open_data(source, options=config.data)
    if not opened[key].schema.equivalent(auto.schema_):
        name = config.source or "the data"
        raise SfumatoError(f"{name}: changed since a run was trained on it; restore it, or fit again")
    return opened[key]


def validation_only(data: Dataset) -> Dataset:
    """The same data without the test split, so that models are evaluated on the validation split.

    Raises:
        SfumatoError: if there is no validation split.
    """
    if not len(data.valid):
        raise SfumatoError(f"{data.name}: has no validation split to choose the best run by; use --split 0.8 0.1 0.1")
    return replace(data, test=Resident(data.valid.take(slice(0, 0)).x))
