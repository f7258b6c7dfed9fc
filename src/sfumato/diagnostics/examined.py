"""The run that the doctor examines, and the options by which it could have been trained instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from sfumato import models
from sfumato.data.core.options import DataOptions
from sfumato.evaluation.subject import Subject
from sfumato.likelihoods import LIKELIHOODS, for_kind
from sfumato.spec import DataSpec
from sfumato.training.settings import Settings


@dataclass
class ExaminedRun:
    """A run under diagnosis, and its options.

    Args:
        subject: the model with its data.
        lines: of `metrics.jsonl`.
        config: the tables of `config.toml`.
        stop: why training ended, as in `History`; empty if unknown.
        skipped: steps that were not applied.
        quick: use fewer examples.
    """

    subject: Subject
    lines: Sequence[Mapping[str, Any]]
    config: Mapping[str, Any]
    stop: str = ""
    skipped: int = 0
    quick: bool = False

    @property
    def model(self) -> Any:
        """The model."""
        return self.subject.model

    @property
    def spec(self) -> DataSpec:
        """Of the data."""
        return self.subject.schema.spec

    @property
    def name(self) -> str:
        """The model's name."""
        return str(self.config["model"]["name"])

    @cached_property
    def options(self) -> dict[str, Any]:
        """Every option of this model, of the data and of the training by name, as set or by default."""
        values = {option.name: option.default for part in (DataOptions, Settings) for option in fields(part)}
        values |= {option.name: option.default for option in models.options(self.name)}
        values |= models.chosen_by_data(self.name, self.spec, values | self.config.get("model", {}))
        for table in ("data", "model", "training"):
            values |= {name: value for name, value in self.config.get(table, {}).items() if name in values}
        return values

    @cached_property
    def described(self) -> models.Description:
        """What the model's class declares."""
        return models.describe(self.name)

    def remedy(self, **changes: Any) -> dict[str, Any]:
        """Options to change, named by their effect (see `Model.remedies`); {} if the model does not declare one."""
        declared = self.described.remedies
        return {declared[what]: value for what, value in changes.items()} if changes.keys() <= declared.keys() else {}

    def setting(self, what: str, default: Any = None) -> Any:
        """The value of the option that the model declares for this; `default` if it declares none.

        An option that the model chose itself is read from the attribute of that name.
        """
        name = self.described.remedies.get(what)
        if name is None:
            return default
        value = self.options[name]
        return getattr(self.model, name, default) if value is None else value

    def first(self, *cures: Mapping[str, Any]) -> dict[str, Any]:
        """The first of `cures` whose options all exist for this model and that changes something."""
        for cure in cures:
            if cure and all(name in self.options for name in cure):
                changed = {name: value for name, value in cure.items() if self.options[name] != value}
                if changed:
                    return changed
        return {}

    @property
    def joint_likelihood(self) -> dict[str, Any]:
        """The likelihood under which entries depend on each other given the code; {} if these data have none."""
        joint = (name for name in for_kind(self.subject.schema.kind) if LIKELIHOODS[name].joint)
        return next(({"likelihood": name} for name in joint), {})

    @property
    def smaller_network(self) -> dict[str, Any]:
        """The options of a smaller network, against memorising."""
        return {"width": max((self.options.get("width") or 128) // 4, 16), "depth": 1}

    @property
    def less_condition_in_code(self) -> list[dict[str, Any]]:
        """Cures for codes that contain the conditions: an unconditional prior; a higher rate weight; fewer latents."""
        weight, latents = self.setting("rate_weight", 1.0), self.options.get("latent_dim") or 0
        standard = self.remedy(standard_prior="standard")
        return [
            standard and standard | models.chosen_by_data(self.name, self.spec, standard) if weight <= 1 else {},
            self.remedy(rate_weight=2 * max(weight, 1.0)) if standard else {},
            {"latent_dim": latents // 2} if latents > 3 else {},
        ]
