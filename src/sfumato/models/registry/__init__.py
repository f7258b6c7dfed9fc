"""The models there are: `names` lists them, `describe` says what each takes, `build` makes one for a spec.

The files of `sfumato/models` are models; so are entry points of the group `sfumato.models`, classes given as
`mypackage.module:MyModel`, and classes and modules passed to `sfumato.fit`. None of this imports torch before a
model is built, but for models that do not ship, whose module is imported as soon as they are named.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import fields, replace
from inspect import signature
from typing import TYPE_CHECKING, Any

from sfumato import likelihoods
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.formatting import any_of
from sfumato.models.registry.description import REMEDIES, Description, Option
from sfumato.models.registry.index import shipped
from sfumato.models.registry.lookup import (
    check_available,
    describe,
    handed_over,
    is_importable,
    label,
    names,
    origin,
    reference,
    resolve,
)
from sfumato.spec import Size

if TYPE_CHECKING:
    from sfumato.models.base import Model
    from sfumato.spec import DataSpec

__all__ = [
    "REMEDIES",
    "Description",
    "Option",
    "build",
    "check_available",
    "check_suits",
    "chosen_by_data",
    "chosen_for",
    "classifiers",
    "describe",
    "form_of",
    "handed_over",
    "is_importable",
    "label",
    "memorised_cells",
    "names",
    "options",
    "origin",
    "reference",
    "resolve",
    "shipped",
    "sized",
    "suits",
    "summary",
]

FORM_WORDS = {
    **dict.fromkeys(("vector", "image"), "tables, vectors and images"),
    "sequence": "sequences",
    "symbols": "sequences of symbols",
    "sound": "waveforms",
    "record": "mixed records",
}


def options(name: str) -> tuple[Option, ...]:
    """The options of a model: those of `Size`, then those of its `build` in their order.

    >>> [option.name for option in options("beta_vae") if option.name == "beta"]
    ['beta']
    """
    return describe(name).options


def summary(name: str) -> str:
    """What a model is, in one line."""
    return describe(name).summary


def classifiers() -> str:
    """The names of the models that predict classes, as words of a sentence.

    >>> classifiers()
    'm1_m2 or m2'
    """
    return any_of([name for name in shipped() if describe(name).classifies])


def form_of(spec: DataSpec) -> str:
    """The form of the data of a spec, as `Model.data_forms` names it."""
    if spec.is_record:
        return "record"
    if spec.is_symbols or spec.is_waveform:
        return "symbols" if spec.is_symbols else "sound"
    return "sequence" if spec.is_sequence else "image" if spec.is_image else "vector"


def suits(name: str, spec: DataSpec) -> bool:
    """Whether a model is for data of the form of `spec`."""
    return form_of(spec) in describe(name).data_forms


def chosen_for(spec: DataSpec, preferred: str = "vae") -> str:
    """The model that is taken where none is named: the preferred one, or the first that is for data of the form.

    >>> from sfumato.spec import DataSpec, Field
    >>> chosen_for(DataSpec((2,), (Field("real"),))), chosen_for(DataSpec((9, 2), (Field("real"),) * 2))
    ('vae', 'td_vae')
    """
    return preferred if suits(preferred, spec) else next(name for name in shipped() if suits(name, spec))


def check_suits(name: str, spec: DataSpec) -> None:
    """Refuse data and conditions that a model does not take.

    Raises:
        SfumatoError: if so.
    """
    declare = "" if name in shipped() else f", or declare it in {label(name)}."
    form = form_of(spec)
    if not suits(name, spec):
        others = [other for other in shipped() if suits(other, spec)]
        hint = declare and f"{declare}data_forms ({form})"
        raise SfumatoError(f"model {name} is not for {FORM_WORDS[form]}; choose {', '.join(others)}{hint}")
    if spec.given and not describe(name).takes_conditions:
        conditional = ", ".join(other for other in shipped() if describe(other).takes_conditions)
        hint = declare and f"{declare}conditions"
        raise SfumatoError(f"model {name} takes no conditions (given): leave them out, or choose {conditional}{hint}")


def build(name: str, spec: DataSpec, **given: Any) -> Model:
    """Make the model `name` for data of `spec`, with networks chosen by the spec.

    A module that was passed as an instance is copied.

    Raises:
        SfumatoError: if there is no such model, it is not for such data, it has no such option, or a value is out of
            the option's range.
    """
    description = describe(name)
    check_suits(name, spec)
    known = {option.name: option for option in description.options}
    for option, value in given.items():
        if option not in known:
            if description.is_built:
                raise SfumatoError(f"model {name} was built already and has no options: leave {option} out")
            raise SfumatoError(f"model {name} has no option {option!r}: {did_you_mean(option, known)}")
        known[option].check(value)
    model = resolve(name)
    if not isinstance(model, type):
        return copy.deepcopy(model)
    sizes = {field.name for field in fields(Size)}
    size = sized(name, spec, Size(**{option: value for option, value in given.items() if option in sizes}))
    own = {option: value for option, value in given.items() if option not in sizes}
    built: Model = model.build(spec, size, **own)  # type: ignore[attr-defined]
    if not isinstance(built, model):
        raise SfumatoError(f"model {name}: its build returned a {type(built).__name__}, not a {model.__name__}")
    return built


def chosen_by_data(name: str, spec: DataSpec, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a model whose default follows from the data, with the value for data of this spec.

    They are those whose default is None in `build`, from the static method of this name, where the model has one.

    Args:
        name: of the model.
        spec: of the data.
        given: options that were given, or are so by default; the method takes those it has parameters for.
    """
    choose = getattr(resolve(name), "chosen_by_data", None)
    if choose is None or describe(name).is_built:
        return {}
    return dict(choose(spec, **{other: given[other] for other in signature(choose).parameters if other in given}))


def memorised_cells(name: str, spec: DataSpec, given: Mapping[str, Any]) -> int:
    """How many cells and categories a model has to learn rows of `spec` by heart with; 0 where it soon does not.

    The more there are for a row, the more a training has to be held back; see `training.resolve`.

    Args:
        name: of the model.
        spec: of the data.
        given: options of the model that were given; a warm-up needs its time.

    >>> from sfumato.spec import DataSpec, Field
    >>> table = DataSpec((2,), (Field("cells", 8), Field("cells", 8)), likelihood="autoregressive")
    >>> [memorised_cells(*case) for case in (("vae", table, {}), ("vae", table, {"warmup": 2000}), ("m2", table, {}))]
    [16, 0, 0]
    """
    if not likelihoods.named(spec.likelihood).joint_cells or not describe(name).soon_memorises or given.get("warmup"):
        return 0
    return sum(field.size for field in spec.columns if field.kind != "real")


def sized(name: str, spec: DataSpec, size: Size) -> Size:
    """`size` with the kind of network that a model prefers for such data, where it was left open."""
    preferred: Any = describe(name).preferred_networks.get(form_of(spec))
    return replace(size, network=preferred) if size.network == "auto" and preferred else size
