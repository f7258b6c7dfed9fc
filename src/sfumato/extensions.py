"""Modules of installed packages that register likelihoods, kinds of data and families of measures when imported.

A package names them in the entry points of the group `sfumato.extensions`. Models have a group of their own, see
`sfumato.models.registry`, and are imported only when they are named.
"""

from __future__ import annotations

import logging
from functools import cache
from importlib.metadata import EntryPoint, entry_points

GROUP_OF_EXTENSIONS = "sfumato.extensions"
"""Of entry points: any name → module."""

logger = logging.getLogger("sfumato")

_imported: set[str] = set()


@cache
def _points() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=GROUP_OF_EXTENSIONS))


def import_extensions() -> None:
    """Import them, each once in a process. One that fails is left out with a warning."""
    for point in _points():
        if point.value in _imported:
            continue
        # Set before the import, in which the registries are asked again.
        _imported.add(point.value)
        try:
            point.load()
        except Exception as error:
            package = "" if point.dist is None else f" of {point.dist.name} {point.dist.version}"
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            logger.warning("extension %s%s is left out, as its import failed with %s", point.value, package, reason)
