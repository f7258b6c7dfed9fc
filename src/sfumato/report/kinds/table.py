"""Figures of tables and vectors: real and sampled columns, dependence, distances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from sfumato.evaluation.metrics.columns import ColumnPair, associations, schema_columns
from sfumato.evaluation.subject import Subject, some
from sfumato.report.figures import planes
from sfumato.report.figures.run_samples import drawn_samples, save_samples
from sfumato.report.figures.style import FIGURE_WIDTH, ReportFigure, Theme, figure, legend, place, save, short, tidy
from sfumato.report.kinds.column_charts import MAX_COLUMN_PANELS, distances, marginals, pair_associations
from sfumato.studies.comparison import RunGroup

MIN_SAMPLES = 2000
"""Least number of samples, so that the noise is that of the real rows."""
MOST_ROWS = 5000
"""Largest number of rows for associations."""
RESAMPLES = 5


def draw(shown: Subject, folder: Path) -> list[ReportFigure]:
    """For two numeric columns their plane; else marginals, associations and distances, nothing if no column varies."""
    if (plane := planes.find(shown)) is not None:
        return planes.draw(shown, plane, folder)
    train = shown.data.train
    count = max(len(shown), MIN_SAMPLES)
    given = shown.conditions(count)
    sampled = shown.decoded(shown.draw(given, count, noise=True), given)
    real = shown.raw(shown.batch)
    index = some(len(train), count, shown.seed + 1)
    seen = shown.raw(train.take(index))
    aligned = schema_columns(shown.schema, [real, sampled, seen])
    table, chance = [column.pair(0, 1) for column in aligned], [column.pair(0, 2) for column in aligned]
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


def compare(groups: Sequence[RunGroup], subjects: Sequence[Subject], folder: Path) -> list[ReportFigure]:
    """Samples in the plane of two numeric columns; else how far the samples of each column are from the real ones."""
    if all(planes.find(subject) is not None for subject in subjects):
        return [planes.compare(groups, subjects, folder)]
    return _compare_columns(groups, subjects, folder)


def _compare_columns(groups: Sequence[RunGroup], subjects: Sequence[Subject], folder: Path) -> list[ReportFigure]:
    """How far the samples of each column are from the real ones, a dot for each configuration."""
    count = max(len(subjects[0]), MIN_SAMPLES)
    samples = [drawn_samples(subject, count, noise=True)[1] for subject in subjects]
    aligned = schema_columns(subjects[0].schema, [subjects[0].raw(subjects[0].batch), *samples])
    if not aligned:
        return []
    pairs = [[column.pair(0, place_) for place_ in range(1, len(samples) + 1)] for column in aligned]
    pairs.sort(key=lambda column: -max(cell.distance for cell in column))
    worst = pairs[:MAX_COLUMN_PANELS]
    return [
        save_samples(
            folder,
            lambda theme: _distances_of(groups, worst, theme),
            alt=f"Dots for {len(worst)} columns: the distance of {len(groups)} configurations' samples from real "
            "values.",
            caption="How far the samples of each column are from the real ones, for the first run of each "
            "configuration, the column with the farthest first; 0 is the same, 1 nothing in common. KS (numbers): the "
            "largest gap between the two cumulative distributions. TV (categories): the share of rows that would have "
            "to change.",
        )
    ]


def _distances_of(groups: Sequence[RunGroup], worst: Sequence[Sequence[ColumnPair]], theme: Theme) -> Figure:
    row, top, left = 0.235, 0.2 + 0.22 * len(groups), 1.75
    tall = max(len(worst), 3) * row
    sheet = figure(FIGURE_WIDTH * 0.8, top + tall + 0.5, theme)
    axes = place(sheet, left, top, FIGURE_WIDTH * 0.8 - left - 0.2, tall)
    tidy(axes, theme, "", "distance between sampled and real")
    places = np.arange(len(worst))
    for number, group in enumerate(groups):
        colour = theme.of(number)
        axes.scatter([column[number].distance for column in worst], places, s=26, color=colour, linewidths=0, alpha=0.9)
        legend(sheet, [(group.name, colour)], theme, top=0.1 + 0.22 * number, left=left)
    labels = [f"{short(column[0].name, 20)}  {'TV' if column[0].levels else 'KS'}" for column in worst]
    axes.set_yticks(places, labels, parse_math=False)
    axes.set_ylim(len(places) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.grid(color=theme.line, linewidth=0.5)
    axes.tick_params(axis="y", length=0, labelsize=8, labelcolor=theme.ink)
    return sheet


def _distances(worst: list[ColumnPair], chance: list[float], few: str, count: int, folder: Path) -> ReportFigure:
    first = worst[0]
    return save(
        folder,
        "distances",
        lambda theme: distances(worst, chance, theme),
        title="Distance of each column",
        alt=f"A dot for each of {len(worst)} columns at its distance between sampled and real values. The largest is "
        f"{first.distance:.2f}, of {first.name}.",
        caption="The distance between sampled and real values of each column, the largest first. KS (numbers): the "
        "largest gap between the two cumulative distributions. TV (categories): the share of rows that would have to "
        f"change. The hollow dot is the distance of {count:,} real training rows, which is due to chance alone." + few,
    )


def _marginals(worst: list[ColumnPair], few: str, part: str, folder: Path) -> ReportFigure:
    return save(
        folder,
        "marginals",
        lambda theme: marginals(worst, theme, real=f"real ({part})"),
        title="Real and sampled columns",
        alt=f"Small charts of {len(worst)} columns, real values of the {part} filled and sampled values as a line.",
        caption="Grey is real, blue is sampled; the column that matches worst comes first. Outlines should follow the "
        "grey. Pins mark single values that many rows share, on their own scale, with the shares as text. Values "
        "outside the axis are counted in the outermost bars." + few,
    )


def _associations(kept: list[ColumnPair], few: str, seed: int, folder: Path) -> ReportFigure:
    real, sampled = associations(kept), associations(kept, of_samples=True)
    gap = np.abs(np.nan_to_num(sampled - real))
    i, j = np.unravel_index(int(gap.argmax()), gap.shape)
    widest = f"{kept[i].name} and {kept[j].name}, {real[i, j]:.2f} real against {sampled[i, j]:.2f} sampled"
    count = len(kept[0].real)
    return save(
        folder,
        "associations",
        lambda theme: pair_associations([column.name for column in kept], real, sampled, theme),
        title="Dependence between columns",
        alt=f"Three matrices of {len(kept)} columns: association of each pair in real rows, in sampled rows, and the "
        f"difference. The widest difference is {widest}.",
        caption="Pearson's correlation for two numbers (−1 to 1), Cramér's V for two categories, and the correlation "
        f"ratio for one of each (0 to 1), over {count:,} training rows and as many samples. The right panel should be "
        f"empty; its strongest cell is {widest}. By chance alone, for two draws of {count:,} real rows, the strongest "
        f"cell would be about {_by_chance(kept, seed):.2f}." + few,
    )


def _by_chance(kept: list[ColumnPair], seed: int) -> float:
    """The strongest difference between associations of two draws of the real rows, with replacement; the median."""
    chooser = np.random.default_rng(seed)
    count = len(kept[0].real)
    strongest = []
    for _ in range(RESAMPLES):
        first, second = chooser.integers(0, count, (2, count))
        drawn = [replace(column, real=column.real[first], sampled=column.real[second]) for column in kept]
        gap = associations(drawn) - associations(drawn, of_samples=True)
        strongest.append(float(np.abs(np.nan_to_num(gap)).max()))
    return float(np.median(strongest))
