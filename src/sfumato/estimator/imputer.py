"""A scikit-learn transformer that fills missing values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from sfumato.data.io.frames import is_frame
from sfumato.errors import SfumatoError
from sfumato.estimator.autoencoder import Autoencoder
from sfumato.randomness.generators import chosen_seed
from sfumato.ranges import is_whole

WHOLE_SPLIT = (0.9, 0.1, 0.0)
"""Shares of training, validation and test: nothing is kept for the end."""


class Imputer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Fill missing values of tables by a variational autoencoder that learns from all rows, also those with blanks.

    Numbers get the mean of p(x_missing | x_known), categories its mode; `sample` draws instead, for multiple
    imputation, and `predict_interval` gives quantiles. Known values stay as they are. Frames come back as frames, with
    their index and types; arrays as arrays. New rows may have values missing in columns that had none in training, and
    categories that training never had, which stay.

    Args:
        model: the model's name, as `Autoencoder` takes it; one that has no conditions.
        steps: of the training; chosen from the data unless given.
        particles: weighted draws of each row, see `Autoencoder.complete`.
        random_state: seed of the training and of draws; None takes a new one each time.
        verbose: show the progress of the training.
        options: other options of `Autoencoder`, by name.

    Attributes:
        autoencoder_: the trained `Autoencoder`.
        n_features_in_: number of columns of X.
        feature_names_in_: their names, when fitted on a frame with names.

    >>> X = np.random.default_rng(0).normal(size=(100, 3))
    >>> X[:, 1] = 2 * X[:, 0]
    >>> X[0, 1] = np.nan
    >>> filled = Imputer(steps=20).fit_transform(X)
    >>> filled.shape, bool(np.isnan(filled).any()), bool((filled[1:] == X[1:]).all())
    ((100, 3), False, True)
    """

    def __init__(
        self,
        model: Any = "vae",
        *,
        steps: int | None = None,
        particles: int | None = None,
        random_state: Any = 0,
        verbose: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.steps = steps
        self.particles = particles
        self.random_state = random_state
        self.verbose = verbose
        self.options = options

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from rows, with blanks or without.

        Args:
            X: a frame, or an array of shape (N, D); NaN or None where missing.
            y: passed over.

        Raises:
            SfumatoError: if an option or the data cannot be used.
        """
        table = self._table(X, reset=True)
        options, seed = training_options(self.options), chosen_seed(self.random_state)
        auto = Autoencoder(self.model, steps=self.steps, seed=seed, verbose=self.verbose, **options)
        if auto.get_params().get("epsilon") is not None:
            raise SfumatoError("epsilon: an imputer is fitted to codes of training rows; leave it out")
        if auto.get_params().get("given"):
            raise SfumatoError("given: an imputer fills every column, so that none is a condition; leave it out")
        self.autoencoder_ = auto.fit(table)
        self.autoencoder_.partial_encoder()
        return self

    def transform(self, X: Any) -> Any:
        """X with the best single value in each blank.

        Raises:
            SfumatoError: if X does not have the columns of the training.
        """
        return self._filled(X, best=True)

    def sample(self, X: Any, n: int = 1, random_state: Any = None) -> list[Any]:
        """n times X with draws from p(x_missing | x_known) in its blanks, for multiple imputation.

        Args:
            X: rows with blanks.
            n: how many.
            random_state: seed of the draws; that of the imputer if None.
        """
        if not is_whole(n) or n < 1:
            raise SfumatoError(f"n is {n!r}: give a whole number of at least 1")
        drawn = self._complete(self._table(X, reset=False), n=n, random_state=random_state)
        return [self._as_came(X, _each(drawn, draw, n)) for draw in range(n)]

    def predict_interval(self, X: Any, coverage: float = 0.9) -> tuple[Any, Any]:
        """X twice, with the least and with the largest value that its blanks have with a probability of `coverage`.

        Blank categories have the likeliest value in both.

        Args:
            X: rows with blanks.
            coverage: the share of values that lie inside, half of the rest on either side.
        """
        check_is_fitted(self, "autoencoder_")
        ends = self.autoencoder_.completion_interval(
            self._table(X, reset=False), coverage, particles=self.particles, seed=self._seed(None)
        )
        return self._as_came(X, ends[0]), self._as_came(X, ends[1])

    def _filled(self, X: Any, **how: Any) -> Any:
        return self._as_came(X, self._complete(self._table(X, reset=False), **how))

    def _complete(self, table: Any, *, random_state: Any = None, **how: Any) -> Any:
        check_is_fitted(self, "autoencoder_")
        seed = self._seed(random_state)
        return self.autoencoder_.complete(table, particles=self.particles, seed=seed, **how)

    def _seed(self, random_state: Any) -> int | None:
        chosen = self.random_state if random_state is None else random_state
        return None if chosen is None else chosen_seed(chosen)

    def _table(self, X: Any, *, reset: bool) -> Any:
        """X as it is if it is a frame or a file, else as named columns."""
        if not reset:
            check_is_fitted(self, "autoencoder_")
        if isinstance(X, str) or hasattr(X, "__fspath__"):
            return X
        if is_frame(X):
            if reset or "n_features_in_" in vars(self):
                validate_data(self, X, reset=reset, skip_check_array=True)
            return X
        how: dict[str, Any] = {"dtype": None, "ensure_all_finite": "allow-nan", "ensure_min_samples": 2 if reset else 1}
        X = validate_data(self, X, reset=reset, **how)
        return {_name(place): X[:, place] for place in range(X.shape[1])}

    def _as_came(self, X: Any, table: Any) -> Any:
        """A table as X came: a frame or an array."""
        if isinstance(X, str) or hasattr(X, "__fspath__") or is_frame(X):
            return table
        columns = [table.column(_name(place)).to_pylist() for place in range(self.n_features_in_)]
        dtype = getattr(np.asarray(X), "dtype", None)
        kind = np.float64 if dtype is None or dtype.kind in "iub" else dtype
        return np.array(columns, dtype=kind).T

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def training_options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options that an imputer is trained with: all rows, and no model of which cells are missing."""
    return {"split": WHOLE_SPLIT, "missing_cells": False, "dependences": False, **(options or {})}


def _name(place: int) -> str:
    """The name of a column of an array."""
    return f"x{place}"


def _each(rows: Any, draw: int, n: int) -> Any:
    """One draw of each row, of frames in which n draws of a row follow each other."""
    if hasattr(rows, "iloc"):
        return rows.iloc[draw::n]
    if hasattr(rows, "take") and hasattr(rows, "num_rows"):
        return rows.take(np.arange(draw, rows.num_rows, n))
    return rows[draw::n]
