"""Whether each latent means one thing: the scores of the literature, against factors of variation that are known."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from sfumato.errors import SfumatoError
from sfumato.evaluation.disentanglement import scores
from sfumato.evaluation.disentanglement.factors import Factor, known
from sfumato.evaluation.disentanglement.intervention_scores import beta_vae_score, factor_vae_score, moves
from sfumato.evaluation.measure import Measure
from sfumato.evaluation.settings import EvaluationSettings
from sfumato.evaluation.subject import Subject, array, held_out

RANDOM_HALVES = 5
"""Random halves of the examples that standard errors are taken from."""
MIN_FACTOR_EXAMPLES = 50
"""Examples below which nothing is scored."""


class Score(NamedTuple):
    """One score: its value, NaN where too few examples share a value, and what it is made of by latent or factor."""

    value: float
    parts: dict[str, float]


def measures(subject: Subject, how: EvaluationSettings) -> list[Measure]:
    """BetaVAE, FactorVAE, MIG, DCI, SAP, modularity, explicitness and IRS of the latents that move.

    None where codes are discrete or no factors are known, which come with generated data or are named by the user. A
    latent whose mean has a standard deviation below 0.05 is left out of all of them. Codes are means, but draws for the
    mutual information gap, as its paper has it. The standard error is the standard deviation over five random halves
    of the examples (the delete-half jackknife of Shao and Wu 1989).
    """
    factors, rows = known(factors_of(subject, how))
    if subject.space is None or not factors or len(rows) < MIN_FACTOR_EXAMPLES:
        return []
    points = subject.means()[rows]
    draws = array(subject.chunked(lambda batch: subject.latent_space.encode(batch).sample()))[rows]
    names = ("MIG",) if how.quick else tuple(SCORES)
    whole = score(points, draws, factors, how.seed, names)
    errors = dict.fromkeys(whole) if how.quick else _errors(points, draws, factors, how.seed, tuple(whole))
    results = []
    for name, (value, parts) in whole.items():
        if value != value:
            continue
        definition = SCORES[name]
        results.append(
            Measure(
                name,
                value,
                "",
                definition.meaning,
                "disentanglement",
                error=errors[name],
                reference=None if definition.chance is None else definition.chance(len(factors)),
                reference_is="" if definition.chance is None else "chance",
                better="higher",
                parts=parts,
            )
        )
    return results


def factors_of(subject: Subject, how: EvaluationSettings) -> dict[str, np.ndarray]:
    """The factors the data know, and those the user names.

    Raises:
        SfumatoError: if one of those has not as many values as there are examples.
    """
    for name, values in (how.factors or {}).items():
        if len(values) != len(subject):
            raise SfumatoError(
                f"factor {name!r} has {len(values)} values for {len(subject)} examples; give one for each"
            )
    return {**_of_the_data(subject), **(how.factors or {})}


def _of_the_data(subject: Subject) -> dict[str, np.ndarray]:
    data, (_, used) = subject.data, held_out(subject.data)
    parts = zip((data.train, data.valid, data.test), data.factors, strict=True)
    factors = next(own for batches, own in parts if batches is used)
    return {name: values[subject.index] for name, values in factors.items()}


def score(
    points: np.ndarray,
    draws: np.ndarray,
    factors: list[Factor],
    seed: int = 0,
    names_: tuple[str, ...] | None = None,
    latents: np.ndarray | None = None,
) -> dict[str, Score]:
    """The scores that so many factors allow, by name, of the latents that move.

    Args:
        points: E[z | x], (N, L); draws: one draw of q(z | x) each, (N, L).
        factors: of the same examples.
        seed: of votes, splits and trees.
        asked: names of `SCORES`; None for all.
        latents: which take part; None for those that move.
    """
    kept = taking_part(points) if latents is None else latents
    names = [f"z{latent + 1}" for latent in kept]
    evidence = _Evidence(points[:, kept], draws[:, kept], factors, names, seed, points.shape[1])
    chosen = tuple(SCORES) if names_ is None else names_
    return {name: SCORES[name].of(evidence) for name in chosen if len(factors) >= SCORES[name].fewest}


def taking_part(points: np.ndarray) -> np.ndarray:
    """The latents that move; with none, the one that moves most, which shows what chance gives."""
    kept = moves(points)
    return kept if len(kept) else points.std(0).argmax(keepdims=True)


def _errors(
    points: np.ndarray, draws: np.ndarray, factors: list[Factor], seed: int, names: tuple[str, ...]
) -> dict[str, float | None]:
    random = np.random.default_rng(seed)
    values_by_name: dict[str, list[float]] = {name: [] for name in names}
    latents = taking_part(points)
    for _ in range(RANDOM_HALVES):
        rows = np.sort(random.permutation(len(points))[: len(points) // 2])
        half = [factor.at(rows) for factor in factors]
        if any(factor.count < 2 for factor in half):
            return dict.fromkeys(names)
        for name, (value, _) in score(points[rows], draws[rows], half, seed, names, latents).items():
            values_by_name[name].append(value)
    return {
        name: float(np.std(values, ddof=1)) if np.isfinite(values).all() else None
        for name, values in values_by_name.items()
    }


class _Evidence:
    """Codes and factors, and what several scores share."""

    def __init__(
        self, points: np.ndarray, draws: np.ndarray, factors: list[Factor], names: list[str], seed: int, latents: int
    ) -> None:
        self.points, self.draws, self.factors, self.names, self.seed = points, draws, factors, names, seed
        self.latents = latents

    @functools.cached_property
    def dci(self) -> scores.DCI:
        result = scores.dci(self.points, self.factors, latents=self.latents, seed=self.seed)
        # A code that does not move is no factor's home, whatever chance a forest finds in it.
        return result if len(moves(self.points)) else result._replace(completeness=0 * result.completeness)

    def by_factor(self, values: np.ndarray) -> Score:
        finite = np.isfinite(values)
        each = {factor.name: float(value) for factor, value in zip(self.factors, values, strict=True) if value == value}
        return Score(float(values[finite].mean()) if finite.any() else float("nan"), each)

    def by_latent(self, values: np.ndarray, weight: np.ndarray | None = None) -> Score:
        each = {name: float(value) for name, value in zip(self.names, values, strict=True)}
        total = 0.0 if weight is not None and not weight.sum() else float(np.average(values, weights=weight))
        return Score(total, each)


class _Definition(NamedTuple):
    """How a score is got and what it means.

    Attributes:
        of: evidence to score; fewest: factors it needs.
        chance: what a code without meaning gets by the number of factors; None where that is not known.
    """

    of: Callable[[_Evidence], Score]
    meaning: str
    fewest: int = 1
    chance: Callable[[int], float] | None = lambda count: 0.0


SCORES: Mapping[str, _Definition] = {
    "BetaVAE score": _Definition(
        lambda e: Score(beta_vae_score(e.points, e.factors, seed=e.seed), {}),
        "Accuracy of a linear classifier that predicts, from differences of codes, which factor a set of pairs shares.",
        2,
        lambda count: 1 / count,
    ),
    "FactorVAE score": _Definition(
        lambda e: Score(factor_vae_score(e.points, e.factors, seed=e.seed), {}),
        "Accuracy of predicting, from the latent that varies least, which factor a set of examples shares.",
        2,
        lambda count: 1 / count,
    ),
    "MIG": _Definition(
        lambda e: e.by_factor(scores.gaps(scores.shared(e.draws, e.factors))),
        "Mutual information gap: the difference in information about a factor between its best and second-best latent.",
    ),
    "DCI disentanglement": _Definition(
        lambda e: e.by_latent(e.dci.disentanglement, e.dci.weight),
        "Whether each latent is important for one factor alone.",
        2,
    ),
    "DCI completeness": _Definition(
        lambda e: e.by_factor(e.dci.completeness), "Whether a single latent is important for each factor."
    ),
    "DCI informativeness": _Definition(
        lambda e: e.by_factor(e.dci.informativeness), "How well random forests predict the factors from the code."
    ),
    "SAP": _Definition(
        lambda e: e.by_factor(scores.sap(e.points, e.factors, seed=e.seed)),
        "How much better the best latent for a factor predicts it, by itself, than the second best.",
    ),
    "modularity": _Definition(
        lambda e: e.by_latent(scores.modularity(scores.shared(e.points, e.factors))),
        "Whether each latent carries information about one factor only; also high for latents with almost no "
        "information.",
        2,
        None,
    ),
    "explicitness": _Definition(
        lambda e: e.by_factor(scores.explicitness(e.points, e.factors, seed=e.seed)),
        "How well a linear classifier separates each value of a factor from the others; ½ is chance.",
        chance=lambda count: 0.5,
    ),
    "IRS": _Definition(
        lambda e: e.by_latent(*scores.irs(e.points, e.factors)),
        "Interventional robustness: how little a latent changes while its own factor is fixed and the others vary; "
        "high by chance if a factor's values have few examples each.",
        2,
        None,
    ),
}
"""All scores by name, in display order."""
