"""The likelihoods p(x | z) there are: what each is of, which data it takes, and the words reports have for it.

A likelihood is declared here once. Its head, the last layer of a decoder, registers itself under the same name in
`sfumato.networks.heads`; options, checks of the data, comparisons and reports read the declaration.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from sfumato.errors import SfumatoError, did_you_mean
from sfumato.formatting import any_of


@dataclass(frozen=True)
class Likelihood:
    """One likelihood.

    Attributes:
        name: as options and `DataSpec.likelihood` have it.
        kinds: names of the kinds of data it can be chosen for.
        quantity: what −log p is the logarithm of; bounds on different quantities are not compared.
        density: whether p is a density, so that it depends on the units of x, and draws have noise of their own.
        standardised: whether numbers are brought to mean 0 and standard deviation 1 for it.
        modelled_as: what an entry of x is to it, for the table shown before training.
        low: the least value it takes, in the units of the data.
        high: the largest.
        whole: whether it takes whole numbers alone.
        levels: how many levels `Field` has where the data are rows of numbers; 0 where these are real numbers.
        joint: whether the entries of x depend on each other given the code.
        apart: the likelihood that takes its place in models that need independent entries; "" if it is itself so.
        passes_gradients: whether an adversary can pass gradients through what is drawn.
        unit_scale: whether its scale is fixed at 1.
        cells: whether numeric columns of a table are cut into cells for it.
        counts: whether entries are counts whose expectation is a share of the example's total.
    """

    name: str
    kinds: tuple[str, ...]
    quantity: str = "a density"
    density: bool = True
    standardised: bool = True
    modelled_as: str = "standardised"
    low: float = -math.inf
    high: float = math.inf
    whole: bool = False
    levels: int = 0
    joint: bool = False
    apart: str = ""
    passes_gradients: bool = True
    unit_scale: bool = False
    cells: bool = False
    counts: bool = False

    @property
    def joint_cells(self) -> bool:
        """Whether columns of a table are cut into cells, and depend on each other given the code."""
        return self.joint and self.cells

    @property
    def bounded(self) -> str:
        """Its range in words, behind "values"."""
        return f"within {self.low:g} and {self.high:g}" if self.high < math.inf else f"of {self.low:g} or more"

    def check(self, low: Iterable[float], high: Iterable[float], name: str, columns: Iterable[object]) -> None:
        """Refuse data out of its range.

        Args:
            low: the least value of each column.
            high: the largest.
            name: of the data, for the message.
            columns: what the columns are called.

        Raises:
            SfumatoError: if a column goes beyond `low` or `high`.

        >>> LIKELIHOODS["bernoulli"].check([0.0], [1.0], "X", [0])
        """
        for column, least, most in zip(columns, low, high, strict=True):
            if least < self.low or most > self.high:
                raise SfumatoError(
                    f"{name}: column {column} goes from {least:.4g} to {most:.4g}; "
                    f"likelihood={self.name} needs values {self.bounded}"
                )


_DECLARED = (
    Likelihood("autoregressive", ("table",), joint=True, apart="cells", passes_gradients=False, cells=True),
    Likelihood("cells", ("table",), cells=True),
    Likelihood("gaussian", ("table", "vector", "sequence", "image", "sound")),
    Likelihood("mse", ("table", "vector", "sequence", "image", "sound"), unit_scale=True),
    Likelihood(
        "bernoulli",
        ("vector", "sequence", "image"),
        quantity="a probability of two levels",
        density=False,
        standardised=False,
        modelled_as="probability",
        low=0.0,
        high=1.0,
        levels=2,
    ),
    Likelihood(
        "categorical",
        ("image", "symbols"),
        quantity="a probability of levels",
        density=False,
        standardised=False,
        passes_gradients=False,
    ),
    Likelihood(
        "logistic_mixture",
        ("image",),
        quantity="a probability of levels",
        density=False,
        standardised=False,
        passes_gradients=False,
    ),
)

_COUNTS = tuple(
    Likelihood(
        name,
        ("counts", "vector"),
        quantity="a probability of counts, given their total",
        density=False,
        standardised=False,
        modelled_as="count",
        low=0.0,
        whole=True,
        passes_gradients=False,
        counts=True,
    )
    for name in ("negative_binomial", "zero_inflated_negative_binomial", "poisson")
)

_PARTS = Likelihood("parts", ("record",), standardised=False, modelled_as="by part", passes_gradients=False)
"""Of mixed records: the product of the likelihoods of their parts, each of which has one of its own."""

_SHIPPED = (*_DECLARED, *_COUNTS, _PARTS)
LIKELIHOODS = {likelihood.name: likelihood for likelihood in _SHIPPED}
"""All likelihoods by name, in the order options list them."""


def named(name: str) -> Likelihood:
    """The likelihood of this name.

    Raises:
        SfumatoError: if there is none.
    """
    if name not in LIKELIHOODS:
        raise SfumatoError(f"no likelihood is called {name!r}: {did_you_mean(name, LIKELIHOODS)}")
    return LIKELIHOODS[name]


def register(likelihood: Likelihood) -> None:
    """Add a likelihood that another package declares; its head is registered in `sfumato.networks.heads`.

    Raises:
        ValueError: if there is another one of this name.
    """
    if LIKELIHOODS.get(likelihood.name, likelihood) != likelihood:
        raise ValueError(f"there is a likelihood {likelihood.name!r} already; choose another name")
    LIKELIHOODS[likelihood.name] = likelihood


def for_kind(kind: str, *, joint: bool = True) -> tuple[str, ...]:
    """The likelihoods that can be chosen for a kind of data; without `joint` only those of independent entries.

    >>> "bernoulli" in for_kind("vector"), "bernoulli" in for_kind("table")
    (True, False)
    """
    return tuple(
        name for name, likelihood in LIKELIHOODS.items() if kind in likelihood.kinds and joint >= likelihood.joint
    )


def chosen(wanted: str, kind: str, plural: str, default: str) -> Likelihood:
    """The likelihood that an option asks for.

    Args:
        wanted: its name; "auto" for `default`.
        kind: name of the kind of data.
        plural: what its examples are called, for the message.
        default: the likelihood that is used if none is requested.

    Raises:
        SfumatoError: if it is not one for this kind of data.

    >>> chosen("auto", "vector", "rows of numbers", "gaussian").name
    'gaussian'
    """
    likelihood = named(default if wanted == "auto" else wanted)
    if kind not in likelihood.kinds:
        raise SfumatoError(f"likelihood={likelihood.name} is not for {plural}; choose {any_of(for_kind(kind))}")
    return likelihood
