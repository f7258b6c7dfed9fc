"""What a private training needs of a configuration, and which are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from sfumato import models
from sfumato.config import Config, settings
from sfumato.data.core.schema import Schema
from sfumato.data.tables.schema import TableSchema
from sfumato.errors import SfumatoError
from sfumato.models import registry
from sfumato.models.base import Model
from sfumato.networks import Decoder
from sfumato.networks.heads.columns import ColumnsHead
from sfumato.training.private import accounting

PRIVATE_SIZES = {"latent_dim": 16, "width": 128}
"""Sizes of networks unless given: each weight has noise, so that there are fewer than without."""


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
            f"{', '.join(could[:-1])} or {could[-1]}"
        )
    known = settings(config.model)
    for name in described.joint_options:
        value = config.options.get(name)
        if value not in (None, known[name].default):
            raise SfumatoError(
                f"{name} is {value}: it acts on several rows at once, which epsilon does not allow; leave it out"
            )
    train, valid, test = config.data.split
    options = {name: value for name, value in PRIVATE_SIZES.items() if name in known} | dict(config.options)
    return replace(config, options=options, data=replace(config.data, split=(train + valid, 0.0, test)))


@torch.no_grad()
def start_at_shares(model: Model, schema: Schema) -> None:
    """Let the decoder begin with columns that have the shares of the schema, each by itself.

    They have been paid for, so that no step need spend on them. Where the last layer of the decoder has no logits of
    columns, nothing happens.
    """
    decoder = getattr(model, "decoder", None)
    if not isinstance(schema, TableSchema) or not isinstance(decoder, Decoder) or type(decoder.head) is not ColumnsHead:
        return
    last = list(decoder.trunk.children())[-1]
    assert isinstance(last, nn.Linear), "the last layer of a decoder of columns is linear"
    logits = [shares for entry in schema.entries if (shares := entry.frequencies()) is not None]
    last.bias[decoder.head.reals :] = torch.from_numpy(np.concatenate(logits)).to(last.bias)
