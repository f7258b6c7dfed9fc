"""The models, one file each. The folder is the registry: `names()` lists it, `build` makes one from a spec."""

from __future__ import annotations

from dataclasses import fields, replace
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any

from sfumato.errors import SfumatoError, did_you_mean
from sfumato.models._options import (
    Option,
    classifies,
    for_sequences,
    independent_columns,
    names,
    needs_conditions,
    options,
    prefers_conv,
    summary,
    takes_conditions,
    takes_sequences,
    takes_symbols,
)
from sfumato.spec import Size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sfumato.models.base import Model
    from sfumato.spec import DataSpec

__all__ = [
    "Option",
    "build",
    "chosen_by_data",
    "classifies",
    "for_sequences",
    "independent_columns",
    "names",
    "needs_conditions",
    "options",
    "sized",
    "suits",
    "summary",
    "takes_conditions",
    "takes_sequences",
    "takes_symbols",
]


OTHERS = "tables, vectors and pictures"


def build(name: str, spec: DataSpec, **chosen: Any) -> Model:
    """Make the model `name` for data of `spec`, with networks chosen by the spec.

    Raises:
        SfumatoError: if there is no such model, it has no such option, or a value is out of the option's range.
    """
    if name not in names():
        raise SfumatoError(f"no model is called {name!r}: {did_you_mean(name, names())}")
    if name not in (suited := [other for other in names() if suits(other, spec)]):
        kind = "sequences of symbols" if spec.is_symbols else "sequences" if spec.is_sequence else OTHERS
        raise SfumatoError(f"model {name} is not for {kind}; choose {', '.join(suited)}")
    if spec.given and not takes_conditions(name):
        conditional = ", ".join(filter(takes_conditions, names()))
        raise SfumatoError(f"model {name} takes no conditions (given): leave them out, or choose {conditional}")
    known = {option.name: option for option in options(name)}
    for option, value in chosen.items():
        if option not in known:
            raise SfumatoError(f"model {name} has no option {option!r}: {did_you_mean(option, known)}")
        known[option].check(value)
    sizes = {field.name for field in fields(Size)}
    size = sized(name, spec, Size(**{option: value for option, value in chosen.items() if option in sizes}))
    own = {option: value for option, value in chosen.items() if option not in sizes}
    return import_module(f"sfumato.models.{name}").build(spec, size, **own)


def suits(name: str, spec: DataSpec) -> bool:
    """Whether the model `name` is for data of the kind of `spec`."""
    if spec.is_symbols:
        return takes_symbols(name)
    return takes_sequences(name) if spec.is_sequence else not for_sequences(name)


def chosen_by_data(name: str, spec: DataSpec, told: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a model whose default follows from the data, with the value for data of this spec.

    They are those whose default is None in `build`, from the function of this name in the model's file.

    Args:
        name: of the model.
        spec: of the data.
        told: options that were given, or are so by default; the function takes those it has parameters for.
    """
    choose = getattr(import_module(f"sfumato.models.{name}"), "chosen_by_data", None)
    if choose is None:
        return {}
    heeded = [other for other in signature(choose).parameters if other in told]
    return dict(choose(spec, **{other: told[other] for other in heeded}))


def sized(name: str, spec: DataSpec, size: Size) -> Size:
    """`size` with the kind of network that the model `name` prefers for such data, where it was left open."""
    if size.network == "auto" and spec.is_picture and prefers_conv(name):
        return replace(size, network="conv")
    return size
