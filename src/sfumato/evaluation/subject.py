"""A fitted model with the examples it is evaluated on: the input of all measures and figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sfumato.batch import Batch, flagged_mask
from sfumato.data.core.batching.batches import Batches
from sfumato.data.core.dataset import Dataset
from sfumato.data.core.schema import Schema
from sfumato.distributions import Normal
from sfumato.isolation import isolated
from sfumato.models.base import Model
from sfumato.models.protocols import Autoencoding, LatentSpace, require
from sfumato.objectives import rate
from sfumato.randomness.generators import seeded
from sfumato.spec import DataSpec
from sfumato.training.validation import evaluating

MAX_QUICK_EXAMPLES, MAX_EXAMPLES = 5000, 10_000
"""Largest number of examples for figures and quick measures, and for full measures."""
EXAMPLES_AT_A_TIME, PASS_ENTRIES = 500, 1 << 22
ENTRIES = 20_000_000
"""Largest number of values in those examples, so that large images do not take minutes."""


@contextmanager
def frozen_eval(model: nn.Module, seed: int) -> Iterator[None]:
    """Evaluation mode, no gradients, and noise that is a function of `seed`; the caller's own is left as it was."""
    device = next(model.parameters(), torch.empty(0)).device
    with evaluating(model), seeded(device, seed, model), torch.no_grad():
        yield


@dataclass
class Subject:
    """A model with held-out examples, all on one device.

    Attributes:
        part: the split that the examples are from, such as "test split".
        batch: the examples, with at most `ENTRIES` values; labels: theirs, or None.
        seed: of every choice made among examples and conditions.
        index: which examples of the part they are, ascending, (N,).
        draws: called as draws(n, given, noise=…), what samples are drawn by in the place of the model's own prior.
        with_sampler: the model with a sampler of its codes as its prior, where bounds by that are asked for.
    """

    model: Autoencoding
    schema: Schema
    data: Dataset
    part: str
    batch: Batch
    labels: np.ndarray | None
    seed: int
    index: np.ndarray
    draws: Callable[..., Tensor] | None = None
    with_sampler: Autoencoding | None = None

    @classmethod
    @isolated
    def of(
        cls,
        model: Model,
        schema: Schema,
        data: Dataset,
        seed: int,
        *,
        most: int = MAX_QUICK_EXAMPLES,
        part: str | None = None,
        draws: Callable[..., Tensor] | None = None,
    ) -> Subject:
        """With at most `most` examples of the test split, or of another where that is empty.

        Args:
            part: what to call it; "test split" and the like unless given.
            draws: see `Subject`.
        """
        device = next(model.parameters()).device
        name, batches = held_out(data)
        index = some(len(batches), most_of(schema.spec, most), seed)
        evaluated = require(model, Autoencoding, "be evaluated")
        batch, labels = batches.take(index).to(device), labels_at(batches, index)
        return cls(evaluated, schema, data, part or name, batch, labels, seed, index.numpy(), draws)

    def __len__(self) -> int:
        return len(self.batch)

    def chunked(self, function: Callable[[Batch], Tensor], copies: int = 1) -> Tensor:
        """`function`, which makes so many copies of each example, of all examples, some at a time."""
        return torch.cat([function(rows(self.batch, part)) for part in self.slices(len(self), copies)])

    def slices(self, total: int, copies: int = 1) -> Iterator[slice]:
        """Examples 0 … total − 1, as many at a time as go through the model."""
        return slices(total, self.schema.spec.entries, copies)

    @property
    def space(self) -> LatentSpace | None:
        """The model as one whose codes can be moved and mixed; None if they are discrete."""
        return self.model if isinstance(self.model, LatentSpace) else None

    @property
    def latent_space(self) -> LatentSpace:
        """`space`, where there must be one."""
        return require(self.model, LatentSpace, "interpolate between its codes")

    def means(self) -> np.ndarray:
        """The codes that stand for the examples, (N, L): means of q(z|x, c), or whole numbers."""
        return array(self.chunked(lambda batch: self.model.encode(batch).mode()))

    def shifts(self) -> np.ndarray:
        """How far the means of q(z|x, c) are from the prior's, in its deviations, (N, L)."""

        def shift(batch: Batch) -> Tensor:
            mean, deviation = self.prior(batch.given, len(batch))
            return (self.model.encode(batch).mode() - mean) / deviation

        return array(self.chunked(shift))

    def typical(self) -> int:
        """The example whose code is neither among the simplest nor among the most unusual: that of median length."""
        lengths = (self.shifts() ** 2).sum(1)
        return int(np.argsort(lengths)[len(lengths) // 2])

    def rates(self) -> np.ndarray:
        """The mean rate of each latent in nats, (L,); the variance of its means where the rate has no closed form."""

        def latent_rates(batch: Batch) -> Tensor:
            q = self.latent_space.encode(batch)
            return rate(q, self.latent_space.prior(len(batch), batch.given), q.sample())

        measured = array(self.chunked(latent_rates)).mean(0)
        means = self.means()
        return measured if len(measured) == means.shape[1] else means.var(0)

    def prior(self, given: Tensor | None, n: int) -> tuple[Tensor, Tensor]:
        """Mean and deviation of p(z|c), each (n, L)."""
        prior = self.latent_space.prior(n, given)
        point = prior.mode()
        if isinstance(prior, Normal):
            return point, prior.log_scale.exp().expand_as(point)
        return point, torch.ones_like(point)

    def points(self, z: Tensor, given: Tensor | None) -> Tensor:
        """The decoder's points at latents z, (M, *shape)."""
        pieces = []
        for part in self.slices(len(z)):
            pieces.append(self.model.decode(z[part], None if given is None else given[part]).mode())
        return torch.cat(pieces)

    def raw(self, batch: Batch) -> Any:
        """Examples in the user's own format, with missing values."""
        return self.decoded(missing_again(batch), batch.given)

    def decoded(self, x: Tensor, given: Tensor | None) -> Any:
        """Tensors in the units of the spec, converted to the user's own format."""
        return self.schema.decode(x.cpu(), None if given is None else given.cpu())

    def drawn(self, given: Tensor | None, n: int) -> Batch:
        """n new examples beside their conditions, masked where they say that they have no value."""
        x = self.draw(given, n, noise=True)
        if self.schema.spec.ends and self.schema.spec.is_waveform:
            return Batch(x.nan_to_num(0.0), given, ~x.isnan())
        return Batch(x, given, flagged_mask(x, self.schema.spec))

    def conditions(self, n: int) -> Tensor | None:
        """Conditions as they came in the training split, (n, G)."""
        given = self.schema.conditions({}, n, seed=self.seed)
        return None if given is None else given.to(self.batch.x.device)

    def draw(self, given: Tensor | None, n: int, *, noise: bool) -> Tensor:
        """n new examples in the units of the spec."""
        sample = self.model.sample if self.draws is None else self.draws
        pieces = []
        for part in self.slices(n):
            pieces.append(sample(part.stop - part.start, None if given is None else given[part], noise=noise))
        return torch.cat(pieces)


def slices(total: int, entries: int, copies: int = 1) -> Iterator[slice]:
    """Examples 0 … total − 1, as many at a time as go through the model.

    >>> [*slices(1200, entries=784)][-1], next(slices(1200, entries=3 * 256 * 256))
    (slice(1000, 1200, None), slice(0, 21, None))

    Args:
        total: number of examples.
        entries: of each.
        copies: of each, that go through at once.
    """
    size = min(EXAMPLES_AT_A_TIME, max(PASS_ENTRIES // (max(entries, 1) * copies), 1))
    return (slice(start, min(start + size, total)) for start in range(0, total, size))


def held_out(data: Dataset) -> tuple[str, Batches]:
    """The split that models are evaluated on, and its name: the first non-empty of test, validation, training."""
    parts = (("test split", data.test), ("validation split", data.valid), ("training split", data.train))
    return next(((name, batches) for name, batches in parts if len(batches)), parts[-1])


def most_of(spec: DataSpec, most: int = MAX_QUICK_EXAMPLES) -> int:
    """Largest number of examples to use, for data of this size.

    >>> from sfumato.spec import Field
    >>> most_of(DataSpec((3, 64, 64), (Field("level", 256),)))
    1627
    """
    return min(most, max(ENTRIES // spec.entries, 100))


def rows(batch: Batch, at: slice | np.ndarray | Tensor) -> Batch:
    """Some of the examples of a batch."""
    index = at if isinstance(at, slice) else torch.as_tensor(at, device=batch.x.device)
    parts = (None if values is None else values[index] for values in (batch.given, batch.mask, batch.time))
    return Batch(batch.x[index], *parts)


def some(total: int, most: int, seed: int) -> Tensor:
    """At most `most` of `total` indices, ascending, chosen by `seed`."""
    if total <= most:
        return torch.arange(total)
    return torch.randperm(total, generator=torch.Generator().manual_seed(seed))[:most].sort().values


def labels_at(batches: Batches, index: Tensor) -> np.ndarray | None:
    """The labels of some examples; None where there are none or all are unknown."""
    if batches.labels is None:
        return None
    labels = np.asarray(batches.labels)[index.numpy()]
    return labels if (labels >= 0).any() else None


def missing_again(batch: Batch) -> Tensor:
    """x with NaN where it was missing."""
    return batch.x if batch.mask is None else batch.x.float().masked_fill(~batch.mask, torch.nan)


def array(values: Tensor) -> np.ndarray:
    """As a numpy array on the CPU."""
    return np.asarray(values.detach().cpu().numpy())


@dataclass(frozen=True)
class Classes:
    """A condition made of categories, as labels that figures are coloured by.

    Attributes:
        place: which column of `Batch.given` it is.
        codes: its value for each label, (K,); −1 where no training example shows it.
        name: what it is called.
    """

    place: int
    codes: np.ndarray
    name: str

    def labels(self, given: Tensor) -> np.ndarray:
        """The label of each row of conditions, −1 where it has none."""
        values = array(given[:, self.place])
        labels = np.full(len(values), -1)
        for label, code in enumerate(self.codes):
            labels[(values == code) & (code >= 0)] = label
        return labels


def classes(shown: Subject) -> Classes | None:
    """The first condition that tells the labels apart, or None if there is no such condition."""
    schema, train = shown.schema, shown.data.train
    index = some(len(train), MAX_QUICK_EXAMPLES, shown.seed)
    labels, given = labels_at(train, index), train.take(index).given
    if labels is None or given is None:
        return None
    for place, field in enumerate(schema.spec.given):
        values = array(given[:, place])
        known = (labels >= 0) & ~np.isnan(values)
        pairs = np.unique(np.stack([labels[known], values[known]]), axis=1)
        if field.kind == "category" and all(len(np.unique(side)) == pairs.shape[1] for side in pairs):
            codes = np.full(len(schema.label_names), -1.0)
            codes[pairs[0].astype(int)] = pairs[1]
            return Classes(place, codes, schema.given_names[place])
    return None
