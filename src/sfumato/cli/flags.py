"""Flags made from the options there are (`sfumato.config.settings`), without importing torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field, fields, make_dataclass
from functools import cache
from types import FunctionType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from cyclopts import Group, Parameter, Token

from sfumato.config import Setting, settings
from sfumato.errors import SfumatoError

PANELS = {name: Group.create_ordered(name.capitalize()) for name in ("data", "model", "training")}
OUTPUT = Group.create_ordered("Output")

COMMON = ("seed", "device")
"""Options that every command has, told in the panel of the output."""

SINGULAR = {"kinds": "kind"}
"""Options whose flag is given once for each entry."""


METAVARS = {int: "N", float: "X", str: "TEXT"}


def whole(kind: Any, tokens: Sequence[Token]) -> int:
    """A whole number as it is typed; 10.5 is none."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"{tokens[0].value!r} is not a whole number") from None


WHOLE_NUMBER = Parameter(metavar="N", converter=whole)
"""A whole number."""


def spelling(name: str) -> str:
    """An option as it is typed.

    >>> spelling("latent_dim"), spelling("kinds")
    ('--latent-dim', '--kind')
    """
    return "--" + SINGULAR.get(name, name).replace("_", "-")


@cache
def options_class(*models: str) -> type:
    """A dataclass with one field for every option of the data, of some models, and of the training; None: not given."""
    columns = [_field(setting) for setting in settings(*models).values() if setting.name not in COMMON]
    return make_dataclass("Options", columns, kw_only=True, namespace={"__module__": __name__, "MODELS": models})


def with_options(command: Callable[..., int], models: Sequence[str]) -> Callable[..., int]:
    """A command whose parameter `options` has a flag for every option of the data, of some models, and of the training.

    The flags are made when a command is put together and not when its module is imported, because which models there
    are may depend on what was typed.
    """
    kind = options_class(*models) if models else make_dataclass("Options", [], namespace={"__module__": __name__})
    assert isinstance(command, FunctionType)
    code, names = command.__code__, command.__globals__
    made = FunctionType(code, names, command.__name__, command.__defaults__, command.__closure__)
    made.__doc__, made.__module__ = command.__doc__, command.__module__
    made.__kwdefaults__ = {**(command.__kwdefaults__ or {}), "options": kind()}
    hints = get_type_hints(command, include_extras=True)
    made.__annotations__ = {**hints, "options": Annotated[kind, Parameter(name="*")]}
    return made


def chosen(options: Any) -> dict[str, Any]:
    """The options that were given, by name, as `sfumato.config.resolve` takes them."""
    known = settings(*options.MODELS)
    found = {}
    for one in fields(options):
        value = getattr(options, one.name)
        if value is not None:
            entries = get_origin(known[one.name].annotation) is dict
            found[one.name] = kinds_of(spelling(one.name), value) if entries else _value(known[one.name], value)
    return found


def kinds_of(flag: str, words: Sequence[str]) -> dict[str, str]:
    """`name=value` words as a mapping, cut at the last `=`: names may have one, what they are set to has none.

    >>> kinds_of("--kind", ["a=b=integer"])
    {'a=b': 'integer'}

    Raises:
        SfumatoError: if a word is not of that form, or a name is given twice.
    """
    return pairs(flag, words, [word.rpartition("=")[0] for word in words])


def pairs(flag: str, words: Sequence[str] | None, names: Sequence[str] = ()) -> dict[str, str]:
    """`name=value` words as a mapping, cut at the first `=` behind one of the `names`, the longest, if there is one.

    >>> pairs("--given", ["species=Adelie"]), pairs("--given", ["a=b=c"], ["a", "a=b"])
    ({'species': 'Adelie'}, {'a=b': 'c'})

    Raises:
        SfumatoError: if a word is not of that form, or a name is given twice.
    """
    found: dict[str, str] = {}
    for word in words or ():
        known = max((name for name in names if word.startswith(f"{name}=")), key=len, default="")
        name, equals, value = (known, "=", word[len(known) + 1 :]) if known else word.partition("=")
        if not equals or not name:
            raise SfumatoError(f"{flag} {word}: write it as name=value, as in {flag} {name or 'name'}=…")
        if name in found:
            raise SfumatoError(f"{flag} {name} is given twice; keep one of them")
        found[name] = value
    return found


def shown(default: Any) -> str:
    """A default as a person would type it; nothing for None, for a switch that is off, and for what is empty.

    >>> shown((0.8, 0.1, 0.1)), shown(4.0), shown(None)
    ('0.8 0.1 0.1', '4', '')
    """
    if default is False:
        return ""
    if isinstance(default, tuple | list):
        return " ".join(str(part) for part in default)
    if isinstance(default, float):
        return f"{default:g}"
    return "" if default is None or default == {} else str(default)


def _field(setting: Setting) -> tuple[str, Any, Any]:
    kind, metavar = _read_as(setting)
    parameter = Parameter(
        name=spelling(setting.name),
        help=setting.help,
        show_default=shown(setting.default) or None,
        group=PANELS[setting.tables[0]],
        negative=None if setting.default is True else "",
        metavar=metavar,
        converter=whole if kind is int else None,
        allow_leading_hyphen=kind == list[str],
    )
    return setting.name, Annotated[kind | None, parameter], field(default=None)


def _read_as(setting: Setting) -> tuple[Any, str | None]:
    """What a flag reads, and how it is shown.

    A choice is read as a word, for the models may offer different ones; so is what may be a word or a number.
    """
    annotation = setting.annotation
    if get_origin(annotation) is dict:
        return list[str], "NAME=VALUE"
    parts = [part for part in _parts(annotation) if part is not NoneType]
    if all(get_origin(part) is Literal for part in parts):
        return str, "|".join(choices(setting))
    if get_origin(parts[0]) is tuple and get_args(parts[0])[-1] is Ellipsis:
        return list[str], "NAME"
    if get_origin(parts[0]) is tuple:
        return parts[0], " ".join(METAVARS[part] for part in get_args(parts[0]))
    if len(parts) > 1:
        return str, METAVARS[str]
    return parts[0], METAVARS.get(parts[0])


def _parts(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def choices(setting: Setting) -> list[str]:
    """The words an option offers, if it offers some."""
    literals = (part for part in _parts(setting.annotation) if get_origin(part) is Literal)
    return [str(word) for literal in literals for word in get_args(literal)]


def _value(setting: Setting, value: Any) -> Any:
    """A word as the number it spells, where the option takes numbers too."""
    if not isinstance(value, str):
        return value
    for kind in (int, float):
        if kind in get_args(setting.annotation):
            try:
                return kind(value)
            except ValueError:
                continue
    return value
