"""Spoken words at 8 kHz: a VQ-VAE as a codec, beside μ-law with an entropy coder and Opus; and a VAE of mel bands."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

from registry import Measure, Setting, system
from sfumato import Autoencoder, data
from sfumato.data import DataOptions
from sfumato.data.sound.windows import lengths_of
from sfumato.evaluation.sound.measures import mel_distance, signal_to_noise

RATE, STEPS = 8000, 400
DOWN = (1, 2, 3, 4)
"""Factors by which μ-law lowers the rate first."""
LEVELS = (2, 3, 4, 6, 8, 12, 16)
MU = 255


def words(folder: Path, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The words of training and validation split, and of the test split, (N, T), NaN behind each."""
    opened = data.open(folder, options=DataOptions(seed=seed), forms=("sound",))
    everything = opened.schema.read(folder)
    order = [opened.schema.decode(each.take(slice(0, len(each))).x) for each in (opened.train, opened.test)]
    assert len(everything) == len(opened.train) + len(opened.valid) + len(opened.test)
    batch = opened.test.take(slice(0, len(opened.test)))
    test = np.where(np.asarray(batch.mask)[..., 0], order[1], np.nan)
    return everything, test


def mu_law(x: np.ndarray, levels: int, down: int) -> tuple[np.ndarray, np.ndarray]:
    """A word (T,) at a lower rate in so many μ-law levels, (codes, what they mean at the full rate)."""
    low = resample_poly(x, 1, down)
    peak = max(np.abs(low).max(), 1e-9)
    bent = np.sign(low) * np.log1p(MU * np.abs(low) / peak) / np.log1p(MU)
    codes = np.round((bent + 1) / 2 * (levels - 1)).astype(int)
    again = codes / (levels - 1) * 2 - 1
    straight = np.sign(again) * np.expm1(np.abs(again) * np.log1p(MU)) / MU * peak
    return codes, resample_poly(straight, down, 1)[: len(x)]


def conditional_entropy(lists: list[np.ndarray], levels: int) -> float:
    """Bits of all codes, each given the one before it, by their frequencies in these very lists: no coder needs less.

    >>> conditional_entropy([np.array([0, 1, 0, 1, 0])], 2)
    0.0
    """
    counts = np.zeros((levels, levels))
    for codes in lists:
        np.add.at(counts, (codes[:-1], codes[1:]), 1)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    return float(-(counts * np.log2(np.where(share > 0, share, 1.0))).sum())


def mu_law_at(test: np.ndarray, bits: float) -> tuple[float, float, float]:
    """(kbit/s, SNR, mel distance) of the combination of rate and levels with the best SNR within so many kbit/s."""
    ends = lengths_of(test)
    found = []
    for levels, down in itertools.product(LEVELS, DOWN):
        coded = [mu_law(x[:end], levels, down) for x, end in zip(test, ends, strict=True)]
        rate = conditional_entropy([codes for codes, _ in coded], levels) / (ends.sum() / RATE) / 1000
        again = np.full_like(test, np.nan)
        for row, (_, wave), end in zip(again, coded, ends, strict=True):
            row[:end] = wave
        found.append((rate, *judged(test, again)))
    return max((each for each in found if each[0] <= bits), key=lambda each: each[1])


def opus(test: np.ndarray) -> tuple[float, float]:
    """(kbit/s, mel distance) of Opus at the lowest rate libsndfile gives it, the words one after the other."""
    ends = lengths_of(test)
    joined = np.concatenate([x[:end] for x, end in zip(test, ends, strict=True)])
    memory = io.BytesIO()
    soundfile.write(memory, joined, RATE, format="OGG", subtype="OPUS", compression_level=1.0)
    size = memory.tell()
    memory.seek(0)
    decoded = soundfile.read(memory)[0][: len(joined)]
    decoded = np.pad(decoded, (0, len(joined) - len(decoded)))
    again, at = np.full_like(test, np.nan), 0
    for row, end in zip(again, ends, strict=True):
        row[:end] = decoded[at : at + end]
        at += end
    return 8 * size / (len(joined) / RATE) / 1000, judged(test, again)[1]


def judged(test: np.ndarray, again: np.ndarray) -> tuple[float, float]:
    """Mean (SNR, mel distance) in dB; levels are relative to that of all words."""
    level = float(np.sqrt(np.nanmean(test**2)))
    x, y = test[..., None] / level, again[..., None] / level
    return float(signal_to_noise(x, y).mean()), float(mel_distance(x, y, RATE).mean())


@system(
    "spoken",
    Measure("signal-to-noise ratio of test words (dB)", low=8.0),
    Measure("size of their compressed file (kbit/s)", high=8.0),
    Measure("mel distance (dB)"),
    Measure("SNR of μ-law with an ideal order-1 entropy coder at no more bits (dB)"),
    Measure("mel distance of μ-law (dB)"),
    Measure("Opus at its lowest rate (kbit/s)"),
    Measure("mel distance of Opus (dB)"),
)
def spoken(setting: Setting) -> dict[str, float]:
    """vq_vae with its defaults for 400 steps on 123 words; judged on 16 words it never saw."""
    folder = setting.data / "spoken"
    _, test = words(folder, setting.seed)
    how = {"steps": STEPS, "random_state": setting.seed, "device": setting.device}
    fitted = Autoencoder("vq_vae", **how).fit(str(folder))
    return spoken.named(measured(fitted, test))


def measured(fitted: Autoencoder, test: np.ndarray) -> tuple[float, ...]:
    """What `spoken` reports, of a fitted model."""
    snr, distance = judged(test, fitted.reconstruct(test))
    compressed = fitted.compress(test)
    bits = 8 * compressed.size / compressed.seconds / 1000
    return snr, bits, distance, *mu_law_at(test, bits)[1:], *opus(test)
