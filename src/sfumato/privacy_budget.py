"""How much of (ε, δ) what is learned of the columns may cost, before the training spends the rest."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sfumato.errors import SfumatoError

EPSILON_HELP = (
    "differential privacy of the training split with this ε, such as 3: gradients are cut row by row and get noise, "
    "and so do counts of columns (needs sfumato[privacy]); see the guide"
)
DELTA_HELP = "with epsilon: δ, the probability with which ε may not hold (default: 1 / (10 · training rows))"

LARGEST_EPSILON = 100.0
"""Above it nothing is promised that matters."""
DELTA_ROWS = 10.0
"""δ is 1 / (10 N) unless given: a mechanism that publishes one row at random is (0, 1/N)-private, so δ stays below."""
COLUMNS_SHARE, PAIRS_SHARE = 0.1, 0.4
"""Of μ² of the whole, what the counts of columns cost, and of pairs of columns."""
THRESHOLD_SHARE = 0.1
"""Of δ, what values cost that are released because many rows have them."""


@dataclass(frozen=True)
class Budget:
    """(ε, δ) of one training, for neighbours that differ by one row added or removed.

    Attributes:
        epsilon: ε.
        delta: δ.
    """

    epsilon: float
    delta: float

    @classmethod
    def of(cls, epsilon: float, delta: float | None, rows: int) -> Budget:
        """ε and δ, which is 1 / (10 N) of N training rows unless given.

        >>> Budget.of(3.0, None, 1000)
        Budget(epsilon=3.0, delta=0.0001)
        """
        return cls(epsilon, 1.0 / (DELTA_ROWS * max(rows, 1)) if delta is None else delta)

    @property
    def threshold_delta(self) -> float:
        """δ for the release of values that many rows have."""
        return THRESHOLD_SHARE * self.delta

    @property
    def noise_delta(self) -> float:
        """δ for all Gaussian noise: that of the counts of columns and of the training together."""
        return self.delta - self.threshold_delta

    def multiplier(self, share: float) -> float:
        """Noise multiplier of a Gaussian mechanism that has a share of μ² of the whole budget."""
        return 1.0 / (math.sqrt(share) * gaussian_mu(self.epsilon, self.noise_delta))


def check_budget(epsilon: float | None, delta: float | None) -> None:
    """Refuse what is no budget.

    Raises:
        SfumatoError: if ε is not above 0, δ is not between 0 and 1, or δ comes without ε.
    """
    if epsilon is not None and not 0 < epsilon <= LARGEST_EPSILON:
        raise SfumatoError(f"epsilon is {epsilon}: give a number above 0 and up to {LARGEST_EPSILON:g}, such as 3")
    if delta is not None and epsilon is None:
        raise SfumatoError(f"delta is {delta}: it is for private training; give epsilon too, or leave it out")
    if delta is not None and not 0 < delta < 1:
        raise SfumatoError(f"delta is {delta}: give a probability below 1 / training rows, such as 1e-6")


def gaussian_delta(epsilon: float, mu: float) -> float:
    """δ(ε) of the Gaussian mechanism with sensitivity / noise = μ (Balle and Wang 2018, theorem 8).

        δ = Φ(μ/2 − ε/μ) − e^ε Φ(−μ/2 − ε/μ)

    >>> round(gaussian_delta(1.0, 1.0), 4)
    0.1269
    """
    from scipy.special import log_ndtr, ndtr

    return float(ndtr(mu / 2 - epsilon / mu) - math.exp(epsilon + log_ndtr(-mu / 2 - epsilon / mu)))


def gaussian_mu(epsilon: float, delta: float) -> float:
    """The largest μ whose Gaussian mechanism is (ε, δ)-private.

    >>> round(gaussian_delta(3.0, gaussian_mu(3.0, 1e-5)), 8)
    1e-05
    """
    from scipy.optimize import brentq

    return float(brentq(lambda mu: gaussian_delta(epsilon, mu) - delta, 1e-6, 10.0 + 4.0 * math.sqrt(epsilon)))


def release_threshold(noise: float, columns: int, delta: float) -> float:
    """The noisy count from which on a value may be released whose existence is not known beforehand.

    A value that one row alone has stays below it but for a probability of δ over all columns (Korolova et al. 2009).

    Args:
        noise: standard deviation of the noise of a count.
        columns: in how many columns one row may add a value.
        delta: δ of all releases.

    >>> round(release_threshold(10.0, 1, 1e-6), 1)
    48.5
    """
    from scipy.special import ndtri

    return 1.0 - noise * float(ndtri(delta / max(columns, 1)))


@dataclass(frozen=True)
class ColumnCharge:
    """What the schema of a private training was learned from, and what it cost.

    Attributes:
        noise_multipliers: of all counts of columns together, as one Gaussian mechanism, and of all counts of pairs.
        noise: standard deviation of the noise of each count, in rows.
        histograms: how many there are; one row adds 1 to one count of each.
        threshold: rows that a value must have, noise included, to be released.
        delta: δ of these releases.
        charged: what was learned with noise, in words.
        stated: what the user stated, in words.
        uncovered: what was read from the data without noise, in words.
    """

    noise_multipliers: tuple[float, ...]
    noise: float
    histograms: int
    threshold: float
    delta: float
    charged: tuple[str, ...] = ()
    stated: tuple[str, ...] = ()
    uncovered: tuple[str, ...] = ()
