"""Reconstructions of sound: signal-to-noise ratio, distance of mel bands, and bits a second of discrete codes."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.data.sound.schema import SoundSchema
from sfumato.evaluation.measure import Measure, mean_and_error
from sfumato.evaluation.settings import EvaluationSettings
from sfumato.evaluation.subject import Subject, array, missing_again, rows
from sfumato.models.protocols import Codebooks
from sfumato.spectra import SILENCE, MelScale

MOST_SOUNDS = 256
DECIBELS = 20 / math.log(10)
"""Decibels of a natural logarithm of magnitudes."""


def measures(subject: Subject, how: EvaluationSettings) -> list[Measure]:
    """Of reconstructions of at most 256 sounds; none of any other kind of data."""
    if not isinstance(subject.schema, SoundSchema):
        return []
    batch = rows(subject.batch, slice(0, MOST_SOUNDS))
    x = array(missing_again(batch)).astype(float)
    reconstructed = array(subject.points(subject.model.encode(batch).mode(), batch.given)).astype(float)
    if subject.schema.bands is not None:
        return [_of_bands(subject.schema, x, reconstructed, subject.part)]
    reconstructed = np.where(np.isnan(x), np.nan, np.nan_to_num(reconstructed))
    rate = subject.schema.sound.rate
    return [
        Measure(
            "signal-to-noise ratio",
            **mean_and_error(signal_to_noise(x, reconstructed)),
            unit="dB",
            meaning=f"Level of the sounds of the {subject.part} over that of what their reconstructions differ by.",
            family="sound",
            reference=0.0,
            reference_is="silence",
            better="higher",
        ),
        _distance(mel_distance(x, reconstructed, rate), mel_distance(x, 0 * x, rate), subject.part),
        *_bit_rate(subject, batch, rate),
    ]


def signal_to_noise(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """10 log₁₀ (Σ x² / Σ (x − y)²) of waveforms (N, T, C), NaN behind their ends, in dB, (N,).

    >>> x = np.ones((1, 100, 1))
    >>> signal_to_noise(x, 0.9 * x).round(6)
    array([20.])
    """
    signal, noise = (np.nansum(np.square(value), (1, 2)) for value in (x, x - y))
    return np.asarray(10 * np.log10(np.maximum(signal, 1e-12) / np.maximum(noise, 1e-12)))


def mel_distance(x: np.ndarray, y: np.ndarray, rate: int) -> np.ndarray:
    """Root mean square over frames and mel bands of the difference of levels in dB, (N, T, C) each to (N,).

    Waveforms have a mean square of about 1, and levels more than 60 dB below that of noise as loud count as such.

    >>> x = np.random.default_rng(0).normal(size=(1, 8000, 1))
    >>> mel_distance(x, 2 * x, 8000).round(2)
    array([6.02])
    """
    scale = MelScale.of(rate)
    distances = []
    for first, second in zip(x, y, strict=True):
        end = int((~np.isnan(first)).any(1).sum())
        bands = [scale.log_mel(torch.from_numpy(np.nan_to_num(value[:end].T)).float()) for value in (first, second)]
        distances.append(DECIBELS * float((bands[0] - bands[1]).square().mean().sqrt()))
    return np.array(distances)


def _distance(each: np.ndarray, of_silence: np.ndarray, part: str) -> Measure:
    return Measure(
        "mel distance",
        **mean_and_error(each),
        unit="dB",
        meaning=f"How far mel bands of reconstructions are from those of the sounds of the {part}, over time.",
        family="sound",
        reference=float(of_silence.mean()),
        reference_is="silence",
        better="lower",
    )


def _of_bands(schema: SoundSchema, x: np.ndarray, y: np.ndarray, part: str) -> Measure:
    """`mel_distance` of rows that are mel bands, without a way over waveforms."""
    assert schema.bands is not None, "called for rows of bands"
    ends = int(schema.sound.ends)
    count = len(schema.bands.mean)
    scale, mean = (np.tile(values, (x.shape[1] - ends) // count) for values in (schema.bands.scale, schema.bands.mean))
    gaps, levels = (x - y)[:, ends:] * scale, x[:, ends:] * scale + mean - math.log(SILENCE)
    each, silence = (DECIBELS * np.sqrt(np.nanmean(np.square(value), 1)) for value in (gaps, levels))
    return _distance(each, silence, part)


def _bit_rate(subject: Subject, batch: Batch, rate: int) -> list[Measure]:
    """Bits a second of the codes under their learned prior; none where codes are continuous."""
    if not isinstance(subject.model, Codebooks):
        return []
    model = subject.model

    def seconds(batch: Batch) -> Tensor:
        samples = torch.full((len(batch),), batch.x.shape[1]) if batch.mask is None else batch.mask.any(2).sum(1)
        return samples.to(torch.float64) / rate

    lengths = array(seconds(batch))
    bits = array(-model.log_weight_parts(batch, 1)[1][:, 0]) / math.log(2)
    codes = array(model.encode(batch).mode())
    sizes = np.array(model.code_sizes)
    uniform = ((codes < sizes) * np.log2(sizes)).sum(1)
    return [
        Measure(
            "bit rate",
            float(bits.sum() / lengths.sum() / 1000),
            "kbit/s",
            "Length of the codes under their learned prior, by the length of the sounds.",
            "sound",
            error=float((bits - bits.sum() / lengths.sum() * lengths).std() / lengths.mean() / len(bits) ** 0.5 / 1000),
            reference=float(uniform.sum() / lengths.sum() / 1000),
            reference_is="codes as they are",
            better="lower",
        )
    ]
