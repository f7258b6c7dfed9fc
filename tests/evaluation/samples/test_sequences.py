"""Series and symbols: shapes, autocorrelation, frequencies, lengths, uniqueness and novelty at known cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sfumato.evaluation import EvaluationSettings, Measure
from sfumato.evaluation.samples import sequences, symbols


def by_name(found: list[Measure]) -> dict[str, Measure]:
    return {measure.name: measure for measure in found}


def walks(count: int, keep: float, seed: int, steps: int = 24) -> np.ndarray:
    """Autoregressive series x_t = keep · x_{t−1} + noise of unit variance, (N, T, 2)."""
    random = np.random.default_rng(seed)
    x = np.empty((count, steps, 2))
    x[:, 0] = random.normal(size=(count, 2))
    for step in range(1, steps):
        x[:, step] = keep * x[:, step - 1] + np.sqrt(1 - keep**2) * random.normal(size=(count, 2))
    return x


def test_the_autocorrelation_of_an_autoregression_is_its_powers():
    found = sequences.autocorrelation(walks(4000, 0.8, 0))
    assert found.shape == (12, 2)
    assert found[:, 0] == pytest.approx(0.8 ** np.arange(1, 13), abs=0.03)


def test_missing_steps_are_left_out_of_the_autocorrelation():
    x = walks(4000, 0.8, 0)
    x[np.random.default_rng(0).random(x.shape) < 0.3] = np.nan
    x[:, 20:, 0] = np.nan
    assert sequences.autocorrelation(x)[:6, 0] == pytest.approx(0.8 ** np.arange(1, 7), abs=0.05)


def test_shuffled_steps_keep_the_shapes_and_lose_the_order():
    test, train, made = walks(400, 0.9, 0), walks(400, 0.9, 1), walks(400, 0.9, 2)
    made = np.random.default_rng(0).permuted(made, axis=1)
    shapes, order = sequences.channel_shapes(test, made, train)[0], sequences.autocorrelations(test, made, train)[0]
    assert shapes.value == pytest.approx(shapes.reference, abs=0.05)
    apart = np.abs(np.subtract.outer(np.arange(24), np.arange(24)))
    same = np.mean(0.9 ** apart[apart > 0])
    lost = np.mean(np.abs(0.9 ** np.arange(1, 13) - same))
    assert order.value == pytest.approx(lost, abs=0.05)
    assert order.reference < 0.05
    assert list(order.parts) == ["channel 1", "channel 2"]


def test_a_shifted_channel_is_named():
    test, train, made = walks(400, 0.5, 0), walks(400, 0.5, 1), walks(400, 0.5, 2)
    made[..., 1] += 5.0
    found = sequences.channel_shapes(test, made, train)[0]
    assert found.parts["channel 1"] > 0.95 > 0.1 > found.parts["channel 2"]


def test_sequences_are_judged_as_sequences(drawn):
    raw = walks(200, 0.9, 0, steps=6)
    good = drawn(raw, sequences=True)
    assert [one.name for one in sequences.measures(good)] == [
        "two-sample score",
        "classifier two-sample test",
        "channel shapes",
        "autocorrelation distance",
    ]
    assert sequences.measures(good)[1].value < 0.8
    x = good.subject.data.train.take(slice(None)).x
    bad = drawn(
        raw,
        lambda n, given: x[torch.randint(len(x), (n,))].flip(1) * 5,
        sequences=True,
        how=EvaluationSettings(quick=True),
    )
    found = by_name(sequences.measures(bad))
    assert list(found) == ["channel shapes", "autocorrelation distance"]
    assert found["channel shapes"].value < found["channel shapes"].reference - 0.1


def chains(count: int, stay: float, seed: int) -> np.ndarray:
    """Sequences of two symbols that stay as they are with a probability, (N, 10)."""
    random = np.random.default_rng(seed)
    turned = random.random((count, 10)) > stay
    return (np.cumsum(turned, 1) + random.integers(0, 2, (count, 1))) % 2


def test_frequencies_tell_symbols_and_pairs_apart():
    test, train, made = chains(2000, 0.9, 0), chains(2000, 0.9, 1), chains(2000, 0.5, 2)
    ones = symbols.frequencies("a", "symbol", test, made, train, 1, 2)
    twos = symbols.frequencies("b", "pair", test, made, train, 2, 2)
    assert ones.value < 0.03, "both use both symbols alike"
    assert twos.value == pytest.approx(0.4, abs=0.03), "½ (2 |.45 − .25| + 2 |.05 − .25|)"
    assert twos.reference < 0.03


def test_nothing_in_common_is_one_and_the_end_is_no_symbol():
    x, y = np.zeros((5, 4), int), np.ones((5, 4), int)
    x[:, 2:] = -1
    assert symbols.frequencies("a", "symbol", x, y, x, 1, 2).value == 1.0
    assert symbols.frequencies("a", "pair", x, x, x, 2, 2).value == 0.0
    assert symbols.grams(np.array([[0, 1, -1]]), 2, 5).tolist() == [[1, -1]]


def test_lengths_are_compared_where_sequences_end():
    x = symbols.written(np.array([[[1], [2], [0]], [[0], [0], [2]]]), 3)
    assert x.tolist() == [[1, -1, -1], [0, 0, -1]]
    found = symbols.lengths(x, x[1:], x)
    assert found.value == 0.5
    assert found.parts == {"mean, real": 1.5, "mean, samples": 2.0}


def test_uniqueness_and_novelty_are_shares_of_the_samples():
    known = set(symbols.words(np.array([[0, 0], [0, 1]])))
    made = np.array([[0, 0], [0, 0], [1, 1], [1, 0]])
    assert symbols.unique(made, made[:1]).value == 0.75
    found = symbols.novel(made, np.array([[1, 1]]), known, held_out=True)
    assert (found.value, found.reference) == (0.5, 1.0)
    assert symbols.novel(made, made, known, held_out=False).reference is None


def test_symbols_are_judged_as_symbols_and_not_as_numbers(drawn):
    good = drawn("markov", rows=400)
    assert good.subject.schema.spec.is_symbols
    found = by_name(symbols.measures(good))
    assert list(found) == ["symbol frequencies", "pair frequencies", "unique", "novel"]
    assert found["novel"].value == 0.0
    assert found["novel"].reference == 1.0
    assert sequences.measures(good) == []
    shapes = {x.shape for x in symbols.counted(good)}
    assert {shape[1] for shape in shapes} == {next(iter(shapes))[1]}


def test_constant_channels_have_no_order_to_be_judged():
    test, train, made = (walks(200, 0.8, seed) for seed in range(3))
    for one in (test, train, made):
        one[..., 1] = 0.1
    found = sequences.autocorrelations(test, made, train)[0]
    alone = sequences.autocorrelations(test[..., :1], made[..., :1], train[..., :1])[0]
    assert (found.value, found.reference) == (pytest.approx(alone.value), pytest.approx(alone.reference))
    assert list(found.parts) == ["channel 1"]
    made[..., 0] = 0.1
    flat = sequences.autocorrelations(test, made, train)[0]
    assert flat.value == pytest.approx(np.abs(sequences.autocorrelation(test)[:, 0]).mean())
    test[..., 0] = 0.1
    assert sequences.autocorrelations(test, made, train) == []
