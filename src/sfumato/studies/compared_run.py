"""A run as a comparison sees it: what it was told, what it measures, and what may be compared with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sfumato import data as room
from sfumato import likelihoods
from sfumato.data.core.batches import Resident
from sfumato.data.core.dataset import Dataset
from sfumato.errors import SfumatoError
from sfumato.estimator import Autoencoder, load
from sfumato.evaluation import Measure, registered_families, store

UNCOMPARED_OPTIONS = ("seed", "device", "checkpoint_every", "tensorboard", "streaming")
"""Options that make no other configuration: two runs that differ in them alone are repetitions of one."""

SAME = ("size", "drop", "sequences", "id", "time", "kinds")
"""Options of the data that change what an example is."""


@dataclass(frozen=True)
class Contender:
    """One run that is compared.

    Attributes:
        name: as the person named it.
        auto: the model with its schema, config and history.
        measures: by name.
        how: where they are from: "evaluation.json", or "quick" if they were made for the comparison.
        quick: the families that were made for the comparison, in seconds.
        weights: a fingerprint of them, equal where a training was repeated.
        apart: families that not all runs were judged alike for, and that could not be made anew.
        unseen: measures that `sfumato evaluate` left and that are not compared, as not all runs were judged so.
        data: opened again, to draw from; None where they were held in memory.
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
        """How long it was trained."""
        lines = self.auto.history_.lines
        return float(lines[-1]["seconds"]) if lines else None

    @property
    def parameters(self) -> int:
        """Numbers that were learned."""
        return sum(parameter.numel() for parameter in self.auto.model_.parameters())

    def told(self) -> dict[tuple[str, str], Any]:
        """Options that make its configuration, by table and name."""
        tables = self.auto.config_.to_dict()
        return {
            (table, name): value
            for table in ("model", "data", "training")
            for name, value in tables[table].items()
            if name not in UNCOMPARED_OPTIONS
        }

    def likelihood_of(self) -> tuple[str, str]:
        """What its bounds are bounds of: a key that must be equal for them to be compared, and words for it."""
        spec = self.auto.schema_.spec
        kinds = [(one.kind, one.size if one.kind in ("level", "category") else 0) for one in spec.fields]
        cells = self.auto.config_.data.cells if any(one.kind == "cells" for one in spec.fields) else None
        of_what = likelihoods.named(spec.likelihood).quantity
        given = self.auto.schema_.given_names
        key = json.dumps([of_what, spec.shape, kinds, cells, sorted(given)])
        told = f"{spec.likelihood}" + (f" given {', '.join(given)}" if given else "")
        return key, told


def contenders(runs: Sequence[str], X: Any = None, *, seed: int = 0, device: str = "auto") -> list[Contender]:
    """Runs with their measures: those that `sfumato evaluate` left, or else quick ones, by the same test part.

    What it left of a family is taken where all runs have it and were judged alike, and else made anew for all of them.

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
            raise SfumatoError(f"{name}: is given twice; leave one out")
        kept = store.kept(auto.run_.path)
        loaded.append((name, auto, _opened(name, auto, X, opened, needed=kept is None)))
        paths.append(auto.run_.path)
        every.append(kept or store.Kept([], {}))
    unlike = tuple(family for family in registered_families() if not _judged_alike(every, family))
    whole = all(data is not None for _, _, data in loaded)
    return [_measured(*one, kept, unlike, whole, seed) for one, kept in zip(loaded, every, strict=True)]


def _judged_alike(every: Sequence[store.Kept], family: str) -> bool:
    first = every[0].settings(family)
    return first is not None and all(one.settings(family) == first for one in every[1:])


def _opened(name: str, auto: Autoencoder, X: Any, opened: dict[str, Dataset], *, needed: bool) -> Dataset | None:
    """The data of a run; None where they are not there and not needed."""
    try:
        data = _data(auto, X, opened)
    except SfumatoError:
        if needed:
            raise
        return None
    if data is None and needed:
        raise SfumatoError(f"{name}: was trained on data held in memory; compare it in Python, where they are")
    return data


def _measured(
    name: str,
    auto: Autoencoder,
    data: Dataset | None,
    kept: store.Kept,
    unlike: tuple[str, ...],
    whole: bool,
    seed: int,
) -> Contender:
    """A run whose families `unlike` are made anew if that can be done for all, or if it has none of them."""
    quick = tuple(family for family in unlike if whole or family not in kept.how)
    measures = [measure for measure in kept.measures if measure.family not in quick]
    if quick and data is not None:
        measures += auto.evaluate(data, quick=True, seed=seed, families=quick)
    how = "quick" if len(quick) == len(registered_families()) else store.EVALUATION_FILE
    apart = () if whole else unlike
    found = {measure.name: measure for measure in measures}
    unseen = tuple(measure.name for measure in kept.measures if measure.name not in found)
    assert auto.run_ is not None, "a loaded run has a folder"
    return Contender(name, auto, found, how, data, quick, apart, unseen, store.fingerprint(auto.run_.path))


def _data(auto: Autoencoder, X: Any, opened: dict[str, Dataset]) -> Dataset | None:
    """The data of a run, opened once for all runs that read them alike; None if they were held in memory."""
    config = auto.config_
    source = config.source or X
    if source is None:
        return None
    key = json.dumps([config.source, config.to_dict()["data"]], sort_keys=True, default=str)
    if key not in opened:
        opened[key] = room.open(source, options=config.data)
    if not opened[key].schema.equivalent(auto.schema_):
        said = config.source or "the data"
        raise SfumatoError(f"{said}: not what a run of it was trained on any more; restore it, or fit again")
    return opened[key]


def held_out(data: Dataset) -> Dataset:
    """The same data without the test part, so that what is judged is the validation part.

    Raises:
        SfumatoError: if there is no validation part to choose by.
    """
    if not len(data.valid):
        raise SfumatoError(f"{data.name}: has no validation part to choose the best run by; give --split 0.8 0.1 0.1")
    return replace(data, test=Resident(data.valid.take(slice(0, 0)).x))
