"""Features in which samples are compared with real examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

from sfumato import likelihoods
from sfumato.batch import Batch
from sfumato.data.registry import kind_of
from sfumato.evaluation.metrics.columns import Aligned
from sfumato.evaluation.metrics.counts import log_normalised
from sfumato.evaluation.metrics.parts import part_features
from sfumato.evaluation.samples import image_features
from sfumato.evaluation.samples.image_features import FeatureNetwork, network
from sfumato.evaluation.samples.sample_sets import SAMPLED, TEST, TRAIN, Drawn
from sfumato.evaluation.samples.symbols import counted
from sfumato.evaluation.subject import array, rows
from sfumato.spectra import MelScale

MAX_FEATURES = 256
"""More features than these are brought to so many principal axes of the training rows."""
MAX_CATEGORY_FEATURES = 50
"""Categories of a column with a feature of their own, the most frequent ones; the others share one."""
EXTRACTED = 500
HEARD = 64
"""Waveforms whose spectra are made together."""


@dataclass(frozen=True)
class Features:
    """Features of three sets of examples.

    Attributes:
        sets: of training rows, test examples and samples, each (N, F).
        space: what they are, to follow "in" in a sentence.
    """

    sets: Sequence[np.ndarray]
    space: str

    @property
    def train(self) -> np.ndarray:
        """Of training rows."""
        return self.sets[TRAIN]

    @property
    def test(self) -> np.ndarray:
        """Of test examples."""
        return self.sets[TEST]

    @property
    def samples(self) -> np.ndarray:
        """Of samples."""
        return self.sets[SAMPLED]


def features(drawn: Drawn) -> Features | None:
    """By the user's extractor, or by the kind of data; None where a network is needed in haste, or of nothing.

    * rows of a table and vectors: numbers by their ranks among the training rows (`normal_scores`), a feature of 0 or 1
      for each category (a row that changes its category moves as far, on average, as one that changes a number), 0
      where missing and a flag for it;
    * counts: log(1 + counts per 10,000);
    * sequences: the entries as the model sees them, standardised; 0 where missing and a flag for it;
    * sequences of symbols: how often each symbol and each pair of neighbours occurs, the 256 most frequent of them;
    * mixed records: the entries of each part, all parts on one scale (`metrics.parts`);
    * waveforms: mean and deviation over time of the logarithm of each mel band;
    * images: the last hidden layer of a small network trained on the training split (see
      `sfumato.evaluation.samples.image_features`), on the scale at which the mean variance of a feature over training
      images is 1.
    """
    schema, how = drawn.subject.schema, drawn.how
    spec = schema.spec
    if how.extractor is not None:
        return Features([_extracted(drawn, batch.x) for batch in drawn.sets], "features of your own extractor")
    if spec.is_image:
        if how.quick or not len(drawn.subject.data.train):
            return None
        trained_network = _network(drawn)
        sets = [features_by(trained_network, batch.x) for batch in drawn.sets]
        return Features(sets, f"features of a small network trained {trained_network.taught} on the training split")
    if spec.is_waveform:
        return Features([heard(batch, spec.rate) for batch in drawn.sets], "mean and deviation over time of mel bands")
    if spec.is_symbols:
        return Features(counted(drawn), "the counts of symbols and of neighbouring symbols")
    if likelihoods.named(spec.likelihood).counts:
        sets = [array(log_normalised(batch.x, batch.mask).double()) for batch in drawn.sets]
        return Features(narrowed(sets), "the logarithms of counts per 10,000")
    if spec.is_record:
        sets = part_features(spec, [(batch.x, batch.mask) for batch in drawn.sets])
        return Features(narrowed(sets), "the entries of the parts, which count alike")
    if schema.of_columns:
        named = kind_of(schema).named_columns
        own = drawn.columns if named else [drawn.columns[place] for place in drawn.judged]
        return Features(narrowed(encoded(own)), "the columns, numbers by their ranks as normal scores")
    return Features(narrowed(drawn.flat), "the entries, standardised")


def mean_images(drawn: Drawn) -> np.ndarray | None:
    """Features of as many samples without pixel noise; None if samples have none, or are not images."""
    subject, how = drawn.subject, drawn.how
    spec = subject.schema.spec
    if not drawn.by_model or not spec.is_image or not likelihoods.named(spec.likelihood).density:
        return None
    x = subject.draw(drawn.samples.given, len(drawn.samples), noise=False)
    return _extracted(drawn, x) if how.extractor is not None else features_by(_network(drawn), x)


def heard(batch: Batch, rate: int) -> np.ndarray:
    """Mean and deviation over the frames of each waveform of the logarithm of its mel bands, (N, 2·C·bands)."""
    scale = MelScale.of(rate)
    parts = []
    for at in range(0, len(batch), HEARD):
        part = rows(batch, slice(at, at + HEARD))
        mask = torch.ones_like(part.x, dtype=torch.bool) if part.mask is None else part.mask
        bands = scale.log_mel(part.x.where(mask, 0.0).transpose(1, 2)).transpose(1, 2).flatten(2)
        ends = mask.any(2).sum(1).div(scale.hop).ceil().clamp_min(1)
        inside = (torch.arange(bands.shape[1], device=bands.device) < ends[:, None])[..., None].to(bands)
        mean = (bands * inside).sum(1) / ends[:, None]
        variance = ((bands - mean[:, None]).square() * inside).sum(1) / ends[:, None]
        parts.append(torch.cat([mean, variance.sqrt()], 1))
    return array(torch.cat(parts)).astype(float)


def _network(drawn: Drawn) -> FeatureNetwork:
    spec = drawn.subject.schema.spec
    return network(drawn.subject.data.train, spec.fields[0].size, drawn.samples.x.device, drawn.how.seed)


def features_by(trained: FeatureNetwork, x: Tensor) -> np.ndarray:
    """Features of images, divided by their scale."""
    return image_features.features(trained.net, x) / trained.scale


def encoded(table: Sequence[Aligned], *, flagged: bool = True) -> list[np.ndarray]:
    """Columns of several tables as features, by what the first of them, the training rows, hold."""
    encoded_parts: list[list[np.ndarray]] = [[] for _ in table[0].values]
    for column in table:
        first = column.values[0]
        if column.levels:
            counts = np.bincount(first[~np.isnan(first)].astype(int), minlength=len(column.levels))
            own = np.argsort(-counts, kind="stable")[:MAX_CATEGORY_FEATURES]
            place = np.full(len(column.levels), len(own))
            place[own] = np.arange(len(own))
            for side, values in enumerate(column.values):
                hot = np.zeros((len(values), len(own) + 1))
                known = np.flatnonzero(~np.isnan(values))
                hot[known, place[values[known].astype(int)]] = 1.0
                encoded_parts[side].append(hot)
        else:
            for side, values in enumerate(column.values):
                encoded_parts[side].append(np.nan_to_num(normal_scores(values, first))[:, None])
        if flagged and any(np.isnan(values).any() for values in column.values):
            for side, values in enumerate(column.values):
                encoded_parts[side].append(np.isnan(values)[:, None].astype(float))
    return [np.concatenate(parts, 1) for parts in encoded_parts]


def normal_scores(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Numbers by their ranks among others: Φ⁻¹(F(x)), NaN where missing, shape (N,).

        F(x) = (#{known < x} + ½ #{known = x}) / n, kept within 1/2n … 1 − 1/2n

    One value far out weighs no more than the largest that is known, so that heavy tails do not drown all else; no
    monotone change of units moves it.

    >>> normal_scores(np.array([1.0, 2.0, 1e9, np.nan]), np.array([1.0, 2.0, 3.0])).round(2)
    array([-0.97,  0.  ,  0.97,   nan])
    """
    order = np.sort(known[~np.isnan(known)])
    count = max(len(order), 1)
    below = np.searchsorted(order, values, side="left") + np.searchsorted(order, values, side="right")
    scores = ndtri(np.clip(below / (2 * count), 0.5 / count, 1 - 0.5 / count))
    return np.where(np.isnan(values), np.nan, scores)


def narrowed(sets: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    """The same where they are narrow; else on the principal axes of the first set, the training rows."""
    train = sets[0]
    if train.shape[1] <= MAX_FEATURES:
        return sets
    centre = train.mean(0)
    if train.shape[1] > len(train):
        # The same axes by way of the products of rows with rows, of which there are fewer.
        axes = np.linalg.svd(train - centre, full_matrices=False)[2][:MAX_FEATURES].T
        return [(x - centre) @ axes for x in sets]
    axes = np.linalg.eigh(np.cov(train, rowvar=False))[1][:, -MAX_FEATURES:]
    return [(x - centre) @ axes for x in sets]


def _extracted(drawn: Drawn, x: Tensor) -> np.ndarray:
    assert drawn.how.extractor is not None, "called only with an extractor"
    extracted = torch.cat([drawn.how.extractor(part).flatten(1) for part in x.split(EXTRACTED)])
    return array(extracted.double())
