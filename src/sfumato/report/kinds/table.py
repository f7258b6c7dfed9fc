"""Tables and vectors, from a fitted model to comparisons of what is real with what is sampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from sfumato.evaluation.metrics.columns import ColumnPair, associations, schema_columns
from sfumato.evaluation.subject import Subject, some
from sfumato.report.figures import planes
from sfumato.report.figures.run_samples import drawn_samples, saved
from sfumato.report.figures.style import FIGURE_WIDTH, Picture, Theme, figure, legend, place, save, short, tidy
from sfumato.report.kinds.column_charts import MAX_COLUMN_PANELS, distances, marginals, pair_associations
from sfumato.studies.comparison import RunGroup

MIN_SAMPLES = 2000
"""Samples that are compared, at least, so that the noise is that of the real rows alone."""
MOST_ROWS = 5000
"""Rows whose associations are compared, at most."""
RESAMPLES = 5


def draw(shown: Subject, folder: Path) -> list[Picture]:
    """Of two numeric columns their plane; else marginals, associations and distances, nothing if no column varies."""
    if (plane := planes.find(shown)) is not None:
        return planes.draw(shown, plane, folder)
    train = shown.data.train
    count = max(len(shown), MIN_SAMPLES)
    given = shown.conditions(count)
    sampled = shown.decoded(shown.draw(given, count, noise=True), given)
    real = shown.raw(shown.batch)
    index = some(len(train), count, shown.seed + 1)
    seen = shown.raw(train.take(index))
    found = schema_columns(shown.schema, [real, sampled, seen])
    table, chance = [one.pair(0, 1) for one in found], [one.pair(0, 2) for one in found]
    if not table:
        return []
    order = np.argsort([-column.distance for column in table], kind="stable")[:MAX_COLUMN_PANELS]
    worst = [table[place] for place in order]
    by_chance = [chance[place].distance for place in order]
    rows = some(len(train), MOST_ROWS, shown.seed + 1)
    given = shown.conditions(len(rows))
    many = [shown.raw(train.take(rows)), shown.decoded(shown.draw(given, len(rows), noise=True), given)]
    kept = [column.pair(0, 1) for place, column in enumerate(schema_columns(shown.schema, many)) if place in order]
    few = (
        ""
        if len(table) <= MAX_COLUMN_PANELS
        else f" The {MAX_COLUMN_PANELS} that match worst of {len(table)} columns are shown."
    )
    return [
        _distances(worst, by_chance, few, len(index), folder),
        _marginals(worst, few, shown.part, folder),
        *([_associations(kept, few, shown.seed, folder)] if len(kept) > 1 else []),
    ]


def compare(groups: Sequence[RunGroup], subjects: Sequence[Subject], folder: Path) -> list[Picture]:
    """Samples in the plane of two numeric columns; else how far the samples of each column are from the real ones."""
    if all(planes.find(subject) is not None for subject in subjects):
        return [planes.compare(groups, subjects, folder)]
    return _compare_columns(groups, subjects, folder)


def _compare_columns(groups: Sequence[RunGroup], subjects: Sequence[Subject], folder: Path) -> list[Picture]:
    """How far the samples of each column are from the real ones, a dot for each configuration."""
    count = max(len(subjects[0]), MIN_SAMPLES)
    made = [drawn_samples(subject, count, noise=True)[1] for subject in subjects]
    found = schema_columns(subjects[0].schema, [subjects[0].raw(subjects[0].batch), *made])
    if not found:
        return []
    pairs = [[column.pair(0, place_) for place_ in range(1, len(made) + 1)] for column in found]
    pairs.sort(key=lambda column: -max(one.distance for one in column))
    worst = pairs[:MAX_COLUMN_PANELS]
    return [
        saved(
            folder,
            lambda look: _distances_of(groups, worst, look),
            alt=f"Dots for {len(worst)} columns: the distance of {len(groups)} configurations' samples from real "
            "values.",
            caption="How far the samples of each column are from the real ones, for the first run of each "
            "configuration, the column with the farthest first; 0 is the same, 1 nothing in common. KS (numbers): the "
            "largest gap between the two cumulative distributions. TV (categories): the share of rows that would have "
            "to change.",
        )
    ]


def _distances_of(groups: Sequence[RunGroup], worst: Sequence[Sequence[ColumnPair]], look: Theme) -> Figure:
    row, top, left = 0.235, 0.2 + 0.22 * len(groups), 1.75
    tall = max(len(worst), 3) * row
    sheet = figure(FIGURE_WIDTH * 0.8, top + tall + 0.5, look)
    axes = place(sheet, left, top, FIGURE_WIDTH * 0.8 - left - 0.2, tall)
    tidy(axes, look, "", "distance between sampled and real")
    places = np.arange(len(worst))
    for number, group in enumerate(groups):
        colour = look.of(number)
        axes.scatter([column[number].distance for column in worst], places, s=26, color=colour, linewidths=0, alpha=0.9)
        legend(sheet, [(group.name, colour)], look, top=0.1 + 0.22 * number, left=left)
    labels = [f"{short(column[0].name, 20)}  {'TV' if column[0].levels else 'KS'}" for column in worst]
    axes.set_yticks(places, labels, parse_math=False)
    axes.set_ylim(len(places) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.grid(color=look.line, linewidth=0.5)
    axes.tick_params(axis="y", length=0, labelsize=8, labelcolor=look.ink)
    return sheet


def _distances(worst: list[ColumnPair], chance: list[float], few: str, count: int, folder: Path) -> Picture:
    first = worst[0]
    return save(
        folder,
        "distances",
        lambda look: distances(worst, chance, look),
        title="Which columns match worst",
        alt=f"A dot for each of {len(worst)} columns at its distance between sampled and real values. The largest is "
        f"{first.distance:.2f}, of {first.name}.",
        caption="How far the samples of each column are from the real ones. KS (numbers): the largest gap "
        "between the two "
        "cumulative distributions. TV (categories): the share of rows that would have to change. The hollow dot is the "
        f"same distance for {count:,} rows of the training part: so far apart are even real rows, by chance alone."
        + few,
    )


def _marginals(worst: list[ColumnPair], few: str, part: str, folder: Path) -> Picture:
    return save(
        folder,
        "marginals",
        lambda look: marginals(worst, look, real=f"real ({part})"),
        title="Each column, real and sampled",
        alt=f"Small charts of {len(worst)} columns, real values of the {part} filled and sampled values as a line.",
        caption="Grey is real, blue is sampled; the column that matches worst comes first. Outlines should follow "
        "the grey. Pins stand for single values that many rows share, on a scale of their own, with their "
        "shares in words; "
        "values beyond the axis are gathered in its last bars." + few,
    )


def _associations(kept: list[ColumnPair], few: str, seed: int, folder: Path) -> Picture:
    real, made = associations(kept), associations(kept, made=True)
    gap = np.abs(np.nan_to_num(made - real))
    i, j = np.unravel_index(int(gap.argmax()), gap.shape)
    widest = f"{kept[i].name} and {kept[j].name}, {real[i, j]:.2f} real against {made[i, j]:.2f} sampled"
    count = len(kept[0].real)
    return save(
        folder,
        "associations",
        lambda look: pair_associations([column.name for column in kept], real, made, look),
        title="How columns hang together",
        alt=f"Three matrices of {len(kept)} columns: association of each pair in real rows, in sampled rows, and the "
        f"difference. The widest difference is {widest}.",
        caption="Pearson's correlation for two numbers (−1 to 1), Cramér's V for two categories, the "
        f"correlation ratio for one of each (0 to 1), of {count:,} rows of the training part and as many samples. The "
        f"right panel should be empty; its strongest cell is {widest}. By chance alone the strongest cell would be "
        f"about {_by_chance(kept, seed):.2f}: so much do two draws of {count:,} of the real rows differ." + few,
    )


def _by_chance(kept: list[ColumnPair], seed: int) -> float:
    """The strongest difference between associations of two draws of the real rows, with replacement; the median."""
    chooser = np.random.default_rng(seed)
    count = len(kept[0].real)
    strongest = []
    for _ in range(RESAMPLES):
        one, two = chooser.integers(0, count, (2, count))
        drawn = [replace(column, real=column.real[one], made=column.real[two]) for column in kept]
        gap = associations(drawn) - associations(drawn, made=True)
        strongest.append(float(np.abs(np.nan_to_num(gap)).max()))
    return float(np.median(strongest))
