"""`evaluation.json`: the measures of a run."""

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
    """The stored evaluations of a run.

    Attributes:
        measures: of all families.
        how: family → its settings (part, examples, seed, quick, …), for the families that were evaluated.
    """

    measures: list[Measure]
    how: dict[str, dict[str, Any]]

    def settings(self, family: str) -> dict[str, Any] | None:
        """The settings that must be equal for measures of a family to be comparable; None if it was not evaluated."""
        if family not in self.how:
            return None
        known = registered_families().get(family)
        names = ("quick", *(known.settings if known is not None else ()))
        return {name: self.how[family].get(name) or None for name in names}


def write(run: Path, measures: Sequence[Measure], families: Sequence[str] | None = None, **how: Any) -> tuple[str, ...]:
    """Write the measures into the folder of a run, atomically; without measures there is no file.

    Stored measures of other families are kept if the weights are the same, and full measures are kept if the new ones
    are quick.

    Args:
        run: the folder.
        measures: the new measures.
        families: those that were evaluated; all if None.
        how: its settings (part, examples, seed, quick, …), stored for each family.

    Returns:
        The families of which full measures were kept.
    """
    families = tuple(registered_families()) if families is None else families
    try:
        before = kept(run)
    except SfumatoError:  # Damaged, so it is written again.
        before = None
    before = before or Kept([], {})
    full = {measure.family for measure in before.measures if not before.how.get(measure.family, {}).get("quick")}
    stayed = tuple(family for family in families if how.get("quick") and family in full)
    now = [family for family in families if family not in stayed]
    merged = [measure for measure in before.measures if measure.family not in now]
    merged += [measure for measure in measures if measure.family in now]
    merged = in_order(merged)
    if merged:
        values = {"format": 1, "weights": fingerprint(run), "how": before.how | dict.fromkeys(now, how)}
        write_json(run / EVALUATION_FILE, values | {"measures": [finite(measure.to_dict()) for measure in merged]})
    else:
        (run / EVALUATION_FILE).unlink(missing_ok=True)
    return stayed


def in_order(measures: Sequence[Measure]) -> list[Measure]:
    """Measures in the order their families are shown; those of families that are not registered here come last."""
    order = list(registered_families())
    return sorted(measures, key=lambda measure: order.index(measure.family) if measure.family in order else len(order))


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
        measures = [
            Measure.from_dict({**values_, "value": _number(values_.get("value"))}) for values_ in values["measures"]
        ]
        details = {name: value for name, value in values.items() if name not in ("format", "weights", "measures")}
        # Older runs store the settings once for all families.
        how = details["how"] if "how" in details else dict.fromkeys(registered_families(), details)
        return Kept(measures, {str(family): dict(settings) for family, settings in how.items()})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SfumatoError(f"{path}: damaged ({error}); evaluate the run again, or delete the file") from None


def read(run: Path) -> list[Measure] | None:
    """The measures alone of what is `kept`."""
    stored = kept(run)
    return None if stored is None else stored.measures


def fingerprint(run: Path) -> str:
    """The sha256 of the weights; "" where there are none."""
    path = run / WEIGHTS_FILE
    return sha256(path) if path.is_file() else ""


def _number(value: Any) -> float:
    return math.nan if value is None else value
