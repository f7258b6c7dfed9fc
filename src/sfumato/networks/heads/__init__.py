"""The last layer of a decoder: raw outputs of a network to the distribution of x they mean.

A head says which raw numbers it needs (`raw`, the shape per example) and turns them into a distribution. The trunk
before it does not know the likelihood; the head does not know the trunk. Each file of this folder registers its heads
under the names of the likelihoods that `sfumato.likelihoods` declares.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from sfumato import likelihoods
from sfumato.errors import SfumatoError
from sfumato.formatting import any_of
from sfumato.networks.heads.base import BUILDERS, COLUMNS, IMAGES, LEVELS, Head, register
from sfumato.spec import DataSpec

__all__ = ["COLUMNS", "IMAGES", "LEVELS", "Head", "for_likelihood", "register"]


@cache
def _import_all() -> None:
    """Import every file of this folder, so that its heads are registered."""
    for module in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")


def _values_of(spec: DataSpec) -> str:
    """What a head is of: `IMAGES`, `LEVELS` (a vector of them), or `COLUMNS`."""
    if spec.fields[0].kind != "level":
        return COLUMNS
    return IMAGES if spec.is_image else LEVELS


def for_likelihood(spec: DataSpec) -> Head:
    """The head of `spec.likelihood` for data of this shape.

    Raises:
        SfumatoError: if there is no such likelihood, or it does not suit the data.
    """
    _import_all()
    likelihood, values = likelihoods.named(spec.likelihood), _values_of(spec)
    build = BUILDERS.get((likelihood.name, values))
    if build is None:
        own = [on for name, on in BUILDERS if name == likelihood.name]
        others = [name for name in likelihoods.LIKELIHOODS if (name, values) in BUILDERS]
        raise SfumatoError(
            f"likelihood {likelihood.name!r} is for {' and '.join(own) or 'nothing that is there'}; "
            f"for {values} choose {any_of(others)}"
        )
    return build(spec)
