"""Sicknesses of tables that no column shows by itself: dependence between columns that is lost, and rare classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binom, norm

from sfumato.evaluation.columns import Aligned, Column
from sfumato.evaluation.dependence import Pair, pairs, share_kept, with_real_shapes
from sfumato.evaluation.doctor.case import SURE, Case
from sfumato.evaluation.doctor.code import louder
from sfumato.evaluation.doctor.finding import Finding, Well
from sfumato.evaluation.doctor.parts import HALFWAY
from sfumato.evaluation.doctor.words import percent
from sfumato.evaluation.drawn import MADE, TEST, TRAIN
from sfumato.evaluation.judges import Inputs, inputs
from sfumato.evaluation.tables import real_apart, samples_apart

STRONG = 0.5
"""An association by which one column tells a quarter of another's spread."""
CHANCE = 1e-3
"""How often chance may have any of all pairs, or of all classes, called lost."""
FEWEST = 40
"""Rows below which neither is looked for."""
EXPECTED = 10.0
"""Times that a class must have come up in real rows, and should in samples."""
HARDLY = 0.25
"""Of what is expected, a share that is as good as none."""
LISTED = 3
JUDGED_QUICKLY, JUDGED = 700, 2000
"""Rows of each set that trees tell apart."""


def dependence_lost(case: Case) -> Finding | Well | None:
    """Columns hang together less in samples than in real rows, by pairs of them or by all of them at once.

    By pairs: a strong association of real rows (½ or more) is less than half as strong in samples; or less than half of
    all associations is kept. By all at once: trees tell samples from real rows in three of four pairs, though samples
    were given the real distribution of each column by itself, and tell real rows from real rows that much less well.
    Each by more than its error: three standard errors, or as many as chance needs for so many pairs.
    """
    if len(case.columns) < 2 or min(len(case.drawn.made), len(case.drawn.train)) < FEWEST:
        return None
    found = pairs([_joined(column) for column in case.columns])
    sure = float(norm.isf(CHANCE / max(len(found), 1)))
    found = [pair for pair in found if pair.is_beyond_chance(sure)]
    kept = share_kept(found)
    lost = sorted((pair for pair in found if pair.is_lost(sure)), key=lambda pair: pair.kept - abs(pair.real))
    if lost and (kept < 0.5 or any(abs(pair.real) >= STRONG for pair in lost)):
        return _by_pairs(case, lost, len(found), kept)
    return _at_once(case, kept, len(found))


def _joined(column: Aligned) -> Column:
    """Training and held-out rows as one, beside samples."""
    real = np.concatenate([column.values[TRAIN], column.values[TEST]])
    return Column(column.name, real, column.values[MADE], column.levels)


def _by_pairs(case: Case, lost: Sequence[Pair], beyond: int, kept: float) -> Finding:
    listed = "; ".join(f"{' and '.join(pair.names)} {pair.made:.2f} for {pair.real:.2f}" for pair in lost[:LISTED])
    more = f"; and {len(lost) - LISTED} more" if len(lost) > LISTED else ""
    return Finding(
        "dependence_lost",
        "serious",
        f"Dependence is lost: of {beyond} pairs of columns that hang together in real rows, {len(lost)} "
        f"{'is' if len(lost) == 1 else 'are'} less than half as strong in samples ({listed}{more}). Over all pairs "
        f"{percent(kept)} is kept. Each column by itself may look right.",
        {"kept": kept, "pairs_lost": len(lost), "pairs": beyond},
        number="kept",
        cure=tighter(case),
    )


def _at_once(case: Case, kept: float, beyond: int) -> Finding | Well:
    rows = _shaped(case)
    most = JUDGED_QUICKLY if case.quick else JUDGED
    train, test, made = (x[:most] for x in rows.sets)
    how: dict[str, Any] = {"categories": rows.categories, "seed": case.subject.seed}
    apart = samples_apart(test, made, train, **how)
    numbers = {"kept": kept, "told_apart": apart.value, "error": apart.error}
    if apart.value >= HALFWAY and apart.value - SURE * apart.error > 0.5:
        real = real_apart(test, train, apart.rows, **how)
        if apart.value - real.value >= HALFWAY - 0.5:
            return Finding(
                "dependence_lost",
                "serious",
                f"Dependence is lost: trees tell samples from real rows in {percent(apart.value)} of pairs, and real "
                f"rows from real rows in {percent(real.value)}, though samples were given the real distribution of "
                "each column. What goes with what is not as it should be.",
                numbers | {"real": real.value},
                number="told_apart",
                better="lower",
                cure=tighter(case),
            )
    words = f"samples keep {percent(kept)} of how columns hang together in pairs, and " if beyond else "samples "
    return Well(f"{words}are told from real rows in {percent(apart.value)} of pairs", numbers)


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
    """What lets samples keep how columns hang together."""
    return louder(case)


def rare_class_lost(case: Case) -> Finding | Well | None:
    """A category that samples should have ten times comes up in less than a quarter of these, by more than chance.

    Given how often a category came up in real rows and in samples together, the number in samples is binomial.
    """
    if min(len(case.drawn.made), len(case.drawn.train)) < FEWEST:
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
        model="" if case.name == "cvae" else "cvae",
    )


@dataclass(frozen=True)
class Level:
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


def _levels(column: Aligned) -> list[Level]:
    """Categories that come up ten times in real rows, and should in samples."""
    both = _joined(column)
    real, made = (
        np.bincount(x[~np.isnan(x)].astype(int), minlength=len(column.levels)) for x in (both.real, both.made)
    )
    total, drawn = max(int(real.sum()), 1), int(made.sum())
    found = [
        Level(column.name, name, count / total, int(count), int(seen), count / total * drawn)
        for name, count, seen in zip(column.levels, real, made, strict=True)
    ]
    return [one for one in found if one.real >= EXPECTED and one.expected >= EXPECTED]
