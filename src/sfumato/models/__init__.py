"""The models, one file each, which says its whole objective; related ones share a folder.

To write one of your own, see `sfumato.models.base.Model` and `sfumato.models.latent.LatentModel`; models are found
by name by `sfumato.models.registry`. Importing this package does not import torch.
"""

from __future__ import annotations

from sfumato.models.registry import (
    Description,
    Option,
    build,
    chosen_by_data,
    chosen_for,
    describe,
    memorised_cells,
    names,
    options,
    sized,
    suits,
    summary,
)

__all__ = [
    "Description",
    "Option",
    "build",
    "chosen_by_data",
    "chosen_for",
    "describe",
    "memorised_cells",
    "names",
    "options",
    "sized",
    "suits",
    "summary",
]
