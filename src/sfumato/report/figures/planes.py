"""Data with two numeric columns, and every latent space, from a fitted model to pictures."""

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
from sfumato.report.figures.run_samples import drawn_samples, row_names, saved
from sfumato.report.figures.scatter import CROWD, POINTS, Prior, decoder_map, latents, limits, panels, shape_of
from sfumato.report.figures.style import FIGURE_WIDTH, Picture, Theme, figure, place, save, tidy
from sfumato.studies.comparison import RunGroup

EVERY = 4
"""Of the lines of latents that are decoded, each fourth is drawn; the others keep the lines smooth."""


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
    """The plane of data whose examples are two numbers and no more, else None."""
    spec = shown.schema.spec
    if spec.shape != (2,) or any(field.kind not in ("real", "cells") for field in spec.columns):
        return None
    raw = shown.raw(rows(shown.batch, slice(0, 2)))
    if isinstance(raw, np.ndarray):
        return Plane(("x1", "x2")) if raw.shape[1] == 2 else None
    frame = nw.from_native(raw, eager_only=True)
    names = [name for name in frame.columns if name not in shown.schema.given_names and frame[name].dtype.is_numeric()]
    return Plane((names[0], names[1])) if len(names) == 2 else None


def draw(shown: Subject, plane: Plane, folder: Path) -> list[Picture]:
    """Data, reconstructions and samples in one frame; and the decoder's map, if the codes are points of a space."""
    names = shown.schema.label_names
    data = plane.points(shown.raw(shown.batch))
    whole = np.isfinite(data).all(1)
    reconstructed = shown.chunked(shown.model.reconstruct)
    reconstruction = plane.points(shown.decoded(reconstructed, shown.batch.given))
    given = shown.conditions(len(shown))
    samples = plane.points(shown.decoded(shown.draw(given, len(shown), noise=True), given))
    told = classes(shown)
    sample_labels = None if told is None or given is None else told.labels(given)
    labels = None if shown.labels is None else shown.labels[whole]
    found = [
        save(
            folder,
            "data-reconstructions-samples",
            lambda look: panels(
                data[whole],
                reconstruction[whole],
                samples,
                look,
                labels=labels,
                sample_labels=sample_labels,
                names=names,
                axis_names=plane.names,
            ),
            title="Data, reconstructions, samples",
            alt=f"Three scatter plots of {plane.names[0]} and {plane.names[1]} on the same axes: {len(data)} "
            "examples of "
            f"the {shown.part}, their reconstructions, and as many samples.",
            caption=f"Left, examples of the {shown.part}; middle, the same after passing through the code; right, "
            "new ones drawn from the model"
            + (f", each coloured by the {told.name} it was asked for" if sample_labels is not None and told else "")
            + ". Samples should cover the same places as the data: bridges between clusters or empty stretches "
            "are where the model falls short. Reconstructions are without the noise around each point, so they lie "
            "closer together.",
        )
    ]
    if shown.space is None:
        return found
    grids = _grids(shown, plane)
    count = f"{len(grids)} grids, one for each {told.name}," if len(grids) > 1 and told else "A grid"
    found.append(
        save(
            folder,
            "decoder-map",
            lambda look: decoder_map(grids, data[whole], look, names=names, axis_names=plane.names, every=EVERY),
            title="The decoder's map",
            alt=f"{count} of latent lines bent into the space of {plane.names[0]} and {plane.names[1]}, over the data.",
            caption="A square grid of latents, from −2.5 to 2.5 prior deviations, carried into data space by "
            "the decoder; "
            "thick lines pass through the middle of the prior. Lines crowd where the model puts much probability. They "
            "should lie along the data, with few stretches across empty ground.",
        )
    )
    return found


def _grids(shown: Subject, plane: Plane) -> list[tuple[np.ndarray, int]]:
    """The decoded grid of the two most active latents, for each label that a condition can ask for (at most 6)."""
    told, known = classes(shown), shown.schema.given_rows
    if known is None or not len(known):
        return [(_grid(shown, plane, None), -1)]
    if told is None:
        return [(_grid(shown, plane, known[0]), -1)]
    labels = told.labels(known)
    return [
        (_grid(shown, plane, known[labels == label][0]), int(label)) for label in np.unique(labels[labels >= 0])[:6]
    ]


def _grid(shown: Subject, plane: Plane, condition: Tensor | None) -> np.ndarray:
    """(R, C, 2), or (1, C, 2) for a single latent."""
    device = shown.batch.x.device
    order = np.argsort(-shown.rates(), kind="stable")
    ticks = torch.linspace(-2.5, 2.5, 10 * 2 * EVERY + 1, device=device)
    one = None if condition is None else condition[None].to(device)
    mean, deviation = shown.prior(one, 1)
    up = ticks if len(order) > 1 else ticks[:1]
    z = mean.repeat(len(up) * len(ticks), 1)
    z[:, order[0]] += deviation[0, order[0]] * ticks.repeat(len(up))
    if len(order) > 1:
        z[:, order[1]] += deviation[0, order[1]] * up.repeat_interleave(len(ticks))
    given = None if one is None else one.expand(len(z), -1)
    return plane.points(shown.decoded(shown.points(z, given), given)).reshape(len(up), len(ticks), 2)


def latent_space(shown: Subject, folder: Path) -> Picture:
    """The two most active latents of the examples, over the prior, and the rate of each latent."""
    means, rates = shown.means(), shown.rates()
    order = np.argsort(-rates, kind="stable")[:2]
    priors = _priors(shown, order) if len(order) == 2 else []
    most = int((rates > 0.01).sum())
    rings = "at one deviation, a ring for each label" if len(priors) > CROWD else "at one and two deviations"
    plot = "Scatter plot" if len(order) == 2 else "Histogram"
    words = (
        f"Each dot is the code of one example of the {shown.part} (the mean of q(z|x)). Dashed rings are the prior "
        f"{rings}, from which samples are drawn: dots should fill them, and rings without dots are where samples are "
        "unlike the data."
    )
    if len(order) < 2:
        words = f"The codes of the examples of the {shown.part} (the means of q(z|x)), for the one latent there is."
    return save(
        folder,
        "latent-space",
        lambda look: latents(means, rates, look, labels=shown.labels, names=shown.schema.label_names, priors=priors),
        title="The latent space",
        alt=f"{plot} of the latent means of {len(means)} examples of the {shown.part}, and bars of the rate of each of "
        f"{len(rates)} latents; {most} {'carries' if most == 1 else 'carry'} more than 0.01 nats.",
        caption=words + " The bars say how much each latent is used; one without a bar carries nothing.",
    )


def _priors(shown: Subject, order: np.ndarray) -> list[Prior]:
    """One prior for each label where conditions move it, else one, with the moments of all its conditions."""
    given = shown.batch.given
    mean, deviation = (array(values)[:, order] for values in shown.prior(given, len(shown)))
    labels = shown.labels
    together = Prior(mean.mean(0), np.sqrt((deviation**2).mean(0) + mean.var(0)))
    moved = mean.var(0).max() > 1e-6
    if labels is None or not moved or classes(shown) is None or len(np.unique(labels)) > 10:
        return [together]
    return [
        Prior(mean[one].mean(0), np.sqrt((deviation[one] ** 2).mean(0) + mean[one].var(0)), int(label))
        for label in np.unique(labels[labels >= 0])
        for one in [labels == label]
    ]


def compare(groups: Sequence[RunGroup], subjects: Sequence[Subject], folder: Path) -> Picture:
    """Data and samples of each configuration, in one frame."""
    plane = find(subjects[0])
    assert plane is not None, "asked for before"
    data = plane.points(subjects[0].raw(subjects[0].batch))
    data = data[np.isfinite(data).all(1)][:POINTS]
    clouds = [data, *(plane.points(drawn_samples(one, len(data), noise=True)[1]) for one in subjects)]
    names, key = row_names(groups)
    titles = ["data", *names]

    def drawn(look: Theme) -> Figure:
        across = min(4, len(clouds))
        side = (FIGURE_WIDTH - 0.5 - 0.15 * (across - 1)) / across
        frame = limits(np.concatenate(clouds[:2]))
        tall = side * shape_of(frame)
        lines = ceil(len(clouds) / across)
        sheet = figure(FIGURE_WIDTH, lines * (tall + 0.55) + 0.1, look)
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

    return saved(
        folder,
        drawn,
        alt=f"Scatter plots of {plane.names[0]} and {plane.names[1]}: the data, then samples of {len(groups)} "
        f"configurations, all on the same axes.{key}",
        caption=f"Left, examples of the {subjects[0].part}; then as many samples of the first run of each "
        f"configuration, in the same frame.{key}",
    )
