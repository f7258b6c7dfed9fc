"""What the weights of a model say about its latents: which are in use, and what they drive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sfumato.cli.output import table
from sfumato.formatting import number

if TYPE_CHECKING:
    from sfumato.models.base import Model

MIN_SHARE_ON = 0.01
"""A latent that is active in a smaller share of the examples does not count as in use."""


def latents_of(model: Model, columns: Sequence[str]) -> dict[str, Any] | None:
    """The latents in use, and what each drives or how often it is active; None if the model says neither.

    Args:
        model: any model; only those with `drives` or `usage` give a result.
        columns: names of the entries of x, if each entry is a column; otherwise entries are numbered.
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


def latents_table(usage: dict[str, Any], most: int = 12) -> str:
    """The result of `latents_of` as text, with at most `most` names in a line."""
    head = [["latents", f"{usage['in_use']} of {usage['of']} in use"]]
    if "drives" in usage:
        rows = [[latent, "drives " + _some(columns, most)] for latent, columns in usage["drives"].items()]
    else:
        shares = [f"{latent} {number(100 * share, 2)}%" for latent, share in usage["on"].items()]
        rows = [["on in", _some(shares, most) + " of the examples drawn from the prior"]] if shares else []
    return table([*head, *rows])


def _some(words: Sequence[str], most: int) -> str:
    more = len(words) - most
    return ", ".join(words[:most]) + (f" and {more} more" if more > 0 else "")
