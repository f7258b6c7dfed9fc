"""Numbers as people read them."""

from __future__ import annotations


def figure(value: float) -> str:
    """With as many digits as a person reads.

    >>> figure(16.398), figure(0.0213), figure(123456.0)
    ('16.4', '0.021', '123,456')
    """
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2g}" if abs(value) < 1 else f"{value:.3g}"


def percent(share: float) -> str:
    """A share.

    >>> percent(0.105), percent(0.0004)
    ('10%', '0.04%')
    """
    return f"{100 * share:.0f}%" if share >= 0.01 or share == 0 else f"{100 * share:.1g}%"


def count(number: int, what: str) -> str:
    """A number of things.

    >>> count(1, "latent"), count(1200, "step")
    ('1 latent', '1,200 steps')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"
