"""The scikit-learn estimator that finds anomalies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from sfumato.data.core.options import DataOptions
from sfumato.data.registry import kind_of
from sfumato.errors import SfumatoError
from sfumato.estimator.anomalies import data as anomaly_data
from sfumato.estimator.anomalies.data import LongSeries
from sfumato.estimator.anomalies.reasons import column_costs, reasons
from sfumato.estimator.autoencoder import Autoencoder
from sfumato.estimator.methods.scoring import Reason
from sfumato.isolation import isolated
from sfumato.models.protocols import Bounds, LatentSpace
from sfumato.ranges import is_whole
from sfumato.tasks import (
    bulk_p_values,
    code_distances,
    conformal_p_values,
    cut_windows,
    false_discovery_rates,
    neighbour_distances,
    surprise,
    window_length,
    window_starts,
)
from sfumato.tasks import scores_by_step as by_step

STEPS = 1000
"""Training steps unless an estimator is passed: a model that is trained for long learns anomalies, too."""
HELD_OUT = 0.2
"""Share of rows without anomalies that p-values are calibrated on."""
MOST_HELD_OUT = 2000
FEWEST_ROWS = 20
MOST_NEIGHBOURS = 10_000
"""Rows that neighbours are looked for among."""
NEIGHBOURS_OF_MIXED = 40
"""Nearest neighbours that a cluster of anomalies must be larger than to hide."""
Places = tuple[np.ndarray | None, np.ndarray | None]
"""Rows as points, where distances can be measured on them, and their codes, where these are points."""


class AnomalyDetector(BaseEstimator):
    """Finds anomalies by a variational autoencoder and by neighbours, with p-values; names and signs are PyOD's.

    The score of a row is the mean, over detectors, of how unusual it is to each, in nats:

        s(x) = mean_k [ −log P(detector k gives a normal row as much as x) ]

    Which detectors these are goes with what X holds. The rule is fixed; the results of the benchmark `anomalies` say
    how it was chosen. Scores are the same from call to call.

    * `contaminated=True`, the default: a few percent of X may be anomalies. All rows train the model. Detectors that
      clusters of anomalies do not mislead: a bound on −log p(x) (`Autoencoder.score_samples`), the Mahalanobis distance
      of the code, the distance to the 40th nearest row. p-values come from the bulk of the scores, beyond which they
      are extrapolated (`sfumato.tasks.bulk_p_values`), without a guarantee: in about a fifth of samples without any
      anomaly at least one row is called at a stated rate of 5%.
    * `contaminated=False`: X is normal. A fifth of its rows is held out from the training. Detectors that see the
      slightest difference: the reconstruction probability −log p(x | z), the distance to the nearest row. p-values of
      new rows are conformal (`sfumato.tasks.conformal_p_values`): right whatever the model, so that among the rows
      called anomalies the expected share of normal ones is at most `fdr`. Of the overlapping windows of a series
      they are approximate.

    `predict` calls rows anomalies by the procedure of Benjamini and Hochberg over all rows of the call, so the result
    for a row depends on the others; scores and p-values do not.

    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> detector = AnomalyDetector(Autoencoder(latent_dim=2, steps=20), contaminated=False).fit(X)
    >>> detector.predict([[0.0, 0.0, 0.0], [40.0, -40.0, 40.0]]).tolist()
    [0, 1]

    Args:
        estimator: the `Autoencoder` that is trained, or was with `prefit`. None trains a `vae`, columns of a
            table as numbers (likelihood gaussian) and categories, series as rows of numbers.
        fdr: the expected share of normal rows among those called anomalies.
        contaminated: whether X may hold anomalies.
        neighbours: which of the nearest rows the distance is to; None for the first of normal rows, and the 40th where
            X may hold anomalies, a tenth of the rows at most.
        window: steps of the windows that X, one long series, is cut into; "auto" takes its season. None for examples.
        time: column of the times of a series in a table, by which it is sorted; None takes one of dates, if any.
        prefit: the estimator is fitted already, on other rows; `fit` calibrates it on X.
        steps: of the training where `estimator` is None.
        random_state: seed of the split, the weights and the training where `estimator` is None, and of what is held
            out.
        device: where to compute where `estimator` is None.

    Attributes:
        estimator_: the fitted `Autoencoder`.
        decision_scores_: score of each row of X, (N,), in nats; the higher, the more anomalous.
        p_values_: of each row of X, (N,).
        labels_: 1 for anomalies among the rows of X, 0 for all others, (N,).
        threshold_: the lowest score of those labelled 1; infinite if there are none.
        window_: steps of a window; None where X are examples.
        window_starts_: the step at which each window begins, counted from 0, (N,); with `window` each of these N rows
            is a window.
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        fdr: float = 0.05,
        contaminated: bool = True,
        neighbours: int | None = None,
        window: int | str | None = None,
        time: str | None = None,
        prefit: bool = False,
        steps: int = STEPS,
        random_state: int = 0,
        device: str = "auto",
    ) -> None:
        self.estimator = estimator
        self.fdr = fdr
        self.contaminated = contaminated
        self.neighbours = neighbours
        self.window = window
        self.time = time
        self.prefit = prefit
        self.steps = steps
        self.random_state = random_state
        self.device = device

    @isolated
    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on X and rank its rows.

        Args:
            X: what `sfumato.fit` takes; with `window` a series (T,) or (T, D), a frame of such columns, or its file.
            y: ignored.

        Raises:
            SfumatoError: if X or an argument cannot be used.
        """
        self._check()
        schema, raw = self._opened(X)
        self._schema = schema
        total = anomaly_data.count(schema, raw)
        if total < FEWEST_ROWS:
            raise SfumatoError(f"{total} rows are too few to say what is normal; give at least {FEWEST_ROWS}")
        everything = np.arange(total)
        train, reference = (everything, everything) if self.contaminated or self.prefit else self._split(total)
        self.estimator_ = self._trained(schema, raw, train)
        own = self.estimator_.read(raw)
        known = self._at_most(everything)
        self._apart = 1 if self.window_ is None else self.window_
        places = self._places(own)
        self._known_rows, self._known_codes = (None if each is None else each[known] for each in places)
        self._nearest = self.neighbours or (min(NEIGHBOURS_OF_MIXED, max(total // 10, 1)) if self.contaminated else 1)
        inside = np.isin(everything, known)
        which = np.where(inside, np.searchsorted(known, everything), len(known) + self._apart)
        parts = self._detectors(own, places, which)
        self._references = {name: values[reference] for name, values in parts.items()}
        self.decision_scores_ = self._together(parts)
        self._reference = self.decision_scores_[reference]
        self.p_values_ = self._p_values(self.decision_scores_)
        self.labels_ = self._labels(self.p_values_)
        flagged = self.decision_scores_[self.labels_ == 1]
        self.threshold_ = float(flagged.min()) if len(flagged) else np.inf
        return self

    @isolated
    def decision_function(self, X: Any) -> np.ndarray:
        """The score of each row, (N,), in nats: the higher, the more anomalous. With `window`, of each window."""
        check_is_fitted(self)
        raw = self.read(X)
        return self._together(self._detectors(raw, self._places(raw), None))

    def score_samples(self, X: Any) -> np.ndarray:
        """−`decision_function`, as scikit-learn has it: the lower, the more anomalous."""
        return -self.decision_function(X)

    def p_values(self, X: Any) -> np.ndarray:
        """The share of normal rows that score as high as each row, (N,)."""
        return self._p_values(self.decision_function(X))

    def predict(self, X: Any) -> np.ndarray:
        """1 for anomalies, 0 for all others, (N,): at most `fdr` of those called 1 are expected to be normal."""
        return self._labels(self.p_values(X))

    def judged(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """p-values and labels of rows by their scores, each (N,): what `p_values` and `predict` give, computed once."""
        check_is_fitted(self)
        p_values = self._p_values(scores)
        return p_values, self._labels(p_values)

    def starts(self, X: Any) -> np.ndarray:
        """The step at which each window of a series begins, counted from 0, (N,).

        Raises:
            SfumatoError: if examples were fitted, not a series.
        """
        return window_starts(len(anomaly_data.long_series(X, self.time).values), self._length())

    def fit_predict(self, X: Any, y: Any = None) -> np.ndarray:
        """`fit`, then `labels_`."""
        return self.fit(X).labels_

    def predict_proba(self, X: Any) -> np.ndarray:
        """p and 1 − p of each row, (N, 2), with p its p-value: the second is the share of normal rows that score lower.

        It is no probability that a row is an anomaly, for which one would have to know how many there are.
        """
        p = self.p_values(X)
        return np.stack([p, 1 - p], 1)

    def scores_by_step(self, scores: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Scores of the windows of a series as scores of its steps, (T,): the mean of those over each.

        Args:
            scores: of the windows, as `decision_function` gives them.
            starts: of the windows, as `starts` gives them.

        Raises:
            SfumatoError: if examples were fitted, not a series.
        """
        length = self._length()
        return by_step(scores, starts, length, int(starts[-1]) + length)

    @isolated
    def explain(self, X: Any, rows: Sequence[int]) -> list[list[Reason]]:
        """What the scores of some rows are due to, for each the costliest first: columns, pixels or steps, in nats.

        Of rows of a table or an array by `Autoencoder.explain_scores`; of images, series and rows of more than 200
        columns by `Autoencoder.entry_costs`, the ten costliest.

        Args:
            X: examples, or the series.
            rows: which of them, or of its windows, counted from 0.

        Returns:
            Reasons for each row; pixels and the steps of a series are counted from 1 in their names.
        """
        firsts = np.zeros(len(rows), int) if self.window_ is None else self.starts(X)[list(rows)]
        return reasons(self.estimator_, self.rows(X, rows), self._step_names, firsts.tolist())

    @property
    def channels(self) -> tuple[str, ...] | None:
        """Names of the channels of series, or of windows of one, that are rows of numbers, step by step; else None."""
        check_is_fitted(self)
        return self._step_names

    def read(self, X: Any) -> Any:
        """X as the model reads it: windows of a series, series as rows of numbers."""
        check_is_fitted(self)
        return self.estimator_.read(self._as_fitted(X))

    def rows(self, X: Any, rows: Sequence[int]) -> Any:
        """Some rows of X as the model sees them: windows of a series, series as rows of numbers."""
        return self.estimator_.schema_.take(self.read(X), list(rows))

    def costs(self, X: Any, rows: Sequence[int]) -> np.ndarray:
        """Nats that each entry of some rows costs, (len(rows), *shape); see `Autoencoder.entry_costs`.

        Of rows of numbers all columns have a cost; those that never vary are not modelled, and cost 0.
        """
        return column_costs(self.estimator_, self.rows(X, rows))

    def _length(self) -> int:
        check_is_fitted(self)
        if self.window_ is None:
            raise SfumatoError("there are no windows: fit one long series with window")
        return self.window_

    def _check(self) -> None:
        if not 0 < self.fdr < 1:
            raise SfumatoError(f"fdr is {self.fdr}: give a share between 0 and 1, as 0.05")
        if self.neighbours is not None and self.neighbours < 1:
            raise SfumatoError(f"neighbours is {self.neighbours}: give at least 1")
        if self.window not in (None, "auto") and (not is_whole(self.window) or int(self.window) < 2):
            raise SfumatoError(f"window is {self.window!r}: give a whole number of steps of at least 2, or auto")
        if self.prefit and not isinstance(self.estimator, Autoencoder):
            raise SfumatoError("prefit needs an estimator that is fitted, an Autoencoder")

    def _opened(self, X: Any) -> tuple[Any, Any]:
        """The schema of X and its rows; what is known of windows and steps is kept."""
        self.window_, self._step_names = None, None
        if self.window is not None:
            series = anomaly_data.long_series(X, self.time)
            self.window_ = window_length(series.values) if self.window == "auto" else int(self.window)
            if self.window_ > len(series.values) // 2:
                raise SfumatoError(
                    f"window is {self.window_}, but the series has {len(series.values)} steps; give at most half"
                )
            X = self._windows(series)
            self.window_starts_ = window_starts(len(series.values), self.window_)
            self._step_names = series.names
        if self.prefit:
            check_is_fitted(self.estimator, "model_")
            return self.estimator.schema_, self.estimator.read(X)
        options = DataOptions() if self.estimator is None else _data_options(self.estimator)
        schema, raw, names = anomaly_data.opened(X, options, flat=self.estimator is None)
        self._step_names = names or self._step_names
        if schema.spec.is_record:
            raise SfumatoError(
                "mixed records are not ranked by anomalies yet; fit them, and rank rows by sfumato score"
            )
        return schema, raw

    def _windows(self, series: LongSeries) -> np.ndarray:
        assert self.window_ is not None, "set before a series is cut"
        return cut_windows(series.values, self.window_, window_starts(len(series.values), self.window_))

    def _as_fitted(self, X: Any) -> Any:
        """X as the estimator was fitted on it."""
        if self.window_ is not None:
            return self._windows(anomaly_data.long_series(X, self.time))
        if self._step_names is not None:
            return anomaly_data.step_by_step(X)
        if isinstance(X, str | Path) and self._schema.kind != self.estimator_.schema_.kind:
            # The model was trained on what this schema read of its file, in memory, which may be of another kind.
            return self._schema.read(X)
        return X

    def _trained(self, schema: Any, raw: Any, rows: np.ndarray) -> Autoencoder:
        if self.prefit:
            return self.estimator
        if self.estimator is not None:
            return clone(self.estimator).fit(schema.take(raw, rows.tolist()))
        likelihood = "gaussian" if kind_of(schema).named_columns else None
        split = (0.9, 0.1, 0.0)
        how: dict[str, Any] = {"steps": self.steps, "likelihood": likelihood, "split": split, "device": self.device}
        return Autoencoder(seed=self.random_state, **how).fit(schema.take(raw, rows.tolist()))

    def _split(self, total: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows that train the model, and those held out: of windows the last, and none that overlap them."""
        count = min(max(round(HELD_OUT * total), 1), MOST_HELD_OUT)
        if self.window_ is not None:
            kept = max(int(np.sum(self.window_starts_ + self.window_ <= self.window_starts_[-count])), 2)
            return np.arange(kept), np.arange(total - count, total)
        order = np.random.default_rng(self.random_state).permutation(total)
        return np.sort(order[count:]), np.sort(order[:count])

    def _at_most(self, rows: np.ndarray) -> np.ndarray:
        """As many rows as neighbours are looked for among; of windows, that are in order, evenly."""
        if len(rows) <= MOST_NEIGHBOURS:
            return rows
        return rows[np.linspace(0, len(rows) - 1, MOST_NEIGHBOURS).astype(int)]

    def _places(self, raw: Any) -> Places:
        """Rows as points, where distances can be measured on them, and their codes, where these are points."""
        auto = self.estimator_
        rows = None if auto.schema_.spec.is_symbols else auto.features(raw)
        codes = auto.encode(raw) if self.contaminated and isinstance(auto.model_, LatentSpace) else None
        return rows, codes

    def _detectors(self, raw: Any, places: Places, own: np.ndarray | None) -> dict[str, np.ndarray]:
        """What each detector gives the rows, (N,) each.

        Args:
            raw: the rows.
            places: of them, as `_places` gives them.
            own: which of the known rows each is; None where they are others.
        """
        auto = self.estimator_
        parts: dict[str, np.ndarray] = {}
        if not self.contaminated and isinstance(auto.model_, LatentSpace):
            parts["reconstruction"] = -auto.reconstruction_log_prob(raw)
        elif isinstance(auto.model_, Bounds):
            parts["density"] = -auto.score_samples(raw)
        rows, codes = places
        if codes is not None and self._known_codes is not None:
            parts["code"] = code_distances(codes, self._known_codes)
        if rows is not None and self._known_rows is not None:
            distances = neighbour_distances(rows, self._known_rows, self._nearest, own=own, apart=self._apart)
            parts["row"] = np.nan_to_num(distances, nan=float(np.nanmax(distances)))
        if not parts:
            raise SfumatoError(f"a {auto.config_.model} neither scores examples nor has codes; choose vae")
        return parts

    def _together(self, parts: dict[str, np.ndarray]) -> np.ndarray:
        return np.asarray(np.mean([surprise(values, self._references[name]) for name, values in parts.items()], axis=0))

    def _p_values(self, scores: np.ndarray) -> np.ndarray:
        return (bulk_p_values if self.contaminated else conformal_p_values)(scores, self._reference)

    def _labels(self, p_values: np.ndarray) -> np.ndarray:
        return (false_discovery_rates(p_values) <= self.fdr).astype(int)


def _data_options(estimator: Autoencoder) -> DataOptions:
    values = {name: estimator.get_params()[name] for name in DataOptions.names()}
    return DataOptions(**{name: value for name, value in values.items() if value is not None})
