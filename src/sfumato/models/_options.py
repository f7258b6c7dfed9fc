"""A model's options: those of `Size`, and the keyword arguments of its `build`, read without importing torch."""

from __future__ import annotations

import ast
import inspect
import os
import pkgutil
from dataclasses import MISSING, dataclass, fields
from functools import cache
from importlib import import_module
from typing import Any, Literal, get_args, get_origin

from sfumato.errors import SfumatoError, did_you_mean
from sfumato.ranges import NAMES, Range, plain
from sfumato.spec import Size

FOLDER = os.path.dirname(__file__)
"""Also within a zip file, where it is no folder."""


@dataclass(frozen=True)
class Option:
    """One keyword of a model's `build`: its name, type, default, line of help, and the range of a number."""

    name: str
    annotation: Any
    default: Any
    help: str
    range: Range | None = None

    def check(self, value: Any) -> None:
        """Refuse a value that the option does not take; None leaves the choice to the data.

        Raises:
            SfumatoError: if it is a number out of range, text for a number, or none of the words there are.
        """
        if value is None:
            return
        words = get_args(self.annotation) if get_origin(self.annotation) is Literal else None
        if words is not None and value not in words:
            raise SfumatoError(f"{self.name} is {value!r}: {did_you_mean(str(value), words)}")
        if words is None and isinstance(value, str):
            raise SfumatoError(f"{self.name} is {value!r}, which is text: give a number")
        if self.range is not None:
            self.range.check(self.name, value)


@cache
def names() -> tuple[str, ...]:
    """The models there are: the files of this folder.

    >>> "vae" in names()
    True
    """
    return tuple(sorted(module.name for module in pkgutil.iter_modules([FOLDER]) if not module.name.startswith("_")))


@cache
def summary(name: str) -> str:
    """The first line of the docstring of a model's file."""
    return _told(name).summary.partition("\n")[0]


@cache
def options(name: str) -> tuple[Option, ...]:
    """The options of a model: those of `Size`, then those of its `build` in their order.

    >>> [option.name for option in options("beta_vae") if option.name == "beta"]
    ['beta']
    """
    told = _told(name)
    helps = _argument_lines(told.help)
    found = [_option(one.name, str(one.type), one.default, one.metadata["help"]) for one in fields(Size)]
    for argument, (annotation, default) in told.arguments.items():
        if not annotation or default is MISSING:
            raise TypeError(f"models/{name}.py: build's {argument} needs an annotation and a default")
        found.append(_option(argument, annotation, default, helps.get(argument, "")))
    return tuple(found)


def _option(name: str, annotation: str, default: Any, help: str) -> Option:
    kind, within = plain(eval(annotation, {"Any": Any, "Literal": Literal, **NAMES}))
    return Option(name, kind, default, help, within)


def takes_conditions(name: str) -> bool:
    """Whether a model can be given conditions: those that can know how often to leave one out.

    >>> takes_conditions("cvae"), takes_conditions("vae")
    (True, False)
    """
    return any(option.name == "condition_dropout" for option in options(name))


def needs_conditions(name: str) -> bool:
    """Whether a model is nothing without conditions: its file says `NEEDS_CONDITIONS = True`.

    >>> needs_conditions("cvae"), needs_conditions("vae")
    (True, False)
    """
    return _says(name, "NEEDS_CONDITIONS = True")


def classifies(name: str) -> bool:
    """Whether a model tells the class of an example, which is its one condition: its file says `CLASSIFIES = True`.

    >>> classifies("m2"), classifies("cvae")
    (True, False)
    """
    return _says(name, "CLASSIFIES = True")


def takes_sequences(name: str) -> bool:
    """Whether a model is for sequences too: its file says `TAKES_SEQUENCES = True`, or that it is for nothing else.

    >>> takes_sequences("vae"), takes_sequences("vq_vae"), takes_sequences("td_vae")
    (False, True, True)
    """
    return _says(name, "TAKES_SEQUENCES = True") or for_sequences(name)


def for_sequences(name: str) -> bool:
    """Whether a model is for sequences and for nothing else: its file says `FOR_SEQUENCES = True`.

    >>> for_sequences("vq_vae"), for_sequences("td_vae")
    (False, True)
    """
    return _says(name, "FOR_SEQUENCES = True")


def takes_symbols(name: str) -> bool:
    """Whether a model is also for sequences of symbols: its file says `TAKES_SYMBOLS = True`.

    >>> takes_symbols("vae"), takes_symbols("td_vae")
    (True, False)
    """
    return _says(name, "TAKES_SYMBOLS = True")


def prefers_conv(name: str) -> bool:
    """Whether a model's pictures get a convolutional network unless told otherwise: it says `PREFERS_CONV = True`.

    >>> prefers_conv("vq_vae"), prefers_conv("vae")
    (True, False)
    """
    return _says(name, "PREFERS_CONV = True")


def independent_columns(name: str) -> bool:
    """Whether a model's decoder takes the columns of a table apart: its file says `INDEPENDENT_COLUMNS = True`.

    >>> independent_columns("vae_gan"), independent_columns("vae")
    (True, False)
    """
    return _says(name, "INDEPENDENT_COLUMNS = True")


def _says(name: str, line: str) -> bool:
    return line.removesuffix(" = True") in _told(name).flags


@dataclass(frozen=True)
class Told:
    """What a model's file says of it.

    Attributes:
        summary: its docstring.
        help: the docstring of `build`.
        arguments: the keyword arguments of `build`: their annotation, as text, and default, `MISSING` if there is none.
        flags: the names that it sets to True.
    """

    summary: str
    help: str
    arguments: dict[str, tuple[str, Any]]
    flags: frozenset[str]


@cache
def _told(name: str) -> Told:
    """What a model's file says: its source where there is one, which takes no torch, or else the module."""
    source = get_data(__package__, f"{name}.py")
    return from_module(name) if source is None else from_source(source.decode())


def get_data(package: str, name: str) -> bytes | None:
    """A file of a package, in a folder or a zip file; None if it is not there."""
    try:
        return pkgutil.get_data(package, name)
    except OSError:
        return None


def from_source(source: str) -> Told:
    """What the source of a model's file says."""
    tree = ast.parse(source)
    build = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "build")
    arguments = {
        argument.arg: (
            "" if argument.annotation is None else ast.unparse(argument.annotation),
            MISSING if default is None else ast.literal_eval(default),
        )
        for argument, default in zip(build.args.kwonlyargs, build.args.kw_defaults, strict=True)
    }
    lines = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Assign)]
    flags = frozenset(line.removesuffix(" = True") for line in lines if line.endswith(" = True"))
    return Told(ast.get_docstring(tree) or "", ast.get_docstring(build) or "", arguments, flags)


def from_module(name: str) -> Told:
    """What a model's module says, of which there is byte code alone."""
    module = import_module(f"{__package__}.{name}")
    arguments = {
        argument.name: (
            "" if argument.annotation is argument.empty else str(argument.annotation),
            MISSING if argument.default is argument.empty else argument.default,
        )
        for argument in inspect.signature(module.build).parameters.values()
        if argument.kind is argument.KEYWORD_ONLY
    }
    flags = frozenset(flag for flag, value in vars(module).items() if value is True)
    return Told(inspect.getdoc(module) or "", inspect.getdoc(module.build) or "", arguments, flags)


def _argument_lines(docstring: str) -> dict[str, str]:
    """`name: text` lines under `Args:`, continuation lines joined."""
    helps: dict[str, str] = {}
    current = ""
    inside = False
    for line in docstring.splitlines():
        stripped = line.strip()
        if stripped == "Args:":
            inside = True
        elif inside and not stripped:
            break
        elif inside and line.startswith("    ") and not line.startswith("        ") and ":" in stripped:
            current, _, text = stripped.partition(":")
            helps[current] = text.strip()
        elif inside and current:
            helps[current] += " " + stripped
    return helps
