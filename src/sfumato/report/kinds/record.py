"""Figures of mixed records: data and reconstructions, each part from the others, and samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from sfumato.data.records import images
from sfumato.data.records.raw import read
from sfumato.data.records.schema import RecordSchema
from sfumato.evaluation.metrics.parts import all_but
from sfumato.evaluation.subject import Subject, rows, some
from sfumato.models.protocols import EncodesParts
from sfumato.report.figures.image_grids import coloured
from sfumato.report.figures.run_samples import drawn_samples, row_names, save_samples
from sfumato.report.figures.style import FIGURE_WIDTH, ReportFigure, Theme, figure, place, save, short, tidy
from sfumato.studies.comparison import RunGroup

CARDS_ACROSS, SAMPLE_ROWS = 8, 3
"""Records in a row, and rows of samples."""
TEXT_LINE, MOST_LINES = 0.15, 5
CARD_NAME_WIDTH, CARD_CHARACTERS = 0.95, 13
"""Inches left of a row, for its name, and characters of a line below an image."""


class Card(NamedTuple):
    """A record as it is drawn: its images, and lines of text below them."""

    images: list[np.ndarray | None]
    lines: list[str]


def draw(shown: Subject, folder: Path) -> list[ReportFigure]:
    """Data and reconstructions; each part from the others, where the model can be asked; samples."""
    chosen = rows(shown.batch, some(len(shown), CARDS_ACROSS, shown.seed).numpy())
    schema = cast(RecordSchema, shown.schema)
    data = cards(schema, shown.raw(chosen))
    restored = cards(schema, shown.decoded(shown.model.reconstruct(chosen), None))
    new = cards(schema, shown.decoded(shown.draw(None, CARDS_ACROSS * SAMPLE_ROWS, noise=True), None))
    result = [
        save(
            folder,
            "reconstructions",
            lambda theme: sheet([("data", data), ("model", restored)], theme),
            title="Data and reconstructions",
            alt=f"{len(data)} records of the {shown.part}, each above the model's reconstruction of it.",
            caption="Each record above, and below it the reconstruction from its code. What is missing in the data is "
            "empty there.",
            exact=True,
        )
    ]
    if isinstance(shown.model, EncodesParts):
        result.append(_from_others(shown, schema, folder))
    pieces = [new[start : start + CARDS_ACROSS] for start in range(0, len(new), CARDS_ACROSS)]
    result.append(
        save(
            folder,
            "samples",
            lambda theme: sheet([("", piece) for piece in pieces], theme),
            title="Samples",
            alt=f"{len(new)} records drawn from the model.",
            caption="Samples: codes drawn from the prior, all parts decoded from the same code. The parts of a record "
            "should go together.",
            exact=True,
        )
    )
    return result


def compare(groups: Sequence[RunGroup], subjects: Sequence[Subject], folder: Path) -> list[ReportFigure]:
    """A row of data, then a row of samples for each configuration."""
    first = subjects[0]
    chosen = rows(first.batch, np.arange(min(CARDS_ACROSS, len(first))))
    names, key = row_names(groups)
    lines = [("data", cards(cast(RecordSchema, first.schema), first.raw(chosen)))]
    for name, subject in zip(names, subjects, strict=True):
        drawn = drawn_samples(subject, CARDS_ACROSS, noise=True)[1]
        lines.append((name, cards(cast(RecordSchema, subject.schema), drawn)))
    figure_ = save_samples(
        folder,
        lambda theme: sheet(lines, theme),
        alt=f"A row of data, and {len(groups)} rows of {CARDS_ACROSS} sampled records.{key}",
        caption=f"First row: records of the {first.part}. Then samples of the first run of each configuration.{key}",
        exact=True,
    )
    return [figure_]


def _from_others(shown: Subject, schema: RecordSchema, folder: Path) -> ReportFigure:
    """A row of complete records, then a row for each part as the model has it given all others."""
    complete = torch.ones(len(shown), dtype=torch.bool) if shown.batch.mask is None else shown.batch.mask.all(1).cpu()
    index = torch.nonzero(complete)[:, 0]
    index = (
        index[some(len(index), CARDS_ACROSS, shown.seed)] if len(index) else torch.arange(min(CARDS_ACROSS, len(shown)))
    )
    batch = rows(shown.batch, index.numpy())
    lines = [("data", cards(schema, shown.raw(batch)))]
    for part, at in zip(schema.spec.parts, schema.spec.places, strict=True):
        guessed = from_others(shown, batch.x, batch.mask, at)
        x = torch.full_like(batch.x, torch.nan)
        x[:, at] = guessed[:, at].to(x)
        lines.append((part.name, cards(schema, shown.decoded(x, None))))
    return save(
        folder,
        "parts",
        lambda theme: sheet(lines, theme),
        title="Each part from the others",
        alt=f"{len(batch)} records of the {shown.part}; below them each part as the model has it from all others.",
        caption="First row: records. In each row below one part, as the model has it when it is shown all parts but "
        "that one: the decoding of the mean code. It should go with the record above; it need not be the same.",
        exact=True,
    )


def from_others(shown: Subject, x: Tensor, mask: Tensor | None, at: slice) -> Tensor:
    """x of the mean code of all entries but those `at`, (N, D)."""
    known = all_but(x, mask, at)
    model = shown.model
    assert isinstance(model, EncodesParts), "asked of models that encode some parts"
    return model.decode(model.encode_known(x.masked_fill(~known, 0.0), None, known).mode()).mode()


def cards(schema: RecordSchema, frame: Any) -> list[Card]:
    """Rows of a frame as they are drawn."""
    table = read(frame)
    columns = {name: table.cells(name) for name in schema.names}
    texts = [name for name in schema.names if name not in schema.pictures]
    result = []
    for row in range(len(table)):
        own = [
            None if columns[name][row] is None else images.shown(picture, columns[name][row])
            for name, picture in schema.pictures.items()
        ]
        lines = [_value(columns[name][row]) for name in texts[:MOST_LINES]]
        result.append(Card(own, lines))
    return result


def _value(cell: Any) -> str:
    if cell is None or cell != cell:
        return ""
    return short(f"{cell:.4g}" if isinstance(cell, float) else cell, CARD_CHARACTERS)


def sheet(lines: Sequence[tuple[str, Sequence[Card]]], theme: Theme) -> Figure:
    """Rows of cards, each with a name at its left; a row takes no space for what none of its cards has."""
    wide = (FIGURE_WIDTH - CARD_NAME_WIDTH) / CARDS_ACROSS
    heights = [_images(own) * wide + len(_lines(own)) * TEXT_LINE + 0.12 for _, own in lines]
    whole, top = sum(heights) + 0.1, 0.05
    page = figure(FIGURE_WIDTH, whole, theme)

    def write(text: str, left: float, down: float, colour: str, across: Literal["right", "center"]) -> None:
        at = (left / FIGURE_WIDTH, 1 - down / whole)
        page.text(*at, text, fontsize=7.5, color=colour, ha=across, va="center", parse_math=False)

    for (name, own), high in zip(lines, heights, strict=True):
        write(short(name, CARD_CHARACTERS), CARD_NAME_WIDTH - 0.1, top + high / 2 - 0.06, theme.quiet, "right")
        for column, card in enumerate(own):
            left = CARD_NAME_WIDTH + column * wide
            for number, image in enumerate(card.images[: _images(own)]):
                axes = tidy(place(page, left + 0.03, top + number * wide, wide - 0.06, wide - 0.06), theme)
                axes.axis("off")
                if image is not None:
                    axes.imshow(coloured(image[None], theme)[0], interpolation="nearest")
            for number, row in enumerate(_lines(own)):
                down = top + _images(own) * wide + (number + 0.5) * TEXT_LINE
                write(card.lines[row], left + wide / 2, down, theme.ink if name == "data" else theme.model, "center")
        top += high
    return page


def _images(own: Sequence[Card]) -> int:
    """How many images a row of cards has space for."""
    return len(own[0].images) if any(image is not None for card in own for image in card.images) else 0


def _lines(own: Sequence[Card]) -> list[int]:
    """Which lines of text some card of a row has."""
    return [number for number in range(len(own[0].lines)) if any(card.lines[number] for card in own)]
