"""From a config and a source to a trained model, in memory or in a run folder."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypedDict

from sfumato import data, likelihoods, models, training
from sfumato.artifacts import Run
from sfumato.artifacts.places import check_free
from sfumato.artifacts.run import build
from sfumato.config import Config, settings
from sfumato.data.core.dataset import Dataset
from sfumato.data.core.labels import LABEL
from sfumato.data.core.schema import Schema
from sfumato.data.sequences.kind import holds_series
from sfumato.errors import SfumatoError
from sfumato.estimator import multistart, private
from sfumato.formatting import any_of
from sfumato.models import registry
from sfumato.models.base import Model
from sfumato.networks import sizes_for
from sfumato.spec import DataSpec, Size
from sfumato.training import Callback, History, resolve_device
from sfumato.training.hardware import parallel
from sfumato.training.saving.history import best_line, judged_by
from sfumato.training.settings import steps_per_epoch, total_steps

LONGER = ("epochs", "steps", "max_time", "patience", "device", "checkpoint_every", "tensorboard")
"""Options that may change when a run is resumed: how long and where it is trained, and what is logged."""

SIZES = {option.name for option in fields(Size)}
"""Options that every model has."""

logger = logging.getLogger("sfumato.data")
_SHOWN_NOTES: set[str] = set()

Opened = Callable[[Dataset], None]
"""Called with the data once they are open and before training starts."""


class TrainOptions(TypedDict, total=False):
    """Keyword arguments of `train` besides config and source."""

    run: str | os.PathLike[str] | bool | None
    callbacks: Sequence[Callback]
    progress: bool
    opened: Opened | None
    suited: bool


@dataclass
class Fitted:
    """A trained model with its config, schema, history, data and run.

    Attributes:
        config: all options, with those that were chosen automatically filled in.
        schema: learned from the data.
        model: in evaluation mode.
        history: the metrics of its training.
        data: the data it was trained on; None when it was loaded.
        run: its folder; None when it was never written, or another of several processes wrote it.
    """

    config: Config
    schema: Schema
    model: Model
    history: History
    data: Dataset | None = None
    run: Run | None = None


def train(
    config: Config,
    source: Any,
    *,
    run: str | os.PathLike[str] | bool | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
    opened: Opened | None = None,
    suited: bool = False,
) -> Fitted:
    """Open the source, build the model and train it.

    Args:
        config: the options of data, model and training.
        source: what `sfumato.data.open` takes.
        run: name or path of the run folder; True for an automatic name, None for no folder.
        callbacks: called during training.
        progress: show a progress bar.
        opened: called with the data before training starts.
        suited: take the first model that is for the data, where that of the config is not and has no options but those
            of size, which all models have.

    Raises:
        SfumatoError: if source or config are not usable, or the folder exists or cannot be written.
    """
    config = private.prepared(config)
    first = parallel.is_first()
    write = first and run is not None and run is not False
    name = None if isinstance(run, bool) else run
    if write:
        check_free(name)
    # Before anything is written: the variables of a launcher may be set although no other process exists.
    parallel.join(resolve_device(config.training.device))
    dataset = open_data(source, config)
    spec = dataset.schema.spec
    if suited and config.options.keys() <= SIZES and (other := models.chosen_for(spec, config.model)) != config.model:
        config = config.with_model(other).with_options(config.options)
    cells = models.memorised_cells(config.model, spec, config.options)
    chosen = training.resolve(config.training, len(dataset.train), spec.shape, cells=cells)
    planned = total_steps(chosen, steps_per_epoch(len(dataset.train), chosen.batch_size or 1))
    options = filled_in(config, spec, planned)
    if chosen.epsilon is not None:
        options = private.capped(options, config.options)
    config = replace(config, data=dataset.options, options=options, training=chosen, source=source_name(source))
    tables = config.to_dict()
    folder = None
    if write:
        model = build(tables["model"], dataset.schema, chosen.seed)
        stem = f"{Path(dataset.name).name or 'data'}-{registry.label(config.model)}"
        folder = Run.create(name, tables, dataset.schema, model, stem=stem)
    if first:
        (_warn_of_notes if opened is None else opened)(dataset)
    return _trained(config, dataset, folder, callbacks, progress, resume=False)


def resume(
    run: Run,
    source: Any = None,
    *,
    options: Mapping[str, Any] | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
    opened: Opened | None = None,
) -> Fitted:
    """Continue a stopped run; the result is bit-equal to an uninterrupted one.

    Args:
        run: the run.
        source: the data, if they were not a built-in set or a file.
        options: those of `LONGER` that change, such as `epochs` to train for longer.
        callbacks: called during training.
        progress: show a progress bar.
        opened: called with the data before training starts.

    Raises:
        SfumatoError: if the data are not those of the run, or an option is another one.
    """
    config = Config.from_dict(run.config(), where=str(run.path / "config.toml"))
    if config.training.epsilon is not None:
        raise SfumatoError(
            f"{run.path}: was trained with epsilon, and cannot be resumed, as its noise is kept nowhere; fit again"
        )
    known = settings(config.model)
    for name in options or {}:
        if name in known and name not in LONGER:
            raise SfumatoError(
                f"{name} cannot change when a run is resumed; leave it out, or fit again with --config (what can "
                f"change: {', '.join(LONGER)})"
            )
    if options:
        config = config.with_options(options)
    source = config.source if source is None else source
    if isinstance(source, str) and not source:
        raise SfumatoError(f"{run.path}: was trained on data in memory; pass the same data to resume it")
    dataset = open_data(source, config)
    if not dataset.schema.equivalent(run.schema()):
        raise SfumatoError(
            f"{source_name(source) or 'the data'}: not the data that {run.path} was trained on; fit again"
        )
    if opened is not None and parallel.is_first():
        opened(dataset)
    if parallel.is_first():
        run.unseal()
        run.write_config(config.to_dict())
    return _trained(config, dataset, run, callbacks, progress, resume=True)


def load(run: Run, device: str = "auto", model: Any = None) -> Fitted:
    """Load the contents of a run folder.

    Args:
        run: the run.
        device: where the model is to be.
        model: the class or the built module, where it cannot be imported from what `config.toml` says.

    Raises:
        SfumatoError: if it is damaged, has no weights yet, or its model cannot be imported.
    """
    name = None if model is None else registry.reference(model)
    config = Config.from_dict(run.config(), where=str(run.path / "config.toml"), model=name)
    lines = run.metrics()
    history = History(lines, privacy=run.privacy())
    if (best := best_line(lines)) is not None:
        history.best, history.best_step = best[judged_by(lines)], best["step"]
    return Fitted(config, run.schema(), run.model(name).to(resolve_device(device)), history, run=run)


def open_data(source: Any, config: Config) -> Dataset:
    """Open the source; a model that needs conditions and has none takes the labels of the data.

    Raises:
        SfumatoError: if the source is not usable, there is nothing to condition on, or the model takes no conditions.
    """
    options = config.data
    described = models.describe(config.model)
    if options.given and not described.takes_conditions:
        takers = [name for name in registry.shipped() if models.describe(name).takes_conditions]
        raise SfumatoError(
            f"given={', '.join(options.given)}: {config.model} takes no conditions; use model {' or '.join(takers)}"
        )
    if described.data_forms == ("sequence",) and holds_series(source):
        options = replace(options, sequences=True)
    dataset = data.open(source, options=options, forms=described.data_forms)
    likelihood = likelihoods.named(dataset.schema.spec.likelihood)
    if described.independent_columns and likelihood.joint:
        if options.likelihood != "auto":
            others = any_of(likelihoods.for_kind(dataset.schema.kind, joint=False))
            raise SfumatoError(
                f"likelihood={options.likelihood}: {config.model} needs independent columns; use {others}"
            )
        dataset.schema.spec = replace(dataset.schema.spec, likelihood=likelihood.apart)
    if not described.needs_conditions or options.given:
        return dataset
    if dataset.has_label or options.label is not None:
        name = LABEL if dataset.has_label else str(options.label)
        return data.open(source, options=replace(options, given=(name,)), forms=described.data_forms)
    could = "pass labels with the data, as in (X, y)"
    if names := dataset.schema.possible_conditions():
        could = "name columns with given: " + ", ".join(names[:12])
    raise SfumatoError(f"{config.model} needs conditions and {dataset.name} has no label of its own; {could}")


def filled_in(config: Config, spec: DataSpec, planned: int) -> dict[str, Any]:
    """The model's options with defaults and sizes filled in, so that the run loads the same when defaults change.

    Args:
        config: the options that were set.
        spec: of the data.
        planned: number of training steps.
    """
    if models.describe(config.model).is_built:
        return {}
    known = {name: setting for name, setting in settings(config.model).items() if setting.tables == ("model",)}
    options = {name: setting.default for name, setting in known.items()} | dict(config.options)
    requested = Size(**{name: options[name] for name in ("latent_dim", "width", "depth", "network")})
    sizes = sizes_for(spec, models.sized(config.model, spec, requested))
    chosen = models.chosen_by_data(config.model, spec, options | {"planned": planned})
    if config.training.epsilon is not None:  # What acts on several rows at once is off, as `private.prepared` says.
        chosen |= {name: 0.0 for name in models.describe(config.model).joint_options if name in chosen}
    options |= {name: value for name, value in chosen.items() if options[name] is None}
    options |= {"network": sizes.kind, **{name: getattr(sizes, name) for name in ("latent_dim", "width", "depth")}}
    return {name: value for name, value in options.items() if value is not None}


def source_name(source: Any) -> str:
    """A source as written to `config.toml`: a name, an absolute path, or "" for data in memory."""
    if not isinstance(source, str | os.PathLike):
        return ""
    path = Path(source)
    return str(path.absolute()) if path.exists() else str(source)


def _trained(
    config: Config,
    dataset: Dataset,
    run: Run | None,
    callbacks: Sequence[Callback],
    progress: bool,
    *,
    resume: bool,
) -> Fitted:
    table = config.to_dict()["model"]
    model, history = multistart.train(
        lambda seed: build(table, dataset.schema, seed),
        dataset,
        config.training,
        folder=None if run is None else run.path,
        writes=parallel.is_first(),
        resume=resume,
        callbacks=callbacks,
        progress=progress,
    )
    mine = run if parallel.is_first() else None
    if mine is not None:
        mine.seal()
        warn_how_to_load(config.model, mine)
    return Fitted(config, dataset.schema, model.eval(), history, dataset, mine)


def warn_how_to_load(model: str, run: Run) -> None:
    """Warn if the model's class or module cannot be imported by another process."""
    if registry.is_importable(model):
        return
    is_built = models.describe(model).is_built
    logging.getLogger("sfumato.models").warning(
        "%s: its model is %s; to load it in another process, pass it: sfumato.load(%r, model=%s)",
        run.path,
        "a module that was passed already built" if is_built else registry.origin(model),
        str(run.path),
        "module" if is_built else registry.label(model),
    )


def _warn_of_notes(dataset: Dataset) -> None:
    """Log the notes of a dataset as warnings, each once per process."""
    for note in dataset.notes:
        if note not in _SHOWN_NOTES:
            _SHOWN_NOTES.add(note)
            logger.warning("%s", note)
