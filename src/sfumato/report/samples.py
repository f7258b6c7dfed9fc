"""Samples of runs beside each other, drawn with one seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from pathlib import Path
from typing import Any, cast

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor, nn

from sfumato.data.images.schema import PictureSchema
from sfumato.evaluation.metrics.columns import Column, schema_columns
from sfumato.evaluation.subject import Subject, rows, still
from sfumato.report import of_plane, of_symbols, of_tables
from sfumato.report.grids import sheet_of
from sfumato.report.look import WIDTH, Look, Picture, figure, legend, place, save, short, tidy
from sfumato.report.plane import POINTS, limits, shape_of
from sfumato.studies import Comparison
from sfumato.studies.comparison import Group

SHOWN = 12
"""Configurations whose samples are drawn, at most."""
ACROSS = 10
STEPS = 30
"""Sampled sequences drawn for each configuration."""
SPELLED = 4
"""Sampled sequences of symbols spelled out for each configuration."""


def draw(found: Comparison, folder: Path, seed: int) -> list[Picture]:
    """Samples of the first run of each configuration, all with one seed."""
    groups = [group for group in found.groups if group.members[0].data is not None][:SHOWN]
    if len(groups) < 2:
        return []
    subjects = [_subject(group, seed) for group in groups]
    kinds = {subject.schema.kind for subject in subjects}
    if kinds == {"picture"}:
        return [_pictures(groups, subjects, folder)]
    if kinds == {"sequence"}:
        return [_sequences(groups, subjects, folder)]
    if kinds == {"symbols"}:
        return [_symbols(groups, subjects, folder)]
    planes = [of_plane.find(subject) for subject in subjects]
    if all(plane is not None for plane in planes):
        return [_planes(groups, subjects, folder)]
    return _columns(groups, subjects, folder)


def _subject(group: Group, seed: int) -> Subject:
    run = group.members[0]
    assert run.data is not None, "only what has its data is drawn"
    return Subject.of(run.auto.model_, run.auto.schema_, run.data, seed)


def _drawn(subject: Subject, n: int, *, noise: bool) -> tuple[Tensor, Any]:
    """n samples in the units of the spec and as the user's own, a function of the subject's seed alone."""
    with still(cast(nn.Module, subject.model), subject.seed):
        given = subject.conditions(n)
        x = subject.draw(given, n, noise=noise)
        return x, subject.decoded(x, given)


def _labels(groups: Sequence[Group]) -> tuple[list[str], str]:
    """Names of rows, and what they stand for where the names are too long to stand there."""
    if all(len(group.name) <= 14 for group in groups):
        return [group.name for group in groups], ""
    numbers = [str(number) for number in range(1, len(groups) + 1)]
    return numbers, " " + "; ".join(f"{n}: {group.name}" for n, group in zip(numbers, groups, strict=True)) + "."


def _pictures(groups: Sequence[Group], subjects: Sequence[Subject], folder: Path) -> Picture:
    first = subjects[0]
    assert isinstance(first.schema, PictureSchema), "only pictures are drawn as pictures"
    chosen = rows(first.batch, np.unique(np.linspace(0, len(first) - 1, min(ACROSS, len(first))).astype(int)))
    cells = [list(first.schema.shown(chosen.x))]
    cells += [list(cast(PictureSchema, one.schema).shown(_drawn(one, ACROSS, noise=False)[0])) for one in subjects]
    names, key = _labels(groups)
    return _saved(
        folder,
        lambda look: sheet_of(cells, look, rows=["data", *names], breaks=[1]),
        alt=f"{len(groups)} rows of {ACROSS} sampled pictures, below a row of data.{key}",
        caption=f"The first row is data of the {first.part}; then one row of new pictures for each configuration, of "
        f"its first run.{key}",
        exact=first.schema.spec.shape[0] > 1,
    )


def _planes(groups: Sequence[Group], subjects: Sequence[Subject], folder: Path) -> Picture:
    plane = of_plane.find(subjects[0])
    assert plane is not None, "asked for before"
    data = plane.points(subjects[0].raw(subjects[0].batch))
    data = data[np.isfinite(data).all(1)][:POINTS]
    clouds = [data, *(plane.points(_drawn(one, len(data), noise=True)[1]) for one in subjects)]
    names, key = _labels(groups)
    titles = ["data", *names]

    def drawn(look: Look) -> Figure:
        across = min(4, len(clouds))
        side = (WIDTH - 0.5 - 0.15 * (across - 1)) / across
        frame = limits(np.concatenate(clouds[:2]))
        tall = side * shape_of(frame)
        lines = ceil(len(clouds) / across)
        sheet = figure(WIDTH, lines * (tall + 0.55) + 0.1, look)
        for index, (title, points) in enumerate(zip(titles, clouds, strict=True)):
            down, along = divmod(index, across)
            axes = place(sheet, 0.4 + along * (side + 0.15), 0.32 + down * (tall + 0.55), side, tall)
            tidy(axes, look, title)
            axes.set_xlim(*frame[0])
            axes.set_ylim(*frame[1])
            axes.tick_params(labelleft=along == 0)
            size = float(np.clip(4000 / max(len(points), 1), 3, 18))
            colour = look.quiet if index == 0 else look.of(index - 1)
            axes.scatter(points[:, 0], points[:, 1], s=size, color=colour, alpha=0.6, linewidths=0)
        return sheet

    return _saved(
        folder,
        drawn,
        alt=f"Scatter plots of {plane.names[0]} and {plane.names[1]}: the data, then samples of {len(groups)} "
        f"configurations, all on the same axes.{key}",
        caption=f"Left, examples of the {subjects[0].part}; then as many samples of the first run of each "
        f"configuration, in the same frame.{key}",
    )


def _columns(groups: Sequence[Group], subjects: Sequence[Subject], folder: Path) -> list[Picture]:
    """How far the samples of each column are from the real ones, a dot for each configuration."""
    count = max(len(subjects[0]), of_tables.DRAWN)
    made = [_drawn(subject, count, noise=True)[1] for subject in subjects]
    found = schema_columns(subjects[0].schema, [subjects[0].raw(subjects[0].batch), *made])
    if not found:
        return []
    pairs = [[column.pair(0, place_) for place_ in range(1, len(made) + 1)] for column in found]
    pairs.sort(key=lambda column: -max(one.distance for one in column))
    worst = pairs[: of_tables.MOST]
    return [
        _saved(
            folder,
            lambda look: _distances(groups, worst, look),
            alt=f"Dots for {len(worst)} columns: the distance of {len(groups)} configurations' samples from real "
            "values.",
            caption="How far the samples of each column are from the real ones, for the first run of each "
            "configuration, the column with the farthest first; 0 is the same, 1 nothing in common. KS (numbers): the "
            "largest gap between the two cumulative distributions. TV (categories): the share of rows that would have "
            "to change.",
        )
    ]


def _distances(groups: Sequence[Group], worst: Sequence[Sequence[Column]], look: Look) -> Figure:
    row, top, left = 0.235, 0.2 + 0.22 * len(groups), 1.75
    tall = max(len(worst), 3) * row
    sheet = figure(WIDTH * 0.8, top + tall + 0.5, look)
    axes = place(sheet, left, top, WIDTH * 0.8 - left - 0.2, tall)
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


def _sequences(groups: Sequence[Group], subjects: Sequence[Subject], folder: Path) -> Picture:
    """The channel that varies most, of data and of samples."""
    real = _flat(subjects[0].raw(rows(subjects[0].batch, slice(0, STEPS))))
    channel = int(np.argmax(np.nanvar(real, (0, 1))))
    made = [_flat(_drawn(one, STEPS, noise=True)[1]) for one in subjects]
    sets = [values[:, :, channel] for values in (real, *made)]
    names, key = _labels(groups)
    titles = ["data", *names]
    low, high = float(np.nanmin(sets[0])), float(np.nanmax(sets[0]))

    def drawn(look: Look) -> Figure:
        across = min(3, len(sets))
        side = (WIDTH - 0.6 - 0.2 * (across - 1)) / across
        sheet = figure(WIDTH, ceil(len(sets) / across) * 2.2 + 0.2, look)
        for index, (title, values) in enumerate(zip(titles, sets, strict=True)):
            down, along = divmod(index, across)
            axes = place(sheet, 0.5 + along * (side + 0.2), 0.3 + down * 2.2, side, 1.6)
            tidy(axes, look, title)
            colour = look.quiet if index == 0 else look.of(index - 1)
            axes.plot(values.T, color=colour, linewidth=0.7, alpha=0.55)
            axes.set_ylim(low - 0.15 * (high - low), high + 0.15 * (high - low))
            axes.tick_params(labelleft=along == 0)
        return sheet

    return _saved(
        folder,
        drawn,
        alt=f"Line charts of {STEPS} sequences of data, then of samples of {len(groups)} configurations.{key}",
        caption=f"The channel that varies most: sequences of the {subjects[0].part}, then as many samples of the first "
        f"run of each configuration, on the same scale.{key}",
    )


def _symbols(groups: Sequence[Group], subjects: Sequence[Subject], folder: Path) -> Picture:
    """Lines of data, then some of each configuration."""
    first = subjects[0]
    chosen = rows(first.batch, np.arange(min(SPELLED, len(first))))
    names, key = _labels(groups)
    width = max(map(len, ["data", *names])) + 2
    lines = [(0, "data".ljust(width) + line) for line in of_symbols.spelled(first.raw(chosen))]
    for name, subject in zip(names, subjects, strict=True):
        made = of_symbols.spelled(_drawn(subject, SPELLED, noise=True)[1])
        lines += [(1, name.ljust(width) + line) for line in made]
    return _saved(
        folder,
        lambda look: of_symbols.sheet_of_lines(lines, look),
        alt=f"{SPELLED} sequences of data, then {SPELLED} new ones of each of {len(groups)} configurations.{key}",
        caption=f"Sequences of the {first.part}, then as many new ones of the first run of each configuration.{key}",
    )


def _flat(values: object) -> np.ndarray:
    array = np.asarray(values, float)
    return array.reshape(*array.shape[:2], -1)


def _saved(folder: Path, drawn: Callable[[Look], Figure], *, alt: str, caption: str, exact: bool = False) -> Picture:
    return save(
        folder,
        "samples",
        drawn,
        title="Samples side by side",
        alt=alt,
        caption=caption + " All are drawn with the same seed.",
        exact=exact,
    )
