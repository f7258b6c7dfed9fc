"""A source opened: its schema, and its training, validation and test parts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sfumato.data.core.batching.batches import Batches
from sfumato.data.core.options import DataOptions
from sfumato.data.core.schema import Schema
from sfumato.privacy_budget import ColumnCharge


@dataclass
class Dataset:
    """A source opened.

    Attributes:
        name: what to call it: a built-in name, the stem of a file, "array", "table".
        source: where it came from, for messages.
        schema: the transform learned on the training split.
        train: examples that are learned from.
        valid: examples that stop the learning.
        test: examples kept for the end.
        options: the requested options.
        has_label: whether the set came with labels that are not part of x; a conditional model that is not told what
            it is conditioned on takes them: `replace(options, given=("label",))`.
        notes: what a person should know of how the source was read and its columns are taken, before training.
        factors: known factors of variation of the training, validation and test split in turn, name to one value for
            each example; empty where they are not known.
        charge: what the schema cost, where it was learned with noise for a private training.
        drawn: rows that follow from noisy counts alone, where a private training begins; None without.
    """

    name: str
    source: str
    schema: Schema
    train: Batches
    valid: Batches
    test: Batches
    options: DataOptions
    has_label: bool = False
    notes: tuple[str, ...] = ()
    factors: tuple[dict[str, np.ndarray], ...] = field(default=({}, {}, {}))
    charge: ColumnCharge | None = None
    drawn: Batches | None = None
