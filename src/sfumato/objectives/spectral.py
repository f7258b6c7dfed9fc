"""How far two waveforms are apart by ear rather than sample by sample: their spectra at several resolutions."""

from __future__ import annotations

from torch import Tensor

from sfumato.spectra import SILENCE, spectrum

FRAMES = (0.008, 0.016, 0.032, 0.064)
"""Seconds of the frames of each resolution."""


def frame_sizes(rate: int, samples: int) -> tuple[int, ...]:
    """Samples of the frames, powers of two that a waveform is at least as long as.

    >>> frame_sizes(8000, 8000), frame_sizes(44100, 1000)
    ((64, 128, 256, 512), (512,))
    """
    sizes = dict.fromkeys(max(2 ** (round(rate * seconds) - 1).bit_length(), 16) for seconds in FRAMES)
    return tuple(size for size in sizes if size <= samples) or (min(sizes),)


def spectral_distance(x: Tensor, y: Tensor, rate: int) -> Tensor:
    """The mean over resolutions, frames and frequencies of |log |X_f(t)| − log |Y_f(t)||, (B, T, C) to (B,).

    Magnitudes below `spectra.SILENCE` of the noise of a waveform of mean square 1 count as that, so that silence is not
    compared. After Yamamoto, Song and Kim 2020 (Parallel WaveGAN), the term of the logarithms.

    >>> import math, torch
    >>> x = torch.randn(2, 1000, 1)
    >>> spectral_distance(x, 2 * x, 8000).div(math.log(2)).round(decimals=2).tolist()
    [1.0, 1.0]
    """
    total = x.new_zeros(len(x))
    sizes = frame_sizes(rate, x.shape[1])
    for size in sizes:
        noise = (3 * size / 8) ** 0.5
        first, second = (
            (spectrum(one.transpose(1, 2), size, size // 4).abs() / noise).clamp_min(SILENCE).log() for one in (x, y)
        )
        total = total + (first - second).abs().flatten(1).mean(1)
    return total / len(sizes)
