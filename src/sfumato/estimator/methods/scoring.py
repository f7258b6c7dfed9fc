"""How likely examples are: scores that rank them, and log-densities in the units of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from sfumato.batch import Batch, flagged_mask
from sfumato.errors import SfumatoError
from sfumato.estimator import inference
from sfumato.estimator.methods.second_stage import SecondStageMixin
from sfumato.isolation import isolated
from sfumato.latents import with_prior
from sfumato.models.base import Model
from sfumato.models.protocols import Bounds, Classifies, Samples, require
from sfumato.objectives import importance_bound
from sfumato.randomness.generators import seeded

AGREEMENT_ROWS = 500
"""Rows drawn from the model to see how much the values of one usually agree."""


class Reason(NamedTuple):
    """What a column has to do with the score of an example.

    Attributes:
        column: its name, or its number in an array, counted from 0.
        value: the example's value there.
        usual: a usual value that would be likelier.
        nats: what the score would rise with that one.
    """

    column: str
    value: Any
    usual: Any
    nats: float


class ScoringMixin(SecondStageMixin):
    """`score_samples`, `log_density` and `explain_scores` of `Autoencoder`."""

    @isolated
    def score_samples(
        self,
        X: Any,
        *,
        samples: int = 16,
        seed: int = 0,
        given: Mapping[str, Any] | None = None,
        sampler: str = "prior",
    ) -> np.ndarray:
        """A lower bound on the log-density of each example, whatever the units of X, shape (N,), in nats.

        The density is with respect to a measure that goes with the training data (`sfumato.data.columns.reference`):
        for each column, Lebesgue measure on the axis where the training values are normal. So no unit of a column
        moves scores, and a monotone change of a column that is cut into cells hardly; values with a probability of
        their own and values with a density are treated alike. A row of typical values that have nothing to do with each
        other scores about 0; values far out and values that do not go together score lower. Likelihoods
        that are normal, of tables, arrays and sequences, are measured per standard deviation in the same way; images
        and symbols per level and symbol, as by `log_density`. Missing entries add nothing, but in a
        table that they are missing where that is modelled. The lower, the more unusual.

        In a table, values that agree with each other more than is usual do not make up for how far out they lie:
        log p(x) − Σ log m_d(x_d) counts up to its median over rows drawn from the model. A group of outliers that
        the model has learned is recognised by that. The result is still a lower bound.

        Args:
            X: the examples.
            samples: draws of z for each example, see `log_density`.
            seed: of the draws, which are the same for every example.
            given: conditions that replace those in X. A model that predicts classes (m2, m1_m2) scores by p(x),
                whatever label X comes with; by p(x | y) where labels are given here.
            sampler: see `log_density`.
        """
        return self._scored(self.read(self._known(X)), samples, seed, given, sampler)[0]

    @isolated
    def log_density(
        self,
        X: Any,
        *,
        samples: int = 16,
        seed: int = 0,
        given: Mapping[str, Any] | None = None,
        sampler: str = "prior",
    ) -> np.ndarray:
        """A lower bound on log p(x | c) of each example, shape (N,), in nats, in the units of X.

        L_k = log (1/k) Σ_i p(x, z_i | c) / q(z_i | x, c), z_i ~ q. With k = `samples` = 1 it is the ELBO, and it
        rises towards log p with k (Burda et al. 2016). Where codes are discrete and nothing is drawn, it is minus a
        description length, log p(code) + log p(x | code), whatever k. Densities are per unit of X (a column's own unit,
        a pixel's level); probabilities of discrete columns have no unit, so that rows of a table with both
        are ranked by the unit: rank by `score_samples`. Missing entries add nothing. `evaluate` gives its bounds
        in the model's own units, where numbers are standardised.

        In a table, a value unlike any in training has no density under cells, and no probability. It is scored as the
        nearest number there is, or as missing if it is a category, less a tail that ranks it: d/s nats for a number d
        beyond the cells, whose outermost one is s wide; log(N + 1) for a category, or for a number nearest to
        one with a probability of its own, where N is the number of training values. Normal densities, of tables,
        arrays and sequences, fall with the square of the distance up to a million scales, and as a logarithm from
        there. So the result stays finite, and is lower the farther out a value lies.

        Args:
            X: the examples.
            samples: draws of z for each example.
            seed: of the draws, which are the same for every example.
            given: conditions that replace those in X.
            sampler: whose log p(z | c) is taken: that of the model's own prior, or of another density that codes of
                samples are drawn from, as `sample` takes it, so that the bound is on the density of those samples. That
                of flow-matching takes 40 passes of its net for each draw, and as many gradients for each latent.
        """
        return self._scored(self.read(self._known(X)), samples, seed, given, sampler)[1]

    @isolated
    def scores_and_densities(
        self,
        X: Any,
        *,
        samples: int = 16,
        seed: int = 0,
        given: Mapping[str, Any] | None = None,
        sampler: str = "prior",
    ) -> tuple[np.ndarray, np.ndarray]:
        """`score_samples` and `log_density`, each (N,), of one pass over the examples."""
        return self._scored(self.read(self._known(X)), samples, seed, given, sampler)

    @isolated
    def explain_scores(
        self,
        X: Any,
        rows: Sequence[int] | None = None,
        *,
        samples: int = 16,
        seed: int = 0,
        given: Mapping[str, Any] | None = None,
        sampler: str = "prior",
    ) -> list[list[Reason]]:
        """What the scores of rows of a table or an array are due to: for each row its columns, the costliest first.

        The cost of a column is how much the score would rise with a typical value in its place, the best of a few
        quantiles of the training values: max_v score(x with x_d = v) − score(x). Columns whose value is missing, or as
        good as any of these, are not named. Costs do not add up to the score: if two values do not go together, each
        has the whole cost.

        Args:
            X: the examples.
            rows: which of them, all if None. Each takes as long as the scores of 9 rows a column.
            samples, seed, given, sampler: as for `score_samples`; `given` has one value for each condition.

        Raises:
            SfumatoError: if examples have no columns.
        """
        if not self.schema_.of_columns:
            raise SfumatoError(f"a {self.schema_.kind} has no columns whose values explain its score")
        raw = self.read(self._known(X))
        if rows is None:
            rows = range(len(self.schema_.encode(raw).x))
        by_row: list[list[Reason]] = [[] for _ in rows]
        for column in self.schema_.varied(raw, rows) if len(by_row) else ():
            scores = self._scored(column.rows, samples, seed, given, sampler)[0].reshape(
                len(by_row), 1 + len(column.usual)
            )
            costs = scores[:, 1:] - scores[:, :1]
            for row, cost in enumerate(costs.max(1).tolist()):
                if cost > 0:
                    by_row[row].append(Reason(column.column, column.own[row], column.usual[costs[row].argmax()], cost))
        return [sorted(reasons, key=lambda reason: -reason.nats) for reasons in by_row]

    def _scored(
        self, raw: Any, samples: int, seed: int, given: Mapping[str, Any] | None, sampler: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores and log-densities of what `read` gives, each (N,)."""
        model = inference.exact(with_prior(self._model(), self.fitted_sampler(sampler)))
        bounds = require(model, Bounds, "score")
        if samples < 1:
            raise SfumatoError(f"samples is {samples}: give at least 1 draw")
        like = next(model.parameters())
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(samples, bounds.noise_size, generator=generator, dtype=torch.float64).to(like)
        scores, densities = [], []
        with torch.inference_mode():
            for batch in self._batches(raw, given, samples):
                x = batch.x if batch.mask is None else batch.x.masked_fill(~batch.mask, torch.nan)
                if isinstance(model, Classifies) and not given:  # log p(x) with a label as without
                    batch = replace(batch, given=None)
                bound = importance_bound(bounds.log_weight(batch, samples, noise))
                densities.append((bound - self.schema_.log_jacobian(x)).cpu().numpy())
                alone = self.schema_.log_marginal(x)
                if alone is not None:
                    most = self._usual_agreement(model, samples, seed, noise, sampler)
                    bound = alone + (bound - alone).clamp(max=most)
                scores.append((bound - self.schema_.log_reference(x)).cpu().numpy())
        penalty = self.schema_.out_of_range_penalty(raw)
        return np.concatenate(scores) - penalty, np.concatenate(densities) - penalty

    def _usual_agreement(
        self, model: Model, samples: int, seed: int, noise: torch.Tensor, sampler: str = "prior"
    ) -> float:
        """The median of log p(x) − Σ log m_d(x_d) over rows drawn from the model."""
        key = (samples, seed, sampler)
        if key not in self._agreements:
            bounds, draws = require(model, Bounds, "score"), require(model, Samples, "sample")
            conditions, agreements = self.schema_.conditions({}, AGREEMENT_ROWS), []
            with seeded(noise.device, 0, model):
                if isinstance(model, Classifies) and conditions is not None:
                    conditions = model.drawn(conditions.to(noise))
                size = inference.at_a_time(self.schema_.spec, samples)
                for start in range(0, AGREEMENT_ROWS, size):
                    c = None if conditions is None else conditions[start : start + size].to(noise)
                    x = draws.sample(min(size, AGREEMENT_ROWS - start), c)
                    mask = flagged_mask(x, self.schema_.spec)
                    alone = self.schema_.log_marginal(x if mask is None else x.masked_fill(~mask, torch.nan))
                    assert alone is not None, "a table that keeps how frequent values are keeps it of all rows"
                    shown = Batch(x, None if isinstance(model, Classifies) else c, mask)
                    bound = importance_bound(bounds.log_weight(shown, samples, noise))
                    agreements.append((bound - alone).cpu())
            self._agreements[key] = float(torch.cat(agreements).median())
        return self._agreements[key]
