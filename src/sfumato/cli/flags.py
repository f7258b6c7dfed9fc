"""Command-line flags generated from the declared options (`sfumato.config.settings`), without importing torch."""

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
"""Options that every command has, shown in the output panel."""

SINGULAR = {"kinds": "kind", "ranges": "range"}
"""Options whose flag is repeated for each entry."""


METAVARS = {int: "N", float: "X", str: "TEXT"}


def whole(kind: Any, tokens: Sequence[Token]) -> int:
    """Convert a typed whole number; 10.5 is an error."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"{tokens[0].value!r} is not a whole number") from None


WHOLE_NUMBER = Parameter(metavar="N", converter=whole)
"""A whole number."""


def spelling(name: str) -> str:
    """The flag of an option.

    >>> spelling("latent_dim"), spelling("kinds")
    ('--latent-dim', '--kind')
    """
    return "--" + SINGULAR.get(name, name).replace("_", "-")


@cache
def options_class(models: Sequence[str], tables: Sequence[str] = tuple(PANELS)) -> type:
    """A dataclass with one field for every option of `tables`: data, some models, and training; None: not set."""
    known = [setting for setting in settings(*models).values() if setting.tables[0] in tables]
    columns = [_field(setting) for setting in known if setting.name not in COMMON]
    return make_dataclass("Options", columns, kw_only=True, namespace={"__module__": __name__, "MODELS": models})


def with_options(
    command: Callable[..., Any], models: Sequence[str], tables: Sequence[str] = tuple(PANELS)
) -> Callable[..., Any]:
    """A command whose parameter `options` has a flag for every option of `tables`: data, some models, and training.

    The flags are generated when the application is built and not when the module is imported, because the available
    models may depend on the arguments.
    """
    none = make_dataclass("Options", [], namespace={"__module__": __name__})
    kind = options_class(tuple(models), tuple(tables)) if models else none
    assert isinstance(command, FunctionType)
    code, names = command.__code__, command.__globals__
    function = FunctionType(code, names, command.__name__, command.__defaults__, command.__closure__)
    function.__doc__, function.__module__ = command.__doc__, command.__module__
    function.__kwdefaults__ = {**(command.__kwdefaults__ or {}), "options": kind()}
    hints = get_type_hints(command, include_extras=True)
    function.__annotations__ = {**hints, "options": Annotated[kind, Parameter(name="*")]}
    return function


def chosen(options: Any) -> dict[str, Any]:
    """The options that are set, by name, as `sfumato.config.resolve` takes them."""
    known = settings(*options.MODELS)
    values = {}
    for option in fields(options):
        value = getattr(options, option.name)
        if value is not None:
            entries = get_origin(known[option.name].annotation) is dict
            values[option.name] = (
                kinds_of(spelling(option.name), value) if entries else _value(known[option.name], value)
            )
    return values


def kinds_of(flag: str, words: Sequence[str]) -> dict[str, str]:
    """`name=value` arguments as a mapping, split at the last `=`: names may contain one, values may not.

    >>> kinds_of("--kind", ["a=b=integer"])
    {'a=b': 'integer'}

    Raises:
        SfumatoError: if an argument is not of that form, or a name is repeated.
    """
    return pairs(flag, words, [word.rpartition("=")[0] for word in words])


def pairs(flag: str, words: Sequence[str] | None, names: Sequence[str] = ()) -> dict[str, str]:
    """`name=value` arguments as a mapping, split at the first `=` after the longest matching one of `names`, if any.

    >>> pairs("--given", ["species=Adelie"]), pairs("--given", ["a=b=c"], ["a", "a=b"])
    ({'species': 'Adelie'}, {'a=b': 'c'})

    Raises:
        SfumatoError: if an argument is not of that form, or a name is repeated.
    """
    mapping: dict[str, str] = {}
    for word in words or ():
        known = max((name for name in names if word.startswith(f"{name}=")), key=len, default="")
        name, equals, value = (known, "=", word[len(known) + 1 :]) if known else word.partition("=")
        if not equals or not name:
            raise SfumatoError(f"{flag} {word}: write it as name=value, as in {flag} {name or 'name'}=…")
        if name in mapping:
            raise SfumatoError(f"{flag} {name} is given twice; keep one of them")
        mapping[name] = value
    return mapping


def shown(default: Any) -> str:
    """A default as it would be typed; "" for None, for a switch that is off, and for empty values.

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
    """The type of a flag and its metavar.

    A choice is read as a string, because models may offer different ones; so is a string or a number.
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
    """The choices of an option, if it has any."""
    literals = (part for part in _parts(setting.annotation) if get_origin(part) is Literal)
    return [str(word) for literal in literals for word in get_args(literal)]


def _value(setting: Setting, value: Any) -> Any:
    """Convert a string to a number if the option accepts numbers too."""
    if not isinstance(value, str):
        return value
    for kind in (int, float):
        if kind in get_args(setting.annotation):
            try:
                return kind(value)
            except ValueError:
                continue
    return value
