"""Pictures, from a fitted model to grids of them."""

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
from sfumato.report.figures.run_samples import drawn_samples, row_names, saved
from sfumato.report.figures.style import Picture, save
from sfumato.studies.comparison import RunGroup

IMAGE_PAIRS = 36
ACROSS = 10
"""New pictures of each configuration."""
TICKS = (-2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5)
LATENTS = 10
CLASSES_SHOWN = 12


def draw(shown: Subject, folder: Path) -> list[Picture]:
    """Pairs and samples; the levels, where there are several; traversals and interpolations, if codes are points."""
    exact = shown.schema.spec.shape[0] > 1
    return [
        _pairs(shown, folder, exact),
        _samples(shown, folder, exact),
        *latent_levels.draw(shown, folder),
        *([] if shown.space is None else [_traversals(shown, folder, exact), *_interpolations(shown, folder, exact)]),
    ]


def compare(groups: Sequence[RunGroup], subjects: Sequence[Subject], folder: Path) -> list[Picture]:
    """A row of data, then a row of new pictures for each configuration."""
    first = subjects[0]
    assert isinstance(first.schema, ImageSchema), "only pictures are drawn as pictures"
    chosen = rows(first.batch, np.unique(np.linspace(0, len(first) - 1, min(ACROSS, len(first))).astype(int)))
    cells = [list(first.schema.shown(chosen.x))]
    cells += [list(cast(ImageSchema, one.schema).shown(drawn_samples(one, ACROSS, noise=False)[0])) for one in subjects]
    names, key = row_names(groups)
    picture = saved(
        folder,
        lambda look: sheet_of(cells, look, rows=["data", *names], breaks=[1]),
        alt=f"{len(groups)} rows of {ACROSS} sampled pictures, below a row of data.{key}",
        caption=f"The first row is data of the {first.part}; then one row of new pictures for each configuration, of "
        f"its first run.{key}",
        exact=first.schema.spec.shape[0] > 1,
    )
    return [picture]


def _decoded(shown: Subject, x: Tensor) -> np.ndarray:
    assert isinstance(shown.schema, ImageSchema), "only pictures are drawn as pictures"
    return shown.schema.shown(x)


def _pairs(shown: Subject, folder: Path, exact: bool) -> Picture:
    batch = rows(shown.batch, _spread(len(shown), IMAGE_PAIRS))
    data, reconstruction = _decoded(shown, batch.x), _decoded(shown, shown.model.reconstruct(batch))
    return save(
        folder,
        "reconstructions",
        lambda look: pairs(data, reconstruction, look),
        title="Data and reconstructions",
        alt=f"{len(data)} pictures of the {shown.part}, each above the model's reconstruction of it.",
        caption="Each picture above, what the model makes of it from its code alone below. They should agree in "
        "everything that matters; what is blurred or missing is what the code does not hold.",
        exact=exact,
    )


def _samples(shown: Subject, folder: Path, exact: bool) -> Picture:
    told, known = classes(shown), shown.schema.given_rows
    names: list[str] = []
    across = 12
    if told is not None and known is not None:
        across = 10
        labels = told.labels(known)
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
    asked = f" Each row was asked for one {told.name}; it should show that and nothing else." if told and names else ""
    return save(
        folder,
        "samples",
        lambda look: sheet_of(cells, look, rows=names),
        title="Samples" + (f", by {told.name}" if told and names else ""),
        alt=f"{count} new pictures drawn from the model"
        + (f", a row for each of {', '.join(names)}." if names else "."),
        caption="New pictures: a code drawn from the prior, then the decoder's mean, without pixel noise. Look for "
        "variety, and for pictures that are nothing in particular." + asked,
        exact=exact,
    )


def _traversals(shown: Subject, folder: Path, exact: bool) -> Picture:
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
        lambda look: sheet_of(
            cells, look, rows=[f"z{i + 1}" for i in order], columns=[f"{t:g}".replace("-", "−") for t in TICKS]
        ),
        title="What each latent does",
        alt=f"A grid of pictures: {len(order)} rows, one for each of the most active latents, which goes from "
        "−2.5 to 2.5 "
        "prior deviations from left to right.",
        caption="One example, with one latent at a time moved across the prior and all others held; the most active "
        "latent is on top. A row that does not change belongs to a latent that carries nothing; a row that changes one "
        "thing only is a latent that has a meaning.",
        exact=exact,
    )


def _interpolations(shown: Subject, folder: Path, exact: bool) -> list[Picture]:
    ends = _ends(shown)
    if not ends:
        return []
    same = " Both ends of a row were given the same condition." if shown.batch.given is not None else ""
    steps = torch.linspace(0, 1, 11, device=shown.batch.x.device)[:, None]
    cells = []
    for first, second in ends:
        batch = rows(shown.batch, np.array([first, second]))
        means = shown.model.encode(batch).mode()
        z = means[:1] * (1 - steps) + means[1:] * steps
        given = None if batch.given is None else batch.given[:1].expand(len(z), -1)
        between = list(_decoded(shown, shown.points(z, given)))
        one, two = _decoded(shown, batch.x)
        cells.append([one, *between[1:-1], two])
    return [
        save(
            folder,
            "interpolations",
            lambda look: sheet_of(cells, look, columns=["data", *[""] * 9, "data"]),
            title="From one picture to another",
            alt=f"{len(cells)} rows of pictures; in each, two pictures of the {shown.part} at the ends and nine steps "
            "between them.",
            caption="The outermost pictures are data; between them the decoder walks the straight line from one "
            "code to "
            "the other. Every step should itself look like a picture of the set, without a blend of two." + same,
            exact=exact,
        )
    ]


def _ends(shown: Subject, most: int = 5) -> list[tuple[int, int]]:
    """Pairs of examples: with the same conditions where there are any, else of different labels."""
    count = len(shown)
    chooser = np.random.default_rng(shown.seed)
    order = chooser.permutation(count)
    given = None if shown.batch.given is None else array(shown.batch.given)
    found: list[tuple[int, int]] = []
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
            found.append((int(first), free[0]))
            used |= {int(first), free[0]}
        if len(found) == most:
            break
    return found


def _spread(total: int, most: int) -> np.ndarray:
    """At most `most` indices, evenly over `total`."""
    return np.unique(np.linspace(0, total - 1, min(most, total)).astype(int))
