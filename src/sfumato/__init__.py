"""Variational autoencoders for your own data.

A fitted model draws what it was trained on:

    import sfumato
    m = sfumato.fit("penguins.csv", model="cvae", given=["species"])
    m.sample(100, given={"species": "Gentoo"})
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sfumato._version import __version__
from sfumato.errors import SfumatoError

if TYPE_CHECKING:
    from sfumato.batch import Batch, Loss
    from sfumato.estimator import AnomalyDetector, Autoencoder, Imputer, fit, load
    from sfumato.evaluation.samples.external_samples import evaluate
    from sfumato.models.base import Model
    from sfumato.models.latent import LatentModel
    from sfumato.spec import DataSpec, Size
    from sfumato.studies.augmentation import augment

__all__ = [
    "AnomalyDetector",
    "Autoencoder",
    "Batch",
    "DataSpec",
    "Imputer",
    "LatentModel",
    "Loss",
    "Model",
    "SfumatoError",
    "Size",
    "__version__",
    "augment",
    "evaluate",
    "fit",
    "load",
]

_MODULES = {
    "AnomalyDetector": "sfumato.estimator",
    "Autoencoder": "sfumato.estimator",
    "Batch": "sfumato.batch",
    "DataSpec": "sfumato.spec",
    "Imputer": "sfumato.estimator",
    "LatentModel": "sfumato.models.latent",
    "Loss": "sfumato.batch",
    "Model": "sfumato.models.base",
    "Size": "sfumato.spec",
    "augment": "sfumato.studies.augmentation",
    "evaluate": "sfumato.evaluation.samples.external_samples",
    "fit": "sfumato.estimator",
    "load": "sfumato.estimator",
}
"""Where the names come from that are imported on first use."""

if "torch" not in sys.modules and not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"} & os.environ.keys():
    # The threads of torch wait for each other in a loop, a millisecond and more each time, before they let others have
    # the core. So short a loop costs nothing where they run at once, and a busy neighbour no longer stops them all.
    # GNU OpenMP reads it when torch is loaded.
    os.environ["GOMP_SPINCOUNT"] = "10000"


def __getattr__(name: str) -> Any:
    """Import a name on first use, so that `import sfumato` does not pay for torch."""
    if name not in _MODULES:
        raise AttributeError(f"module 'sfumato' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
