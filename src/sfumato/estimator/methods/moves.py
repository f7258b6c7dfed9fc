"""From example to example by way of their codes: paths, attributes, single latents, neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from sfumato.errors import SfumatoError, did_you_mean
from sfumato.estimator import inference
from sfumato.estimator.evaluation_data import evaluation_data
from sfumato.estimator.methods.transforms import TransformMixin
from sfumato.evaluation.subject import Subject, frozen_eval
from sfumato.evaluation.subject import rows as rows_of
from sfumato.isolation import isolated
from sfumato.models.base import Model
from sfumato.models.protocols import Codebooks, Encodes, LatentSpace, require
from sfumato.ranges import is_whole
from sfumato.tasks import (
    PathKind,
    attribute_direction,
    known_codes,
    mixed_conditions,
    nearest_codes,
    path_between,
    usual_values,
    with_latent_at,
)

MIN_RATE = 0.01
"""Nats below which a latent carries nothing worth a row of its own."""
MOST_LATENTS = 10
"""Latents that are moved unless they are named."""
FEWEST_EXAMPLES = 10
"""Examples that must be there to say which values latents take."""


class Traversal(NamedTuple):
    """Single latents moved across the values they take.

    Attributes:
        examples: latents × steps decoded examples, those of one latent in a row.
        latents: which were moved, counted from 0.
        quantiles: of the latents' aggregated posteriors, (steps,).
        values: of each latent there, (latents, steps).
    """

    examples: Any
    latents: list[int]
    quantiles: np.ndarray
    values: np.ndarray


class NearestExamples(NamedTuple):
    """The examples whose codes are nearest.

    Attributes:
        distances: ‖z − z′‖ of latent means, (N, k), the nearest first.
        rows: which examples they are, counted from 0, (N, k).
    """

    distances: np.ndarray
    rows: np.ndarray


class LatentMovesMixin(TransformMixin):
    """What `Autoencoder` makes of examples by moving their codes; see there."""

    @property
    def n_latents(self) -> int:
        """Numbers in the code of an example, L.

        Raises:
            SfumatoError: if the model has no codes that can be moved.
        """
        return self._space(self._model()).code_size

    @isolated
    def interpolate(
        self,
        a: Any,
        b: Any = None,
        *,
        steps: int = 9,
        path: PathKind = "straight",
        add: Any = None,
        near: Any = None,
        given: Mapping[str, Any] | None = None,
    ) -> Any:
        """Decode even steps on a path from the code of each example of `a` to that of `b`, or to its own plus `add`.

        >>> from sfumato import Autoencoder
        >>> X = np.random.default_rng(0).normal(size=(100, 3))
        >>> auto = Autoencoder(latent_dim=2, steps=20).fit(X)
        >>> auto.interpolate(X[:2], X[2:4], steps=5, path="geodesic").shape
        (10, 3)

        Numeric conditions go evenly from those of `a` to those of `b`, and categories change in the middle.

        Args:
            a: N examples.
            b: as many; None where there is `add`.
            steps: how many on each path, both ends among them.
            path: straight; spherical, at even angles around the middle of a standard normal prior
                (`sfumato.tasks.spherical`); or geodesic, the shortest as measured in data, at constant speed there
                (`sfumato.tasks.geodesic`).
            add: a direction of (L,) latents, such as `direction` gives.
            near: examples that a geodesic keeps near to, so that it does not lead across where there are no data;
                some 100 to 1,000 of those the model was trained on.
            given: conditions that replace those of the examples, name → value or N values.

        Returns:
            N · steps examples of the kind the model was trained on, those of one path in a row.

        Raises:
            SfumatoError: if the model's codes are no points of a space, `a` and `b` differ in number, or the path is
                not one for this prior, this decoder or these conditions.
        """
        model = inference.exact(self._model())
        space = self._space(model)
        _check_steps(steps)
        if path not in get_args(PathKind):
            raise SfumatoError(f"path {path!r} is not known; {did_you_mean(path, get_args(PathKind))}")
        if (b is None) == (add is None):
            raise SfumatoError("give either b, examples to end at, or add, a direction to move in")
        if near is not None and path != "geodesic":
            raise SfumatoError(f"near is for the path geodesic, not {path}; leave it out")
        starts, first = known_codes(space, self._batches(self.read(a), given))
        ends, last = (starts, first) if b is None else known_codes(space, self._batches(self.read(b), given))
        ends = ends if add is None else _moved(ends, add)
        if len(starts) != len(ends):
            raise SfumatoError(f"a has {len(starts)} examples, but b has {len(ends)}; give as many of each")
        around = None if near is None else known_codes(space, self._batches(self.read(near), None))[0]
        codes, conditions = [], []
        for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
            c = None
            if first is not None and last is not None:
                c = mixed_conditions(first[place], last[place], self.schema_.spec.given, steps)
                conditions.append(c)
            codes.append(path_between(space, path, start, end, c, steps, around))
        mixed = torch.cat(conditions) if conditions else None
        return self._decoded(model, torch.cat(codes), mixed, given or {})

    @isolated
    def direction(self, X: Any, has: Any, given: Mapping[str, Any] | None = None) -> np.ndarray:
        """The direction of an attribute among the codes: the mean of those with it minus the mean of those without.

        >>> from sfumato import Autoencoder
        >>> X = np.random.default_rng(0).normal(size=(100, 3))
        >>> auto = Autoencoder(latent_dim=2, steps=20).fit(X)
        >>> auto.interpolate(X[:1], add=2 * auto.direction(X, X[:, 0] > 0), steps=3).shape
        (3, 3)

        Args:
            X: N examples.
            has: whether each has the attribute, (N,).
            given: conditions that replace those in X, name → value or N values.

        Returns:
            (L,), what to add to a code so that its example has the attribute.

        Raises:
            SfumatoError: if the model's codes are no points of a space, or all of X, or none, has the attribute.
        """
        codes, _ = known_codes(self._space(inference.exact(self._model())), self._batches(self.read(X), given))
        chosen = torch.tensor(np.asarray(has, bool))
        if chosen.shape != (len(codes),):
            raise SfumatoError(f"has has shape {tuple(chosen.shape)}; give one value for each of {len(codes)} examples")
        return np.asarray(attribute_direction(codes.cpu(), chosen))

    @isolated
    def traverse(
        self,
        X: Any = None,
        *,
        start: Any = None,
        latents: Sequence[int] | None = None,
        steps: int = 11,
        given: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> Traversal:
        """Decode one example with one latent at a time moved across the values it takes, all others held.

        The values are quantiles of the latent's aggregated posterior, (1/N) Σ q(z | x), from 2.3% to 97.7%.

        >>> from sfumato import Autoencoder
        >>> X = np.random.default_rng(0).normal(size=(100, 3))
        >>> auto = Autoencoder(latent_dim=2, steps=20).fit(X)
        >>> auto.traverse(latents=[1], steps=5).examples.shape
        (5, 3)

        Args:
            X: the examples whose codes say which values latents take; None takes the training split, which is
                opened again where the model was loaded.
            start: the example that is moved, one of them; None takes that whose code has the median distance from the
                prior's mean.
            latents: which are moved, counted from 0; None takes those that carry something, at most 10, the most active
                first.
            steps: values of each latent.
            given: conditions that replace those of the example, name → value.
            seed: of the draws from q(z | x).

        Raises:
            SfumatoError: if the model's codes are no points of a space, there are no such latents, or no examples.
        """
        model = inference.exact(self._model())
        space = self._space(model)
        _check_steps(steps)
        shown = self._reference_examples(model, X, seed)
        if len(shown) < FEWEST_EXAMPLES:
            raise SfumatoError(
                f"{len(shown)} examples do not say which values latents take; give at least {FEWEST_EXAMPLES}"
            )
        with frozen_eval(model, seed):
            draws = shown.chunked(lambda batch: space.encode(batch).sample())
            chosen = _active(shown.rates()) if latents is None else _checked(latents, draws.shape[1], "latent")
            typical = rows_of(shown.batch, np.array([shown.typical()]))
        if start is None:
            kept = None if typical.given is None else typical.given.cpu()
            batches = [replace(typical, given=inference.replaced(self.schema_, kept, given, 1)).to(draws.device)]
        else:
            batches = list(self._batches(self.read(start), given))
        codes, own = known_codes(space, batches)
        if len(codes) != 1:
            raise SfumatoError(f"start has {len(codes)} examples; give one")
        levels, values = usual_values(draws, steps)
        z = with_latent_at(codes[0], chosen, values.to(codes))
        conditions = None if own is None else own.expand(len(z), -1)
        examples = self._decoded(model, z, conditions, given or {})
        return Traversal(examples, chosen, np.asarray(levels.cpu()), np.asarray(values.T[chosen].cpu()))

    @isolated
    def neighbours(
        self, X: Any, among: Any = None, *, k: int = 5, rows: Sequence[int] | None = None
    ) -> NearestExamples:
        """The examples whose latent means are nearest to those of X, by Euclidean distance.

        Latents that carry nothing have the same mean for all, and do not count.

        >>> from sfumato import Autoencoder
        >>> X = np.random.default_rng(0).normal(size=(100, 3))
        >>> Autoencoder(latent_dim=2, steps=20).fit(X).neighbours(X[:2], X, k=1).rows
        array([[0],
               [1]])

        Args:
            X: N examples.
            among: those that neighbours are looked for among; None for X itself, where no example is its own
                neighbour.
            k: how many of each.
            rows: which of X to look for neighbours of, counted from 0; all if None.

        Raises:
            SfumatoError: if codes are numbers of entries of a codebook, which have no distances, there are too few
                examples, or there is no such row.
        """
        model = self._model()
        if isinstance(model, Codebooks):
            raise SfumatoError(f"codes of a {self.config_.model} have no distances; {self._instead()}")
        require(model, Encodes, "encode")
        means = torch.from_numpy(self.encode(X))
        index = torch.arange(len(means)) if rows is None else torch.tensor(_checked(rows, len(means), "row"))
        others = means if among is None else torch.from_numpy(self.encode(among))
        most = len(others) - (among is None)
        if not is_whole(k) or not 1 <= k <= most:
            raise SfumatoError(f"k is {k!r}: give a whole number from 1 to {most}, the number of examples there are")
        nearest = nearest_codes(means[index], others, int(k), own=index if among is None else None)
        return NearestExamples(*map(np.asarray, nearest))

    def _reference_examples(self, model: Model, X: Any, seed: int) -> Subject:
        """The examples whose codes say which values latents take: X, or where it is None the training split."""
        data, part = evaluation_data(self.config_, self.schema_, getattr(self, "data_", None), X)
        if X is None:
            # The decoder has been where the codes of the training split are.
            data, part = replace(data, test=data.train), "training split"
        shown = Subject.of(model, self.schema_, data, seed, part=part)
        shown.batch = inference.widened(shown.batch)
        return shown

    def _space(self, model: Model) -> LatentSpace:
        if isinstance(model, LatentSpace):
            return model
        raise SfumatoError(f"codes of a {self.config_.model} are no points that can be moved; {self._instead()}")

    def _instead(self) -> str:
        spec = self.schema_.spec
        series = spec.is_sequence and not spec.is_symbols
        return "choose vae, and give it the series as rows of an array" if series else "choose vae or another model"


def _moved(codes: Tensor, direction: Any) -> Tensor:
    by = torch.tensor(np.asarray(direction, float)).to(codes)
    if by.shape != codes.shape[1:]:
        raise SfumatoError(f"add has shape {tuple(by.shape)}; give a direction of {codes.shape[1]} latents")
    return codes + by


def _check_steps(steps: Any) -> None:
    if not is_whole(steps) or steps < 2:
        raise SfumatoError(f"steps is {steps!r}: give a whole number of at least 2, both ends among them")


def _checked(places: Sequence[int], size: int, what: str) -> list[int]:
    for place in places:
        if not is_whole(place) or not 0 <= place < size:
            raise SfumatoError(f"{what} {place!r} is not there; they are counted from 0 to {size - 1}")
    if not len(places):
        raise SfumatoError(f"{what}s is empty; name at least one")
    return [int(place) for place in places]


def _active(rates: np.ndarray) -> list[int]:
    """The latents that carry something, the most active first."""
    order = np.argsort(-rates, kind="stable")[:MOST_LATENTS]
    active: list[int] = order[rates[order] > MIN_RATE].tolist()
    if not active:
        raise SfumatoError("no latent carries anything, so there is nothing to see; ask the doctor, or name latents")
    return active
