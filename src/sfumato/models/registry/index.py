"""The models that ship: modules of `sfumato/models` and its folders, and their descriptions, which are remembered.

A description comes from the class, and importing a class imports torch, which takes seconds. So that `--help` does not
wait for it, descriptions are kept in a file of the user's cache folder (`~/.cache/sfumato`), together with the size and
the time of every source file they follow from. When one of these changes, they are read from the classes again. Where
no such file can be written, or the sources are no files (a zip, byte code alone), all works the same, only slower.
"""

from __future__ import annotations

import json
import math
import os
import pkgutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from sfumato._version import __version__
from sfumato.errors import SfumatoError
from sfumato.files import write_json
from sfumato.models.registry.description import Description, Option, describe_class
from sfumato.ranges import Range

if TYPE_CHECKING:
    from sfumato.models.base import Model

PACKAGE = "sfumato.models"
FOLDER = os.path.dirname(os.path.dirname(__file__))
"""Of the models; also within a zip file, where it is no folder."""
INTERFACE = ("base", "latent", "protocols", "conditional.semi_supervised")
"""Modules of the package that are no models."""
INDEX_FORMAT = 2
"""Of the file of descriptions."""
TYPE_NAMES: dict[str, type] = {"int": int, "float": float, "bool": bool, "str": str}


@cache
def shipped() -> Mapping[str, str]:
    """The models that ship, in order, and their modules within the package.

    >>> "vae" in shipped(), "base" in shipped(), shipped()["cvae"]
    (True, False, 'conditional.cvae')
    """
    modules = [module for module in _modules() if module not in INTERFACE]
    return {module.rpartition(".")[2]: module for module in sorted(modules, key=lambda name: name.rpartition(".")[2])}


def _modules() -> Iterator[str]:
    """Those of the folder and of the folders of related models in it."""
    for entry in pkgutil.iter_modules([FOLDER]):
        if not entry.ispkg:
            yield entry.name
        elif entry.name != "registry":
            inner = pkgutil.iter_modules([os.path.join(FOLDER, entry.name)])
            yield from (f"{entry.name}.{module.name}" for module in inner)


@cache
def shipped_class(name: str) -> type[Model]:
    """The class of a model that ships: the one in its file that has a `build`."""
    module = import_module(f"{PACKAGE}.{shipped()[name]}")
    own = (value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__)
    return next(value for value in own if isinstance(value, type) and "build" in vars(value))


@cache
def shipped_descriptions() -> Mapping[str, Description]:
    """The description of each model that ships, by name."""
    sources = _sources()
    remembered = None if sources is None else _read(sources)
    if remembered is not None:
        return remembered
    descriptions = {name: _describe(name) for name in shipped()}
    if sources is not None:
        # Whoever cannot write it waits again next time.
        with suppress(SfumatoError, OSError):
            _place().parent.mkdir(parents=True, exist_ok=True)
            write_json(_place(), {"sources": sources, "models": list(map(to_dict, descriptions.values()))})
    return descriptions


def _describe(name: str) -> Description:
    """From the class; its line is the first of its file's docstring."""
    model = shipped_class(name)
    summary = (import_module(model.__module__).__doc__ or "").partition("\n")[0]
    return describe_class(model, name, summary)


def _place() -> Path:
    """The file of descriptions of this installation."""
    cache_folder = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or os.path.expanduser("~/.cache")
    return Path(cache_folder) / "sfumato" / f"models-{zlib.crc32(FOLDER.encode()):08x}.json"


def _sources() -> list[Any] | None:
    """What descriptions follow from: version, format, and size and time of files; None where there are no files."""
    package = os.path.dirname(FOLDER)
    names = [f"models/{name.replace('.', '/')}.py" for name in (*shipped().values(), *INTERFACE)]
    names += [f"models/registry/{name}.py" for name in ("description", "index")]
    names += ["ranges.py", "spec.py"]
    try:
        states = [os.stat(os.path.join(package, name)) for name in names]
    except OSError:
        return None
    return [
        __version__,
        INDEX_FORMAT,
        *([name, state.st_size, state.st_mtime_ns] for name, state in zip(names, states, strict=True)),
    ]


def _read(sources: list[Any]) -> dict[str, Description] | None:
    """The descriptions that were kept; None if there are none, or they are of other sources."""
    try:
        values = json.loads(_place().read_text(encoding="utf-8"))
        if values["sources"] != sources:
            return None
        return {entry["name"]: from_dict(entry) for entry in values["models"]}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def to_dict(description: Description) -> dict[str, Any]:
    """A description as JSON has it."""
    values = dict(vars(description))
    values["own_options"] = [_option_to_dict(option) for option in description.own_options]
    return values


def from_dict(values: Mapping[str, Any]) -> Description:
    """Back from `to_dict`."""
    options = tuple(_option_from_dict(option) for option in values["own_options"])
    lists = {name: tuple(values[name]) for name in ("data_forms", "joint_options")}
    return Description(**{**values, "own_options": options, **lists})


def _option_to_dict(option: Option) -> dict[str, Any]:
    """Its type is a word of `TYPE_NAMES` or a list of choices, and whether it may be None."""
    members = [kind for kind in get_args(option.annotation) if kind is not type(None)]
    is_choice = get_origin(option.annotation) is Literal
    is_optional = not is_choice and type(None) in get_args(option.annotation)
    kind = option.annotation if is_choice or not is_optional else members[0]
    choices = list(get_args(kind)) if get_origin(kind) is Literal else None
    return {
        "name": option.name,
        "type": kind.__name__ if choices is None else choices,
        "optional": is_optional,
        "default": option.default,
        "help": option.help,
        "range": None if option.range is None else _range_to_list(option.range),
    }


def _option_from_dict(values: Mapping[str, Any]) -> Option:
    kind = values["type"]
    annotation: Any = TYPE_NAMES[kind] if isinstance(kind, str) else Literal[tuple(kind)]
    return Option(
        values["name"],
        annotation | None if values["optional"] else annotation,
        values["default"],
        values["help"],
        None if values["range"] is None else _range_from_list(values["range"]),
    )


def _range_to_list(within: Range) -> list[Any]:
    """Its ends, None for infinity, and whether each is left out."""
    ends = [end if math.isfinite(end) else None for end in (within.low, within.high)]
    return [*ends, within.open_low, within.open_high]


def _range_from_list(ends: list[Any]) -> Range:
    """Back from `_range_to_list`."""
    low, high, open_low, open_high = ends
    return Range(-math.inf if low is None else low, math.inf if high is None else high, open_low, open_high)
