"""What an estimator's samples are drawn by: its second stage, fitted once and kept with the run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Self

from sfumato.artifacts import Run, manifest
from sfumato.artifacts.places import WEIGHTS_FILE
from sfumato.data.core.dataset import Dataset
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.estimator.evaluation_data import reopened
from sfumato.estimator.methods.fitted import FittedMixin
from sfumato.evaluation import Subject
from sfumato.evaluation.subject import MAX_QUICK_EXAMPLES
from sfumato.files import sha256
from sfumato.isolation import isolated
from sfumato.latents import choosing, second_stage
from sfumato.latents.samplers import Sampler
from sfumato.latents.second_stage import SECOND_STAGE_FOLDER, SecondStage
from sfumato.models.protocols import LatentSpace
from sfumato.training.hardware import parallel
from sfumato.training.settings import SAMPLERS

MIN_STEPS_FOR_SECOND_STAGE = 500
"""Steps of a training, at least, for a second stage to be worth its time."""
TIME_SHARE = 0.5
"""Of the time of the training, what choosing a sampler may take."""

logger = logging.getLogger("sfumato.latents")


class SecondStageMixin(FittedMixin):
    """The samplers of `Autoencoder`; see there."""

    @isolated
    def fit_sampler(
        self, name: str = "auto", *, components: int | None = None, seed: int | None = None, **how: Any
    ) -> Self:
        """Fit a density to the codes of the training split, for `sample` to draw from in the prior's place.

        It is kept in the run folder, if there is one, and by `save`.

        >>> import numpy as np
        >>> from sfumato import Autoencoder
        >>> auto = Autoencoder(latent_dim=2, steps=20).fit(np.random.default_rng(0).normal(size=(100, 3)))
        >>> auto.fit_sampler("mixture", components=4).sample(5, sampler="mixture").shape
        (5, 3)

        Args:
            name: "mixture" of normals; "flow", a neural spline flow; "flow-matching"; or "auto", which fits what there
                is to choose from, as `sample` does where nothing was chosen yet, in at most half the training's time.
            components: of the mixture; chosen by validation unless given.
            seed: of the fit; that of the training if None.
            how: `callbacks` and `progress` of the training of a flow.

        Raises:
            SfumatoError: if the codes are discrete, there is no such sampler, or the training data are not at hand.
        """
        if name == "auto":
            self._stage = self._choose({"seed": seed, **how})
        elif name != "prior":
            self._add(name, components, seed=seed, **how)
        self._keep()
        return self

    def second_stage(self) -> SecondStage:
        """What samples are drawn by, and why; fitted and chosen now if that was not done yet."""
        self._model()
        if self._stage.chosen is None:
            self.fit_sampler("auto")
        return self._stage

    def subject(
        self,
        data: Dataset,
        seed: int = 0,
        *,
        most: int = MAX_QUICK_EXAMPLES,
        part: str | None = None,
        sampler: str = "auto",
    ) -> Subject:
        """The model with held-out examples of `data`, to be measured or shown, as `Subject.of` has it.

        Args:
            data: the data.
            seed: of every choice among them.
            most: examples, at most.
            part: what they are called.
            sampler: what its samples are drawn by, as for `sample`.
        """
        model = self._model()
        own = self.fitted_sampler(sampler)
        draws = None if own is None else partial(second_stage.sample, model, own)
        return Subject.of(model, self.schema_, data, seed, most=most, part=part, draws=draws)

    def fitted_sampler(self, name: str) -> Sampler | None:
        """The sampler of this name, fitted if it is not yet; None for the model's own prior."""
        if name not in SAMPLERS:
            raise SfumatoError(f"no sampler is called {name!r}: {did_you_mean(name, SAMPLERS)}")
        name = str(self.second_stage().chosen) if name == "auto" else name
        if name != "prior" and name not in self._stage.samplers:
            self.fit_sampler(name)
        return self._stage.sampler(name)

    def _add(self, name: str, components: int | None = None, **fit: Any) -> None:
        """Fit the sampler called `name`, to be kept later."""
        model, data = self._model(), self._training_data()
        fitted = choosing.fit_sampler(name, model, data, self._how(name, **fit), components=components)
        self._stage.samplers[name] = fitted

    def _choose(self, fit: dict[str, Any]) -> SecondStage:
        """What the training was told, or what is best; with a sampler for it."""
        wanted, stage = self.config_.training.sampler, self._stage
        if wanted != "auto":
            if wanted != "prior" and wanted not in stage.samplers:
                self._add(wanted, **fit)
            return SecondStage(stage.samplers, wanted, "as it was told when it was trained")  # type: ignore[arg-type]
        last = self.history_.lines[-1] if self.history_.lines else {}
        reason = choosing.unsuited(self._model())
        if reason is None and last.get("step", 0) < MIN_STEPS_FOR_SECOND_STAGE:
            reason = f"as another is fitted only after {MIN_STEPS_FOR_SECOND_STAGE} steps of training or more"
        if reason is None and not parallel.is_alone():
            reason = "as another is fitted by a single process"
        if reason is not None:
            return SecondStage(stage.samplers, "prior", reason)
        try:
            data = self._training_data()
            seconds = TIME_SHARE * float(last.get("seconds") or 0.0)
            chosen = choosing.choose(self._model(), data, self._how("flow-matching", seconds=seconds, **fit))
        except SfumatoError as error:
            return SecondStage(stage.samplers, "prior", f"as no other could be fitted ({error})")
        except choosing.FittingInterrupted:
            return SecondStage(stage.samplers, "prior", "as the fit of another was interrupted")
        chosen.samplers = {**stage.samplers, **chosen.samplers}
        return chosen

    def _kept_stage(self, run: Run) -> SecondStage:
        """What was kept in the run, on the device of the model."""
        folder, model = run.path / SECOND_STAGE_FOLDER, self.model_
        if not isinstance(model, LatentSpace) or not folder.is_dir():
            return SecondStage()
        manifest.verify(run.path, only=[f"{SECOND_STAGE_FOLDER}/{path.name}" for path in folder.iterdir()])
        stage = SecondStage.load(folder, sha256(run.path / WEIGHTS_FILE), model.code_size, self.schema_.spec.given)
        for sampler in stage.samplers.values():
            sampler.to(next(model.parameters()).device)
        return stage

    def _training_data(self) -> Dataset:
        if self.config_.training.epsilon is not None:
            raise SfumatoError(
                "this model was trained with epsilon, which does not cover what would be fitted to its training rows "
                "now (another sampler than prior, an encoder of rows with blanks); fit a model without epsilon for it"
            )
        return getattr(self, "data_", None) or reopened(self.config_, self.schema_)

    def _how(self, name: str, *, seed: int | None = None, **others: Any) -> choosing.SamplerFit:
        """How the sampler called `name` is fitted, with a folder where its training can be resumed."""
        seed = self.config_.training.seed if seed is None else seed
        folder = None
        if name == "flow-matching" and self.run_ is not None:
            folder = second_stage.checkpoints(self.run_.path, f"{sha256(self.run_.path / WEIGHTS_FILE)} {seed}")
        return choosing.SamplerFit(seed, folder=folder, **others)

    def _keep(self) -> None:
        """Write the second stage into the run, where there is one that can be written and anything was fitted."""
        stage = self._stage
        if self.run_ is not None and (stage.samplers or stage.verdicts):
            weights = sha256(self.run_.path / WEIGHTS_FILE)
            self._add_to_run(lambda run: stage.save(run.path / SECOND_STAGE_FOLDER, weights))

    def _add_to_run(self, write: Callable[[Run], None]) -> None:
        """Write what was fitted after the training into the run; where it cannot be written, say so."""
        run = self.run_
        assert run is not None, "there is a run to write to"
        sealed = run.sealed()
        try:
            run.unseal()
            write(run)
        except (OSError, SfumatoError) as error:
            logger.warning("%s: what was fitted to codes could not be kept (%s), and is fitted again", run, error)
        finally:
            if sealed:
                with suppress(OSError, SfumatoError):
                    run.seal()
