"""What latents do to columns, and which latents and columns matter to a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from sfumato.batch import Batch
from sfumato.errors import SfumatoError
from sfumato.estimator import inference
from sfumato.estimator.methods.moves import MIN_RATE, LatentMovesMixin
from sfumato.evaluation.subject import array, frozen_eval, some
from sfumato.evaluation.subject import rows as rows_of
from sfumato.isolation import isolated
from sfumato.models.protocols import LatentSpace
from sfumato.tasks.effects import latent_effects
from sfumato.tasks.selection import FOLDS, Importance, importances, selected
from sfumato.tasks.walks import known_codes

EXAMPLES, VALUES = 256, 9
"""Codes that latents are moved at, and values that each is moved to."""
MOST_SELECTION_ROWS, SHUFFLES, HIDINGS = 4000, 3, 4
"""Rows that a target is told from, times that a column is shuffled, and that the target's own column is hidden."""
CLEAR_EFFECT = 0.05
"""Share of a column's variance from which on a latent drives it."""
MAX_TARGET_CLASSES = 20


@dataclass(frozen=True)
class Explanation:
    """What each latent does to each column.

    Attributes:
        columns: their names; entries are numbered where there are none.
        effects: shares of the variance of each column, (L, columns), see `sfumato.tasks.latent_effects`.
        rates: nats that each latent carries, (L,).
    """

    columns: list[str]
    effects: np.ndarray
    rates: np.ndarray

    @property
    def in_use(self) -> list[int]:
        """The latents that carry something, the most active first, counted from 0."""
        return [int(latent) for latent in np.argsort(-self.rates, kind="stable") if self.rates[latent] > MIN_RATE]

    def drives(self, latent: int, least: float = CLEAR_EFFECT) -> dict[str, float]:
        """The columns that a latent drives by at least a share of their variance, the strongest first."""
        order = np.argsort(-self.effects[latent], kind="stable")
        return {self.columns[c]: float(self.effects[latent, c]) for c in order if self.effects[latent, c] >= least}

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values: of each latent in use its rate and the columns that it drives."""
        return {
            f"z{latent + 1}": {"rate": float(self.rates[latent]), "drives": self.drives(latent)}
            for latent in self.in_use
        }


@dataclass(frozen=True)
class Selection:
    """What matters to a target.

    Attributes:
        target: its name.
        columns: importance of each column, in nats.
        latents: importance of each latent, in nats; their names are z1, z2, ….
        loss: nats per example that the target costs a classifier of codes, with all in place.
        chance: the same for one that knows nothing of the example.
        count: how many columns were wanted; None for all that matter.
    """

    target: str
    columns: dict[str, Importance]
    latents: dict[str, Importance]
    loss: float
    chance: float
    count: int | None = None

    @property
    def selected(self) -> list[str]:
        """The columns that matter, the most important first."""
        return selected(self.columns, self.count)

    @property
    def selected_latents(self) -> list[str]:
        """The latents that matter, the most important first."""
        return selected(self.latents)


class ExplanationsMixin(LatentMovesMixin):
    """`explain` and `select` of `Autoencoder`."""

    @isolated
    def explain(self, X: Any = None, *, seed: int = 0) -> Explanation:
        """Which columns each latent drives: the share of their variance that moves with it alone.

        >>> from sfumato import Autoencoder
        >>> X = np.random.default_rng(0).normal(size=(100, 3))
        >>> Autoencoder(latent_dim=2, steps=20).fit(X).explain().effects.shape
        (2, 3)

        Args:
            X: the examples whose codes say which values latents take; None takes the training split.
            seed: of the draws from q(z | x).

        Raises:
            SfumatoError: if the model's codes are no points of a space, or the decoder spells symbols.
        """
        model = inference.exact(self._model())
        space = self._space(model)
        shown = self._reference_examples(model, X, seed)
        chosen = some(len(shown), EXAMPLES, seed).numpy()
        with frozen_eval(model, seed):
            draws = shown.chunked(lambda batch: space.encode(batch).sample())
            rates = shown.rates()
            codes, given = known_codes(space, [rows_of(shown.batch, chosen)])
        levels = (torch.arange(VALUES, dtype=draws.dtype, device=draws.device) + 0.5) / VALUES
        values = torch.stack([torch.quantile(latent, levels) for latent in draws.T.contiguous()], 1)
        effects = array(latent_effects(space, codes, given, values.to(codes), self.schema_.spec))
        groups = self.schema_.entry_groups()
        return Explanation(list(groups), effects[:, [entries[0] for entries in groups.values()]], rates)

    @isolated
    def select(self, X: Any, target: str, *, count: int | None = None, seed: int = 0) -> Selection:
        """Which latents and columns matter to a target: what it costs a classifier of codes when one is shuffled.

        Trees predict the target from codes, on examples that they have not seen. A latent is shuffled among codes, a
        column among examples before they are encoded. The target's own column is hidden: as a condition it is left out,
        in x it takes the values of other examples, four times, and codes are means over these.

        Args:
            X: the examples, with the target.
            target: a column of X, modelled or not, or "label".
            count: how many columns are selected; None for all whose importance is more than two standard errors above
                0 and a twentieth of the largest.
            seed: of the choice of 4,000 examples, where there are more, and of the shuffles.

        Raises:
            SfumatoError: if there is no such column, it has one value, or the model's codes are no points of a space.
        """
        model = inference.exact(self._model())
        space = self._space(model)
        names = {name: entries for name, entries in self.schema_.entry_groups().items() if name != target}
        if count is not None and not 1 <= count <= len(names):
            raise SfumatoError(f"count is {count}: give a number from 1 to {len(names)}, the columns there are")
        raw = self.read(X)
        answers, classes, known = _answers(self.column(X, target), target)
        rows = known[some(len(known), MOST_SELECTION_ROWS, seed).numpy()]
        batch = self.schema_.batches(self.schema_.take(raw, rows.tolist())).take(slice(None))
        batch = inference.widened(batch.to(next(model.parameters()).device))
        answers = answers[rows]
        shuffle = _Shuffle(space, self._hidden(batch, target, seed), seed)
        codes = shuffle.codes()
        # Both at once, so that the trees are fitted once; a column may be called z1 too.
        shuffled = {("latent", f"z{latent + 1}"): shuffle.latent(codes, latent) for latent in range(codes.shape[1])}
        shuffled |= {("column", name): shuffle.column(entries) for name, entries in names.items()}
        found, loss = importances(codes, shuffled, answers, classes, seed)
        of_latents, of_columns = (
            {name: value for (kind, name), value in found.items() if kind == wanted} for wanted in ("latent", "column")
        )
        return Selection(target, of_columns, of_latents, loss, _chance(answers, classes), count)

    def _hidden(self, batch: Batch, target: str, seed: int) -> list[Batch]:
        """The batch without the target: missing as a condition; in x that of other examples, some times over."""
        names = self.schema_.given_names
        if target in names and batch.given is not None:
            given = batch.given.clone()
            given[:, names.index(target)] = torch.nan
            batch = replace(batch, given=given)
        entries = self.schema_.entry_groups().get(target)
        if entries is None:
            return [batch]
        noise = np.random.default_rng(seed)
        return [_exchanged(batch, entries, noise) for _ in range(HIDINGS)]


class _Shuffle:
    """Codes of examples with one thing shuffled between them."""

    def __init__(self, space: LatentSpace, batches: list[Batch], seed: int) -> None:
        self.space, self.batches, self.noise = space, batches, np.random.default_rng(seed)

    def codes(self, entries: list[int] | None = None) -> np.ndarray:
        """The mean code of each example over the batches, with entries of x exchanged between examples, (N, L)."""
        parts = [batch if entries is None else _exchanged(batch, entries, self.noise) for batch in self.batches]
        return np.mean([array(known_codes(self.space, [part])[0]) for part in parts], 0)

    def column(self, entries: list[int]) -> np.ndarray:
        """Some draws of the codes with a column shuffled, (R, N, L)."""
        return np.stack([self.codes(entries) for _ in range(SHUFFLES)])

    def latent(self, codes: np.ndarray, latent: int) -> np.ndarray:
        """Some draws of codes with a latent shuffled, (R, N, L)."""
        draws = np.repeat(codes[None], SHUFFLES, 0)
        for draw in draws:
            draw[:, latent] = self.noise.permutation(draw[:, latent])
        return draws


def _exchanged(batch: Batch, entries: list[int], noise: np.random.Generator) -> Batch:
    """A batch in which these entries of x, missing or not, are those of other examples."""
    order = torch.from_numpy(noise.permutation(len(batch))).to(batch.x.device)
    x = batch.x.flatten(1).clone()
    x[:, entries] = x[order][:, entries]
    mask = batch.mask
    if mask is not None:
        mask = mask.flatten(1).clone()
        mask[:, entries] = mask[order][:, entries]
        mask = mask.view_as(batch.x)
    return replace(batch, x=x.view_as(batch.x), mask=mask)


def known_rows(*columns: Sequence[Any]) -> np.ndarray:
    """The rows in which no value of any column is None or NaN.

    >>> known_rows(["a", None, "b"], [1.0, 2.0, float("nan")]).tolist()
    [0]
    """
    rows = enumerate(zip(*columns, strict=True))
    return np.array([row for row, values in rows if all(each is not None and each == each for each in values)], int)


def _answers(labels: list[Any], target: str) -> tuple[np.ndarray, int, np.ndarray]:
    """The target as numbers or numbers of classes, (N,), how many classes, and the rows where it is known.

    Raises:
        SfumatoError: if too few rows have one, or all have the same.
    """
    known = known_rows(labels)
    values = [labels[row] for row in known]
    if len(set(values)) < 2:
        raise SfumatoError(f"target {target!r}: there are not two different values among its rows; choose another")
    answers = np.zeros(len(labels))
    if all(type(value) in (int, float) for value in values) and len(set(values)) > MAX_TARGET_CLASSES:
        answers[known] = values
        return answers, 0, known
    kinds, numbers = np.unique([str(value) for value in values], return_inverse=True)
    if np.bincount(numbers).min() < FOLDS:
        rare = kinds[np.bincount(numbers).argmin()]
        raise SfumatoError(
            f"target {target!r}: {rare!r} has fewer than {FOLDS} rows; leave such rows out, or choose another target"
        )
    answers[known] = numbers
    return answers, len(kinds), known


def _chance(answers: np.ndarray, classes: int) -> float:
    """Nats per example of a prediction that is the same for all."""
    if not classes:
        return float(0.5 * (1 + np.log(2 * np.pi * answers.var())))
    share = np.bincount(answers.astype(int)) / len(answers)
    return float(-(share[share > 0] * np.log(share[share > 0])).sum())
