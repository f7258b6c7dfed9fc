"""The runs of a sweep: models × options × seeds, each with its own config and folder."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sfumato.config import Config, resolve, settings
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.models import describe, registry

LOG_FROM = 10
"""A range whose ends have at least this ratio is searched on a log scale."""


@dataclass(frozen=True)
class SearchRange:
    """Numbers from `low` to `high` to search in; integers if both ends are."""

    low: float
    high: float

    @property
    def whole(self) -> bool:
        """Whether only integers are searched."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def log(self) -> bool:
        """Whether it is searched on a log scale."""
        return self.low > 0 and self.high / self.low >= LOG_FROM


Values = Sequence[Any] | SearchRange
"""The values of one option in a sweep."""


@dataclass(frozen=True)
class Trial:
    """One run of a sweep.

    Attributes:
        name: name of its folder.
        config: its config.
    """

    name: str
    config: Config


def read_grid(words: Sequence[str]) -> dict[str, Values]:
    """`name=a,b` and `name=low..high` as option → values.

    >>> read_grid(["beta=1,4", "latent-dim=2..32"])
    {'beta': [1, 4], 'latent_dim': SearchRange(low=2, high=32)}

    Raises:
        SfumatoError: if an argument is not of that form, or an option is repeated.
    """
    grid: dict[str, Values] = {}
    for word in words:
        name, equals, value = word.partition("=")
        name = name.lstrip("-").replace("-", "_")
        if not equals or not name or not value:
            raise SfumatoError(f"--grid {word}: write it as NAME=VALUE,VALUE, as in --grid beta=1,4 latent-dim=2,8")
        if name in grid:
            raise SfumatoError(f"--grid {name} is given twice; put all values into one, as {name}=1,4")
        low, dots, high = value.partition("..")
        if dots:
            ends = [_value(low), _value(high)]
            if not all(isinstance(end, int | float) and math.isfinite(end) for end in ends) or ends[0] >= ends[1]:
                raise SfumatoError(f"--grid {word}: write a range as LOW..HIGH, as in lr=0.0003..0.01")
            grid[name] = SearchRange(*ends)
        else:
            grid[name] = [_value(part) for part in value.split(",")]
    return grid


def check(models: Sequence[str], grid: Mapping[str, Values], options: Mapping[str, Any]) -> None:
    """Refuse unknown models, and options that none of the models has.

    Raises:
        SfumatoError: if so.
    """
    if not models:
        raise SfumatoError(f"--models: name at least one of {', '.join(registry.names())}")
    for model in models:
        try:
            describe(model)
        except SfumatoError as error:
            raise SfumatoError(f"--models {model}: {error}") from error
    known = sorted({name for model in models for name in settings(model)})
    for name in (*grid, *options):
        if name not in known:
            raise SfumatoError(f"no model of {', '.join(models)} has an option {name!r}: {did_you_mean(name, known)}")
    both = sorted(set(grid) & set(options))
    if both:
        raise SfumatoError(f"{both[0]} is given both as an option and in --grid; keep one of them")
    if "seed" in grid:
        raise SfumatoError("--grid seed: set seeds with --seeds N and --seed FIRST")


def trials(
    models: Sequence[str],
    seeds: Sequence[int],
    grid: Mapping[str, Values],
    options: Mapping[str, Any],
    *,
    source: str = "",
) -> list[Trial]:
    """Every model with every choice of its options and every seed; a model gets only the options it has.

    All runs share one split of the data, drawn with the first seed; seeds vary the weights and the training.

    >>> [trial.name for trial in trials(["vae", "beta_vae"], [0], {"beta": [1, 4]}, {})]
    ['vae-seed0', 'beta_vae-beta=1-seed0', 'beta_vae-beta=4-seed0']
    """
    planned = []
    for model in models:
        own = {name: values for name, values in grid.items() if name in settings(model)}
        for name, values in own.items():
            if isinstance(values, SearchRange):
                raise SfumatoError(
                    f"--grid {name}={values.low:g}..{values.high:g}: a range needs --search N; list values instead"
                )
        for chosen in itertools.product(*(values for values in own.values() if not isinstance(values, SearchRange))):
            choice = dict(zip(own, chosen, strict=True))
            planned += [trial(model, choice, seed, seeds[0], options, source) for seed in seeds]
    return planned


def trial(
    model: str, choice: Mapping[str, Any], seed: int, split: int, options: Mapping[str, Any], source: str
) -> Trial:
    """One model with one choice of options and one seed."""
    own = {name: value for name, value in options.items() if name in settings(model)}
    config = resolve(model, {**own, **choice, "seed": split}, source=source)
    config = replace(config, training=replace(config.training, seed=seed))
    parts = [model, *(f"{name}={_text(value)}" for name, value in choice.items()), f"seed{seed}"]
    return Trial(re.sub(r"[^\w.=+-]", "_", "-".join(parts)), config)


def _value(word: str) -> Any:
    word = word.strip()
    if word in ("true", "false"):
        return word == "true"
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
