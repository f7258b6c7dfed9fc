"""The scikit-learn estimator."""

from __future__ import annotations

import html
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from inspect import Parameter, Signature
from numbers import Number
from typing import Any, Self, Unpack

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, DensityMixin, TransformerMixin
from sklearn.utils import Tags, estimator_html_repr
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_array, check_is_fitted, validate_data
from torch import Tensor

from sfumato import evaluation
from sfumato.artifacts import Run
from sfumato.batch import Batch
from sfumato.config import Config, resolve, settings
from sfumato.data import lines
from sfumato.data.frames import is_frame
from sfumato.data.sequence import SequenceSchema
from sfumato.data.series import Series
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.estimator import fitting, passes, samplers
from sfumato.estimator.fitting import Fitted
from sfumato.estimator.judging import factors_at, judged, reopened
from sfumato.evaluation import How, Measure, Subject
from sfumato.evaluation.doctor import Finding, diagnose
from sfumato.evaluation.subject import ALL, MOST, held_out
from sfumato.models._model import Model
from sfumato.models._protocols import Bounds, Classifies, Encodes, Forecasts, LatentSpace, Reconstructs, Samples, able
from sfumato.objectives import importance_bound
from sfumato.training.randomness import seeded


def _can_classify(auto: Autoencoder) -> bool:
    """Whether the model tells classes; scikit-learn's own checks take whatever has `predict` for a classifier."""
    if isinstance(vars(auto).get("model_"), Classifies):
        return True
    raise AttributeError(f"a model of the kind {auto.model} cannot tell classes; choose m2")


class Autoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, BaseEstimator):
    """A variational autoencoder as a scikit-learn estimator: raw things in, raw things out.

    `transform` gives latent means, `inverse_transform` brings latents back, `score_samples` bounds log p(x), `sample`
    draws new examples. X may be an array of numbers (NaN where missing), an array of pictures, a pandas, polars or
    arrow frame, or anything else that `sfumato.fit` takes; what comes out is of the kind that went in.

    Maps from example to result are computed in double precision with noise that is the same for each example, so that
    a result does not depend on which other examples were asked for with it.

    Args:
        model: the model's name, see `sfumato.models.names`.
        **options: every option of the data, of any model and of the training, by name. None is *not said*: chosen
            from the data, or the default. Options of another model than `model` are refused by `fit`.

    Attributes:
        model_: the trained `sfumato.models` module.
        schema_: what was learned of the data, `sfumato.data.schema.Schema`.
        history_: the course of the training.
        config_: the options with all that was chosen filled in.
        data_: the opened `Dataset`; None after `load`.
        run_: the run folder; None if none was written.
        n_features_in_: number of columns of X, when fitted on an array or frame.
        feature_names_in_: their names, when fitted on a frame with names.

    >>> X = np.random.default_rng(0).normal(size=(100, 3))
    >>> auto = Autoencoder(latent_dim=2, steps=20).fit(X)
    >>> auto.transform(X).shape, auto.sample(5).shape
    ((100, 2), (5, 3))
    """

    run_: Run | None

    def __init__(self, model: str = "vae", **options: Any) -> None:
        for name in options:
            if name not in settings():
                raise SfumatoError(f"there is no option {name!r}: {did_you_mean(name, (*settings(), 'model'))}")
        self.model = model
        for name in settings():
            setattr(self, name, options.get(name))

    @classmethod
    def of(cls, fitted: Fitted) -> Self:
        """The estimator of what was already trained."""
        return cls(model=fitted.config.model, **fitted.config.told())._adopt(fitted)

    @classmethod
    def trained(cls, config: Config, source: Any, **how: Unpack[fitting.How]) -> Self:
        """Train what a config says; `how` as `sfumato.estimator.fitting.train` takes it."""
        auto = cls(model=config.model, **config.told())
        return auto._adopt(fitting.train(config, auto._recorded(source), **how))

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn schema and model from X.

        Args:
            X: the examples, shape (N, D) or whatever `sfumato.fit` takes.
            y: a label for each row of an array. It stratifies the split, and conditional models are given it. Labels
                of a frame are a column of it, named by the options `label` or `given`.

        Raises:
            SfumatoError: if an option or the data cannot be used.
        """
        options = {name: value for name, value in self.get_params(deep=False).items() if name != "model"}
        config = resolve(self.model, options)
        X = self._checked(X, reset=True)
        labelled = y is not None and isinstance(X, np.ndarray | Tensor)
        return self._adopt(fitting.train(config, (X, np.asarray(y)) if labelled else X))

    def transform(self, X: Any) -> np.ndarray:
        """Latent means E[z | x], shape (N, L)."""
        return self.encode(self._known(X))

    def inverse_transform(self, X: Any) -> Any:
        """Latents, shape (N, L), as examples: the point of p(x | z)."""
        return self.decode(X)

    def encode(
        self, X: Any, given: Mapping[str, Any] | None = None, *, noise: bool = False, seed: int = 0
    ) -> np.ndarray:
        """Latent means E[z | x, c], shape (N, L); whole numbers where the model's codes are discrete.

        Args:
            X: the examples; columns of a frame may stand in any order.
            given: conditions that replace those in X, name → value or N values.
            noise: draw z from q(z | x, c) instead of taking its mean.
            seed: of the draw.
        """
        model = passes.exact(self._model())
        encodes = able(model, Encodes, "encode")
        with seeded(next(model.parameters()).device, seed):
            posteriors = map(encodes.encode, self._batches(X, given))
            return np.concatenate([(q.sample() if noise else q.point()).cpu().numpy() for q in posteriors])

    def decode(self, z: Any, given: Mapping[str, Any] | None = None) -> Any:
        """Codes as `encode` gives them, (N, L), as examples: the point of p(x | z, c).

        Conditions not named are left out.
        """
        model = passes.exact(self._model())
        encodes = able(model, Encodes, "decode")
        z = check_array(z, dtype=np.float64)
        like = next(model.parameters())
        if z.shape[1] != self._n_features_out:
            raise SfumatoError(f"z has {z.shape[1]} columns, but the model has {self._n_features_out} latents")
        conditions = self.schema_.conditions(given or {}, len(z), marginal=True)
        parts = []
        for rows in passes.slices(len(z), self.schema_.spec):
            c = None if conditions is None else conditions[rows].to(like)
            parts.append(encodes.decode(torch.as_tensor(z[rows]).to(like), c).point())
        return self.schema_.decode(torch.cat(parts).cpu(), conditions)

    @available_if(_can_classify)
    def predict_proba(self, X: Any) -> np.ndarray:
        """q(y | x), (N, K), the classes in the order of `classes_`; only of models that tell classes.

        Args:
            X: the examples; what label they come with is not looked at.
        """
        model = passes.exact(self._model())
        told = able(model, Classifies, "tell classes")
        return np.concatenate([told.classify(batch).cpu().numpy() for batch in self._batches(X, None)])

    @available_if(_can_classify)
    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class of each example, (N,); only of models that tell classes."""
        return self.classes_[self.predict_proba(X).argmax(1)]

    @property
    def classes_(self) -> np.ndarray:
        """The classes that the first condition can be."""
        self._model()
        return np.array(self.schema_.classes())

    def reconstruct(self, X: Any, given: Mapping[str, Any] | None = None, *, noise: bool = False, seed: int = 0) -> Any:
        """The examples after encoding to latent means and decoding; of the kind of X.

        Args:
            X: the examples.
            given: conditions that replace those in X, name → value or N values.
            noise: draw z from q(z | x, c) and x from p(x | z, c), instead of taking the point of each.
            seed: of the draws.
        """
        model = passes.exact(self._model())
        reconstructs = able(model, Reconstructs, "reconstruct")
        raw = self.schema_.read(X)
        batches = list(self._batches(raw, given))
        with seeded(next(model.parameters()).device, seed), torch.inference_mode():
            x = torch.cat([reconstructs.reconstruct(batch, noise=noise).cpu() for batch in batches])
        conditions = [batch.given.cpu() for batch in batches if batch.given is not None]
        return self.schema_.decode_beside(x, torch.cat(conditions) if conditions else None, raw, X)

    def sample(
        self,
        n: int = 1,
        given: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        temperature: float = 1.0,
        marginal: bool = False,
        noise: bool = True,
        sampler: samplers.Name = "prior",
    ) -> Any:
        """Draw n new examples x ~ p(x | c), of the kind the model was trained on.

        Args:
            n: how many.
            given: conditions, name → one value, or n values. Those not named are drawn from the training data.
            seed: the same seed gives the same examples.
            temperature: factor on the spread of the latents.
            marginal: leave out the conditions that are not named, instead of drawing them.
            noise: draw x from p(x | z, c); False takes its point, as is usual for showing pictures.
            sampler: where codes are drawn: the prior, or a density fitted to the codes of the training part (a
                mixture of normals, or a flow), which is fitted when it is first asked for.

        Raises:
            SfumatoError: if a condition is unknown or does not take this value, or n or temperature is too small.
        """
        model = self._model()
        samples = able(model, Samples, "sample")
        if n < 1:
            raise SfumatoError(f"n is {n}: ask for at least 1 example")
        if not 0 <= temperature < math.inf:
            raise SfumatoError(f"temperature is {temperature}: give 0 or more; 1 is the model as it was trained")
        if sampler != "prior" and temperature != 1:
            raise SfumatoError(f"temperature is for draws from the prior; leave it out with the sampler {sampler}")
        drawn = None if sampler == "prior" else self._sampler(sampler)
        conditions = self.schema_.conditions(given or {}, n, seed=seed, marginal=marginal)
        like = next(model.parameters())
        parts = []
        with seeded(like.device, seed), torch.inference_mode():
            if isinstance(model, Classifies) and conditions is not None:
                conditions = model.drawn(conditions.to(like)).cpu()
            for rows in passes.slices(n, self.schema_.spec):
                c = None if conditions is None else conditions[rows].to(like)
                count = rows.stop - rows.start
                if drawn is None:
                    parts.append(samples.sample(count, c, temperature=temperature, noise=noise).cpu())
                else:
                    space = able(model, LatentSpace, "decode what a sampler draws")
                    p = space.decode(samplers.placed(space, drawn(count).to(like), c), c)
                    parts.append((p.sample() if noise else p.point()).cpu())
        return self.schema_.decode(torch.cat(parts), conditions)

    def fit_sampler(
        self, name: samplers.Name = "mixture", *, components: int = samplers.COMPONENTS, seed: int = 0
    ) -> Self:
        """Fit a density to the codes of the training part, for `sample` to draw from in the prior's place.

        >>> auto = Autoencoder(latent_dim=2, steps=20).fit(np.random.default_rng(0).normal(size=(100, 3)))
        >>> auto.fit_sampler("mixture", components=4).sample(5, sampler="mixture").shape
        (5, 3)

        Args:
            name: "mixture" of normals, or "flow".
            components: of the mixture.
            seed: of the fit.

        Raises:
            SfumatoError: if the codes are discrete, there is no such sampler, or the training data are not at hand.
        """
        model = self._model()
        held = getattr(self, "data_", None) or reopened(self.config_, self.schema_)
        self._samplers[name] = samplers.fitted(name, model, held.train, components=components, seed=seed)
        return self

    def _sampler(self, name: samplers.Name) -> samplers.Sampler:
        if name not in self._samplers:
            self.fit_sampler(name)
        return self._samplers[name]

    def forecast(
        self, X: Any, jumps: Sequence[float] = (1.0,), n: int = 1, *, noise: bool = True, seed: int = 0
    ) -> np.ndarray:
        """n futures of each sequence after its last observed step, (N, n, len(jumps), D), or (N, n, len(jumps)).

        Each jump starts where the one before ended; the steps between are not made.

        >>> X = np.sin(np.arange(12) + np.random.default_rng(0).uniform(0, 6, (40, 1)))
        >>> auto = Autoencoder("td_vae", sequences=True, steps=5).fit(X)
        >>> auto.forecast(X[:2, :8], jumps=(1, 3), n=5).shape
        (2, 5, 2)

        Args:
            X: the sequences, or only their beginnings.
            jumps: lengths of the jumps, in the units of the times of the data (steps, if they came without).
            n: futures of each sequence.
            noise: draw observations too; False gives the point of p(x | z) of each drawn state.
            seed: of the draws.

        Raises:
            SfumatoError: if the model is none of sequences, or n or a jump is not above 0.
        """
        model = passes.exact(self._model())
        forecasts = able(model, Forecasts, "forecast")
        if n < 1:
            raise SfumatoError(f"n is {n}: ask for at least 1 future")
        if not len(jumps) or not all(0 < jump < math.inf for jump in jumps):
            raise SfumatoError(f"jumps are {list(jumps)}: give lengths above 0, as 1, 4, 8")
        unit = self.schema_.unit if isinstance(self.schema_, SequenceSchema) else 1.0
        lengths = [jump / unit for jump in jumps]
        with seeded(next(model.parameters()).device, seed):
            made = [forecasts.forecast(batch, lengths, n, noise=noise).cpu() for batch in self._batches(X, None)]
        raw: np.ndarray = self.schema_.decode(torch.cat(made))
        return raw

    def score_samples(
        self, X: Any, *, samples: int = 16, seed: int = 0, given: Mapping[str, Any] | None = None
    ) -> np.ndarray:
        """A lower bound on log p(x | c) of each example, shape (N,), in nats, in the units of X.

        L_k = log (1/k) Σ_i p(x, z_i | c) / q(z_i | x, c), z_i ~ q. With k = `samples` = 1 it is the ELBO, and it
        rises towards log p with k (Burda et al. 2016). Where codes are discrete and nothing is drawn, it is minus a
        description length, log p(code) + log p(x | code), whatever k. Densities are per unit of X (a column's own unit,
        a pixel's level); probabilities of discrete columns have no unit. Missing entries add nothing.

        Args:
            X: the examples.
            samples: draws of z for each example.
            seed: of the draws, which are the same for every example.
            given: conditions that replace those in X.
        """
        model = passes.exact(self._model())
        bounds = able(model, Bounds, "score")
        if samples < 1:
            raise SfumatoError(f"samples is {samples}: give at least 1 draw")
        like = next(model.parameters())
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(samples, bounds.noise_size, generator=generator, dtype=torch.float64).to(like)
        scores = []
        for batch in self._batches(self._known(X), given, samples):
            x = batch.x if batch.mask is None else batch.x.masked_fill(~batch.mask, torch.nan)
            bound = importance_bound(bounds.log_weight(batch, samples, noise))
            scores.append((bound - self.schema_.log_volume(x)).cpu().numpy())
        return np.concatenate(scores)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean of `score_samples`; higher is better."""
        return float(np.mean(self.score_samples(X)))

    def evaluate(self, X: Any = None, **how: Unpack[evaluation.Asked]) -> list[Measure]:
        """Whether the model is any good: every measure that applies to it and to the data, on held-out examples.

        >>> auto = Autoencoder(latent_dim=2, steps=20).fit(np.random.default_rng(0).normal(size=(100, 3)))
        >>> [measure.name for measure in auto.evaluate(families=("bounds",), k=64)]
        ['distortion', 'rate', '−ELBO', 'NLL', 'effective draws']

        Args:
            X: the examples to judge by, as `score_samples` takes them, or a `Dataset`, whose test part is. None takes
                the test part of the data it was trained on, which are opened again where the model was loaded.
            how: see `sfumato.evaluation.How`; `factors` have one value for each of the examples.

        Raises:
            SfumatoError: if there are no data to judge by, or they do not fit.
        """
        told = How(**how)
        data, part = judged(self.config_, self.schema_, getattr(self, "data_", None), X)
        most = MOST if told.quick else ALL
        subject = Subject.of(self._model(), self.schema_, data, told.seed, most=most, part=part)
        told = replace(told, factors=factors_at(told.factors, subject.index, len(held_out(data)[1])))
        return evaluation.evaluate(subject, told)

    def diagnose(self, X: Any = None, *, quick: bool = False, seed: int = 0) -> list[Finding]:
        """What is wrong with the model, the worst first, and what cures it; one finding "healthy" if nothing is.

        >>> auto = Autoencoder(latent_dim=2, steps=20).fit(np.random.default_rng(0).normal(size=(100, 3)))
        >>> auto.diagnose()[0].name
        'too_short'

        Args:
            X: the examples to judge by, as `evaluate` takes them.
            quick: look at fewer examples.
            seed: of every choice and draw.

        Raises:
            SfumatoError: if there are no data to look at.
        """
        found, part = judged(self.config_, self.schema_, getattr(self, "data_", None), X)
        subject = Subject.of(self._model(), self.schema_, found, seed, part=part)
        run = "" if self.run_ is None else str(self.run_.path)
        history, told = self.history_, self.config_.to_dict()
        return diagnose(subject, history.lines, told, run=run, stop=history.stop, skipped=history.skipped, quick=quick)

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
            overwrite=overwrite,
        )
        self.run_ = run
        return run

    @classmethod
    def load(cls, run: str | os.PathLike[str], *, device: str = "auto") -> Self:
        """Load a run by its name under `runs/` or its path.

        Raises:
            SfumatoError: if there is no such run, or it is damaged.
        """
        return cls.of(fitting.load(Run.open(run), device))

    def _adopt(self, fitted: Fitted) -> Self:
        self.config_, self.schema_, self.model_ = fitted.config, fitted.schema, fitted.model
        self.history_, self.data_ = fitted.history, fitted.data
        self.run_ = fitted.run
        self._samplers: dict[str, samplers.Sampler] = {}
        self._n_features_out = able(fitted.model, Encodes, "encode").code_size
        return self

    def _model(self) -> Model:
        check_is_fitted(self, "model_")
        return self.model_

    def _checked(self, X: Any, *, reset: bool) -> Any:
        """scikit-learn's checks of arrays and frames; all else is for the data room to judge."""
        if X is None or type(X) is dict or isinstance(X, str | os.PathLike | tuple | Tensor | Number | Series):
            return X
        if (text := lines.strings(X)) is not None:
            return text
        if is_frame(X):
            if reset or "n_features_in_" in vars(self):
                validate_data(self, X, reset=reset, skip_check_array=True)
            return X
        few = 2 if reset else 1
        return validate_data(self, X, reset=reset, allow_nd=True, ensure_all_finite="allow-nan", ensure_min_samples=few)

    def _recorded(self, X: Any) -> Any:
        """X, its number of features and their names kept for later calls; the data room judges it."""
        if is_frame(X) or (isinstance(X, np.ndarray) and X.ndim > 1):
            validate_data(self, X, skip_check_array=True)
        return np.asarray(X) if isinstance(X, list) else X

    def _known(self, X: Any) -> Any:
        """X with the features that `fit` saw, when it was fitted on an array or frame."""
        self._model()
        return self._checked(X, reset=False)

    def _batches(self, X: Any, given: Mapping[str, Any] | None, copies: int = 1) -> Iterator[Batch]:
        return passes.batches(self._model(), self.schema_, X, given, copies)

    def _repr_html_(self) -> str:
        return estimator_html_repr(self) + f"<p>{html.escape(self._said())}</p>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def _said(self) -> str:
        if "model_" not in vars(self):
            return "Not fitted yet."
        spec = self.schema_.spec
        source = self.config_.source or "data in memory"
        said = f"{self.config_.model} of {self._n_features_out} latents on {spec.examples:,} examples of {source}"
        best = self.history_.best
        return said if best is None else f"{said}: {best:.3f} nats per example at step {self.history_.best_step}"

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _signature() -> Signature:
    """scikit-learn reads an estimator's parameters from the signature of its constructor."""
    names = ["model", *settings()]
    parameters = [Parameter(name, Parameter.KEYWORD_ONLY, default="vae" if name == "model" else None) for name in names]
    return Signature([Parameter("self", Parameter.POSITIONAL_ONLY), *parameters])


vars(Autoencoder.__init__)["__signature__"] = _signature()
