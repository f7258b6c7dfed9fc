"""What a model says of itself, as plain data: its options and the attributes of its class. Nothing here needs torch."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from sfumato.errors import SfumatoError, did_you_mean
from sfumato.ranges import RANGE_TYPES, Range, plain
from sfumato.spec import Size

if TYPE_CHECKING:
    from sfumato.models.base import Model

FORMS = ("vector", "image", "sequence", "symbols", "sound", "record")
CONDITIONS = ("none", "optional", "required")
REMEDIES = {
    "rate_weight": "weight of the rate, or of a part of it; 1 in the ELBO",
    "capacity": "nats at which the rate is held",
    "free_bits": "nats of rate that are free for each latent",
    "free_rate": "nats of rate that are free for the whole code",
    "warmup": "steps over which the weight of the rate rises from 0",
    "cycles": "how often the warm-up is repeated",
    "discrepancy_weight": "weight of how far the codes as a whole are from the prior",
    "forgiven_rate": "the share of the rate without cost, from 0 to 1",
    "total_correlation_weight": "weight of the dependence between latents",
    "condition_dropout": "how often a condition is left out in training",
    "standard_prior": "takes the word standard: a normal prior that no condition moves",
    "learned_prior": "takes the word learned: a prior that conditions move",
    "mixture_prior": "takes the word mixture: a learned mixture of normals as the prior",
    "likeness_weight": "weight of likeness relative to fooling the adversary, from 0 to 1",
    "equilibrium": "switch: leave a player out of a step while it is too good for the other",
    "non_saturating": "takes the word non_saturating: an adversarial loss whose gradient stays",
    "released_scaling": "takes the words released and elbo: which weights rate and penalties have",
    "codebook_size": "entries of each codebook",
    "finite_scalars": "takes the word fsq: a fixed grid of finite scalars as the quantizer",
}
"""What an option may do for a model in trouble: the keys of `Model.remedies`."""
RESERVED_NAMES = {
    *("name", "model", "source", "run", "resume", "config", "callbacks", "progress", "opened", "random_state"),
    *("verbose", "report", "quiet", "json", "help", "version"),
}
"""Names that mean something else where options are given."""


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
        if words is None and isinstance(value, str) and str not in (self.annotation, *get_args(self.annotation)):
            raise SfumatoError(f"{self.name} is {value!r}, which is text: give a number")
        if self.range is not None:
            self.range.check(self.name, value)


def _size_options() -> tuple[Option, ...]:
    hints = get_type_hints(Size, include_extras=True)
    return tuple(
        _option(entry.name, hints[entry.name], entry.default, entry.metadata["help"]) for entry in fields(Size)
    )


def _option(name: str, annotation: Any, default: Any, help: str) -> Option:
    kind, within = plain(annotation)
    return Option(name, kind, default, help, within)


SIZE_OPTIONS = _size_options()
"""The options that every model has, but one that was passed as an instance."""


@dataclass(frozen=True, eq=False)
class Description:
    """What a model says of itself; see `Model` for its attributes.

    Attributes:
        name: name or reference by which it is requested.
        summary: one line.
        own_options: the keyword arguments of its `build`.
        classifies: whether it predicts the class of an example, its one condition.
        is_built: whether it is a module that was passed as an instance, which has no options.
    """

    name: str
    summary: str
    own_options: tuple[Option, ...]
    data_forms: tuple[str, ...]
    conditions: str
    preferred_networks: Mapping[str, str] = field(default_factory=dict)
    independent_columns: bool = False
    soon_memorises: bool = False
    separable: bool = False
    joint_options: tuple[str, ...] = ()
    remedies: Mapping[str, str] = field(default_factory=dict)
    classifies: bool = False
    is_built: bool = False

    @property
    def options(self) -> tuple[Option, ...]:
        """The options of `Size`, then the model's own in their order."""
        return () if self.is_built else (*SIZE_OPTIONS, *self.own_options)

    @property
    def takes_conditions(self) -> bool:
        """Whether the model can be given conditions."""
        return self.conditions != "none"

    @property
    def is_conditional(self) -> bool:
        """Whether the conditions of the data set apply to the model with no further options."""
        return self.needs_conditions and not self.classifies

    @property
    def needs_conditions(self) -> bool:
        """Whether the model is nothing without conditions."""
        return self.conditions == "required"


def describe_class(model: type[Model], name: str, summary: str = "", *, is_built: bool = False) -> Description:
    """What a class says of itself.

    Args:
        model: the class.
        name: name or reference by which it is requested.
        summary: one line; the first of the class's docstring unless given.
        is_built: describe a module of this class that was passed as an instance.

    Raises:
        SfumatoError: if an attribute or an argument of `build` is not as it should be; the line says which.
    """
    from sfumato.models.protocols import Classifies

    own = () if is_built else _own_options(model, name)
    description = Description(
        name,
        summary or (inspect.getdoc(model) or name).partition("\n")[0],
        own,
        tuple(model.data_forms),
        model.conditions,
        dict(model.preferred_networks),
        model.independent_columns,
        model.soon_memorises,
        model.separable,
        () if is_built else tuple(model.joint_options),
        {} if is_built else dict(model.remedies),
        issubclass(model, Classifies),
        is_built,
    )
    _check(description)
    return description


def _check(description: Description) -> None:
    for attribute, words, known in (
        ("data_forms", description.data_forms, FORMS),
        ("conditions", (description.conditions,), CONDITIONS),
        ("preferred_networks", description.preferred_networks, FORMS),
        ("remedies", description.remedies, REMEDIES),
    ):
        for word in words:
            if word not in known:
                raise SfumatoError(f"model {description.name}: {attribute} has {word!r}: {did_you_mean(word, known)}")
    names = {option.name for option in description.options}
    for what, name in description.remedies.items():
        if name not in names:
            raise SfumatoError(
                f"model {description.name}: remedies has {what!r}: {name!r}, which is no argument of build"
            )
    for name in description.joint_options:
        if name not in names:
            raise SfumatoError(f"model {description.name}: joint_options has {name!r}, which is no argument of build")


def _own_options(model: type[Model], name: str) -> tuple[Option, ...]:
    build: Any = model.build  # type: ignore[attr-defined]
    build = getattr(build, "__func__", build)
    helps = argument_lines(inspect.getdoc(build) or "")
    options = []
    for argument in inspect.signature(build).parameters.values():
        if argument.kind is not argument.KEYWORD_ONLY:
            continue
        if argument.annotation is argument.empty or argument.default is argument.empty:
            raise SfumatoError(f"model {name}: argument {argument.name} of build needs an annotation and a default")
        if argument.name in RESERVED_NAMES or argument.name in (option.name for option in SIZE_OPTIONS):
            raise SfumatoError(f"model {name}: argument {argument.name} of build needs another name, this one is taken")
        annotation = _resolved(argument.annotation, build, f"model {name}: argument {argument.name} of build")
        options.append(_option(argument.name, annotation, argument.default, helps.get(argument.name, "")))
    return tuple(options)


def _resolved(annotation: Any, function: Callable[..., Any], where: str) -> Any:
    """An annotation that may stand as text.

    It is that of one argument alone, as names in the others may be there for type checkers only. The usual names are
    known without the function's globals: a class of a script that joblib sends to another process comes without those
    that stand in annotations.
    """
    holder = SimpleNamespace(__annotations__={"argument": annotation})
    scope = {"Any": Any, "Literal": Literal, **RANGE_TYPES, **getattr(function, "__globals__", {})}
    try:
        return get_type_hints(holder, scope, include_extras=True)["argument"]
    except (NameError, AttributeError, SyntaxError, TypeError) as error:
        raise SfumatoError(f"{where}: its annotation {annotation} cannot be read ({error})") from error


def argument_lines(docstring: str) -> dict[str, str]:
    """`name: text` lines under `Args:`, continuation lines joined.

    >>> argument_lines("Build it.\\n\\nArgs:\\n    beta: weight\\n        of the rate")
    {'beta': 'weight of the rate'}
    """
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
