"""`.ts` files of the UCR/UEA archive: sequences of several channels, with or without time stamps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sfumato.errors import SfumatoError

STAMPED = re.compile(r"\(([^()]*),([^(),]*)\)")
BETWEEN = re.compile(r":(?![^(]*\))")
"""A colon parts channels, but not within brackets, where it may be of a time of day."""

Steps = list[tuple[float, float]]


@dataclass(frozen=True)
class Read:
    """What a file holds: values (N, T, D), NaN where missing or beyond the end; stamps (N, T); labels (N,).

    Labels are text if they are classes, and numbers, NaN where missing, if they are the targets of a regression.
    """

    x: np.ndarray
    time: np.ndarray | None
    labels: np.ndarray | None


def read(path: Path) -> Read:
    """Channels apart by colons, values by commas, `?` missing, the label last; or values as (time, value).

    The label is a class (@classLabel true) or a number (@targetLabel true).

    With stamps, the steps of a sequence are the times at which any of its channels has a value; the others are missing
    there. A stamp is a number, or a date and time, which becomes seconds.

    Raises:
        SfumatoError: if it is damaged.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SfumatoError(f"{path}: not readable as .ts ({error})") from None
    header: dict[str, str] = {}
    rows: list[list[Steps]] = []
    labels: list[str] = []
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        if "@data" not in header:
            word, *rest = line.lower().split()
            header[word] = rest[0] if rest else ""
            continue
        parts = BETWEEN.split(line)
        target = header.get("@targetlabel") == "true"
        if target or header.get("@classlabel") == "true":
            labels.append(parts.pop().strip())
        try:
            if target:
                _number(labels[-1])
            rows.append([_stamped(part) if header.get("@timestamps") == "true" else _counted(part) for part in parts])
        except ValueError:
            raise SfumatoError(f"{path}: line {number} holds something else than numbers; fix it") from None
        if len(rows[-1]) != len(rows[0]):
            raise SfumatoError(f"{path}: line {number} has {len(rows[-1])} channels, the first has {len(rows[0])}")
    if not rows or not rows[0]:
        raise SfumatoError(f"{path}: holds no sequence below a line @data")
    times = [sorted({time for channel in row for time, _ in channel}) for row in rows]
    shape = (len(rows), max(map(len, times)))
    x, stamps = np.full((*shape, len(rows[0])), np.nan), np.full(shape, np.nan)
    for n, (row, series_times) in enumerate(zip(rows, times, strict=True)):
        stamps[n, : len(series_times)] = series_times
        place = {time: step for step, time in enumerate(series_times)}
        for d, channel in enumerate(row):
            for time, value in channel:
                x[n, place[time], d] = value
    told_apart = np.array(labels) if labels else None
    if labels and header.get("@targetlabel") == "true":
        told_apart = np.array([_number(label) for label in labels])
    return Read(x, stamps if header.get("@timestamps") == "true" else None, told_apart)


def _counted(part: str) -> Steps:
    return [(float(step), _number(word)) for step, word in enumerate(part.split(","))]


def _stamped(part: str) -> Steps:
    if STAMPED.sub("", part).strip(" ,"):
        raise ValueError(part)
    return [(_time(time.strip()), _number(word)) for time, word in STAMPED.findall(part)]


def _time(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return float(np.datetime64(word.strip("\"'").replace(" ", "T"), "us").astype(np.int64)) / 1e6


def _number(word: str) -> float:
    return np.nan if word.strip() == "?" else float(word)
