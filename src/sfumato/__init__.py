"""Variational autoencoders for your own data.

A fitted model draws what it was trained on:

    import sfumato
    m = sfumato.fit("penguins.csv", model="cvae", given=["species"])
    m.sample(100, given={"species": "Gentoo"})
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from sfumato._version import __version__
from sfumato.errors import SfumatoError

if TYPE_CHECKING:
    from sfumato.estimator import Autoencoder, fit, load
    from sfumato.evaluation.samples.against import evaluate

__all__ = ["Autoencoder", "SfumatoError", "__version__", "evaluate", "fit", "load"]


if "torch" not in sys.modules and not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"} & os.environ.keys():
    # The threads of torch wait for each other in a loop, a millisecond and more each time, before they let others have
    # the core. So short a loop costs nothing where they run at once, and a busy neighbour no longer stops them all.
    # GNU OpenMP reads it when torch is loaded.
    os.environ["GOMP_SPINCOUNT"] = "10000"


def __getattr__(name: str) -> Any:
    """Import the estimator on first use, so that `import sfumato` does not pay for torch."""
    if name in ("Autoencoder", "fit", "load"):
        from sfumato import estimator

        return getattr(estimator, name)
    if name == "evaluate":
        from sfumato.evaluation.samples.against import evaluate

        return evaluate
    raise AttributeError(f"module 'sfumato' has no attribute {name!r}")
