"""The scikit-learn estimator."""

from __future__ import annotations

import html
import os
from dataclasses import replace
from numbers import Number
from typing import Any, Self, Unpack

import numpy as np
from scipy.sparse import issparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin, DensityMixin, TransformerMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import ClassifierTags, Tags, check_consistent_length, estimator_html_repr
from sklearn.utils.validation import validate_data
from torch import Tensor

from sfumato import evaluation
from sfumato.artifacts import Run
from sfumato.config import Config, resolve
from sfumato.data.io.count_files.count_matrix import holds_counts
from sfumato.data.io.frames import is_frame
from sfumato.data.io.in_memory import unpacked
from sfumato.data.registry import kind_of
from sfumato.data.sequences.series import Series
from sfumato.data.text import lines
from sfumato.diagnostics import Finding, Passed, diagnose, run_check
from sfumato.errors import SfumatoError
from sfumato.estimator import fitting
from sfumato.estimator.evaluation_data import evaluation_data, factors_at
from sfumato.estimator.fitting import Fitted
from sfumato.estimator.methods.scoring import ScoringMixin
from sfumato.estimator.methods.uses.anomalies import AnomalyMixin
from sfumato.estimator.methods.uses.augmentation import AugmentationMixin
from sfumato.estimator.methods.uses.completion import CompletionMixin
from sfumato.estimator.methods.uses.compression import CompressionMixin
from sfumato.estimator.methods.uses.differential import DifferentialMixin
from sfumato.estimator.methods.uses.fairness import FairnessMixin
from sfumato.estimator.methods.uses.forecasts import ForecastMixin
from sfumato.estimator.methods.uses.tokens import TokensMixin
from sfumato.estimator.parameters import Parameters
from sfumato.estimator.targets import classified, joined, unnamed
from sfumato.evaluation import EvaluationSettings, Measure, Subject
from sfumato.evaluation.subject import MAX_EXAMPLES, MAX_QUICK_EXAMPLES, held_out
from sfumato.isolation import isolated
from sfumato.latents import SecondStage, with_prior
from sfumato.models import registry
from sfumato.randomness.generators import chosen_seed
from sfumato.training.private.ledger import Ledger

FEW_STEPS = 100
"""A classifier trained for fewer steps is expected to score poorly."""


class Autoencoder(
    TokensMixin,
    CompressionMixin,
    CompletionMixin,
    FairnessMixin,
    DifferentialMixin,
    ForecastMixin,
    AugmentationMixin,
    ScoringMixin,
    AnomalyMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    DensityMixin,
    Parameters,
):
    """A variational autoencoder as a scikit-learn estimator: raw data in, raw data out.

    `transform` gives latent means, `inverse_transform` brings latents back, `score_samples` ranks examples by
    a bound on their log-density, `sample` draws new ones. X may be an array of numbers (NaN where missing), an array of
    images, a pandas, polars or arrow frame, or anything else that `sfumato.fit` takes; the output has the type
    of the input.

    Results are computed in double precision, with the same noise for each example, so that the result for an example
    does not depend on the others in the same call.

    With a model that predicts classes (m2, m1_m2) it is a scikit-learn classifier: `fit(X, y)` with labels for all rows
    or some, `predict`, `predict_proba`, and `score` is the accuracy.

    Args:
        model: the model's name, see `sfumato.models.names`; a class of your own with a `build` (see
            `sfumato.models.base.Model`), or where it can be imported from, as `mypackage.module:MyModel`; or a built
            module, of which `fit` trains a copy.
        random_state: as in scikit-learn, in place of `seed`: a whole number is the seed, and numpy's generators give
            one for each `fit`. None leaves it to `seed`, whose default is 0, so that `fit` repeats itself.
        verbose: show the progress of the training.
        **options: every option of the data, of any model and of the training, by name. None means *not set*: chosen
            from the data, or the default. `fit` rejects options of other models than `model`.

    Attributes:
        model_: the trained `sfumato.models` module.
        schema_: the schema learned from the data, `sfumato.data.core.schema.Schema`.
        history_: the metrics of the training.
        privacy_: the ledger of a private training (`epsilon`), `sfumato.training.private.ledger.Ledger`; else None.
        config_: all options, with those that were chosen automatically filled in.
        data_: the opened `Dataset`; None after `load`.
        run_: the run folder; None if none was written.
        n_features_in_: number of columns of X, when fitted on an array or frame.
        feature_names_in_: their names, when fitted on a frame with names.

    >>> X = np.random.default_rng(0).normal(size=(100, 3))
    >>> auto = Autoencoder(latent_dim=2, steps=20).fit(X)
    >>> auto.transform(X).shape, auto.sample(5).shape
    ((100, 2), (5, 3))
    """

    @classmethod
    def of(cls, fitted: Fitted) -> Self:
        """The estimator of a model that is already trained."""
        return cls._of_config(fitted.config)._adopt(fitted)

    @classmethod
    def _of_config(cls, config: Config) -> Self:
        """The estimator of these options, not fitted yet; it holds the class or module that was passed."""
        handed_over = registry.handed_over(config.model)
        return cls(model=config.model if handed_over is None else handed_over, **config.non_default_options())

    @classmethod
    @isolated
    def trained(cls, config: Config, source: Any, **how: Unpack[fitting.TrainOptions]) -> Self:
        """Train according to a config; `how` as `sfumato.estimator.fitting.train` takes it."""
        auto = cls._of_config(config)
        fitted = fitting.train(config, auto._recorded(source), **how)
        if fitted.config.model != config.model:
            auto.set_params(model=fitted.config.model)
        return auto._adopt(fitted)

    @isolated
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn schema and model from X.

        Args:
            X: the examples, shape (N, D) or whatever `sfumato.fit` takes.
            y: a label for each row of an array or a frame, which conditional models are given; that of an array
                stratifies the split too. Labels of a frame can also be a column of it, named by the options `label`
                or `given`. A classifier (m2, m1_m2) takes None, NaN, or −1 beside classes 0, 1, … for *no label*.

        Raises:
            SfumatoError: if an option or the data cannot be used.
        """
        options = {name: value for name, value in self._options.values.items() if value is not None}
        config = resolve(registry.reference(self.model), options)
        if self.random_state is not None:
            if self._options.get("seed") is not None:
                raise SfumatoError("random_state and seed are both given and mean the same; leave one out")
            config = config.with_options({"seed": chosen_seed(self.random_state)})
        X = self._checked(X, reset=True)
        if y is None and self.is_classifier and not config.data.given and isinstance(X, np.ndarray):
            raise SfumatoError(f"{config.model} requires y to be passed, but the target y is None; give a class a row")
        dtype = None
        if y is not None and (is_frame(X) or issparse(X) or isinstance(X, np.ndarray | Tensor)):
            if registry.describe(config.model).classifies:
                check_consistent_length(X, y)
                y, dtype = classified(y)
            X, config = joined(X, np.asarray(y), config, dtype)
        self._adopt(fitting.train(config, X, progress=bool(self.verbose)))
        self._label_dtype = dtype
        return self

    @isolated
    def transform(self, X: Any) -> np.ndarray:
        """Latent means E[z | x], shape (N, L)."""
        return self.encode(self._known(X))

    @isolated
    def inverse_transform(self, X: Any) -> Any:
        """Latents, shape (N, L), as examples: the mode of p(x | z)."""
        return self.decode(X)

    @isolated
    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Mean of `score_samples`, or of a classifier that is given y the accuracy; higher is better."""
        if y is not None and self.is_classifier:
            return float(accuracy_score(y, self.predict(X), sample_weight=sample_weight))
        return float(np.average(self.score_samples(X), weights=sample_weight))

    @isolated
    def evaluate(self, X: Any = None, **how: Unpack[evaluation.EvaluationOptions]) -> list[Measure]:
        """Every measure that applies to the model and to the data, on held-out examples.

        >>> auto = Autoencoder(latent_dim=2, steps=20).fit(np.random.default_rng(0).normal(size=(100, 3)))
        >>> [measure.name for measure in auto.evaluate(families=("bounds",), k=64)]
        ['distortion', 'rate', '−ELBO', 'NLL', 'effective draws']

        Args:
            X: the examples to evaluate on, as `score_samples` takes them, or a `Dataset`, whose test split is used.
                None takes the test split of the data it was trained on, which are opened again where the model was
                loaded.
            how: see `sfumato.evaluation.EvaluationSettings`; `factors` have one value for each of the examples.

        Raises:
            SfumatoError: if there are no data to evaluate on, or they do not match the schema.
        """
        settings = EvaluationSettings(**how)
        data, part = evaluation_data(self.config_, self.schema_, getattr(self, "data_", None), X)
        most = MAX_QUICK_EXAMPLES if settings.quick else MAX_EXAMPLES
        sampler = settings.sampler if "samples" in settings.families else "prior"
        subject = self.subject(data, settings.seed, most=most, part=part, sampler=sampler)
        if settings.sampler not in ("auto", "prior") and "bounds" in settings.families:
            subject.with_sampler = with_prior(self._model(), self.fitted_sampler(settings.sampler))  # type: ignore[assignment]
        settings = replace(settings, factors=factors_at(settings.factors, subject.index, len(held_out(data)[1])))
        return evaluation.evaluate(subject, settings)

    @isolated
    def diagnose(self, X: Any = None, *, quick: bool = False, seed: int = 0) -> list[Finding]:
        """The problems of the model, the worst first, and how to fix them; one finding "healthy" if there are none.

        >>> auto = Autoencoder(latent_dim=2, steps=20).fit(np.random.default_rng(0).normal(size=(100, 3)))
        >>> auto.diagnose()[0].name
        'too_short'

        Args:
            X: the examples to use, as `evaluate` takes them.
            quick: use fewer examples.
            seed: of every choice and draw.

        Raises:
            SfumatoError: if there are no data to use.
        """
        # A model that another process cannot import is fitted again from Python.
        typed = self.run_ is not None and registry.is_importable(self.config_.model)
        run = str(self.run_.path) if self.run_ is not None and typed else ""
        return diagnose(**self._examined(X, seed), run=run, quick=quick)

    def run_check(self, name: str, X: Any = None, *, seed: int = 0) -> Finding | Passed | None:
        """A single check of `diagnose`, whatever else may be wrong: a finding, or the numbers of a check that passed.

        Args:
            sickness: its name, as findings have it.
            X: the examples to use, as `evaluate` takes them.
            seed: of every choice and draw.

        Returns:
            None where the check does not apply.
        """
        return run_check(name, **self._examined(X, seed))

    def _examined(self, X: Any, seed: int) -> dict[str, Any]:
        """The arguments of the doctor's checks."""
        dataset, part = evaluation_data(self.config_, self.schema_, getattr(self, "data_", None), X)
        return {
            "subject": Subject.of(self._model(), self.schema_, dataset, seed, part=part),
            "lines": self.history_.lines,
            "config": self.config_.to_dict(),
            "stop": self.history_.stop,
            "skipped": self.history_.skipped,
        }

    @isolated
    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Run:
        """Write a complete run folder; a bare name lies under `runs/`.

        Raises:
            SfumatoError: if it exists and `overwrite` is False, or cannot be written.
        """
        model = self._model()
        run = Run.create(
            path,
            self.config_.to_dict(),
            self.schema_,
            model,
            metrics=self.history_.lines,
            privacy=self.history_.privacy,
            overwrite=overwrite,
        )
        fitting.warn_how_to_load(self.config_.model, run)
        self.run_ = run
        self._keep()
        self._keep_partial()
        return run

    @classmethod
    @isolated
    def load(cls, run: str | os.PathLike[str], *, device: str = "auto", model: Any = None) -> Self:
        """Load a run by its name under `runs/` or its path.

        Args:
            run: its name or path.
            device: where to compute.
            model: see `sfumato.load`.

        Raises:
            SfumatoError: if there is no such run, it is damaged, or its model cannot be imported.
        """
        return cls.of(fitting.load(Run.open(run), device, model))

    @property
    def privacy_(self) -> Ledger | None:
        """What a training with `epsilon` promises, what it cost, and what is not covered; None of any other."""
        self._model()
        return self.history_.privacy

    def _adopt(self, fitted: Fitted) -> Self:
        self.config_, self.schema_, self.model_ = fitted.config, fitted.schema, fitted.model
        self.history_, self.data_ = fitted.history, fitted.data
        self.run_ = fitted.run
        self._partial = None
        self._stage = SecondStage() if fitted.run is None else self._kept_stage(fitted.run)
        self._agreements: dict[tuple[int, int, str], float] = {}
        return self

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if not isinstance(self.model, str):  # Register here the class or module that was passed in another process.
            name = registry.reference(self.model)
            if "config_" in vars(self):
                self.config_ = replace(self.config_, model=name)

    def _checked(self, X: Any, *, reset: bool) -> Any:
        """scikit-learn's checks of arrays and frames; all else is left to the data package."""
        X = unpacked(X)
        if X is None or type(X) is dict or isinstance(X, str | os.PathLike | tuple | Tensor | Number | Series):
            return X
        if (text := lines.strings(X)) is not None:
            return text
        if holds_counts(X):
            return self._recorded(X) if reset else X
        # To scikit-learn a frame without names is an array, whose classifier must not depend on the container.
        if self.is_classifier and not self._options.get("given") and unnamed(X):
            X = X.to_numpy()
        if not reset and kind_of(self.schema_).named_columns:
            # Columns of a table are matched by name, in any order; those of an array by position.
            if isinstance(X, np.ndarray) and "n_features_in_" in vars(self):
                validate_data(self, X, reset=False, skip_check_array=True)
            return X
        if is_frame(X):
            if reset or "n_features_in_" in vars(self):
                validate_data(self, X, reset=reset, skip_check_array=True)
            return X
        few = 2 if reset else 1
        return validate_data(self, X, reset=reset, allow_nd=True, ensure_all_finite="allow-nan", ensure_min_samples=few)

    def _recorded(self, X: Any) -> Any:
        """X, its number of features and their names kept for later calls; the data package checks it."""
        X = unpacked(X)
        if is_frame(X) or (isinstance(X, np.ndarray) and X.ndim > 1):
            validate_data(self, X, skip_check_array=True)
        return X

    def _known(self, X: Any) -> Any:
        """X with the features that `fit` saw, when it was fitted on an array or frame."""
        self._model()
        return self._checked(X, reset=False)

    def _repr_html_(self) -> str:
        return estimator_html_repr(self) + f"<p>{html.escape(self._summary())}</p>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def _summary(self) -> str:
        if "model_" not in vars(self):
            return "Not fitted yet."
        spec = self.schema_.spec
        source = self.config_.source or "data in memory"
        trained = f"trained on {spec.examples:,} examples of {source}"
        summary = f"{self.config_.model} with {self._n_features_out} latents, {trained}"
        best = self.history_.best_summary()
        return f"{summary}: {best}" if best else summary

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        if self.is_classifier:
            steps = self._options.get("steps")
            short = steps is not None and steps < FEW_STEPS
            tags.estimator_type, tags.classifier_tags = "classifier", ClassifierTags(poor_score=short)
            tags.target_tags.required = not self._options.get("given")
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = []
        return tags
