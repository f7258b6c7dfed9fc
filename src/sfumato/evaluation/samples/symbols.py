"""Sequences of symbols: which symbols, which pairs, how long, how varied, how new."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sfumato.evaluation.measure import Measure
from sfumato.evaluation.metrics.columns import ColumnPair
from sfumato.evaluation.metrics.jackknife import jackknife
from sfumato.evaluation.samples.sample_sets import Drawn
from sfumato.evaluation.subject import array, some

MAX_SYMBOL_FEATURES = 256
"""Symbols and pairs that are features, the most frequent ones."""
LOOKED_UP = 200_000
"""Training sequences that samples are looked up in, at most."""


def measures(drawn: Drawn) -> list[Measure]:
    """Frequencies of symbols and of neighbouring pairs, lengths, uniqueness and novelty."""
    spec = drawn.subject.schema.spec
    if not spec.is_symbols:
        return []
    size, ends, seed = spec.fields[0].size, spec.ends, drawn.how.seed
    train, test, samples = (written(array(batch.x), size if ends else None) for batch in drawn.sets)
    results = [
        frequencies("symbol frequencies", "symbol", test, samples, train, 1, size, seed),
        frequencies("pair frequencies", "pair of neighbouring symbols", test, samples, train, 2, size, seed),
    ]
    if ends:
        results.append(lengths(test, samples, train, seed))
    results.append(unique(samples, train, seed))
    whole = drawn.subject.data.train
    if len(whole):
        kept = whole.take(some(len(whole), LOOKED_UP, seed))
        known = set(words(written(array(kept.x), size if ends else None)))
        results.append(novel(samples, test, known, drawn.held_out, seed))
    return results


def written(x: np.ndarray, size: int | None) -> np.ndarray:
    """Symbols (N, T, 1) as whole numbers (N, T); −1 from the end on, where `size` tells that the last symbol is it.

    >>> written(np.array([[[0], [2], [2]]]), 3)
    array([[ 0, -1, -1]])
    """
    symbols = x[..., 0].round().astype(int)
    if size is None:
        return symbols
    ended = np.maximum.accumulate(symbols == size - 1, 1)
    return np.where(ended, -1, symbols)


def words(x: np.ndarray) -> list[bytes]:
    """Each sequence as one thing that can be looked up."""
    return [row.tobytes() for row in np.ascontiguousarray(x, np.int32)]


def grams(x: np.ndarray, length: int, size: int) -> np.ndarray:
    """How often each run of `length` symbols occurs in each sequence: its number, (N, T − length + 1), −1 behind."""
    parts = [x[:, start : x.shape[1] - length + 1 + start] for start in range(length)]
    number = np.zeros_like(parts[0])
    for part in parts:
        number = number * size + part
    return np.where(np.min(parts, 0) < 0, -1, number)


def frequencies(
    name: str,
    what: str,
    test: np.ndarray,
    samples: np.ndarray,
    train: np.ndarray,
    length: int,
    size: int,
    seed: int = 0,
) -> Measure:
    """Total variation ½ Σ |p_real − p_made| between the frequencies of runs of `length` symbols."""
    runs = [grams(x, length, size) for x in (test, samples, train)]
    every, place = np.unique(np.concatenate([run.ravel() for run in runs]), return_inverse=True)
    cuts = np.cumsum([run.size for run in runs])[:-1]
    coded = [part.reshape(run.shape) for part, run in zip(np.split(place, cuts), runs, strict=True)]
    keep = (every >= 0).astype(float)

    def shares(x: np.ndarray) -> np.ndarray:
        counts = np.bincount(x.ravel(), minlength=len(every)) * keep
        return counts / max(counts.sum(), 1)

    def distance(first: np.ndarray, second: np.ndarray) -> float:
        return float(np.abs(shares(first) - shares(second)).sum() / 2)

    return Measure(
        name,
        distance(coded[0], coded[1]),
        "",
        f"Distance between the frequencies of each {what} in samples and real sequences; 0 means equal, 1 disjoint.",
        "samples",
        error=jackknife(lambda a, b: [distance(coded[0][a], coded[1][b])], (len(test), len(samples)), seed)[0],
        reference=distance(coded[0], coded[2]),
        reference_is="real data",
        better="lower",
    )


def lengths(test: np.ndarray, samples: np.ndarray, train: np.ndarray, seed: int = 0) -> Measure:
    """The Kolmogorov–Smirnov distance of lengths."""
    long = [(x >= 0).sum(1).astype(float) for x in (test, samples, train)]

    def distance(first: np.ndarray, second: np.ndarray) -> float:
        return ColumnPair("", first, second).distance

    return Measure(
        "length distance",
        distance(long[0], long[1]),
        "",
        "Distance between the lengths of samples and real sequences; 0 means equal, 1 disjoint.",
        "samples",
        error=jackknife(lambda a, b: [distance(long[0][a], long[1][b])], (len(test), len(samples)), seed)[0],
        reference=distance(long[0], long[2]),
        reference_is="real data",
        better="lower",
        parts={"mean, real": float(long[0].mean()), "mean, samples": float(long[1].mean())},
    )


def unique(samples: np.ndarray, train: np.ndarray, seed: int = 0) -> Measure:
    """Different sequences among the samples, as a share."""
    drawn = np.array(words(samples), object)
    return Measure(
        "unique",
        len(set(drawn)) / len(drawn),
        "",
        "Share of distinct samples; the reference is that of as many training sequences.",
        "samples",
        error=jackknife(lambda kept: [len(set(drawn[kept])) / len(kept)], (len(drawn),), seed)[0],
        reference=len(set(words(train))) / len(train),
        reference_is="real data",
        better="higher",
    )


def novel(samples: np.ndarray, test: np.ndarray, known: set[bytes], held_out: bool, seed: int = 0) -> Measure:
    """Samples that the training split does not hold, as a share."""
    new = np.array([word not in known for word in words(samples)])
    return Measure(
        "novel",
        float(new.mean()),
        "",
        "Share of samples that are not in the training split; far below that of test sequences, the model memorises.",
        "samples",
        error=jackknife(lambda kept: [new[kept].mean()], (len(new),), seed)[0],
        reference=float(np.mean([word not in known for word in words(test)])) if held_out else None,
        reference_is="test sequences" if held_out else "",
        better="higher",
    )


def counted(drawn: Drawn) -> Sequence[np.ndarray]:
    """Counts of the most frequent symbols and pairs in each sequence, over their deviations in the training rows."""
    spec = drawn.subject.schema.spec
    size = spec.fields[0].size
    sets = [written(array(batch.x), size if spec.ends else None) for batch in drawn.sets]
    singles_, pairs_ = ([grams(x, length, size) for x in sets] for length in (1, 2))
    runs = [
        np.concatenate([singles, np.where(pairs < 0, -1, pairs + size)], 1)
        for singles, pairs in zip(singles_, pairs_, strict=True)
    ]
    seen, often = np.unique(runs[0][runs[0] >= 0], return_counts=True)
    kept = np.sort(seen[np.argsort(-often, kind="stable")[:MAX_SYMBOL_FEATURES]])
    table = [np.stack([np.bincount(_places(row, kept), minlength=len(kept) + 1)[:-1] for row in x]) for x in runs]
    scale = table[0].std(0)
    return [x / np.where(scale > 0, scale, 1.0) for x in table]


def _places(row: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """The place of each number in `kept`, behind the last where it is none of them."""
    place = np.searchsorted(kept, row).clip(max=len(kept) - 1)
    return np.where(kept[place] == row, place, len(kept))
