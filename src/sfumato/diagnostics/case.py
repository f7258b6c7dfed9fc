"""What the doctor examines: a model, its data, training and config; each quantity computed once, on demand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from scipy.stats import norm as normal
from scipy.stats import t as student
from torch import Tensor

from sfumato import models
from sfumato.batch import Batch
from sfumato.data.core.batching.batches import Batches
from sfumato.diagnostics.examined import ExaminedRun
from sfumato.diagnostics.vectors import (
    Overlap,
    RealVectors,
    RecordVectors,
    Structure,
    Vectors,
    explained_variance,
    residuals,
    structure,
)
from sfumato.evaluation.metrics.columns import Aligned
from sfumato.evaluation.representation.measures import ACTIVE
from sfumato.evaluation.samples.sample_sets import Drawn
from sfumato.evaluation.settings import EvaluationSettings
from sfumato.evaluation.subject import array, rows, some
from sfumato.models.protocols import Classifies, Forecasts
from sfumato.randomness.generators import redirected, seeded

QUICK, THOROUGH = 400, 2000
"""Number of examples, at the end of a training and in the full diagnosis."""
SAMPLED_ROWS_QUICK, SAMPLED_ROWS = 2000, 4000
"""Number of samples of tables, and of real rows: a class with a share of 1/200 is expected at least ten times."""
PAIRED_COLUMNS_QUICK, PAIRED_COLUMNS = 30, 60
"""Largest number of columns whose pairs are all checked."""
SURE = 3.0
"""Standard errors above which a difference is not chance."""
LINEUP = 10
POSTERIOR_DRAWS = 4


@dataclass
class Case(ExaminedRun):
    """The run under diagnosis, with the quantities that checks are about, each computed once."""

    @property
    def most(self) -> int:
        """Number of examples to use."""
        return QUICK if self.quick else THOROUGH

    # The examples.

    @cached_property
    def held_out(self) -> Batch:
        """Examples that the model was not trained on, if there are any."""
        return self._labelled(rows(self.subject.batch, slice(0, self.most)))

    @cached_property
    def trained_on(self) -> Batch:
        """At most as many examples of the training split."""
        return self._take(self.subject.data.train, self.most)

    @cached_property
    def pool(self) -> Batch:
        """Held-out and training examples, shuffled."""
        joined = self.held_out
        if self.subject.part != "training split" and len(joined) < self.most:
            joined = _joined(joined, rows(self.trained_on, slice(0, self.most - len(joined))))
        return rows(joined, self._random().permutation(len(joined)))

    def _take(self, part: Batches, most: int) -> Batch:
        taken = part.take(some(len(part), most, self.subject.seed)).to(self.subject.batch.x.device)
        return self._labelled(taken)

    @torch.no_grad()
    def _labelled(self, batch: Batch) -> Batch:
        """The batch with missing classes predicted, for models that need them."""
        return self.model.labelled(batch) if isinstance(self.model, Classifies) else batch

    def _random(self) -> np.random.Generator:
        return np.random.default_rng(self.subject.seed)

    # The code.

    @cached_property
    def active(self) -> int | None:
        """Latents whose mean varies (Burda et al. 2016); None where codes are discrete or have no prior to compare."""
        if self.subject.space is None:
            return None
        shifts = replace(self.subject, batch=self.pool).shifts()
        return int((shifts.var(0) > ACTIVE).sum())

    @cached_property
    def parts(self) -> np.ndarray:
        """Distortion and rate of each held-out example, (N, 2), in nats."""
        return self.bound_parts(self.held_out)

    @property
    def rate(self) -> float:
        """Mean rate of held-out examples."""
        return max(float(self.parts[:, 1].mean()), 0.0)

    def bound_parts(self, batch: Batch) -> np.ndarray:
        """Distortion and rate of each example, (N, 2)."""
        subject = replace(self.subject, batch=batch)
        parts = subject.chunked(
            lambda chunk: torch.stack(self.model.log_weight_parts(chunk, POSTERIOR_DRAWS), 1), POSTERIOR_DRAWS
        )
        return -array(parts.reshape(*parts.shape[:3], -1).sum(3)).mean(2, dtype=np.float64)

    @cached_property
    def lineup(self) -> tuple[float, float]:
        """How often the decoder's likelihood picks an example's own code among ten, and the standard error.

        For each example, log p(x | z) at a draw of its own code and at those of nine others; ties are shared.
        """
        batch = self.pool
        count = min(LINEUP, len(batch))
        z = replace(self.subject, batch=batch).chunked(lambda chunk: self.model.encode(chunk).sample())
        x, mask = self._decoded_part(batch)
        each = []
        for shift in range(count):
            other = z.roll(shift, 0)
            pieces = []
            for part in self.subject.slices(len(batch)):
                given = None if batch.given is None else batch.given[part]
                p = self.model.decode(other[part], given)
                pieces.append(p.log_prob(x[part], None if mask is None else mask[part]))
            each.append(torch.cat(pieces))
        log_probs = torch.stack(each, 1).double()
        best = log_probs == log_probs.amax(1, keepdim=True)
        picked = array(best[:, 0] / best.sum(1))
        return float(picked.mean()), float(np.sqrt(1 / count * (1 - 1 / count) / len(picked)))

    @property
    def chance(self) -> float:
        """The accuracy of guessing in the lineup."""
        return 1 / min(LINEUP, len(self.pool))

    @property
    def decoder_uses_code(self) -> bool:
        """Whether the decoder recognises the right code more often than by chance."""
        picked, error = self.lineup
        return picked > self.chance + SURE * error

    def _decoded_part(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """The part of x that one code describes: all of it, or the last observed step where each step has a code."""
        if not isinstance(self.model, Forecasts):
            return batch.x, batch.mask
        seen = torch.ones(batch.x.shape[:2], device=batch.x.device) if batch.mask is None else batch.mask.any(2)
        last = (torch.arange(1, seen.shape[1] + 1, device=seen.device) * seen).amax(1).long().clamp(min=1) - 1
        index = torch.arange(len(last), device=last.device)
        mask = None if batch.mask is None else batch.mask[index, last][:, None]
        return batch.x[index, last][:, None], mask

    # Dependence in the data and in reconstructions.

    @cached_property
    def vectors(self) -> Vectors:
        """The map from examples to vectors."""
        return (RecordVectors if self.spec.is_record else Vectors)(self.spec, self.pool.x, self.pool.mask)

    @cached_property
    def structure(self) -> Structure:
        """The structure of the data that the conditions do not explain."""
        vectors = residuals(self.vectors.of(self.pool.x, self.pool.mask), self.pool.given, self.spec.given)
        return structure(vectors, self.vectors.owner, self.subject.seed)

    @cached_property
    def explained_by_reconstructions(self) -> float:
        """The share of the variance of the data that reconstructions explain."""
        reconstructions = replace(self.subject, batch=self.pool).chunked(lambda chunk: self.model.reconstruct(chunk))
        kept = ~self.vectors.square
        real, restored = self.vectors.of(self.pool.x, self.pool.mask), self.vectors.of(reconstructions, self.pool.mask)
        return max(explained_variance(real[:, kept], restored[:, kept], self.vectors.category[kept]), 0.0)

    # Samples.

    @property
    def noisy(self) -> bool:
        """Whether x is drawn when examples are compared; not where the noise would hide the signal."""
        return not self.spec.is_image and (not self.spec.is_sequence or self.spec.is_symbols)

    @cached_property
    def halves(self) -> tuple[Batch, Batch]:
        """The pool in two halves of the same size."""
        middle = len(self.pool) // 2
        return rows(self.pool, slice(0, middle)), rows(self.pool, slice(middle, 2 * middle))

    @cached_property
    def samples(self) -> Tensor:
        """New examples, one for each of the second half, under its conditions."""
        other = self.halves[1]
        return self.subject.draw(other.given, len(other), noise=self.noisy)

    @cached_property
    def reconstructed(self) -> Tensor:
        """Reconstructions of the second half, each from a drawn code."""

        def decode_draw(batch: Batch) -> Tensor:
            model = self.model
            if isinstance(model, Forecasts):
                return self.subject.model.reconstruct(batch, noise=self.noisy)
            p = model.decode(model.encode(batch).sample(), batch.given)
            return p.sample() if self.noisy else p.mode()

        return replace(self.subject, batch=self.halves[1]).chunked(decode_draw)

    @cached_property
    def coverage(self) -> dict[str, Overlap]:
        """What share of real examples is covered by as many others: real ones, reconstructions, samples."""
        first, second = self.halves
        reference = RealVectors(self.vectors.of(first.x, first.mask))
        return {
            "real": reference.overlap(self.vectors.of(second.x, second.mask)),
            "reconstructions": reference.overlap(self.vectors.of(self.reconstructed)),
            "samples": reference.overlap(self.vectors.of(self.samples)),
        }

    @cached_property
    def drawn(self) -> Drawn:
        """Real rows and as many samples, as for the measures of samples."""
        return Drawn.of(
            self.subject,
            EvaluationSettings(samples=SAMPLED_ROWS_QUICK if self.quick else SAMPLED_ROWS, seed=self.subject.seed),
        )

    @cached_property
    def columns(self) -> list[Aligned]:
        """The columns of tables and vectors, of (train, test, samples); a random subset if there are very many."""
        columns = self.drawn.columns
        most = PAIRED_COLUMNS_QUICK if self.quick else PAIRED_COLUMNS
        return (
            columns
            if len(columns) <= most
            else [columns[at] for at in sorted(self._random().permutation(len(columns))[:most])]
        )

    # The training.

    @cached_property
    def learned(self) -> tuple[float, float]:
        """How much training lowered the early-stopping metric on held-out examples, and the standard error."""
        return self._gain(self.held_out)

    @cached_property
    def improved_on_training(self) -> bool:
        """Whether training lowered it on the training examples."""
        gain, error = self._gain(self.trained_on)
        return gain > SURE * error

    def _gain(self, batch: Batch) -> tuple[float, float]:
        device = batch.x.device
        options = {name: value for name, value in self.config["model"].items() if name != "name"}
        with seeded(device, self.subject.seed), redirected():
            before = models.build(self.name, self.spec, **options).to(device).eval()
        subject = replace(self.subject, batch=batch)
        gains = array(subject.chunked(lambda chunk: before.monitor(chunk) - self.model.monitor(chunk)).double())
        return float(gains.mean()), spread(gains) / float(np.sqrt(len(gains)))

    def loss_curve(self, split: str = "valid", *, whole: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Steps and total losses of the validations, or of the training if nothing was validated; none where private.

        Args:
            split: "train" for the training loss.
            whole: include those before the end of all warm-ups.
        """
        split = split if any(line["split"] == split for line in self.lines) else "train"
        kept = [
            line
            for line in self.lines
            if line["split"] == split and "total" in line and (whole or self.model.schedules_done(line["step"]))
        ]
        return np.array([line["step"] for line in kept], float), np.array([line["total"] for line in kept], float)


def spread(values: np.ndarray) -> float:
    """The standard deviation of the distribution of values, widened when there are few of them.

    That of the values times t₀.₉₉(N − 1)/z₀.₉₉, the quantiles of Student's and of the normal distribution; for a
    single value, its magnitude.

    >>> round(spread(np.array([0.0, 1.0])), 1), spread(np.array([-3.0])), round(spread(np.tile([-1.0, 1.0], 500)), 2)
    (9.7, 3.0, 1.0)
    """
    count = len(values)
    if count < 2:
        return float(np.abs(values).sum())
    return float(values.std(ddof=1) * student.ppf(0.99, count - 1) / normal.ppf(0.99))


def _joined(first: Batch, second: Batch) -> Batch:
    pairs = ((first.given, second.given), (first.time, second.time))
    given, time = (None if a is None or b is None else torch.cat([a, b]) for a, b in pairs)
    mask = None
    if first.mask is not None or second.mask is not None:
        mask = torch.cat(
            [torch.ones_like(b.x, dtype=torch.bool) if b.mask is None else b.mask for b in (first, second)]
        )
    return Batch(torch.cat([first.x, second.x]), given, mask, time)
