"""The configuration of a run, as written to and read from `config.toml`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from sfumato._version import __version__
from sfumato.config.declared import checked, settings, why_unknown
from sfumato.data.core.options import DataOptions
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.files import read_toml
from sfumato.models import registry
from sfumato.training.settings import Settings

CONFIG_TABLES = ("data", "model", "training")


@dataclass(frozen=True)
class Config:
    """The configuration of a run.

    Attributes:
        model: the model's name, or its reference as `sfumato.models.registry` has it.
        options: keyword arguments of the model's `build`; those that are absent are chosen from the data.
        data: how the source is read.
        training: how the model is trained.
        source: the built-in data set or path the data came from; "" for data passed in memory.
    """

    model: str = "vae"
    options: Mapping[str, Any] = field(default_factory=dict)
    data: DataOptions = field(default_factory=DataOptions)
    training: Settings = field(default_factory=Settings)
    source: str = ""

    def non_default_options(self) -> dict[str, Any]:
        """The options that are not at their defaults, by name, as `resolve` takes them.

        >>> Config(training=Settings(epochs=3)).non_default_options()
        {'epochs': 3}
        """
        values = {**_values(self.data), **self.options, **_values(self.training)}
        known = settings(self.model)
        return {name: value for name, value in values.items() if value != known[name].default}

    def with_options(self, options: Mapping[str, Any]) -> Config:
        """The same with these options instead, as `resolve` takes them.

        >>> Config(training=Settings(epochs=3)).with_options({"latent_dim": 2}).training.epochs
        3

        Raises:
            SfumatoError: if there is no such option, or a value is not of the option's type.
        """
        known = settings(self.model)
        by_table: dict[str, dict[str, Any]] = {table: {} for table in CONFIG_TABLES}
        for name, value in options.items():
            if value is None and (name in known or name in settings()):
                continue
            if name not in known:
                raise SfumatoError(why_unknown(name, self.model, known, (*known, "model")))
            for table in known[name].tables:
                by_table[table][name] = checked(known[name], value)
        return replace(
            self,
            options={**self.options, **by_table["model"]},
            data=replace(self.data, **by_table["data"]),
            training=replace(self.training, **by_table["training"]),
        )

    def with_model(self, model: str) -> Config:
        """Another model on the same data, trained the same way; the options of this one are not taken over.

        >>> Config(training=Settings(epochs=3)).with_model("cvae").training.epochs
        3

        Raises:
            SfumatoError: if there is no such model.
        """
        return replace(resolve(model, {}, source=self.source), data=self.data, training=self.training)

    def to_dict(self) -> dict[str, Any]:
        """The tables of `config.toml`; what is None is left out.

        `origin` names the package of a model from elsewhere, for errors where that package is not installed.
        """
        origin = registry.origin(self.model)
        return {
            "source": self.source,
            "version": __version__,
            **({"origin": origin} if origin else {}),
            "data": _present(_values(self.data)),
            "model": {"name": self.model, **_present(self.options)},
            "training": _present(_values(self.training)),
        }

    @classmethod
    def from_dict(cls, tables: Mapping[str, Any], where: str = "config", *, model: str | None = None) -> Config:
        """Back from `to_dict`.

        Args:
            tables: of `config.toml`.
            where: what opens the line of an error.
            model: the reference that holds instead of the model's name, where that means nothing here.

        Raises:
            SfumatoError: if a table or an option is unknown, or a value does not fit.
        """
        for name in tables:
            if name not in (*CONFIG_TABLES, "source", "version", "origin"):
                raise SfumatoError(f"{where}: unknown entry {name!r}: {did_you_mean(name, (*CONFIG_TABLES, 'source'))}")
        parts = {}
        for name in CONFIG_TABLES:
            parts[name] = tables.get(name, {})
            if not isinstance(parts[name], Mapping):
                raise SfumatoError(f"{where}: {name} must be a table: write [{name}] above its options")
        model = parts["model"].get("name", "vae") if model is None else model
        source = tables.get("source", "")
        if not isinstance(source, str):
            raise SfumatoError(f"{where}: source must be text, the name of a data set or a path")
        try:
            _check_model(model, tables.get("origin", ""))
            by_table: dict[str, dict[str, Any]] = {table: {} for table in CONFIG_TABLES}
            known = settings(model)
            for table, values in parts.items():
                here = {name: s for name, s in known.items() if table in s.tables}
                for name, value in values.items():
                    if (table, name) == ("model", "name"):
                        continue
                    if name not in here:
                        raise SfumatoError(f"[{table}] {why_unknown(name, model, known, here)}")
                    by_table[table][name] = checked(here[name], value)
            return cls(
                model=model,
                options=by_table["model"],
                data=DataOptions(**by_table["data"]),
                training=Settings(**by_table["training"]),
                source=source,
            )
        except SfumatoError as error:
            raise SfumatoError(f"{where}: {error}") from None

    def to_toml(self) -> str:
        """As the text of `config.toml`.

        >>> print(Config(source="moons").to_toml().splitlines()[0])
        source = "moons"
        """
        import tomli_w

        return tomli_w.dumps(self.to_dict())

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Config:
        """Read a `config.toml`.

        Raises:
            SfumatoError: if the file is missing, not TOML, or says something unknown.
        """
        return cls.from_dict(read_toml(path), where=str(path))


def resolve(model: str, options: Mapping[str, Any], *, source: str = "") -> Config:
    """Sort a flat set of options into those of the data, the model and the training.

    None means *not set*: the default applies. It may therefore be passed for an option of another model.

    >>> resolve("vae", {"epochs": 3, "latent_dim": 2}).training.epochs
    3

    Raises:
        SfumatoError: if there is no such model or option, or a value is not of the option's type.
    """
    _check_model(model)
    return Config(model=model, source=source).with_options(options)


def _values(part: DataOptions | Settings) -> dict[str, Any]:
    return {entry.name: getattr(part, entry.name) for entry in fields(part)}


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _check_model(model: Any, origin: Any = "") -> None:
    """Refuse a model that is not here; `origin` is where the config says that it came from."""
    if not isinstance(model, str):
        raise SfumatoError(f"the name of a model must be text, not {model!r}")
    registry.check_available(model, str(origin))
