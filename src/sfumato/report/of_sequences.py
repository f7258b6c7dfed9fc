"""Sequences: what came after their first half, and what the model says might have come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from sfumato.data.sequence import SequenceSchema
from sfumato.evaluation.subject import Subject, array, rows, some
from sfumato.models._protocols import Forecasts
from sfumato.report.look import WIDTH, Look, Picture, figure, place, save, short, tidy

EXAMPLES, CHANNELS, FUTURES = 3, 4, 100
LEVELS = (0.05, 0.5, 0.95)
HEIGHT = 1.7


def draw(shown: Subject, folder: Path) -> list[Picture]:
    """The channels that vary most, of a few sequences; nothing for a model that does not forecast."""
    if not isinstance(shown.model, Forecasts):
        return []
    raw = shown.raw(shown.batch)
    real = raw.reshape(*raw.shape[:2], -1)
    assert isinstance(shown.schema, SequenceSchema)
    names = shown.schema.names
    chosen = np.argsort(-np.nanvar(real, (0, 1)), kind="stable")[:CHANNELS]
    half = max(real.shape[1] // 2, 1)
    panels = []
    for example in some(len(shown), EXAMPLES, shown.seed).tolist():
        one = rows(shown.batch, slice(example, example + 1))
        time = np.arange(real.shape[1], dtype=float) if one.time is None else array(one.time)[0].astype(float)
        if half >= len(time):
            return []
        time_left, mask = (None if v is None else v[:, :half] for v in (one.time, one.mask))
        before = type(one)(one.x[:, :half], None, mask, time_left)
        if mask is not None and not bool(mask.flatten(2).any(2)[:, -1].all()):
            continue
        made = shown.decoded(shown.model.forecast(before, np.diff(time)[half - 1 :].tolist(), FUTURES), None)
        panels.append((time, real[example], np.quantile(made.reshape(FUTURES, len(time) - half, -1), LEVELS, axis=0)))
    if not panels:
        return []

    def drawn(look: Look) -> Figure:
        sheet = figure(WIDTH, HEIGHT * len(panels) + 0.3, look)
        width = (WIDTH - 0.6) / len(chosen)
        for row, (time, values, fan) in enumerate(panels):
            for column, channel in enumerate(chosen):
                axes = place(sheet, 0.5 + column * width, 0.3 + row * HEIGHT, width - 0.35, HEIGHT - 0.6)
                tidy(axes, look, short(names[channel], 24) if row == 0 else "", "", "")
                low, middle, high = fan[:, :, channel]
                axes.fill_between(time[half:], low, high, color=look.made, alpha=0.25, linewidth=0)
                axes.plot(time[half:], middle, color=look.made, linewidth=1.4)
                axes.plot(time, values[:, channel], color=look.ink, linewidth=0.9, marker="o", markersize=2)
        return sheet

    return [
        save(
            folder,
            "futures",
            drawn,
            title="What may come next",
            alt=f"Line charts of {len(panels)} sequences with a fan of {FUTURES} futures after their first half.",
            caption=f"Sequences of the {shown.part} (dark) and {FUTURES} futures drawn by the model, which had seen "
            "the first half: their median, and the band that holds 90% of them. The dark line should stay inside.",
        )
    ]
