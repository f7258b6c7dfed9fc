"""Figures of sound to look at and to listen to: reconstructions and samples as spectrograms, each with its audio."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from sfumato.data.io import sound_files
from sfumato.data.sound.schema import SoundSchema
from sfumato.data.sound.windows import lengths_of
from sfumato.evaluation.subject import Subject, array, rows, some
from sfumato.report.figures.run_samples import drawn_samples, row_names, save_samples
from sfumato.report.figures.style import FIGURE_WIDTH, Clip, ReportFigure, Theme, figure, place, save, short, tidy
from sfumato.spectra import spectrum
from sfumato.studies.comparison import RunGroup

BESIDE = 4
"""Sounds beside each other; as wide as the players below them."""
SOUNDS_DRAWN = 8
LEVEL_RANGE = 60
"""Decibels from the loudest to the background of a spectrogram."""
TALL = 1.35
LARGE_CLIP = 60_000
"""Bytes of a sound in 16 bits above which it is embedded as Vorbis."""


def draw(shown: Subject, folder: Path) -> list[ReportFigure]:
    """Sounds with their reconstructions below them, and samples."""
    return [_reconstructions(shown, folder), _samples(shown, folder)]


def compare(groups: Sequence[RunGroup], subjects: Sequence[Subject], folder: Path) -> list[ReportFigure]:
    """A row of data, then a row of samples for each configuration."""
    first = subjects[0]
    real = first.raw(rows(first.batch, slice(0, BESIDE)))
    lines = [_waves(real), *(_waves(drawn_samples(subject, BESIDE, noise=False)[1]) for subject in subjects)]
    names, key = row_names(groups)
    rate = _rate(first)
    drawn = save_samples(
        folder,
        lambda theme: _sheet(lines, ["data", *names], rate, theme),
        alt=f"Spectrograms of {BESIDE} sounds, and of {BESIDE} samples of each of {len(groups)} configurations.{key}",
        caption=f"First row: sounds of the {first.part}. Then one row of samples for each configuration, from its "
        f"first run.{key}",
    )
    return [_audible(drawn, lines, ["data", *names], rate, folder)]


def _reconstructions(shown: Subject, folder: Path) -> ReportFigure:
    index = some(len(shown), BESIDE, shown.seed).numpy()
    batch = rows(shown.batch, index)
    real = np.asarray(shown.raw(batch))
    decoded = np.asarray(shown.decoded(shown.points(shown.model.encode(batch).mode(), batch.given), batch.given))
    ends = lengths_of(real)
    lines = [_waves(real), [wave[:end] for wave, end in zip(_waves(decoded), ends, strict=True)]]
    names, rate = ["sound", "reconstruction"], _rate(shown)
    assert isinstance(shown.schema, SoundSchema), "these are figures of sound"
    way = " Both are heard by way of their mel bands." if shown.schema.bands is not None else ""
    drawn = save(
        folder,
        "reconstructions",
        lambda theme: _sheet(lines, names, rate, theme),
        title="Sounds and reconstructions",
        alt=f"Spectrograms of {len(index)} sounds, and below them of their reconstructions.",
        caption=f"Above: sounds of the {shown.part}. Below: their reconstructions. What is said should stay "
        f"intelligible, and the speaker the same.{way}",
    )
    return _audible(drawn, lines, names, rate, folder)


def _samples(shown: Subject, folder: Path) -> ReportFigure:
    given = shown.conditions(SOUNDS_DRAWN)
    waves = _waves(shown.decoded(shown.draw(given, SOUNDS_DRAWN, noise=False), given))
    lines = [waves[start : start + BESIDE] for start in range(0, SOUNDS_DRAWN, BESIDE)]
    rate = _rate(shown)
    drawn = save(
        folder,
        "samples",
        lambda theme: _sheet(lines, [""] * len(lines), rate, theme),
        title="Samples",
        alt=f"Spectrograms of {SOUNDS_DRAWN} sounds drawn from the model.",
        caption="Sounds drawn from the model. They should sound as those above do, and differ from each other.",
    )
    return _audible(drawn, lines, ["sample"] * len(lines), rate, folder)


def _rate(subject: Subject) -> int:
    assert isinstance(subject.schema, SoundSchema), "these are figures of sound"
    return subject.schema.sound.rate


def _waves(raw: np.ndarray) -> list[np.ndarray]:
    """Raw sounds as (T, C) each, up to their ends; of one that ends at once a single 0."""
    x = raw[..., None] if raw.ndim == 2 else raw
    return [np.nan_to_num(wave[: max(end, 1)]) for wave, end in zip(x, lengths_of(x), strict=True)]


def _sheet(lines: Sequence[Sequence[np.ndarray]], names: Sequence[str], rate: int, theme: Theme) -> Figure:
    """Rows of spectrograms, all over the same span of time and frequency."""
    sheet = figure(FIGURE_WIDTH, len(lines) * (TALL + 0.35) + 0.35, theme)
    longest = max(len(wave) for line in lines for wave in line) / rate
    side = (FIGURE_WIDTH - 0.45) / BESIDE
    for down, (line, name) in enumerate(zip(lines, names, strict=True)):
        for along, wave in enumerate(line):
            axes = place(sheet, 0.45 + along * side, 0.3 + down * (TALL + 0.35), side - 0.2, TALL)
            tidy(axes, theme, short(name, 24) if not along else "", "", "kHz" if not along else "")
            levels = _levels(wave, rate)
            extent = (0, len(wave) / rate, 0, rate / 2000)
            axes.imshow(levels, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=-LEVEL_RANGE, vmax=0)
            axes.set_xlim(0, longest)
            axes.tick_params(labelleft=not along, labelbottom=down == len(lines) - 1)
            if down == len(lines) - 1 and not along:
                axes.set_xlabel("s", fontsize=8, color=theme.quiet)
    return sheet


def _levels(wave: np.ndarray, rate: int) -> np.ndarray:
    """Spectrogram (frequencies, frames) of the mean of the channels, in dB below its loudest point."""
    size = 2 ** round(math.log2(rate * 0.024))
    heard = array(spectrum(torch.from_numpy(wave.mean(1)), size, size // 4).abs())
    return np.asarray(20 * np.log10(np.maximum(heard / max(heard.max(), 1e-12), 1e-6)))


def _audible(
    drawn: ReportFigure, lines: Sequence[Sequence[np.ndarray]], names: Sequence[str], rate: int, folder: Path
) -> ReportFigure:
    """The figure with a player for each of its sounds, whose files lie beside it."""
    clips = []
    for down, (line, name) in enumerate(zip(lines, names, strict=True)):
        for along, wave in enumerate(line):
            number = along + 1 if len(set(names)) > 1 else down * BESIDE + along + 1
            suffix = ".ogg" if 2 * wave.size > LARGE_CLIP else ".wav"
            path = folder / f"{drawn.path.stem}-{down + 1}-{along + 1}{suffix}"
            sound_files.write(path, wave, rate)
            clips.append(Clip(f"{name} {number}", path))
    return replace(drawn, clips=tuple(clips), clips_across=BESIDE)
