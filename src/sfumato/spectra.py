"""Short-time spectra of sound: magnitudes, mel bands, and the way back to a waveform."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

SILENCE = 1e-3
"""Least magnitude that is told from silence, where the waveform has a mean square of about 1."""
ROUNDS, MOMENTUM = 48, 0.99
"""Of `griffin_lim`."""
FRAME_SECONDS = 0.032


@lru_cache
def _window(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.hann_window(size, dtype=dtype, device=device)


def frame_count(samples: int, hop: int) -> int:
    """Frames of a waveform.

    >>> frame_count(1000, 250), frame_count(1001, 250)
    (4, 5)
    """
    return -(-samples // hop)


def _padded(x: Tensor, size: int, hop: int) -> Tensor:
    """x with zeros around, so that frame t has its middle at (t + ½) hop."""
    frames = frame_count(x.shape[-1], hop)
    before = (size - hop) // 2
    return F.pad(x, (before, frames * hop + size - hop - before - x.shape[-1]))


def spectrum(x: Tensor, size: int, hop: int) -> Tensor:
    """Complex short-time spectrum under a Hann window: (…, T) to (…, size/2 + 1, frames), zeros before and behind x.

        X_f(t) = Σ_n w_n x_{t·hop + n − (size − hop)/2} e^{−2πi f n / size}

    >>> x = torch.cos(2 * math.pi * 8 * torch.arange(256) / 64)
    >>> spectrum(x, 64, 16).abs()[:, 8].argmax().item()
    8
    """
    flat = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    if not len(flat):
        return torch.zeros(*x.shape[:-1], size // 2 + 1, frame_count(x.shape[-1], hop), dtype=torch.complex64).to(
            x.device
        )
    window = _window(size, x.dtype, x.device)
    found = torch.stft(_padded(flat, size, hop), size, hop, window=window, center=False, return_complex=True)
    return found.reshape(*x.shape[:-1], *found.shape[1:])


def from_spectrum(spectrum_: Tensor, hop: int, samples: int) -> Tensor:
    """The waveform whose spectrum is nearest, (…, frames) to (…, samples): weighted overlap of the inverse transforms.

        x_n = Σ_t w_{n − t} y_t(n) / Σ_t w²_{n − t}

    >>> x = torch.randn(3, 1000)
    >>> torch.allclose(from_spectrum(spectrum(x, 64, 16), 16, 1000), x, atol=1e-5)
    True
    """
    *lead, bins, frames = spectrum_.shape
    size = 2 * (bins - 1)
    window = _window(size, spectrum_.real.dtype, spectrum_.device)
    pieces = torch.fft.irfft(spectrum_.reshape(-1, bins, frames), size, dim=1) * window[:, None]
    total = hop * (frames - 1) + size
    weights = window.square()[None, :, None].expand(1, size, frames)
    x, weight = (F.fold(part, (1, total), (1, size), stride=(1, hop))[:, 0, 0] for part in (pieces, weights))
    before = (size - hop) // 2
    kept = slice(before, before + samples)
    return (x[:, kept] / weight[:, kept].clamp_min(1e-8)).reshape(*lead, samples)


def to_mel(hertz: Tensor) -> Tensor:
    """Hertz to mel: 2595 log₁₀(1 + f/700).

    >>> to_mel(torch.tensor([0.0, 1000.0])).round().tolist()
    [0.0, 1000.0]
    """
    return 2595 * torch.log10(1 + hertz / 700)


def from_mel(mel: Tensor) -> Tensor:
    """Back from `to_mel`."""
    return 700 * (10 ** (mel / 2595) - 1)


@lru_cache
def mel_filters(rate: int, size: int, bands: int) -> Tensor:
    """Triangles of height 1 whose corners are evenly spaced in mel from 0 to rate/2: (bands, size/2 + 1).

    Band b rises from corner b to corner b + 1, and falls to corner b + 2; inside the outer two the sum over bands is 1.

    >>> filters = mel_filters(8000, 1024, 20)
    >>> filters.shape, filters[:, 100:400].sum(0).round(decimals=4).unique()
    (torch.Size([20, 513]), tensor([1.]))
    """
    ends = to_mel(torch.tensor([0.0, rate / 2], dtype=torch.float64))
    corners = from_mel(torch.linspace(float(ends[0]), float(ends[1]), bands + 2, dtype=torch.float64))
    bins = torch.arange(size // 2 + 1, dtype=torch.float64) * rate / size
    low, middle, high = (corners[start : start + bands, None] for start in range(3))
    return torch.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)).clamp_min(0.0).float()


@dataclass(frozen=True)
class MelScale:
    """How a waveform becomes frames of mel bands.

    Attributes:
        rate: samples a second.
        size: samples of a frame.
        hop: samples from one frame to the next.
        bands: how many.
    """

    rate: int
    size: int
    hop: int
    bands: int

    @classmethod
    def of(cls, rate: int) -> MelScale:
        """Frames of about 32 ms, each half over the next, and 40 bands up to 12 kHz, 64 up to 24 kHz, 80 beyond.

        >>> MelScale.of(8000), MelScale.of(44100)
        (MelScale(rate=8000, size=256, hop=128, bands=40), MelScale(rate=44100, size=1024, hop=512, bands=80))
        """
        size = 2 ** round(math.log2(rate * FRAME_SECONDS))
        return cls(rate, size, size // 2, 40 if rate <= 12_000 else 64 if rate <= 24_000 else 80)

    def frames(self, samples: int) -> int:
        """Frames of a waveform of so many samples."""
        return frame_count(samples, self.hop)

    @property
    def filters(self) -> Tensor:
        """`mel_filters` of it."""
        return mel_filters(self.rate, self.size, self.bands)

    def log_mel(self, x: Tensor) -> Tensor:
        """log of the magnitude in each band, at least `SILENCE`: (…, T) to (…, frames, bands).

        Magnitudes are divided by √(Σ w²), so that those of white noise of variance 1 are about 1.
        """
        filters = self.filters.to(x)
        heard = spectrum(x, self.size, self.hop).abs() / self._noise(x)
        return (
            (filters / filters.sum(1, keepdim=True).clamp_min(1e-8) @ heard).clamp_min(SILENCE).log().transpose(-1, -2)
        )

    def _noise(self, x: Tensor) -> float:
        return float(_window(self.size, x.dtype, x.device).square().sum().sqrt())

    def waveform(self, log_mel: Tensor, samples: int) -> Tensor:
        """A waveform with nearly these bands, (…, frames, bands) to (…, samples), by `griffin_lim`.

        Magnitudes between the bands are those of least squares that are not negative.
        """
        filters = self.filters.to(log_mel)
        filters = filters / filters.sum(1, keepdim=True).clamp_min(1e-8)
        bands = log_mel.exp().transpose(-1, -2).where(log_mel.transpose(-1, -2) > math.log(1.01 * SILENCE), 0.0)
        heard = not_negative(filters, bands) * self._noise(log_mel)
        return griffin_lim(heard, self.hop, samples)


def not_negative(filters: Tensor, bands: Tensor, rounds: int = 30) -> Tensor:
    """min over m ≥ 0 of ‖filters · m − bands‖², by multiplicative steps (Lee and Seung 2001).

    Shapes: filters (bands, K) and bands (…, bands, T) to (…, K, T).

    >>> filters = torch.tensor([[1.0, 0.5, 0.0], [0.0, 0.5, 1.0]])
    >>> (filters @ not_negative(filters, torch.tensor([[1.0], [3.0]]), 200)).round(decimals=2).flatten().tolist()
    [1.0, 3.0]
    """
    m = filters.T @ bands
    wanted, square = filters.T @ bands, filters.T @ filters
    for _ in range(rounds):
        m = m * wanted / (square @ m).clamp_min(1e-12)
    return m


def griffin_lim(magnitudes: Tensor, hop: int, samples: int) -> Tensor:
    """A waveform whose short-time spectrum has about these magnitudes, (…, bins, frames) to (…, samples).

    Griffin and Lim 1984 with the momentum of Perraudin, Balazs and Søndergaard 2013: the spectrum is made consistent
    by going to a waveform and back, and takes the wanted magnitudes again, in turn. Phases begin as those of a fixed
    noise, so that the same magnitudes always give the same waveform.
    """
    *lead, bins, frames = magnitudes.shape
    wanted = magnitudes.reshape(-1, bins, frames)
    size = 2 * (bins - 1)
    random = torch.Generator().manual_seed(0)
    angle = 2 * math.pi * torch.rand(bins, frames, generator=random).to(wanted)
    phases = torch.polar(torch.ones_like(angle), angle).expand_as(wanted)
    before = torch.zeros_like(phases)
    for _ in range(ROUNDS):
        consistent = spectrum(from_spectrum(wanted * phases, hop, samples), size, hop)
        moved = consistent + MOMENTUM * (consistent - before)
        before = consistent
        phases = moved / moved.abs().clamp_min(1e-12)
    return from_spectrum(wanted * phases, hop, samples).reshape(*lead, samples)
