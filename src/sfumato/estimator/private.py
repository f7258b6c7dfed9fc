"""What a private training needs of a configuration, and which are refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sfumato import models
from sfumato.config import Config, settings
from sfumato.errors import SfumatoError
from sfumato.formatting import any_of
from sfumato.models import registry
from sfumato.training.private import accounting

LARGEST_SIZES = {"latent_dim": 16, "width": 128}
"""Sizes of networks, at most, unless given: each weight has noise, so that there are fewer than without."""


def prepared(config: Config) -> Config:
    """The configuration of a private training: nothing is learned of the rows but with noise.

    Validation rows join the training split, as nothing is decided by them.

    Raises:
        SfumatoError: if the guarantee would not hold for the model or an option, or opacus is not installed.
    """
    if config.training.epsilon is None:
        return config
    accounting.version()
    described = models.describe(config.model)
    if not described.separable:
        could = [name for name in registry.shipped() if models.describe(name).separable]
        raise SfumatoError(
            f"epsilon: {config.model} cannot be trained privately, as its loss is not one of each row by itself; use "
            f"{any_of(could)}"
        )
    known = settings(config.model)
    for name in described.joint_options:
        value = config.options.get(name)
        if value and value != known[name].default:
            raise SfumatoError(
                f"{name} is {value}: it acts on several rows at once, which epsilon does not allow; leave it out"
            )
    train, valid, test = config.data.split
    return replace(config, data=replace(config.data, split=(train + valid, 0.0, test)))


def capped(options: dict[str, Any], stated: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a model with sizes of networks no larger than `LARGEST_SIZES`, unless the user stated them.

    >>> capped({"width": 256, "latent_dim": 28, "depth": 2}, {"latent_dim": 28})
    {'width': 128, 'latent_dim': 28, 'depth': 2}
    """
    caps = {name: most for name, most in LARGEST_SIZES.items() if name in options and stated.get(name) is None}
    return options | {name: min(options[name], most) for name, most in caps.items()}
