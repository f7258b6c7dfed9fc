"""Conditional accuracy of sources that listen, half listen, and do not listen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from sfumato import data
from sfumato.data.core.options import DataOptions
from sfumato.evaluation import EvaluationSettings
from sfumato.evaluation.samples import conditional_accuracy
from sfumato.evaluation.samples.features import features


def told(found, place: int = 0):
    return conditional_accuracy.measures(found, features(found))[place]


def test_a_source_that_gives_what_is_asked_for_scores_as_real_rows_do(drawn, people):
    dataset = data.open(people(400, 0), options=DataOptions(given=("kind",)))
    x, given, _ = dataset.schema.encode(dataset.schema.read(people(1000, 1)))
    found = told(drawn(dataset, lambda n, c: x[torch.multinomial((c == given.T).float(), 1)[:, 0]]))
    assert found.name == "conditional accuracy: kind"
    assert found.value == pytest.approx(found.reference, abs=0.15)
    assert list(found.parts) == ["a", "b", "c"]
    assert found.value == pytest.approx(np.mean(list(found.parts.values())))


def test_a_source_that_does_not_listen_is_right_by_chance_alone(drawn, people):
    dataset = data.open(people(400, 0), options=DataOptions(given=("kind",)))
    x = dataset.train.take(slice(None)).x
    found = told(drawn(dataset, lambda n, given: x[torch.randint(len(x), (n,))]))
    assert abs(found.value - 1 / 3) < 4 * found.error < 0.2
    assert found.reference > 0.6


def test_the_score_is_the_share_of_answers_that_fit():
    right, names = np.arange(300) % 3, ("x", "y", "z")
    said = right.copy()
    said[:60] = (said[:60] + 1) % 3
    found = conditional_accuracy.classes(conditional_accuracy.Aligned("c", (), names), [right, right], [right, said])
    assert found.value == pytest.approx(0.8)
    assert found.reference == 1.0
    assert found.parts == pytest.approx({"x": 0.8, "y": 0.8, "z": 0.8})


def test_rare_classes_weigh_as_much_as_frequent_ones():
    right = np.repeat([0, 1], [90, 10])
    found = conditional_accuracy.classes(
        conditional_accuracy.Aligned("c", (), ("x", "y")), [right, right], [right, np.zeros(100)]
    )
    assert found.value == 0.5


def test_numbers_that_were_asked_for_are_told_by_how_much_of_them_comes_back(drawn):
    random = np.random.default_rng(0)
    age = random.uniform(20, 80, 400)
    rows = pd.DataFrame({"age": age, "grey": age / 10 + random.normal(size=400) * 0.3})
    dataset = data.open(rows, options=DataOptions(given=("age",), likelihood="gaussian"))
    x, given = dataset.train.take(slice(None)).x, dataset.train.take(slice(None)).given
    listens = told(drawn(dataset, lambda n, c: x[(given[:, 0] - c).abs().argmin(1)]))
    deaf = told(drawn(dataset, lambda n, c: x[torch.randint(len(x), (n,))]))
    assert listens.unit == deaf.unit == "R²"
    assert listens.value > 0.9
    assert listens.reference > 0.9
    assert deaf.value < 0.0


def test_pictures_and_vectors_are_judged_in_their_features(drawn):
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 200)
    found = drawn((random.normal(size=(200, 3)) + 3.0 * labels[:, None], labels), given=("label",))
    assert told(found).value > 0.95


def test_without_conditions_or_in_haste_nothing_is_asked(drawn, people):
    assert conditional_accuracy.measures(drawn(people(60, 0)), None) == []
    assert (
        conditional_accuracy.measures(drawn(people(60, 0), given=("kind",), how=EvaluationSettings(quick=True)), None)
        == []
    )
