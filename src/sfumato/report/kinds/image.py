"""Figures of images: reconstructions, samples, traversals, interpolations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from sfumato.data.images.schema import ImageSchema
from sfumato.evaluation.subject import Subject, array, classes, rows
from sfumato.report.figures import latent_levels
from sfumato.report.figures.image_grids import pairs, sheet_of
from sfumato.report.figures.run_samples import drawn_samples, row_names, save_samples
from sfumato.report.figures.style import ReportFigure, save
from sfumato.studies.comparison import RunGroup

IMAGE_PAIRS = 36
ACROSS = 10
"""Sampled images of each configuration."""
TICKS = (-2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5)
LATENTS = 10
CLASSES_SHOWN = 12


def draw(shown: Subject, folder: Path) -> list[ReportFigure]:
    """Pairs and samples; latent levels if there are several; traversals and interpolations if codes are continuous."""
    exact = shown.schema.spec.shape[0] > 1
    return [
        _pairs(shown, folder, exact),
        _samples(shown, folder, exact),
        *latent_levels.draw(shown, folder),
        *([] if shown.space is None else [_traversals(shown, folder, exact), *_interpolations(shown, folder, exact)]),
    ]


def compare(groups: Sequence[RunGroup], subjects: Sequence[Subject], folder: Path) -> list[ReportFigure]:
    """A row of data, then a row of sampled images for each configuration."""
    first = subjects[0]
    assert isinstance(first.schema, ImageSchema), "these are figures of images"
    chosen = rows(first.batch, np.unique(np.linspace(0, len(first) - 1, min(ACROSS, len(first))).astype(int)))
    cells = [list(first.schema.shown(chosen.x))]
    cells += [
        list(cast(ImageSchema, subject.schema).shown(drawn_samples(subject, ACROSS, noise=False)[0]))
        for subject in subjects
    ]
    names, key = row_names(groups)
    figure = save_samples(
        folder,
        lambda theme: sheet_of(cells, theme, rows=["data", *names], breaks=[1]),
        alt=f"{len(groups)} rows of {ACROSS} sampled images, below a row of data.{key}",
        caption=f"First row: images of the {first.part}. Then one row of samples for each configuration, from its "
        f"first run.{key}",
        exact=first.schema.spec.shape[0] > 1,
    )
    return [figure]


def _decoded(shown: Subject, x: Tensor) -> np.ndarray:
    assert isinstance(shown.schema, ImageSchema), "these are figures of images"
    return shown.schema.shown(x)


def _pairs(shown: Subject, folder: Path, exact: bool) -> ReportFigure:
    batch = rows(shown.batch, _spread(len(shown), IMAGE_PAIRS))
    data, reconstruction = _decoded(shown, batch.x), _decoded(shown, shown.model.reconstruct(batch))
    return save(
        folder,
        "reconstructions",
        lambda theme: pairs(data, reconstruction, theme),
        title="Data and reconstructions",
        alt=f"{len(data)} images of the {shown.part}, each above the model's reconstruction of it.",
        caption="Each image above, and below it the reconstruction from its code. They should agree in everything that "
        "matters; what is blurred or missing is not in the code.",
        exact=exact,
    )


def _samples(shown: Subject, folder: Path, exact: bool) -> ReportFigure:
    label_classes, known = classes(shown), shown.schema.given_rows
    names: list[str] = []
    across = 12
    if label_classes is not None and known is not None:
        across = 10
        labels = label_classes.labels(known)
        wanted = np.unique(labels[labels >= 0])[:CLASSES_SHOWN]
        chooser = np.random.default_rng(shown.seed)
        picked = [chooser.choice(np.flatnonzero(labels == label), across) for label in wanted]
        given: Tensor | None = known[torch.from_numpy(np.concatenate(picked))].to(shown.batch.x.device)
        names = [shown.schema.label_names[label] for label in wanted]
        count = across * len(wanted)
    else:
        count = 8 * across
        given = shown.conditions(count)
    drawn = _decoded(shown, shown.draw(given, count, noise=False))
    cells = [list(drawn[at : at + across]) for at in range(0, count, across)]
    by_class = ""
    if label_classes and names:
        by_class = f" Each row is conditioned on one {label_classes.name}, and should show only that."
    return save(
        folder,
        "samples",
        lambda theme: sheet_of(cells, theme, rows=names),
        title="Samples" + (f", by {label_classes.name}" if label_classes and names else ""),
        alt=f"{count} images sampled from the model" + (f", a row for each of {', '.join(names)}." if names else "."),
        caption="Samples: codes drawn from the prior and decoded to means, without pixel noise. Look for variety, and "
        "for images that are nothing in particular." + by_class,
        exact=exact,
    )


def _traversals(shown: Subject, folder: Path, exact: bool) -> ReportFigure:
    order = np.argsort(-shown.rates(), kind="stable")[:LATENTS]
    batch = rows(shown.batch, np.array([shown.typical()]))
    start = shown.model.encode(batch).mode()
    mean, deviation = shown.prior(batch.given, 1)
    z = start.repeat(len(order) * len(TICKS), 1)
    ticks = torch.tensor(TICKS, device=z.device)
    for row, latent in enumerate(order):
        part = slice(row * len(TICKS), (row + 1) * len(TICKS))
        z[part, latent] = mean[0, latent] + deviation[0, latent] * ticks
    given = None if batch.given is None else batch.given.expand(len(z), -1)
    drawn = _decoded(shown, shown.points(z, given))
    cells = [list(drawn[at : at + len(TICKS)]) for at in range(0, len(drawn), len(TICKS))]
    return save(
        folder,
        "traversals",
        lambda theme: sheet_of(
            cells, theme, rows=[f"z{i + 1}" for i in order], columns=[f"{t:g}".replace("-", "−") for t in TICKS]
        ),
        title="Latent traversals",
        alt=f"A grid of images: {len(order)} rows, one for each of the most active latents, which goes from −2.5 to "
        "2.5 standard deviations of the prior from left to right.",
        caption="One example, with one latent at a time moved across the prior and the others fixed; the most active "
        "latent is at the top. A row without change belongs to an unused latent; a row in which only one thing changes "
        "belongs to an interpretable one.",
        exact=exact,
    )


def _interpolations(shown: Subject, folder: Path, exact: bool) -> list[ReportFigure]:
    ends = _ends(shown)
    if not ends:
        return []
    same = " Both ends of a row have the same condition." if shown.batch.given is not None else ""
    steps = torch.linspace(0, 1, 11, device=shown.batch.x.device)[:, None]
    cells = []
    for first, second in ends:
        batch = rows(shown.batch, np.array([first, second]))
        means = shown.model.encode(batch).mode()
        z = means[:1] * (1 - steps) + means[1:] * steps
        given = None if batch.given is None else batch.given[:1].expand(len(z), -1)
        between = list(_decoded(shown, shown.points(z, given)))
        first_image, second_image = _decoded(shown, batch.x)
        cells.append([first_image, *between[1:-1], second_image])
    return [
        save(
            folder,
            "interpolations",
            lambda theme: sheet_of(cells, theme, columns=["data", *[""] * 9, "data"]),
            title="Interpolations",
            alt=f"{len(cells)} rows of images; in each, two images of the {shown.part} at the ends and nine steps "
            "between them.",
            caption="The outermost images are data; between them are decoded codes on the straight line from one code "
            "to the other. Every step should look like an image of the data set, not like a blend of two." + same,
            exact=exact,
        )
    ]


def _ends(shown: Subject, most: int = 5) -> list[tuple[int, int]]:
    """Pairs of examples: with the same conditions if there are any, else of different labels."""
    count = len(shown)
    chooser = np.random.default_rng(shown.seed)
    order = chooser.permutation(count)
    given = None if shown.batch.given is None else array(shown.batch.given)
    ends: list[tuple[int, int]] = []
    used: set[int] = set()
    seen: set[tuple[float, ...]] = set()
    for first in order[:200]:
        kind = () if given is None else tuple(given[first])
        if first in used or (kind and kind in seen):
            continue
        seen.add(kind)
        if given is not None:
            fits = np.flatnonzero((given == given[first]).all(1))
        elif shown.labels is not None:
            fits = np.flatnonzero(shown.labels != shown.labels[first])
        else:
            fits = np.arange(count)
        free = [int(other) for other in chooser.permutation(fits) if other != first and other not in used]
        if free:
            ends.append((int(first), free[0]))
            used |= {int(first), free[0]}
        if len(ends) == most:
            break
    return ends


def _spread(total: int, most: int) -> np.ndarray:
    """At most `most` indices, evenly over `total`."""
    return np.unique(np.linspace(0, total - 1, min(most, total)).astype(int))
