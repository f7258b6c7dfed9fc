"""Variational autoencoders for your own data.

A fitted model draws what it was trained on:

    import sfumato
    m = sfumato.fit("penguins.csv", model="cvae", given=["species"])
    m.sample(100, given={"species": "Gentoo"})
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfumato._version import __version__
from sfumato.errors import SfumatoError

if TYPE_CHECKING:
    from sfumato.estimator import Autoencoder, fit, load

__all__ = ["Autoencoder", "SfumatoError", "__version__", "fit", "load"]


def __getattr__(name: str) -> Any:
    """Import the estimator on first use, so that `import sfumato` does not pay for torch."""
    if name in ("Autoencoder", "fit", "load"):
        from sfumato import estimator

        return getattr(estimator, name)
    raise AttributeError(f"module 'sfumato' has no attribute {name!r}")
