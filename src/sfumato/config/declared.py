"""The options there are: of the data, of the models and of the training, with their types, and what a value must be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from sfumato import models
from sfumato.data.core.options import DataOptions
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.models import registry
from sfumato.ranges import Range
from sfumato.training.settings import Settings

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@dataclass(frozen=True)
class Setting:
    """One option: its type, default, line of help, the tables of a config it stands in, and the range of a number.

    An option that two parts share (`seed`) stands in both tables and is given once.
    """

    name: str
    annotation: Any
    default: Any
    help: str
    tables: tuple[str, ...]
    range: Range | None = None


def settings(*names: str) -> dict[str, Setting]:
    """Every option by name: of the data, of some models (of all that ship if none is named), of the training.

    Where several models have an option of one name, the first model's is returned.

    Raises:
        SfumatoError: if there is no such model, or it has an option that is one of the data or the training.
    """
    return _settings(*map(models.describe, names or registry.shipped()))


@cache
def _settings(*descriptions: models.Description) -> dict[str, Setting]:
    merged: dict[str, Setting] = {}
    of_models = (setting for description in descriptions for setting in _model_settings(description))
    for setting in (*_part_settings("data"), *of_models, *_part_settings("training")):
        before = merged.setdefault(setting.name, setting)
        tables = (*before.tables, *(table for table in setting.tables if table not in before.tables))
        merged[setting.name] = replace(before, tables=tables)
    return merged


@cache
def _part_settings(table: str) -> tuple[Setting, ...]:
    kind = {"data": DataOptions, "training": Settings}[table]
    hints = get_type_hints(kind)
    entries = []
    for entry in fields(kind):
        default = entry.default_factory() if entry.default_factory is not MISSING else entry.default
        entries.append(Setting(entry.name, hints[entry.name], default, entry.metadata.get("help", ""), (table,)))
    return tuple(entries)


@cache
def _model_settings(description: models.Description) -> tuple[Setting, ...]:
    taken = {setting.name for table in ("data", "training") for setting in _part_settings(table)}
    for option in description.options:
        if option.name in taken:
            raise SfumatoError(
                f"model {description.name}: argument {option.name} of build needs another name, {option.name} is an "
                "option of the data or the training"
            )
    return tuple(
        Setting(option.name, option.annotation, option.default, option.help, ("model",), option.range)
        for option in description.options
    )


def why_unknown(name: str, model: str, known: Mapping[str, Setting], near: Iterable[str]) -> str:
    """Why `name` is no option: it is another model's, stands in another table, or is misspelt."""
    described = map(models.describe, registry.shipped())
    owners = [other.name for other in described if any(option.name == name for option in other.options)]
    if owners and model not in owners:
        *others, last = owners
        return f"{name} is an option of {' and '.join([', '.join(others), last] if others else [last])}, not of {model}"
    if name in known:
        return f"{name} belongs in [{known[name].tables[0]}]"
    return f"there is no option {name!r}: {did_you_mean(name, near)}"


def checked(setting: Setting, value: Any) -> Any:
    """`value` as the option's type, or a line that says what the option takes."""
    import numpy as np
    from pydantic import ValidationError

    value = value.item() if isinstance(value, np.generic) else value
    members = get_args(setting.annotation)
    wants = [setting.annotation] if not _is_union(setting.annotation) else list(members)
    if isinstance(value, str) and any(get_origin(want) is tuple and str in get_args(want) for want in wants):
        value = (value,)
    whole = isinstance(value, bool) and bool not in wants
    try:
        if whole:
            raise TypeError
        valid = _adapter(setting.name, setting.annotation).validate_python(value)
    except (ValidationError, TypeError):
        takes = " or ".join(_in_words(want) for want in wants if want is not NoneType)
        raise SfumatoError(f"option {setting.name} must be {takes}, not {value!r}") from None
    if setting.range is not None:
        setting.range.check(setting.name, valid)
    return valid


# The name is part of the key: equal annotations such as Literal[1] and Literal[True] compare as the same.
@cache
def _adapter(name: str, annotation: Any) -> TypeAdapter[Any]:
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(annotation, config=ConfigDict(allow_inf_nan=False))


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, UnionType)


def _in_words(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(str(value) for value in get_args(annotation))
    if get_origin(annotation) is tuple:
        inner = get_args(annotation)
        if inner[-1] is Ellipsis:
            return f"a list, each {_in_words(inner[0])}"
        return f"{len(inner)} values, each {_in_words(inner[0])}"
    if get_origin(annotation) is dict:
        return "a table of name = value"
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return words.get(annotation, str(annotation))
