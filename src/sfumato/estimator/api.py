"""`fit` and `load`: an `Autoencoder` in one call."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from sfumato.artifacts import Run
from sfumato.config import Config
from sfumato.errors import SfumatoError
from sfumato.estimator import fitting
from sfumato.estimator.autoencoder import Autoencoder
from sfumato.isolation import isolated
from sfumato.models import registry
from sfumato.models.base import Model
from sfumato.randomness.generators import chosen_seed
from sfumato.training import Callback

Name = str | os.PathLike[str]


@isolated
def fit(
    source: Any = None,
    *,
    model: Any = None,
    run: Name | bool | None = None,
    resume: Name | None = None,
    config: Name | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
    opened: fitting.Opened | None = None,
    **options: Any,
) -> Autoencoder:
    """Train a model on a source; with a run, its second stage too (see `Autoencoder.second_stage`).

    >>> m = fit("moons", rows=200, steps=20)
    >>> m.sample(3, seed=1).shape
    (3, 2)

    Args:
        source: a built-in set, a path, an array, a tensor, (X, y), or a frame; see `sfumato.data.open`.
        model: the model's name, see `sfumato.models.names`; a class of your own with a `build`, or where it can be
            imported from, as `mypackage.module:MyModel`; or a built module. None takes vae, for sequences td_vae. See
            `Autoencoder`.
        run: name (under `runs/`) or path of the run folder to write; True for an automatic name; None writes nothing.
        resume: a stopped run to continue with its own config; the result is bit-equal to an uninterrupted run. How long
            and where to train may change.
        config: a `config.toml` to start from; other arguments override it, and another model keeps only its options
            of data and training.
        callbacks: called during training.
        progress: show a progress bar.
        opened: called with the `Dataset` before training starts, for example to show its schema.
        options: of the data, the model and the training, by name. As in scikit-learn, `random_state` is accepted for
            `seed`, and `verbose` for `progress`.

    Raises:
        SfumatoError: if the source, a name or a value is not usable.
    """
    progress = progress or bool(options.pop("verbose", False))
    if (state := options.pop("random_state", None)) is not None:
        if options.get("seed") is not None:
            raise SfumatoError("random_state and seed are both given and mean the same; leave one out")
        options["seed"] = chosen_seed(state)
    if resume is not None:
        for name, value in (("model", model), ("run", run), ("config", config)):
            if value is not None:
                raise SfumatoError(f"{name} cannot be combined with resume, which uses the run's own config")
        stopped = Run.open(resume)
        auto = Autoencoder.of(
            fitting.resume(stopped, source, options=options, callbacks=callbacks, progress=progress, opened=opened)
        )
        return _with_second_stage(auto, callbacks, progress)
    read = Config() if config is None else Config.read(config)
    if model is not None and (name := registry.reference(model)) != read.model:
        read = read.with_model(name)
    chosen = read.with_options(options)
    suited = model is None and config is None
    auto = fit_config(chosen, source, run=run, callbacks=callbacks, progress=progress, opened=opened, suited=suited)
    return _with_second_stage(auto, callbacks, progress)


class _OnInterrupt(Callback):
    """What others do on Ctrl-C, and nothing else of theirs."""

    def __init__(self, others: Sequence[Callback]) -> None:
        self.others = others

    def on_interrupt(self, model: Model) -> bool:
        return sum(bool(other.on_interrupt(model)) for other in self.others) > 0


def _with_second_stage(auto: Autoencoder, callbacks: Sequence[Callback], progress: bool) -> Autoencoder:
    """With what its samples are drawn by fitted and kept in the run; without a run, the first sample does so."""
    if auto.run_ is not None and auto.history_.stop != "interrupted":
        auto.fit_sampler("auto", callbacks=[_OnInterrupt(callbacks)], progress=progress)
    return auto


@isolated
def fit_config(
    config: Config,
    source: Any = None,
    *,
    run: Name | bool | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
    opened: fitting.Opened | None = None,
    suited: bool = False,
) -> Autoencoder:
    """Train according to a config, on its own source unless another is passed.

    Args:
        config: the options of data, model and training.
        source: see `fit`; None takes `config.source`.
        run: see `fit`.
        callbacks: called during training.
        progress: show a progress bar.
        opened: see `fit`.
        suited: take a model that is for the data, where that of the config is not and has no options.

    Raises:
        SfumatoError: if the config or the source is not usable.
    """
    source = config.source if source is None else source
    if isinstance(source, str) and not source:
        raise SfumatoError("no source: pass the name of a data set, a path, an array or a frame")
    return Autoencoder.trained(
        config, source, run=run, callbacks=callbacks, progress=progress, opened=opened, suited=suited
    )


@isolated
def load(run: Name, *, device: str = "auto", model: Any = None) -> Autoencoder:
    """Load a run by its name under `runs/` or its path.

    Args:
        run: its name or path.
        device: where to compute.
        model: the class of the model, or the built module, for runs whose model was defined in a script or notebook or
            has moved.

    Raises:
        SfumatoError: if there is no such run, it is damaged, or its model cannot be imported.
    """
    return Autoencoder.load(run, device=device, model=model)
