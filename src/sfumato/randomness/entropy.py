"""Random numbers nobody can repeat: drawn from the system's entropy and kept nowhere, as differential privacy needs.

Noise that follows from a seed can be drawn again and taken off. The seed of a run stands in its folder, so that the
noise of a private training must not come from it.
"""

from __future__ import annotations

import math
import os
import secrets

import numpy as np

SEED_BITS = 63
"""Bits of a secret seed: as many as torch takes."""


def secret_seed() -> int:
    """A seed for generators whose numbers must not be known."""
    return secrets.randbits(SEED_BITS)


def secret_uniform(count: int) -> np.ndarray:
    """Uniform numbers in (0, 1) with 53 bits each, shape (count,).

    >>> numbers = secret_uniform(1000)
    >>> bool((numbers > 0).all() and (numbers < 1).all()), bool(0.4 < numbers.mean() < 0.6)
    (True, True)
    """
    bits = np.frombuffer(os.urandom(8 * count), np.uint64)
    return ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def secret_normal(count: int) -> np.ndarray:
    """Standard normal numbers, shape (count,): r·cos φ and r·sin φ with r² = −2 log u, φ = 2π v (Box and Muller 1958).

    >>> secret_normal(3).shape
    (3,)
    """
    half = -(-count // 2)
    radius = np.sqrt(-2.0 * np.log(secret_uniform(half)))
    angle = 2.0 * math.pi * secret_uniform(half)
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]
