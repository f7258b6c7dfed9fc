"""Sicknesses of tables that no column shows by itself: dependence between columns that is lost, and rare classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.stats import binom, norm

from sfumato.diagnostics.case import SURE, Case
from sfumato.diagnostics.code_checks import louder
from sfumato.diagnostics.finding import Finding, Well
from sfumato.diagnostics.split_checks import NEARLY
from sfumato.evaluation.metrics.classifiers import Inputs, inputs
from sfumato.evaluation.metrics.columns import Aligned, ColumnPair
from sfumato.evaluation.metrics.dependence import Pair, pairs, share_kept, with_real_shapes
from sfumato.evaluation.samples.sample_sets import MADE, TEST, TRAIN
from sfumato.evaluation.samples.tables import real_apart, samples_apart
from sfumato.formatting import count, percent

STRONG = 0.4
"""An association by which one column tells a sixth of another's spread."""
USABLE_DEPENDENCE = 0.75
"""Of all dependence a share above which samples that lost a pair can be used."""
CHANCE = 1e-3
"""How often chance may have any of all pairs, or of all classes, called lost."""
MIN_ROWS = 40
"""Rows below which neither is looked for."""
MIN_EXPECTED_COUNT = 10.0
"""Times that a class must have come up in real rows, and should in samples."""
HARDLY = 0.25
"""Of what is expected, a share that is as good as none."""
LISTED = 3
CONDITIONAL = "cvae"
"""The model to change to for one that draws as many of a class as are asked for."""
JUDGED_QUICKLY, JUDGED = 700, 2000
"""Rows of each set that trees tell apart."""


def dependence_lost(case: Case) -> Finding | Well | None:
    """Columns hang together less in samples than in real rows, by pairs of them or by all of them at once.

    By pairs: a strong association of real rows (0.4 or more) is less than half as strong in samples; or less than half
    of all associations is kept. By all at once: samples are given the real distribution of each column by itself, and
    trees tell them from real rows all but always, in nine of ten pairs; or, where no pair hangs together, as well as if
    their columns were independent; and real rows from real rows much less well. Each by more than its error: three
    standard errors, or as many as chance needs for so many pairs.
    """
    if len(case.columns) < 2 or min(len(case.drawn.made), len(case.drawn.train)) < MIN_ROWS:
        return None
    found = pairs([_joined(column) for column in case.columns])
    chance = CHANCE / max(len(found), 1)
    sure = float(norm.isf(chance))
    found = [pair for pair in found if pair.by_chance < chance]
    kept, error = share_kept(found)
    worst = sorted((pair for pair in found if pair.is_lost(sure)), key=lambda pair: pair.kept - abs(pair.real))
    if kept + SURE * error < 0.5 or any(abs(pair.real) >= STRONG for pair in worst):
        return _by_pairs(case, worst, len(found), {"kept": kept, "error": error})
    return _at_once(case, {"kept": kept} | {_called(pair): pair.kept for pair in found})


def _joined(column: Aligned) -> ColumnPair:
    """Training and held-out rows as one, beside samples."""
    real = np.concatenate([column.values[TRAIN], column.values[TEST]])
    return ColumnPair(column.name, real, column.values[MADE], column.levels)


def _by_pairs(case: Case, lost: Sequence[Pair], beyond: int, numbers: dict[str, float]) -> Finding:
    number = "kept"
    severity: Literal["serious", "minor"] = "serious" if numbers["kept"] < USABLE_DEPENDENCE else "minor"
    if numbers["kept"] + SURE * numbers["error"] >= 0.5:
        number = _called(lost[0])
        numbers = numbers | {number: lost[0].kept, "error": lost[0].made_error}
    named = [f"{' and '.join(pair.names)} {pair.made:.2f} for {pair.real:.2f}" for pair in lost[:LISTED]]
    named += [f"{len(lost) - LISTED} more"] if len(lost) > LISTED else []
    listed = f" ({'; '.join(named)})" if named else ""
    return Finding(
        "dependence_lost",
        severity,
        f"Dependence is lost: of {count(beyond, 'pair')} of columns that hang together in real rows, {len(lost)} "
        f"{'is' if len(lost) == 1 else 'are'} for sure less than half as strong in samples{listed}. Over all pairs "
        f"{percent(numbers['kept'])} is kept. Each column by itself may look right.",
        numbers | {"pairs_lost": len(lost), "pairs": beyond},
        number=number,
        cure=tighter(case),
    )


def _called(pair: Pair) -> str:
    return " × ".join(pair.names)


def _at_once(case: Case, known: dict[str, float]) -> Finding | Well:
    rows = _shaped(case)
    most = JUDGED_QUICKLY if case.quick else JUDGED
    train, test, made = (x[:most] for x in rows.sets)
    how: dict[str, Any] = {"categories": rows.categories, "seed": case.subject.seed}
    apart = samples_apart(test, made, train, **how)
    numbers = known | {"told_apart": apart.value, "error": apart.error}
    noticed = apart.value - SURE * apart.error > 0.5
    # Where pairs hang together they say how much is kept: a blurred ring is told from a sharp one as anything else is.
    bar = NEARLY
    if noticed and apart.value < NEARLY and len(known) == 1:
        random = np.random.default_rng(case.subject.seed)
        numbers["independent"] = samples_apart(test, random.permuted(made, axis=0), train, **how).value
        bar = 0.5 + NEARLY * (numbers["independent"] - 0.5)
    if noticed and apart.value >= bar:
        real = real_apart(test, train, apart.rows, **how)
        if apart.value - real.value > SURE * np.hypot(apart.error, real.error):
            return _found_at_once(case, numbers | {"real": real.value})
    kept = f"keep {percent(known['kept'])} of how columns hang together in pairs, and " if len(known) > 1 else ""
    return Well(f"samples {kept}are told from real rows in {percent(apart.value)} of pairs", numbers)


def _found_at_once(case: Case, numbers: dict[str, float]) -> Finding:
    how = ""
    if "independent" in numbers:
        how = f", as well as if their columns were independent ({percent(numbers['independent'])})"
    return Finding(
        "dependence_lost",
        "serious",
        f"Dependence is lost: trees tell samples from real rows in {percent(numbers['told_apart'])} of pairs"
        f"{how}, and real rows from real rows in {percent(numbers['real'])}, though samples were given the real "
        "distribution of each column by itself. What goes with what is not as it should be.",
        numbers,
        number="told_apart",
        better="lower",
        cure=tighter(case),
    )


def _shaped(case: Case) -> Inputs:
    """Rows for trees, of which the samples have the real distribution of each column by itself."""
    shaped = [
        Aligned(
            column.name,
            (*column.values[:MADE], with_real_shapes(_joined(column), case.subject.seed + place)),
            column.levels,
        )
        for place, column in enumerate(case.columns)
    ]
    return inputs(shaped, [TRAIN, TEST, MADE])


def tighter(case: Case) -> dict[str, Any]:
    """What lets samples keep how columns hang together: columns given those before them, else a longer training."""
    joint = case.joint_likelihood
    apart = bool(joint) and case.spec.likelihood != joint["likelihood"]
    if apart and not case.described.independent_columns:
        return case.first(joint)
    longer = case.first({name: 3 * case.options[name] for name in ("epochs", "steps") if case.options[name]})
    return louder(case) if case.setting("rate_weight", 1.0) > 1 or not longer else longer


def rare_class_lost(case: Case) -> Finding | Well | None:
    """A category that samples should have ten times comes up in less than a quarter of these, by more than chance.

    Given how often a category came up in real rows and in samples together, the number in samples is binomial.
    """
    if min(len(case.drawn.made), len(case.drawn.train)) < MIN_ROWS:
        return None
    given = case.subject.schema.given_names
    watched = [one for column in case.columns if column.levels and column.name not in given for one in _levels(column)]
    if not watched:
        return None
    lost = sorted((one for one in watched if one.is_lost(CHANCE / len(watched))), key=lambda one: one.share)
    if not lost:
        return Well("no class of a table is lost", {one.name: one.made for one in watched})
    first, names = lost[0], list(dict.fromkeys(one.column for one in lost))
    others = f" So are {len(lost) - 1} more." if len(lost) > 1 else ""
    return Finding(
        "rare_class_lost",
        "serious",
        f"A rare class is lost: {first.level!r} of {first.column} is {percent(first.share)} of real rows, and would be "
        f"{first.expected:.0f} of {len(case.drawn.made):,} samples, where it is {first.made}.{others} A cvae that is "
        f"given {first.column} keeps every class, and draws as many as are asked for.",
        {first.name: first.made, "expected": first.expected},
        number=first.name,
        cure={"given": (*case.options.get("given", ()), *names)},
        model="" if case.described.is_conditional else CONDITIONAL,
    )


@dataclass(frozen=True)
class CategoryCount:
    """One category of a column: how often it came up in real rows and in as many samples as there are."""

    column: str
    level: str
    share: float
    real: int
    made: int
    expected: float

    @property
    def name(self) -> str:
        """What it is called among numbers."""
        return f"{self.column}={self.level}"

    def is_lost(self, chance: float) -> bool:
        """Whether it is a quarter of what is expected or less, which chance brings less often than `chance`."""
        share = self.expected / (self.expected + self.real)
        by_chance = binom.cdf(self.made, self.made + self.real, share)
        return self.made < HARDLY * self.expected and bool(by_chance < chance)


def _levels(column: Aligned) -> list[CategoryCount]:
    """Categories that come up ten times in real rows, and should in samples."""
    both = _joined(column)
    real, made = (
        np.bincount(x[~np.isnan(x)].astype(int), minlength=len(column.levels)) for x in (both.real, both.made)
    )
    total, drawn = max(int(real.sum()), 1), int(made.sum())
    found = [
        CategoryCount(column.name, name, count / total, int(count), int(seen), count / total * drawn)
        for name, count, seen in zip(column.levels, real, made, strict=True)
    ]
    return [one for one in found if one.real >= MIN_EXPECTED_COUNT and one.expected >= MIN_EXPECTED_COUNT]
