"""What a training with Gaussian noise costs, by the accountants of opacus."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

from sfumato.errors import SfumatoError

INSTALL = "differential privacy needs opacus: pip install 'sfumato[privacy]'"
ACCOUNTANT = "prv"
"""Of opacus: numerical composition of privacy loss (Gopi, Lee and Wutschitz 2021), an upper bound within 0.01."""
EPSILON_TOLERANCE = 0.005
"""How far below the target the noise may be solved to, as a share of ε."""
LARGEST_MULTIPLIER = 1e5
LAST_STEPS = 8
"""Secants, at most."""


class Mechanism(NamedTuple):
    """Steps of a Gaussian mechanism on random parts of the rows; an entry of an opacus accountant's history.

    Attributes:
        noise_multiplier: standard deviation of the noise over the sensitivity.
        sample_rate: probability with which each row takes part in a step.
        steps: how many.
    """

    noise_multiplier: float
    sample_rate: float
    steps: int


def version() -> str:
    """The version of opacus.

    Raises:
        SfumatoError: if it is not installed.
    """
    return str(_opacus().__version__)


def epsilon_of(mechanisms: Sequence[Mechanism], delta: float, accountant: str | None = None) -> float:
    """ε of all these mechanisms on the same rows together, at this δ, by `ACCOUNTANT` unless another is named.

    Raises:
        SfumatoError: if opacus is not installed.
    """
    history = [tuple(mechanism) for mechanism in mechanisms if mechanism.steps]
    if not history:
        return 0.0
    account = _opacus().accountants.create_accountant(accountant or ACCOUNTANT)
    account.history = history
    with warnings.catch_warnings():
        # Orders at the end of a range, and the logarithm of 0 where every row takes part, whose branch is not used.
        warnings.simplefilter("ignore")
        return float(account.get_epsilon(delta=delta))


def solve_multiplier(
    epsilon: float, delta: float, sample_rate: float, steps: int, others: Sequence[Mechanism] = ()
) -> float:
    """The smallest noise multiplier with which the training and `others` together cost at most ε, nearly.

    What is left of ε is at most a share of `EPSILON_TOLERANCE`.

    The Rényi accountant, which is fast and never reports less, is bisected first. From there, where ε is too low, the
    multiplier is lowered by secants of log ε over log σ.

    Raises:
        SfumatoError: if opacus is not installed, or no noise is enough.
    """

    def cost(multiplier: float, accountant: str | None = None) -> float:
        return epsilon_of([*others, Mechanism(multiplier, sample_rate, steps)], delta, accountant)

    low, high = 0.0, 1.0
    while cost(high, "rdp") > epsilon:
        low, high = high, 2.0 * high
        if high > LARGEST_MULTIPLIER:
            raise SfumatoError(f"epsilon is {epsilon}: no noise is enough for it; give a larger epsilon or delta")
    while high - low > 0.01 * high:
        middle = (low + high) / 2.0
        low, high = (low, middle) if cost(middle, "rdp") <= epsilon else (middle, high)
    best, reached, slope = high, cost(high), -1.0
    for _ in range(LAST_STEPS):
        if epsilon - reached <= EPSILON_TOLERANCE * epsilon:
            break
        # A little above the target, so that the next one is not past it.
        tried = best * (epsilon * (1 - EPSILON_TOLERANCE / 2) / reached) ** (1 / slope)
        value = cost(tried)
        slope = math.log(value / reached) / math.log(tried / best)
        if value <= epsilon:
            best, reached = tried, value
    return best


def _opacus() -> Any:
    try:
        import opacus
        import opacus.accountants
    except ImportError:
        raise SfumatoError(INSTALL) from None
    return opacus
