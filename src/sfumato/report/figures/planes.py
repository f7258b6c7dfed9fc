"""Figures of data with two numeric columns, and of latent spaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from sfumato.evaluation.subject import Subject, array, classes, rows
from sfumato.report.figures.run_samples import drawn_samples, row_names, save_samples
from sfumato.report.figures.scatter import CROWD, POINTS, Prior, decoder_map, latents, limits, panels, shape_of
from sfumato.report.figures.style import FIGURE_WIDTH, ReportFigure, Theme, figure, place, save, tidy
from sfumato.studies.comparison import RunGroup

EVERY = 4
"""Every fourth decoded latent line is drawn; the others keep the lines smooth."""


@dataclass(frozen=True)
class Plane:
    """The two columns of x that span the plane."""

    names: tuple[str, str]

    def points(self, raw: Any) -> np.ndarray:
        """(N, 2) of raw examples."""
        if isinstance(raw, np.ndarray):
            return raw.astype(float)
        frame = nw.from_native(raw, eager_only=True)
        return np.stack([frame[name].to_numpy().astype(float) for name in self.names], 1)


def find(shown: Subject) -> Plane | None:
    """The plane of data with exactly two numbers per example, else None."""
    spec = shown.schema.spec
    if spec.shape != (2,) or any(field.kind not in ("real", "cells") for field in spec.columns):
        return None
    raw = shown.raw(rows(shown.batch, slice(0, 2)))
    if isinstance(raw, np.ndarray):
        return Plane(("x1", "x2")) if raw.shape[1] == 2 else None
    frame = nw.from_native(raw, eager_only=True)
    names = [name for name in frame.columns if name not in shown.schema.given_names and frame[name].dtype.is_numeric()]
    return Plane((names[0], names[1])) if len(names) == 2 else None


def draw(shown: Subject, plane: Plane, folder: Path) -> list[ReportFigure]:
    """Data, reconstructions and samples in one frame; and the decoder's map, if codes are continuous."""
    names = shown.schema.label_names
    data = plane.points(shown.raw(shown.batch))
    whole = np.isfinite(data).all(1)
    reconstructed = shown.chunked(shown.model.reconstruct)
    reconstruction = plane.points(shown.decoded(reconstructed, shown.batch.given))
    given = shown.conditions(len(shown))
    samples = plane.points(shown.decoded(shown.draw(given, len(shown), noise=True), given))
    label_classes = classes(shown)
    sample_labels = None if label_classes is None or given is None else label_classes.labels(given)
    labels = None if shown.labels is None else shown.labels[whole]
    figures = [
        save(
            folder,
            "data-reconstructions-samples",
            lambda theme: panels(
                data[whole],
                reconstruction[whole],
                samples,
                theme,
                labels=labels,
                sample_labels=sample_labels,
                names=names,
                axis_names=plane.names,
            ),
            title="Data, reconstructions, samples",
            alt=f"Three scatter plots of {plane.names[0]} and {plane.names[1]} on the same axes: {len(data)} "
            "examples of "
            f"the {shown.part}, their reconstructions, and as many samples.",
            caption=f"Left: examples of the {shown.part}. Middle: their reconstructions. Right: samples of the "
            "model"
            + (
                f", coloured by the {label_classes.name} that they were conditioned on"
                if sample_labels is not None and label_classes
                else ""
            )
            + ". Samples should cover the same regions as the data; bridges between clusters and gaps are errors of "
            "the model. Reconstructions are means without noise, so they scatter less.",
        )
    ]
    if shown.space is None:
        return figures
    grids = _grids(shown, plane)
    count = f"{len(grids)} grids, one for each {label_classes.name}," if len(grids) > 1 and label_classes else "A grid"
    figures.append(
        save(
            folder,
            "decoder-map",
            lambda theme: decoder_map(grids, data[whole], theme, names=names, axis_names=plane.names, every=EVERY),
            title="The decoder's map",
            alt=f"{count} of latent lines bent into the space of {plane.names[0]} and {plane.names[1]}, over the data.",
            caption="A square grid of latents from −2.5 to 2.5 standard deviations of the prior, mapped to data space "
            "by "
            "the decoder. Thick lines pass through the mean of the prior. Lines are dense where the model puts much "
            "probability; they should follow the data, with few lines across empty regions.",
        )
    )
    return figures


def _grids(shown: Subject, plane: Plane) -> list[tuple[np.ndarray, int]]:
    """The decoded grid of the two most active latents, for each label of a condition (at most 6)."""
    label_classes, known = classes(shown), shown.schema.given_rows
    if known is None or not len(known):
        return [(_grid(shown, plane, None), -1)]
    if label_classes is None:
        return [(_grid(shown, plane, known[0]), -1)]
    labels = label_classes.labels(known)
    return [
        (_grid(shown, plane, known[labels == label][0]), int(label)) for label in np.unique(labels[labels >= 0])[:6]
    ]


def _grid(shown: Subject, plane: Plane, condition: Tensor | None) -> np.ndarray:
    """(R, C, 2), or (1, C, 2) for a single latent."""
    device = shown.batch.x.device
    order = np.argsort(-shown.rates(), kind="stable")
    ticks = torch.linspace(-2.5, 2.5, 10 * 2 * EVERY + 1, device=device)
    condition_row = None if condition is None else condition[None].to(device)
    mean, deviation = shown.prior(condition_row, 1)
    up = ticks if len(order) > 1 else ticks[:1]
    z = mean.repeat(len(up) * len(ticks), 1)
    z[:, order[0]] += deviation[0, order[0]] * ticks.repeat(len(up))
    if len(order) > 1:
        z[:, order[1]] += deviation[0, order[1]] * up.repeat_interleave(len(ticks))
    given = None if condition_row is None else condition_row.expand(len(z), -1)
    return plane.points(shown.decoded(shown.points(z, given), given)).reshape(len(up), len(ticks), 2)


def latent_space(shown: Subject, folder: Path) -> ReportFigure:
    """The two most active latents of the examples, over the prior, and the rate of each latent."""
    means, rates = shown.means(), shown.rates()
    order = np.argsort(-rates, kind="stable")[:2]
    priors = _priors(shown, order) if len(order) == 2 else []
    most = int((rates > 0.01).sum())
    rings = "at one deviation, a ring for each label" if len(priors) > CROWD else "at one and two deviations"
    plot = "Scatter plot" if len(order) == 2 else "Histogram"
    words = (
        f"Each dot is the code of one example of the {shown.part}, the mean of q(z|x). Dashed rings show the prior "
        f"{rings}. Samples are drawn from the prior, so dots should fill the rings; where they do not, samples are "
        "unlike the data."
    )
    if len(order) < 2:
        words = f"The codes of the examples of the {shown.part} (the means of q(z|x)), for the only latent."
    return save(
        folder,
        "latent-space",
        lambda theme: latents(means, rates, theme, labels=shown.labels, names=shown.schema.label_names, priors=priors),
        title="The latent space",
        alt=f"{plot} of the latent means of {len(means)} examples of the {shown.part}, and bars of the rate of each of "
        f"{len(rates)} latents; {most} {'carries' if most == 1 else 'carry'} more than 0.01 nats.",
        caption=words + " The bars show the rate of each latent; one without a bar carries no information.",
    )


def _priors(shown: Subject, order: np.ndarray) -> list[Prior]:
    """One prior for each label if it depends on the conditions, else one with the moments over all conditions."""
    given = shown.batch.given
    mean, deviation = (array(values)[:, order] for values in shown.prior(given, len(shown)))
    labels = shown.labels
    together = Prior(mean.mean(0), np.sqrt((deviation**2).mean(0) + mean.var(0)))
    moved = mean.var(0).max() > 1e-6
    if labels is None or not moved or classes(shown) is None or len(np.unique(labels)) > 10:
        return [together]
    return [
        Prior(mean[members].mean(0), np.sqrt((deviation[members] ** 2).mean(0) + mean[members].var(0)), int(label))
        for label in np.unique(labels[labels >= 0])
        for members in [labels == label]
    ]


def compare(groups: Sequence[RunGroup], subjects: Sequence[Subject], folder: Path) -> ReportFigure:
    """Data and samples of each configuration, in one frame."""
    plane = find(subjects[0])
    assert plane is not None, "checked by the caller"
    data = plane.points(subjects[0].raw(subjects[0].batch))
    data = data[np.isfinite(data).all(1)][:POINTS]
    clouds = [data, *(plane.points(drawn_samples(subject, len(data), noise=True)[1]) for subject in subjects)]
    names, key = row_names(groups)
    titles = ["data", *names]

    def drawn(theme: Theme) -> Figure:
        across = min(4, len(clouds))
        side = (FIGURE_WIDTH - 0.5 - 0.15 * (across - 1)) / across
        frame = limits(np.concatenate(clouds[:2]))
        tall = side * shape_of(frame)
        lines = ceil(len(clouds) / across)
        sheet = figure(FIGURE_WIDTH, lines * (tall + 0.55) + 0.1, theme)
        for index, (title, points) in enumerate(zip(titles, clouds, strict=True)):
            down, along = divmod(index, across)
            axes = place(sheet, 0.4 + along * (side + 0.15), 0.32 + down * (tall + 0.55), side, tall)
            tidy(axes, theme, title)
            axes.set_xlim(*frame[0])
            axes.set_ylim(*frame[1])
            axes.tick_params(labelleft=along == 0)
            size = float(np.clip(4000 / max(len(points), 1), 3, 18))
            colour = theme.quiet if index == 0 else theme.of(index - 1)
            axes.scatter(points[:, 0], points[:, 1], s=size, color=colour, alpha=0.6, linewidths=0)
        return sheet

    return save_samples(
        folder,
        drawn,
        alt=f"Scatter plots of {plane.names[0]} and {plane.names[1]}: the data, then samples of {len(groups)} "
        f"configurations, all on the same axes.{key}",
        caption=f"Left: examples of the {subjects[0].part}. Then: as many samples of the first run of each "
        f"configuration, on the same axes.{key}",
    )
