"""`evaluation.json`: the measures of a run, beside its model."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sfumato.errors import SfumatoError
from sfumato.evaluation.measure import FAMILIES, Measure
from sfumato.files import read_json, write_json

NAME = "evaluation.json"
WEIGHTS = "model.safetensors"


def write(run: Path, measures: Sequence[Measure], families: Sequence[str] = FAMILIES, **told: Any) -> Path:
    """Write the measures into the folder of a run, whole or not at all.

    Measures of other families than those judged now stay as they were, if they are of the same weights.

    Args:
        run: the folder.
        measures: what was found.
        families: those that were asked for.
        told: how it was judged (part, examples, seed, …), written beside the measures.
    """
    kept = [measure for measure in read(run) or () if measure.family not in families]
    found = sorted([*kept, *measures], key=lambda measure: FAMILIES.index(measure.family))
    path = run / NAME
    told = {"format": 1, "weights": fingerprint(run), **told}
    write_json(path, told | {"measures": [finite(measure.to_dict()) for measure in found]})
    return path


def read(run: Path) -> list[Measure] | None:
    """The measures of a run; None if it was not evaluated, or not since its weights changed.

    Raises:
        SfumatoError: if the file is damaged.
    """
    path = run / NAME
    if not path.exists():
        return None
    values = read_json(path)
    try:
        if values["weights"] != fingerprint(run):
            return None
        return [Measure.from_dict({**one, "value": _number(one.get("value"))}) for one in values["measures"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise SfumatoError(f"{path}: damaged ({error}); delete it, and evaluate the run again") from None


def finite(value: Any) -> Any:
    """JSON has no word for NaN and infinity: null.

    >>> finite({"value": math.nan, "parts": {"z1": math.inf}})
    {'value': None, 'parts': {'z1': None}}
    """
    if isinstance(value, dict):
        return {name: finite(part) for name, part in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def fingerprint(run: Path) -> str:
    """The sha256 of the weights; "" where there are none."""
    path = run / WEIGHTS
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _number(value: Any) -> float:
    return math.nan if value is None else value
