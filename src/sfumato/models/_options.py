"""A model's options: those of `Size`, and the keyword arguments of its `build`, read without importing torch."""

from __future__ import annotations

import ast
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from sfumato.errors import SfumatoError, did_you_mean
from sfumato.ranges import NAMES, Range, plain
from sfumato.spec import Size

FOLDER = Path(__file__).parent


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
    return tuple(sorted(path.stem for path in FOLDER.glob("[!_]*.py")))


@cache
def summary(name: str) -> str:
    """The first line of the docstring of a model's file."""
    return (ast.get_docstring(_tree(name)) or "").partition("\n")[0]


@cache
def options(name: str) -> tuple[Option, ...]:
    """The options of a model: those of `Size`, then those of its `build` in their order.

    >>> [option.name for option in options("beta_vae") if option.name == "beta"]
    ['beta']
    """
    build = next(node for node in _tree(name).body if isinstance(node, ast.FunctionDef) and node.name == "build")
    helps = _argument_lines(ast.get_docstring(build) or "")
    found = [_option(one.name, str(one.type), one.default, one.metadata["help"]) for one in fields(Size)]
    for argument, default in zip(build.args.kwonlyargs, build.args.kw_defaults, strict=True):
        if argument.annotation is None or default is None:
            raise TypeError(f"models/{name}.py: build's {argument.arg} needs an annotation and a default")
        annotation, help = ast.unparse(argument.annotation), helps.get(argument.arg, "")
        found.append(_option(argument.arg, annotation, ast.literal_eval(default), help))
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


def _says(name: str, line: str) -> bool:
    return any(ast.unparse(node) == line for node in _tree(name).body if isinstance(node, ast.Assign))


def _tree(name: str) -> ast.Module:
    return ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))


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
