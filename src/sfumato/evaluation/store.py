"""`evaluation.json`: the measures of a run, beside its model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfumato.errors import SfumatoError
from sfumato.evaluation.families import registered_families
from sfumato.evaluation.measure import Measure
from sfumato.files import finite, read_json, sha256, write_json

EVALUATION_FILE = "evaluation.json"
WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True)
class Kept:
    """What a run holds of its evaluations.

    Attributes:
        measures: of all families.
        how: family → how it was judged (part, examples, seed, quick, …); the families that were asked for.
    """

    measures: list[Measure]
    how: dict[str, dict[str, Any]]

    def settings(self, family: str) -> dict[str, Any] | None:
        """What must be equal for the measures of a family to be compared; None where it was not asked for."""
        if family not in self.how:
            return None
        known = registered_families().get(family)
        names = ("quick", *(known.settings if known is not None else ()))
        return {name: self.how[family].get(name) or None for name in names}


def write(
    run: Path, measures: Sequence[Measure], families: Sequence[str] | None = None, **told: Any
) -> tuple[str, ...]:
    """Write the measures into the folder of a run, whole or not at all; where there are none, there is no file.

    Measures of other families than those judged now stay as they were, if they are of the same weights. So do those
    that were made in full where these are quick.

    Args:
        run: the folder.
        measures: what was found.
        families: those that were asked for; all unless given.
        told: how it was judged (part, examples, seed, quick, …), written beside each family.

    Returns:
        The families of which full measures stayed.
    """
    families = tuple(registered_families()) if families is None else families
    try:
        before = kept(run)
    except SfumatoError:  # damaged, and made anew
        before = None
    before = before or Kept([], {})
    full = {one.family for one in before.measures if not before.how.get(one.family, {}).get("quick")}
    stayed = tuple(family for family in families if told.get("quick") and family in full)
    now = [family for family in families if family not in stayed]
    found = [one for one in before.measures if one.family not in now]
    found += [one for one in measures if one.family in now]
    found = in_order(found)
    if found:
        values = {"format": 1, "weights": fingerprint(run), "how": before.how | dict.fromkeys(now, told)}
        write_json(run / EVALUATION_FILE, values | {"measures": [finite(one.to_dict()) for one in found]})
    else:
        (run / EVALUATION_FILE).unlink(missing_ok=True)
    return stayed


def in_order(measures: Sequence[Measure]) -> list[Measure]:
    """Measures in the order their families are shown; those of families that are not registered here come last."""
    order = list(registered_families())
    return sorted(measures, key=lambda one: order.index(one.family) if one.family in order else len(order))


def kept(run: Path) -> Kept | None:
    """The measures of a run; None if it was not evaluated, or not since its weights changed.

    Raises:
        SfumatoError: if the file is damaged.
    """
    path = run / EVALUATION_FILE
    if not path.exists():
        return None
    try:
        values = read_json(path)
    except SfumatoError:
        raise SfumatoError(
            f"{path}: damaged, not readable as JSON; evaluate the run again, or delete the file"
        ) from None
    try:
        if values["weights"] != fingerprint(run):
            return None
        measures = [Measure.from_dict({**one, "value": _number(one.get("value"))}) for one in values["measures"]]
        told = {name: value for name, value in values.items() if name not in ("format", "weights", "measures")}
        # Older runs say it once for all families.
        how = told["how"] if "how" in told else dict.fromkeys(registered_families(), told)
        return Kept(measures, {str(family): dict(settings) for family, settings in how.items()})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SfumatoError(f"{path}: damaged ({error}); evaluate the run again, or delete the file") from None


def read(run: Path) -> list[Measure] | None:
    """The measures alone of what is `kept`."""
    found = kept(run)
    return None if found is None else found.measures


def fingerprint(run: Path) -> str:
    """The sha256 of the weights; "" where there are none."""
    path = run / WEIGHTS_FILE
    return sha256(path) if path.is_file() else ""


def _number(value: Any) -> float:
    return math.nan if value is None else value
