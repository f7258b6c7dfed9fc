"""What a model says of its latents from its weights alone: which are in use, and what they drive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sfumato.cli.output import table
from sfumato.formatting import number

if TYPE_CHECKING:
    from sfumato.models.base import Model

MIN_SHARE_ON = 0.01
"""A latent that is on in a smaller share of the examples is not counted as in use."""


def latents_of(model: Model, columns: Sequence[str]) -> dict[str, Any] | None:
    """How many latents are in use, and for each of these what it drives or how often it is on; None if it says neither.

    Args:
        model: any; only one that tells what drives what, or that switches latents off, has something to say.
        columns: names of the entries of x, where each entry is a column; otherwise entries are numbered.
    """
    from sfumato.models.protocols import Drives, Switches

    if isinstance(model, Drives):
        weights = model.drives().cpu()
        names = columns if len(columns) == len(weights) else [f"x{index + 1}" for index in range(len(weights))]
        strongest = weights.sort(dim=0, descending=True, stable=True)
        drives = {
            f"z{latent + 1}": [names[entry] for entry in order[values > 0].tolist()]
            for latent, (values, order) in enumerate(zip(strongest.values.t(), strongest.indices.t(), strict=True))
            if values[0] > 0
        }
        return {"of": weights.shape[1], "in_use": len(drives), "drives": drives}
    if isinstance(model, Switches):
        usage = model.usage().cpu()
        order = [latent for latent in usage.argsort(descending=True).tolist() if usage[latent] >= MIN_SHARE_ON]
        on = {f"z{latent + 1}": float(usage[latent]) for latent in order}
        return {"of": len(usage), "in_use": len(on), "on": on}
    return None


def latents_table(found: dict[str, Any], most: int = 12) -> str:
    """What `latents_of` found, for a person: at most so many names in a line."""
    head = [["latents", f"{found['in_use']} of {found['of']} in use"]]
    if "drives" in found:
        rows = [[latent, "drives " + _some(columns, most)] for latent, columns in found["drives"].items()]
    else:
        said = [f"{latent} {number(100 * share, 2)}%" for latent, share in found["on"].items()]
        rows = [["on in", _some(said, most) + " of the examples drawn from the prior"]] if said else []
    return table([*head, *rows])


def _some(words: Sequence[str], most: int) -> str:
    more = len(words) - most
    return ", ".join(words[:most]) + (f" and {more} more" if more > 0 else "")
