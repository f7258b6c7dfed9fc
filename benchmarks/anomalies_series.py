"""Faults planted in long series: is one inside the top window, and inside that of a matrix profile?"""

from __future__ import annotations

import logging

import numpy as np

import sfumato
from registry import Measure, Setting, system
from sfumato.data.sequences import sequence_io
from sfumato.tasks import cut_windows, neighbour_distances

STEPS, SEASON = 2000, 24
FAULTS = ("level", "flat", "noise", "reversed", "amplitude")
FAULT_SEASONS = 1.0
LEAVES, LEAF_STEPS = 12, 80


@system(
    "anomalies_series",
    Measure("periodic series: fault inside the top window", low=0.8),
    Measure("periodic series: matrix profile"),
    Measure("OSULeaf: fault inside the top window", low=0.8),
    Measure("OSULeaf: matrix profile"),
    Measure("periodic series without faults: steps called anomalies", high=0.05),
)
def anomalies_series(setting: Setting) -> dict[str, float]:
    """One fault of each of five kinds, a series each: a season of 24 with a trend, and 12 leaves one after the other.

    The window is chosen by the season that is found. A matrix profile is the distance of each window, brought to mean 0
    and deviation 1, to the nearest one that does not overlap it.
    """
    logging.disable(logging.WARNING)
    noise = np.random.default_rng(setting.seed)
    found: list[list[tuple[bool, bool]]] = [[], []]
    leaves = sequence_io.load(str(setting.data / "OSULeaf_TRAIN.ts"), id=None, time=None, label=None)
    chosen = np.flatnonzero(leaves.labels == leaves.labels[0])[:LEAVES]  # type: ignore[index]
    for fault in FAULTS:
        plain = periodic(noise)
        found[0].append(both(*planted(plain, fault, round(FAULT_SEASONS * SEASON), noise), setting))
        series = leaves.x[noise.permutation(chosen), :, 0].ravel()
        found[1].append(both(*planted(series, fault, LEAF_STEPS, noise), setting))
    values = [float(value) for each in found for value in np.mean(each, axis=0)]
    plain = periodic(noise)
    clean = sfumato.AnomalyDetector(window="auto", random_state=setting.seed, device=setting.device).fit(plain)
    values.append(float((clean.scores_by_step(clean.labels_, clean.starts(plain)) > 0.5).mean()))
    return anomalies_series.named(values)


def periodic(noise: np.random.Generator) -> np.ndarray:
    """Two harmonics of one season, a trend, and noise."""
    steps = np.arange(STEPS)
    angle = 2 * np.pi * steps / SEASON
    return np.sin(angle) + 0.5 * np.sin(2 * angle + 1) + 0.0005 * steps + 0.15 * noise.normal(size=STEPS)


def planted(
    series: np.ndarray, fault: str, length: int, noise: np.random.Generator
) -> tuple[np.ndarray, tuple[int, int]]:
    """The series with one fault somewhere in its middle, and from where to where it goes."""
    start = int(noise.integers(len(series) // 4, 3 * len(series) // 4))
    part, changed = slice(start, start + length), series.copy()
    scale = series.std()
    changed[part] = {
        "level": series[part] + scale,
        "flat": np.full(length, series[start]),
        "noise": series[part] + scale * noise.normal(size=length),
        "reversed": -(series[part] - series[part].mean()) + series[part].mean(),
        "amplitude": 2 * (series[part] - series[part].mean()) + series[part].mean(),
    }[fault]
    return changed, (start, start + length)


def both(series: np.ndarray, fault: tuple[int, int], setting: Setting) -> tuple[bool, bool]:
    """Whether the top window meets the fault: of the detector, and of a matrix profile with the same windows."""
    detector = sfumato.AnomalyDetector(window="auto", random_state=setting.seed, device=setting.device).fit(series)
    starts, length = detector.starts(series), detector.window_
    assert length is not None, "windows were asked for"
    windows = cut_windows(series, length, starts)
    centred = windows - windows.mean(1, keepdims=True)
    normed = centred / np.maximum(centred.std(1, keepdims=True), 1e-9)
    profile = neighbour_distances(normed, normed, 1, own=np.arange(len(normed)), apart=length)
    tops = [int(starts[np.argmax(scores)]) for scores in (detector.decision_scores_, profile)]
    ours, theirs = (top < fault[1] and fault[0] < top + length for top in tops)
    return ours, theirs
