"""From a name to a class: models that ship, models of installed packages, and classes or modules passed by the user.

A model is requested by a *reference*, a string that is also saved in `config.toml`:

* `vae`: a file of `sfumato/models` or of a folder in it, or an entry point of the group `sfumato.models`;
* `mypackage.module:MyModel`: a class of any module that can be imported;
* `mypackage.module:MyModel()`: a module that was passed as an instance. Only who has it can load its weights.

Classes and modules that were passed to `sfumato.fit` are known under their reference for as long as anything holds
them, so that a class of a notebook can be used in the process that defined it.
"""

from __future__ import annotations

import logging
import os
import sys
from functools import cache
from importlib import import_module
from importlib.metadata import (
    Distribution,
    EntryPoint,
    PackageNotFoundError,
    distribution,
    entry_points,
    packages_distributions,
)
from types import ModuleType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from sfumato.errors import SfumatoError, did_you_mean
from sfumato.models.registry.description import Description, describe_class
from sfumato.models.registry.index import PACKAGE, shipped, shipped_class, shipped_descriptions

if TYPE_CHECKING:
    from sfumato.models.base import Model

    AnyModel = str | type[Model] | Model

GROUP = "sfumato.models"
"""Of entry points: name → module:class."""
SCRIPT = "__main__"

logger = logging.getLogger("sfumato.models")

_HANDED_OVER: WeakValueDictionary[str, Any] = WeakValueDictionary()
_DESCRIPTIONS: WeakKeyDictionary[Any, Description] = WeakKeyDictionary()


@cache
def plugins() -> dict[str, EntryPoint]:
    """Models of installed packages: entry points of the group `sfumato.models`, but for names that ship."""
    points = {point.name: point for point in entry_points(group=GROUP)}
    for name in points.keys() & set(shipped()):
        where = points.pop(name).value
        logger.warning("%s: an installed package calls its model %s, as one that ships; use %s", where, name, where)
    return points


def names() -> tuple[str, ...]:
    """Models that can be requested by a bare name: those that ship, then those of installed packages.

    >>> "vae" in names()
    True
    """
    return (*shipped(), *sorted(plugins()))


def reference(model: AnyModel) -> str:
    """The reference of a model: a name unchanged; for a class or module, where it is defined.

    Raises:
        SfumatoError: if a class or an object is no model.
    """
    if isinstance(model, str):
        return model
    is_class = isinstance(model, type)
    kind = _checked(model if is_class else type(model), needs_build=is_class)
    where = f"{kind.__module__}:{kind.__qualname__}"
    if is_class:
        name = kind.__module__.rpartition(".")[2]
        if kind.__module__ == f"{PACKAGE}.{shipped().get(name)}":
            return name
        for point in plugins().values():
            if point.value.replace(" ", "") == where:
                return point.name
        _HANDED_OVER[where] = kind
        return where
    number = 1
    while True:
        name = f"{where}()" + (f"#{number}" if number > 1 else "")
        if _HANDED_OVER.setdefault(name, model) is model:
            return name
        number += 1


def handed_over(name: str) -> type[Model] | Model | None:
    """The class or module that was passed under this reference, if anything still holds it."""
    return _HANDED_OVER.get(name)


def resolve(name: str) -> type[Model] | Model:
    """The class, or the passed module, that a reference names.

    Raises:
        SfumatoError: if there is none, or it cannot be imported.
    """
    if (known := _HANDED_OVER.get(name)) is not None:
        return known
    if name in shipped():
        return shipped_class(name)
    if name in plugins():
        return _imported(plugins()[name].value.replace(" ", ""), name)
    if ":" not in name:
        raise SfumatoError(f"no model is called {name!r}: {did_you_mean(name, names())}")
    if "()" in name:
        raise SfumatoError(
            f"model {name} was passed as a built module: pass it again, as in sfumato.load(run, model=module)"
        )
    module_name, _, path = name.partition(":")
    if "<locals>" in path or (module_name == SCRIPT and not hasattr(sys.modules[SCRIPT], path)):
        raise SfumatoError(f"model {name} is a class of a script or notebook that is not here")
    return _imported(name, name)


def describe(name: str) -> Description:
    """What the model of this name or reference says of itself.

    >>> describe("cvae").conditions, [option.name for option in describe("wae").own_options]
    ('required', ['lam', 'kernel', 'bandwidth'])

    Raises:
        SfumatoError: if there is none, it cannot be imported, or what it says of itself is not as it should be.
    """
    if name not in _HANDED_OVER and name in shipped():
        return shipped_descriptions()[name]
    model = resolve(name)
    known = _DESCRIPTIONS.get(model)
    if known is None or known.name != name:
        kind: type[Model] = model if isinstance(model, type) else type(model)
        known = describe_class(kind, name, is_built=kind is not model)
        _DESCRIPTIONS[model] = known
    return known


def check_available(name: str, origin: str) -> None:
    """Refuse a model that is not here; `origin` is where a run says that it came from, "" if it says nothing.

    Raises:
        SfumatoError: if so.
    """
    try:
        describe(name)
    except SfumatoError as error:
        if not origin:
            raise
        raise SfumatoError(
            f"{error}. It was {origin}; make that available here, or hand the class over: sfumato.load(run, "
            f"model={label(name)})"
        ) from error


def label(name: str) -> str:
    """A model's name as part of the name of a folder.

    >>> label("vae"), label("mypackage.module:MyModel")
    ('vae', 'MyModel')
    """
    return name.rpartition(":")[2].partition("(")[0].rpartition(".")[2]


def origin(name: str) -> str:
    """Where a model of another package comes from, in words for `config.toml`; "" for one that ships.

    >>> origin("vae")
    ''
    """
    if name in shipped():
        return ""
    model = resolve(name)
    kind = model if isinstance(model, type) else type(model)
    where = f"{kind.__module__}:{kind.__qualname__}"
    if _is_of_script(name):
        return f"{where}, defined in a script or notebook"
    if (package := _distribution(name, kind)) is not None:
        return f"{where} of {package.name} {package.version}"
    return f"{where} in {getattr(sys.modules[kind.__module__], '__file__', None) or 'memory'}"


def is_importable(name: str) -> bool:
    """Whether another process can import the model: not one of a script, a notebook or a function, or a built module.

    >>> is_importable("vae"), is_importable("__main__:MyModel")
    (True, False)
    """
    return "()" not in name and not _is_of_script(name)


def _is_of_script(name: str) -> bool:
    """Whether the class was defined where its name does not lead another process."""
    module_name, colon, path = name.partition("()")[0].partition(":")
    if module_name == SCRIPT:
        return True
    if not colon or module_name not in sys.modules:
        return False
    value: Any = sys.modules[module_name]
    for part in path.split("."):
        value = getattr(value, part, None)
    return not isinstance(value, type)


def _distribution(name: str, kind: type) -> Distribution | None:
    if name in plugins():
        return plugins()[name].dist
    for package in _distributions().get(kind.__module__.partition(".")[0], ()):
        try:
            return distribution(package)
        except PackageNotFoundError:
            continue
    return None


@cache
def _distributions() -> Any:
    return packages_distributions()


def _imported(where: str, name: str) -> type[Model]:
    """The class at `module:class`, of the model requested as `name`."""
    module_name, _, path = where.partition(":")
    value: Any = _module(module_name, name)
    for part in path.split("."):
        if not hasattr(value, part):
            classes = [key for key, other in vars(value).items() if isinstance(other, type)]
            raise SfumatoError(f"model {name}: {module_name} has no {path}: {did_you_mean(path, classes)}")
        value = getattr(value, part)
    return _checked(value, needs_build=True)


def _module(module_name: str, name: str) -> ModuleType:
    """A module, also one in the current folder, where `sfumato` as a command does not look by itself."""
    here = os.getcwd()
    try:
        try:
            return import_module(module_name)
        except ModuleNotFoundError as error:
            if here in sys.path or not _is_part(error.name, module_name):
                raise
        sys.path.append(here)  # and there it stays, as what the module imports later may lie there too
        try:
            return import_module(module_name)
        except ModuleNotFoundError:
            sys.path.remove(here)
            raise
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and _is_part(error.name, module_name):
            raise SfumatoError(
                f"model {name}: there is no module {module_name} here; install its package, or put the folder it lies "
                "in on PYTHONPATH"
            ) from None
        raise SfumatoError(
            f"model {name}: importing {module_name} failed with {type(error).__name__}: {error}"
        ) from error


def _is_part(missing: str | None, module_name: str) -> bool:
    """Whether what is missing is the module itself, or a package around it."""
    return missing is not None and f"{module_name}.".startswith(f"{missing}.")


def _checked(model: Any, *, needs_build: bool) -> type[Model]:
    """A passed or imported object, checked to be the class of a model.

    Raises:
        SfumatoError: if not.
    """
    from sfumato.models.base import Model

    name = getattr(model, "__qualname__", repr(model))
    if not (isinstance(model, type) and issubclass(model, Model)):
        raise SfumatoError(f"{name} is no model: give the name of one, or a subclass of sfumato.Model")
    if model.__abstractmethods__:
        missing = ", ".join(sorted(model.__abstractmethods__))
        raise SfumatoError(f"model {name} lacks {missing}: define it, see sfumato.Model")
    if needs_build and not callable(getattr(model, "build", None)):
        raise SfumatoError(
            f"model {name} has no class method build(spec, size, *, …): define it, or give a module that is built"
        )
    return model
