"""The built-in set of symbols: sequences of eight Markov chains, whose exact likelihood is known.

Each of 8 classes has a transition matrix P_c over 10 symbols, drawn once for all from a Dirichlet distribution. A
sequence starts at a uniformly drawn symbol and takes 20 steps:

    p(x | c) = 1/10 · Π_{t > 1} P_c[x_{t−1}, x_t]        p(x) = 1/8 Σ_c p(x | c)

Which chain it was is all that one sequence has to say beyond its neighbouring symbols: a decoder that reads its own
symbols can do without the code for a while, and often never comes to use it (posterior collapse).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

MARKOV_CLASSES, SYMBOLS, MARKOV_STEPS, CONCENTRATION = 8, 10, 20, 0.3
"""SPREAD is the concentration of the Dirichlet distribution: the smaller, the surer each chain is of its next step."""


def matrices() -> np.ndarray:
    """P, shape (classes, symbols, symbols); rows sum to 1.

    >>> matrices().shape
    (8, 10, 10)
    """
    import numpy as np

    drawn: np.ndarray = np.random.default_rng(0).dirichlet(np.full(SYMBOLS, CONCENTRATION), (MARKOV_CLASSES, SYMBOLS))
    return drawn


def draw(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sequences (rows, 20) and their classes (rows,).

    >>> x, classes = draw(3, seed=0)
    >>> x.shape, classes.shape
    ((3, 20), (3,))
    """
    import numpy as np

    random = np.random.default_rng(seed)
    classes = random.integers(MARKOV_CLASSES, size=rows)
    x = np.empty((rows, MARKOV_STEPS), np.int64)
    x[:, 0] = random.integers(SYMBOLS, size=rows)
    sums = matrices().cumsum(2)
    for step in range(1, MARKOV_STEPS):
        rises = sums[classes, x[:, step - 1], :-1]
        x[:, step] = (random.random((rows, 1)) > rises).sum(1)
    return x, classes


def log_prob(x: np.ndarray, classes: np.ndarray | None = None) -> np.ndarray:
    """log p(x | c), or log p(x) where no classes are given, in nats; x (N, T), classes (N,), to (N,).

    Its mean over the data is minus their entropy, the best any model can do:

    >>> x, classes = draw(20_000, seed=1)
    >>> print(f"{-log_prob(x).mean():.1f} {-log_prob(x, classes).mean():.1f}")
    31.8 29.8
    """
    import numpy as np

    p = matrices()
    with np.errstate(divide="ignore"):
        each = np.log(p[:, x[:, :-1], x[:, 1:]]).sum(2) - np.log(SYMBOLS)
    if classes is not None:
        log_p: np.ndarray = each[classes, np.arange(len(x))]
        return log_p
    marginal: np.ndarray = np.logaddexp.reduce(each, 0) - np.log(MARKOV_CLASSES)
    return marginal
