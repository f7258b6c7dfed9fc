"""Flags made from the options there are (`sfumato.config.settings`), without importing torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, fields, make_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from cyclopts import Group, Parameter

from sfumato import models
from sfumato.config import Setting, settings
from sfumato.errors import SfumatoError

PANELS = {name: Group.create_ordered(name.capitalize()) for name in ("data", "model", "training")}
OUTPUT = Group.create_ordered("Output")

COMMON = ("seed", "device")
"""Options that every command has, told in the panel of the output."""

SINGULAR = {"kinds": "kind"}
"""Options whose flag is given once for each entry."""


def spelling(name: str) -> str:
    """An option as it is typed.

    >>> spelling("latent_dim"), spelling("kinds")
    ('--latent-dim', '--kind')
    """
    return "--" + SINGULAR.get(name, name).replace("_", "-")


@cache
def options_class() -> type:
    """A dataclass with one field for every option of the data, of any model, and of the training; None: not given."""
    columns = [_field(setting) for setting in settings().values() if setting.name not in COMMON]
    return make_dataclass("Options", columns, kw_only=True, namespace={"__module__": __name__})


def chosen(options: Any) -> dict[str, Any]:
    """The options that were given, by name, as `sfumato.config.resolve` takes them."""
    known = settings()
    found = {}
    for one in fields(options):
        value = getattr(options, one.name)
        if value is not None:
            entries = get_origin(known[one.name].annotation) is dict
            found[one.name] = pairs(spelling(one.name), value) if entries else _value(known[one.name], value)
    return found


def pairs(flag: str, words: Sequence[str] | None) -> dict[str, str]:
    """`name=value` words as a mapping.

    >>> pairs("--given", ["species=Adelie"])
    {'species': 'Adelie'}

    Raises:
        SfumatoError: if a word is not of that form, or a name is given twice.
    """
    found: dict[str, str] = {}
    for word in words or ():
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise SfumatoError(f"{flag} {word}: write it as name=value, as in {flag} {name or 'name'}=…")
        if name in found:
            raise SfumatoError(f"{flag} {name} is given twice; keep one of them")
        found[name] = value
    return found


def shown(default: Any) -> str:
    """A default as a person would type it; nothing for None and for what is empty.

    >>> shown((0.8, 0.1, 0.1)), shown(False), shown(None)
    ('0.8 0.1 0.1', 'no', '')
    """
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, tuple | list):
        return " ".join(str(part) for part in default)
    return "" if default is None or default == {} else str(default)


def _field(setting: Setting) -> tuple[str, Any, Any]:
    entries = get_origin(setting.annotation) is dict
    kind = list[str] if entries else _read_as(setting.annotation)
    model = setting.tables[0] == "model"
    parameter = Parameter(
        name=spelling(setting.name),
        help=_model_help(setting) if model else setting.help,
        show_default=(_model_default(setting.name) if model else shown(setting.default)) or None,
        group=PANELS[setting.tables[0]],
        negative=None if kind is bool else "",
        metavar="NAME=VALUE" if entries else None,
    )
    return setting.name, Annotated[kind | None, parameter], field(default=None)


def _read_as(annotation: Any) -> Any:
    """What a flag reads: `X | None` is X, a tuple of any length a list; what may be number or word is a word."""
    if get_origin(annotation) in (Union, UnionType):
        kinds = [_read_as(part) for part in get_args(annotation) if part is not NoneType]
        return kinds[0] if len(kinds) == 1 else str
    if get_origin(annotation) is tuple and get_args(annotation)[-1] is Ellipsis:
        return list[get_args(annotation)[0]]  # type: ignore[misc]
    return annotation


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


def _having(name: str) -> dict[str, Setting]:
    return {model: settings(model)[name] for model in models.names() if name in settings(model)}


def _model_help(setting: Setting) -> str:
    owners = _having(setting.name)
    return setting.help if len(owners) == len(models.names()) else f"{setting.help} ({', '.join(owners)})"


def _model_default(name: str) -> str:
    """One default where all models agree, otherwise each with its models."""
    by_default: dict[str, list[str]] = {}
    for model, setting in _having(name).items():
        by_default.setdefault(shown(setting.default) or "chosen from the data", []).append(model)
    if len(by_default) == 1:
        return next(iter(by_default))
    return "; ".join(f"{default} for {', '.join(who)}" for default, who in by_default.items())
