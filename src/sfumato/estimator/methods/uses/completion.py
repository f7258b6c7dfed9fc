"""Examples with blanks, completed: draws of what is missing given what is known, single values, and intervals."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sfumato.artifacts import Run, manifest
from sfumato.artifacts.places import WEIGHTS_FILE
from sfumato.batch import Batch
from sfumato.data.core.blanks import Sets
from sfumato.distributions import Allowed
from sfumato.errors import SfumatoError
from sfumato.estimator import inference
from sfumato.estimator.conditions.missing import filled
from sfumato.estimator.evaluation_data import named_set
from sfumato.estimator.methods.second_stage import TIME_SHARE, SecondStageMixin
from sfumato.files import sha256
from sfumato.isolation import isolated
from sfumato.latents import PartialEncoder, fit_partial_encoder, partial_fit
from sfumato.latents.partial_fit import PARTIAL_ENCODER_FOLDER
from sfumato.models.protocols import EncodesParts, LatentSpace
from sfumato.randomness.generators import chosen_seed, seeded
from sfumato.ranges import is_whole
from sfumato.tasks.completion import LOW_EFFECTIVE, Completer, Particles

PARTICLES = 100
"""Weighted draws of each example that its draws are resampled from, unless more of these are wanted."""
MIN_SECONDS = 20.0
"""What fitting the partial encoder may take, or `TIME_SHARE` of the time of the training where that is more."""

logger = logging.getLogger("sfumato.completion")


class Completion(NamedTuple):
    """Examples with their blanks filled.

    Attributes:
        examples: of the kind the model was trained on; n draws of each example in a row.
        effective: effective draws of each example (Kong 1992), (N,); NaN where nothing was blank. Few of them say that
            draws repeat each other.
    """

    examples: Any
    effective: np.ndarray


Draws = tuple[Tensor, Tensor | None]
"""Examples (B, m, *shape) and their conditions (B, m, G), or None."""


class CompletionMixin(SecondStageMixin):
    """`complete` of `Autoencoder`; see there."""

    _partial: PartialEncoder | None = None

    @isolated
    def complete(
        self,
        X: Any = None,
        n: int = 1,
        *,
        fix: Mapping[str, Any] | None = None,
        blank: Any = None,
        best: bool = False,
        return_effective: bool = False,
        particles: int | None = None,
        mcmc: int = 0,
        seed: int | None = None,
    ) -> Any:
        """Fill what is blank in each example by draws from p(x_missing | x_known, c).

        Blank cells of a table are those that are missing, and columns that are not there. Known cells stay as they
        are. A blank is filled with a value also where it is modelled that cells are missing.

        >>> from sfumato import Autoencoder
        >>> X = np.random.default_rng(0).normal(size=(100, 3))
        >>> auto = Autoencoder(latent_dim=2, steps=20).fit(X)
        >>> auto.complete([[0.5, np.nan, np.nan]], n=4, seed=0).shape
        (4, 3)

        Args:
            X: N examples with blanks (NaN or None); None is one of which nothing is known, of a table.
            n: draws of each.
            fix: of a table, name of a column → what its blank cells must be: a value; a range of numbers or times, as
                `"30..40"` or (30, 40), an end of which may be left out; several categories, as `"CH,AT"` or a list; or
                `"missing"`, where missing cells are modelled.
            blank: True where entries of an array or pixels of images are to be filled, whatever they are: the shape of
                X, of one example, or of images without channels.
            best: in the place of n draws the one best value of each blank: of numbers the mean of
                p(x_missing | x_known), of categories the mode.
            return_effective: return a `Completion`, with the number of effective draws of each example.
            particles: weighted draws of each example that draws are resampled from; 100, or 4 n if that is more,
                unless given. Examples of which few are effective get eight times as many.
            mcmc: steps of independence Metropolis each draw goes on for: draws of an example then repeat each other
                less.
            seed: the same seed gives the same draws; None draws new ones each time.

        Raises:
            SfumatoError: if the model has no density to draw from, a column is not there or a value is none of it.
        """
        seed, k = chosen_seed(seed), self._checked_counts(n, particles, mcmc)
        blanks, schema = self._with_blanks(X, blank, fix or {}), self.schema_

        def some(completer: Completer, drawn: Particles, batch: Batch) -> Draws:
            if not best:
                return completer.drawn_from(drawn, batch, n, mcmc=mcmc)
            x = schema.centre(drawn.x, drawn.weights)[:, None]
            return x, None if batch.given is None else batch.given[:, None]

        x, given, effective = self._drawn_for(blanks, k, seed, some, more=not mcmc)
        _warn_of_few(effective)
        like = next(self._model().parameters())
        with seeded(like.device, seed, self._model()), torch.inference_mode():
            flat = None if given is None else given.flatten(0, 1)
            rows = x.flatten(0, 1)
            flat = filled(self._model(), schema, rows.to(like), flat, (), likeliest=best, seed=seed)
        examples = self._as_came(blanks, rows, flat, x.shape[1])
        return Completion(examples, effective) if return_effective else examples

    @isolated
    def completion_interval(
        self,
        X: Any,
        coverage: float = 0.9,
        *,
        fix: Mapping[str, Any] | None = None,
        blank: Any = None,
        particles: int | None = None,
        seed: int | None = None,
    ) -> tuple[Any, Any]:
        """Where the value of each blank lies with a probability of `coverage`: its quantiles given what is known.

        >>> from sfumato import Autoencoder
        >>> X = np.random.default_rng(0).normal(size=(100, 3))
        >>> auto = Autoencoder(latent_dim=2, steps=20).fit(X)
        >>> low, high = auto.completion_interval([[0.5, np.nan, np.nan]], seed=0)
        >>> bool((low <= high).all()), float(low[0, 0]), float(high[0, 0])
        (True, 0.5, 0.5)

        Args:
            X, fix, blank, particles, seed: as for `complete`.
            coverage: the share of values that lie inside, half of the rest on either side.

        Returns:
            The examples twice, with the least and with the largest value in their blanks. Known cells are as they are;
            blank categories have the likeliest.

        Raises:
            SfumatoError: as `complete` does.
        """
        if not 0 < coverage < 1:
            raise SfumatoError(f"coverage is {coverage}: give a share between 0 and 1, as 0.9")
        blanks, schema = self._with_blanks(X, blank, fix or {}), self.schema_
        unordered = torch.tensor([field.kind == "category" for field in schema.spec.fields])

        def both(completer: Completer, drawn: Particles, batch: Batch) -> Draws:
            ends = torch.stack([drawn.quantile(level) for level in ((1 - coverage) / 2, (1 + coverage) / 2)], 1)
            if unordered.any():
                modes = schema.centre(drawn.x, drawn.weights)[:, None].expand_as(ends)
                ends = torch.where(unordered.to(ends.device), modes, ends)
            return ends, None if batch.given is None else batch.given[:, None].expand(-1, 2, -1)

        k = self._checked_counts(1, particles, 0)
        x, given, _ = self._drawn_for(blanks, k, chosen_seed(seed), both)
        low, high = (self._as_came(blanks, x[:, end], None if given is None else given[:, end], 1) for end in range(2))
        return low, high

    def _drawn_for(
        self,
        blanks: _Blanks,
        k: int,
        seed: int,
        some: Callable[[Completer, Particles, Batch], Draws],
        *,
        more: bool = True,
    ) -> tuple[Tensor, Tensor | None, np.ndarray]:
        """What `some` makes of the weighted draws of all examples, (N, m, *shape) and (N, m, G), with effective draws.

        Known entries are as they are. With `more`, examples get more draws where few are effective.
        """
        space, like = self.space(), next(self._model().parameters())
        encoder = space.encode_known if isinstance(space, EncodesParts) else self.partial_encoder()
        parts, conditions, counts = [], [], []
        with seeded(like.device, seed, self._model()), torch.inference_mode():
            for batch, mask, allowed in self._partly_known(blanks, k):
                completer = Completer(space, encoder, allowed)
                drawn, effective = completer.enough(batch, k, more=more)
                x, given = some(completer, drawn, batch)
                parts.append(torch.where(mask[:, None], batch.x[:, None], x.to(batch.x)).cpu())
                conditions += [] if given is None else [given.cpu()]
                counts.append(effective.masked_fill(mask.flatten(1).all(1), torch.nan).cpu())
        return torch.cat(parts), torch.cat(conditions) if conditions else None, torch.cat(counts).numpy()

    def _as_came(self, blanks: _Blanks, x: Tensor, given: Tensor | None, times: int) -> Any:
        """Examples `times` in a row with their blanks filled from x, (N · times, *shape)."""
        rows = np.repeat(np.arange(len(x) // times), times)
        raw = self.schema_.take(blanks.raw, rows.tolist())
        hidden = None if blanks.hidden is None else blanks.hidden[rows]
        return self.schema_.filled(raw, x, given, blanks.source, hidden)

    def partial_encoder(self) -> PartialEncoder:
        """q(z | x_known, c), fitted to the training split now if that was not done yet, and kept with the run.

        Raises:
            SfumatoError: if the model has no density to draw from, or the training data are not at hand.
        """
        self.space()
        if self._partial is None:
            self._partial = self._kept_partial(self.run_) if self.run_ is not None else None
        if self._partial is None:
            model, last = self._model(), self.history_.lines[-1] if self.history_.lines else {}
            seconds = max(TIME_SHARE * float(last.get("seconds") or 0.0), MIN_SECONDS)
            steps, seed = int(last.get("step", 0)), self.config_.training.seed
            self._partial = fit_partial_encoder(model, self._training_data(), seed=seed, steps=steps, seconds=seconds)
            self._keep_partial()
        return self._partial

    def space(self) -> LatentSpace:
        """The model, if what is missing of an example can be drawn by it.

        Raises:
            SfumatoError: if not.
        """
        model = self._model()
        if not model.has_density or not isinstance(model, LatentSpace):
            why = "codes without a density" if model.has_density else "no density of examples"
            raise SfumatoError(
                f"a {self.config_.model} has {why}, by which blanks are filled; choose vae or another model, and "
                "give it series as rows of an array"
            )
        if self.schema_.spec.is_symbols:
            raise SfumatoError("text with blanks cannot be completed yet; complete tables, arrays or images")
        return model

    def _keep_partial(self) -> None:
        """Write the partial encoder into the run, where there is one that can be written."""
        if self.run_ is None or self._partial is None:
            return
        encoder, weights = self._partial, sha256(self.run_.path / WEIGHTS_FILE)
        self._add_to_run(lambda run: partial_fit.save(encoder, run.path / PARTIAL_ENCODER_FOLDER, weights))

    def _checked_counts(self, n: Any, particles: Any, mcmc: Any) -> int:
        """Weighted draws of each example.

        Raises:
            SfumatoError: if a number is none, or too small.
        """
        for name, value, least in (("n", n, 1), ("particles", particles, 1), ("mcmc", mcmc, 0)):
            if value is not None and (not is_whole(value) or value < least):
                raise SfumatoError(f"{name} is {value!r}: give a whole number of at least {least}")
        return max(PARTICLES, 4 * int(n)) if particles is None else int(particles)

    def _with_blanks(self, X: Any, blank: Any, fix: Mapping[str, Any]) -> _Blanks:
        schema = self.schema_
        if X is None:
            raw, sets = schema.with_fixed(schema.all_blank(1), fix)
            return _Blanks(raw, None, sets)
        raw, hidden = schema.read_with_blanks(named_set(self.config_, schema, X))
        raw, sets = schema.with_fixed(raw, fix)
        if blank is not None:
            chosen = schema.blank_like(blank, raw)
            hidden = chosen if hidden is None else hidden | chosen
        return _Blanks(raw, X, sets, hidden)

    def _partly_known(self, blanks: _Blanks, copies: int) -> Iterator[tuple[Batch, Tensor, dict[int, Allowed]]]:
        """Examples some at a time, with what is known of each and the sets that blanks of theirs lie in."""
        schema, like = self.schema_, next(self._model().parameters())
        encoded = schema.encode_known(blanks.raw)
        known = (
            ~torch.isnan(encoded.x) if encoded.x.is_floating_point() else torch.ones_like(encoded.x, dtype=torch.bool)
        )
        if blanks.hidden is not None:
            known &= ~schema.as_entries(blanks.hidden)
        x = encoded.x.to(like.dtype).nan_to_num(0.0)
        sets = {
            place: Allowed(*(torch.from_numpy(np.asarray(end, np.float32)) for end in ends))
            for place, ends in schema.sets_of(blanks.raw, blanks.sets).items()
        }
        size = inference.at_a_time(schema.spec, copies)
        for start in range(0, len(x), size):
            rows = slice(start, start + size)
            mask = known[rows].to(like.device)
            given = None if encoded.given is None else encoded.given[rows].to(like)
            own = {
                place: Allowed(*(end.to(like) for end in ends.of_rows(itemgetter(rows))))
                for place, ends in sets.items()
            }
            yield Batch(x[rows].to(like), given, mask), mask, own

    def _kept_partial(self, run: Run) -> PartialEncoder | None:
        """The partial encoder that was kept in the run, on the device of the model."""
        folder, model = run.path / PARTIAL_ENCODER_FOLDER, self.model_
        if not folder.is_dir() or not isinstance(model, LatentSpace):
            return None
        manifest.verify(run.path, only=[f"{PARTIAL_ENCODER_FOLDER}/{path.name}" for path in folder.iterdir()])
        encoder = partial_fit.load(folder, sha256(run.path / WEIGHTS_FILE), self.schema_.spec, model.code_size)
        return None if encoder is None else encoder.to(next(self._model().parameters()).device)


class _Blanks(NamedTuple):
    """Examples with blanks: as they were read and as they came, sets that blanks lie in, and where else blanks are."""

    raw: Any
    source: Any
    sets: Sets
    hidden: np.ndarray | None = None


def _warn_of_few(effective: np.ndarray) -> None:
    """Say in one line of how many examples the draws are few different ones."""
    few = int((effective < LOW_EFFECTIVE).sum())
    if few:
        examples = "1 example has" if few == 1 else f"{few:,} examples have"
        logger.warning(
            "%s fewer than %d effective draws, the fewest %.1f: what is known of them is unusual to the model, and "
            "their draws repeat each other; ask for more particles, or for mcmc steps",
            examples,
            LOW_EFFECTIVE,
            np.nanmin(effective),
        )
