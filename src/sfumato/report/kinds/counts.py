"""Figures of counts: columns of samples beside real ones by mean, variance and zeros, and totals of examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from sfumato.evaluation.subject import Subject, array, missing_again, some
from sfumato.report.figures.run_samples import drawn_samples, save_samples
from sfumato.report.figures.style import FIGURE_WIDTH, ReportFigure, Theme, figure, legend, place, save, tidy
from sfumato.studies.comparison import RunGroup

PANEL_GAP, PANEL_BOTTOM = 0.65, 0.55
FEWEST_SAMPLES = 1000
"""Least number of samples, so that means of rare columns are not chance."""
ROWS_DRAWN = 3000
TOTAL_BINS = 40
COLUMN_STATISTICS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], bool]] = {
    "mean": (lambda x: x.mean(0), True),
    "variance": (lambda x: x.var(0), True),
    "zeros": (lambda x: (x == 0).mean(0), False),
}
"""What is shown of each column, and whether on logarithmic axes."""


def draw(shown: Subject, folder: Path) -> list[ReportFigure]:
    """Means, variances and zeros of columns, samples against real examples, and totals."""
    real = _real(shown)
    count = min(max(len(real), FEWEST_SAMPLES), ROWS_DRAWN)
    new = array(shown.draw(shown.conditions(count), count, noise=True).double())
    return [
        save(
            folder,
            "columns",
            lambda theme: _sheet([("samples", new)], real, theme),
            title="Columns and totals of samples",
            alt=f"Three scatter plots of {real.shape[1]} columns, samples against real examples: means, variances and "
            f"shares of zeros; and two histograms of totals. Zeros are {(new == 0).mean():.1%} of samples and "
            f"{(real == 0).mean():.1%} of real counts.",
            caption=f"Each dot is a column: its mean, its variance and its share of zeros in {len(real):,} training "
            f"examples and in {count:,} samples, with the line where both agree. On the right, totals of examples: "
            "grey is real, the line is sampled.",
        )
    ]


def compare(groups: Sequence[RunGroup], subjects: Sequence[Subject], folder: Path) -> list[ReportFigure]:
    """The same for samples of several configurations, a colour for each."""
    real = _real(subjects[0])
    samples = [array(drawn_samples(subject, FEWEST_SAMPLES, noise=True)[0].double()) for subject in subjects]
    named = [(group.name, x) for group, x in zip(groups, samples, strict=True)]
    return [
        save_samples(
            folder,
            lambda theme: _sheet(named, real, theme),
            alt=f"Three scatter plots of {real.shape[1]} columns, samples of {len(groups)} configurations against real "
            "examples, and histograms of totals.",
            caption="Each dot is a column: its mean, its variance and its share of zeros in training examples and in "
            f"{FEWEST_SAMPLES:,} samples of a configuration, with the line where both agree; and totals of examples.",
        )
    ]


def _real(shown: Subject) -> np.ndarray:
    """Training examples as counts, or those that are shown where there are none."""
    train = shown.data.train
    batch = train.take(some(len(train), ROWS_DRAWN, shown.seed + 1)) if len(train) else shown.batch
    return np.nan_to_num(array(missing_again(batch).double()))


def _sheet(sets: Sequence[tuple[str, np.ndarray]], real: np.ndarray, theme: Theme) -> Figure:
    wide = (FIGURE_WIDTH - 0.6 - 3 * PANEL_GAP - 0.1) / 4
    top = 0.55 if len(sets) > 1 else 0.35
    sheet = figure(FIGURE_WIDTH, top + wide + PANEL_BOTTOM, theme)
    if len(sets) > 1:
        legend(sheet, [(name, theme.of(number)) for number, (name, _) in enumerate(sets)], theme, top=0.1, left=0.6)
    for number, (title, (statistic, logarithmic)) in enumerate(COLUMN_STATISTICS.items()):
        axes = place(sheet, 0.6 + number * (wide + PANEL_GAP), top, wide, wide)
        tidy(axes, theme, title, "real", "samples" if not number else "")
        x = statistic(real)
        # Logarithms of columns that were never counted are put beside those of the rarest.
        least = float(x[x > 0].min(initial=1.0)) / 2 if logarithmic else 0.0
        x = np.maximum(x, least)
        for at, (_, new) in enumerate(sets):
            colour = theme.model if len(sets) == 1 else theme.of(at)
            axes.scatter(x, np.maximum(statistic(new), least), s=5, color=colour, alpha=0.5, linewidths=0)
        if logarithmic:
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.minorticks_off()
        ends = [least, max(float(x.max()), *(float(statistic(new).max()) for _, new in sets), 2 * least)]
        axes.plot(ends, ends, color=theme.ink, linewidth=0.8)
    axes = place(sheet, 0.6 + 3 * (wide + PANEL_GAP), top, wide, wide)
    tidy(axes, theme, "totals", "total of an example")
    totals = [real.sum(1), *(new.sum(1) for _, new in sets)]
    edges = np.linspace(min(map(np.min, totals)), max(map(np.max, totals)) + 1, TOTAL_BINS).tolist()
    axes.hist(totals[0], edges, density=True, color=theme.real)
    for at, values in enumerate(totals[1:]):
        colour = theme.model if len(sets) == 1 else theme.of(at)
        axes.hist(values, edges, density=True, histtype="step", color=colour, linewidth=1.3)
    axes.set_yticks([])
    return sheet
