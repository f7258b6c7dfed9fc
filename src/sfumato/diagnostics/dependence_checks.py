"""Checks of tables beyond single columns: lost dependence between columns, and lost rare classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.stats import binom, norm

from sfumato.diagnostics.case import SURE, Case
from sfumato.diagnostics.code_checks import stronger_code
from sfumato.diagnostics.finding import Finding, Passed
from sfumato.diagnostics.split_checks import NEARLY
from sfumato.evaluation.metrics.classifiers import Inputs, inputs
from sfumato.evaluation.metrics.columns import Aligned, ColumnPair
from sfumato.evaluation.metrics.dependence import Pair, pairs, share_kept, with_real_shapes
from sfumato.evaluation.samples.sample_sets import SAMPLED, TEST, TRAIN
from sfumato.evaluation.samples.tables import real_apart, samples_apart
from sfumato.formatting import count, percent

STRONG = 0.4
"""An association at which one column explains a sixth of another's variance."""
USABLE_DEPENDENCE = 0.75
"""Share of all dependence above which samples that lost a pair are still usable."""
CHANCE = 1e-3
"""Probability that chance makes any pair, or any class, appear lost."""
MIN_ROWS = 40
"""Rows below which neither is checked."""
MIN_EXPECTED_COUNT = 10.0
"""Least count of a class in real rows, and least expected count in samples."""
HARDLY = 0.25
"""Share of the expected count that counts as lost."""
LISTED = 3
CONDITIONAL = "cvae"
"""The model to change to, which can draw any number of a class."""
TREE_ROWS_QUICK, TREE_ROWS = 700, 2000
"""Rows of each set that trees are trained to distinguish."""


def dependence_lost(case: Case) -> Finding | Passed | None:
    """Columns depend on each other less in samples than in real rows, in pairs or all together.

    By pairs: a strong association of real rows (0.4 or more) is less than half as strong in samples; or less than half
    of all associations is kept. All together: samples are given the real distribution of each column, and trees
    distinguish them from real rows in nine of ten pairs; or, where no pair is dependent, as well as if their columns
    were independent; and real rows from real rows much less well. Each by more than its error: three standard errors,
    or as many as needed to correct for the number of pairs.
    """
    if len(case.columns) < 2 or min(len(case.drawn.samples), len(case.drawn.train)) < MIN_ROWS:
        return None
    dependent = pairs([_joined(column) for column in case.columns])
    chance = CHANCE / max(len(dependent), 1)
    sure = float(norm.isf(chance))
    dependent = [pair for pair in dependent if pair.by_chance < chance]
    kept, error = share_kept(dependent)
    worst = sorted((pair for pair in dependent if pair.is_lost(sure)), key=lambda pair: pair.kept - abs(pair.real))
    if kept + SURE * error < 0.5 or any(abs(pair.real) >= STRONG for pair in worst):
        return _by_pairs(case, worst, len(dependent), {"kept": kept, "error": error})
    return _jointly(case, {"kept": kept} | {_pair_name(pair): pair.kept for pair in dependent})


def _joined(column: Aligned) -> ColumnPair:
    """A column of all real rows (training and held-out) and of samples."""
    real = np.concatenate([column.values[TRAIN], column.values[TEST]])
    return ColumnPair(column.name, real, column.values[SAMPLED], column.levels)


def _by_pairs(case: Case, lost: Sequence[Pair], beyond: int, numbers: dict[str, float]) -> Finding:
    number = "kept"
    severity: Literal["serious", "minor"] = "serious" if numbers["kept"] < USABLE_DEPENDENCE else "minor"
    if numbers["kept"] + SURE * numbers["error"] >= 0.5:
        number = _pair_name(lost[0])
        numbers = numbers | {number: lost[0].kept, "error": lost[0].sampled_error}
    named = [f"{' and '.join(pair.names)} {pair.sampled:.2f} instead of {pair.real:.2f}" for pair in lost[:LISTED]]
    named += [f"{len(lost) - LISTED} more"] if len(lost) > LISTED else []
    listed = f" ({'; '.join(named)})" if named else ""
    return Finding(
        "dependence_lost",
        severity,
        f"Dependence is lost: of {count(beyond, 'pair')} of dependent columns in real rows, {len(lost)} "
        f"{'is' if len(lost) == 1 else 'are'} clearly less than half as strong in samples{listed}. Over all pairs "
        f"{percent(numbers['kept'])} of the dependence is kept. Each column by itself may look right.",
        numbers | {"pairs_lost": len(lost), "pairs": beyond},
        number=number,
        cure=closer_dependence(case),
    )


def _pair_name(pair: Pair) -> str:
    return " × ".join(pair.names)


def _jointly(case: Case, known: dict[str, float]) -> Finding | Passed:
    rows = _shaped(case)
    most = TREE_ROWS_QUICK if case.quick else TREE_ROWS
    train, test, samples = (x[:most] for x in rows.sets)
    options: dict[str, Any] = {"categories": rows.categories, "seed": case.subject.seed}
    apart = samples_apart(test, samples, train, **options)
    numbers = known | {"distinguished": apart.value, "error": apart.error}
    noticed = apart.value - SURE * apart.error > 0.5
    # With dependent pairs, these measure what is kept; trees also distinguish a slightly blurred ring from a sharp one.
    bar = NEARLY
    if noticed and apart.value < NEARLY and len(known) == 1:
        random = np.random.default_rng(case.subject.seed)
        numbers["independent"] = samples_apart(test, random.permuted(samples, axis=0), train, **options).value
        bar = 0.5 + NEARLY * (numbers["independent"] - 0.5)
    if noticed and apart.value >= bar:
        real = real_apart(test, train, apart.rows, **options)
        if apart.value - real.value > SURE * np.hypot(apart.error, real.error):
            return _joint_finding(case, numbers | {"real": real.value})
    kept = f"keep {percent(known['kept'])} of the pairwise dependence, and " if len(known) > 1 else ""
    return Passed(f"samples {kept}are distinguished from real rows in {percent(apart.value)} of pairs", numbers)


def _joint_finding(case: Case, numbers: dict[str, float]) -> Finding:
    comparison = ""
    if "independent" in numbers:
        comparison = f", as well as if their columns were independent ({percent(numbers['independent'])})"
    return Finding(
        "dependence_lost",
        "serious",
        f"Dependence is lost: trees distinguish samples from real rows in {percent(numbers['distinguished'])} of pairs"
        f"{comparison}, and real rows from real rows in {percent(numbers['real'])}, although the samples were given "
        "the real distribution of each column. The relations between columns are wrong.",
        numbers,
        number="distinguished",
        better="lower",
        cure=closer_dependence(case),
    )


def _shaped(case: Case) -> Inputs:
    """Rows for trees; each column of the samples has the real distribution."""
    shaped = [
        Aligned(
            column.name,
            (*column.values[:SAMPLED], with_real_shapes(_joined(column), case.subject.seed + place)),
            column.levels,
        )
        for place, column in enumerate(case.columns)
    ]
    return inputs(shaped, [TRAIN, TEST, SAMPLED])


def closer_dependence(case: Case) -> dict[str, Any]:
    """Options that let samples keep dependence: an autoregressive likelihood, else a longer training."""
    joint = case.joint_likelihood
    apart = bool(joint) and case.spec.likelihood != joint["likelihood"]
    if apart and not case.described.independent_columns:
        return case.first(joint)
    longer = case.first({name: 3 * case.options[name] for name in ("epochs", "steps") if case.options[name]})
    return stronger_code(case) if case.setting("rate_weight", 1.0) > 1 or not longer else longer


def rare_class_lost(case: Case) -> Finding | Passed | None:
    """A category that is expected ten times or more in samples occurs less than a quarter as often, beyond chance.

    Given the count of a category in real rows and samples together, its count in samples is binomial.
    """
    if min(len(case.drawn.samples), len(case.drawn.train)) < MIN_ROWS:
        return None
    given = case.subject.schema.given_names
    watched = [
        level for column in case.columns if column.levels and column.name not in given for level in _levels(column)
    ]
    if not watched:
        return None
    lost = sorted((level for level in watched if level.is_lost(CHANCE / len(watched))), key=lambda level: level.share)
    if not lost:
        return Passed("no class of a column is lost", {level.name: level.sampled for level in watched})
    first, names = lost[0], list(dict.fromkeys(level.column for level in lost))
    others = f" So {'is' if len(lost) == 2 else 'are'} {len(lost) - 1} more." if len(lost) > 1 else ""
    return Finding(
        "rare_class_lost",
        "serious",
        f"A rare class is lost: {first.level!r} of {first.column} is {percent(first.share)} of real rows, so "
        f"{first.expected:.0f} of {len(case.drawn.samples):,} samples are expected, but there are "
        f"{first.sampled}.{others} "
        f"A cvae conditioned on {first.column} keeps every class and draws as many as requested.",
        {first.name: first.sampled, "expected": first.expected},
        number=first.name,
        cure={"given": (*case.options.get("given", ()), *names)},
        model="" if case.described.is_conditional else CONDITIONAL,
    )


@dataclass(frozen=True)
class CategoryCount:
    """One category of a column: its counts in real rows and in samples."""

    column: str
    level: str
    share: float
    real: int
    sampled: int
    expected: float

    @property
    def name(self) -> str:
        """Its key among the numbers of a finding."""
        return f"{self.column}={self.level}"

    def is_lost(self, chance: float) -> bool:
        """Whether it occurs less than a quarter as often as expected, with a probability below `chance`."""
        share = self.expected / (self.expected + self.real)
        by_chance = binom.cdf(self.sampled, self.sampled + self.real, share)
        return self.sampled < HARDLY * self.expected and bool(by_chance < chance)


def _levels(column: Aligned) -> list[CategoryCount]:
    """Categories that occur ten times in real rows and are expected ten times in samples."""
    both = _joined(column)
    real, sampled = (
        np.bincount(x[~np.isnan(x)].astype(int), minlength=len(column.levels)) for x in (both.real, both.sampled)
    )
    total, drawn = max(int(real.sum()), 1), int(sampled.sum())
    counts = [
        CategoryCount(column.name, name, count / total, int(count), int(seen), count / total * drawn)
        for name, count, seen in zip(column.levels, real, sampled, strict=True)
    ]
    return [level for level in counts if level.real >= MIN_EXPECTED_COUNT and level.expected >= MIN_EXPECTED_COUNT]
