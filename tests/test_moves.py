"""Codes moved by the estimator: what it takes beyond what the commands show."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sfumato import Autoencoder
from sfumato.errors import SfumatoError

QUICK = {"latent_dim": 2, "width": 16, "depth": 1, "steps": 5, "device": "cpu"}


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).normal(size=(60, 3))


@pytest.fixture(scope="module")
def auto(X):
    return Autoencoder(**QUICK).fit(X)


def test_a_straight_path_is_a_mix_of_codes(auto, X):
    a, b = auto.encode(X[:1]), auto.encode(X[1:2])
    assert auto.interpolate(X[:1], X[1:2], steps=3)[1] == pytest.approx(auto.decode((a + b) / 2)[0])
    assert auto.interpolate(X[:2], X[2:4], steps=3).shape == (6, 3)


def test_numeric_conditions_go_evenly_and_can_be_set():
    noise = np.random.default_rng(0)
    frame = pd.DataFrame({"size": noise.normal(size=80), "age": np.linspace(0, 10, 80), "x": noise.normal(size=80)})
    auto = Autoencoder("cvae", given=["age"], likelihood="gaussian", **QUICK).fit(frame)
    path = auto.interpolate(frame.iloc[[10]], frame.iloc[[70]], steps=5)
    assert path["age"].to_numpy() == pytest.approx(np.linspace(frame["age"][10], frame["age"][70], 5), abs=1e-4)
    assert (auto.interpolate(frame[:1], frame[1:2], steps=3, given={"age": 4.0})["age"] - 4.0).abs().max() < 1e-4
    with pytest.raises(SfumatoError, match="set them with given"):
        auto.interpolate(frame[:1], frame[1:2], path="geodesic")
    assert len(auto.interpolate(frame[:1], frame[1:2], path="geodesic", steps=3, given={"age": 4.0})) == 3


def test_classes_that_are_not_known_are_told_first():
    noise = np.random.default_rng(0)
    X, y = noise.normal(size=(60, 3)) + 5 * (np.arange(60) % 2)[:, None], np.arange(60) % 2
    auto = Autoencoder("m2", **QUICK).fit(X, y)
    assert np.isfinite(auto.interpolate(X[:1], X[1:2], steps=3)).all()
    assert auto.traverse(start=X[:1], latents=[0], steps=3).examples.shape == (3, 3)


def test_a_spherical_path_needs_a_prior_around_zero(X):
    mixture = Autoencoder(prior="mixture", **QUICK).fit(X)
    with pytest.raises(SfumatoError, match="choose the path straight or geodesic"):
        mixture.interpolate(X[:1], X[1:2], path="spherical")


def test_a_geodesic_can_keep_near_to_examples(auto, X):
    plain, near = (auto.interpolate(X[:1], X[1:2], path="geodesic", steps=5, near=some) for some in (None, X[2:]))
    assert plain[[0, -1]] == pytest.approx(near[[0, -1]])
    assert not np.allclose(plain, near)
    with pytest.raises(SfumatoError, match="near is for the path geodesic, not straight"):
        auto.interpolate(X[:1], X[1:2], near=X)


def test_a_traversal_starts_at_a_typical_example_and_has_the_quantiles_of_the_codes(auto, X):
    moved = auto.traverse(X, latents=[1], steps=3)
    typical = np.argsort((auto.encode(X) ** 2).sum(1))[len(X) // 2]
    z = np.repeat(auto.encode(X[[typical]]), 3, 0)
    z[:, 1] = moved.values[0]
    assert moved.examples == pytest.approx(auto.decode(z), abs=1e-6)
    draws = np.concatenate([auto.encode(X, noise=True, seed=seed)[:, 1] for seed in range(40)])
    assert moved.values[0] == pytest.approx(np.quantile(draws, moved.quantiles), abs=0.6)
    assert auto.traverse(latents=[0], steps=3).examples.shape == (3, 3), "of the data it was trained on"


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda auto, X: auto.interpolate(X[:1]), "give either b"),
        (lambda auto, X: auto.interpolate(X[:1], X[:2]), "a has 1 examples, but b has 2"),
        (
            lambda auto, X: auto.interpolate(X[:1], X[:1], path="geodesics"),
            "path 'geodesics' is not known",
        ),
        (lambda auto, X: auto.interpolate(X[:1], add=[1.0]), "give a direction of 2 latents"),
        (lambda auto, X: auto.direction(X, np.ones(60)), "all examples have the attribute"),
        (lambda auto, X: auto.direction(X, [True]), "give one value for each of 60 examples"),
        (lambda auto, X: auto.traverse(X, start=X[:2], latents=[0]), "start has 2 examples; give one"),
        (lambda auto, X: auto.traverse(X, latents=[2]), "counted from 0 to 1"),
        (lambda auto, X: auto.traverse(X[:3]), "3 examples do not say which values latents take"),
        (lambda auto, X: auto.neighbours(X, k=60), "from 1 to 59"),
        (lambda auto, X: auto.transfer(X, {"label": 1}), "was trained without conditions"),
    ],
)
def test_a_mistake_says_what_to_do(auto, X, call, line):
    with pytest.raises(SfumatoError, match=line):
        call(auto, X)


def test_neighbours_among_others_have_the_least_distances(auto, X):
    near = auto.neighbours(X[:4], X[10:], k=3)
    every = np.linalg.norm(auto.encode(X[:4])[:, None] - auto.encode(X[10:]), axis=2)
    assert np.array_equal(near.rows, np.argsort(every, 1)[:, :3])
    assert near.distances == pytest.approx(np.sort(every, 1)[:, :3])


def test_neighbours_of_some_rows_are_those_they_have_among_all(auto, X):
    every = auto.neighbours(X, k=2)
    some = auto.neighbours(X, k=2, rows=[7, 3])
    assert np.array_equal(some.rows, every.rows[[7, 3]])
    assert np.array_equal(some.distances, every.distances[[7, 3]])
    with pytest.raises(SfumatoError, match="row 60 is not there; they are counted from 0 to 59"):
        auto.neighbours(X, rows=[60])
