"""The family as a whole: what is measured of which data, in which features, and that pictures are seen."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch

from sfumato import data
from sfumato.data.core.options import DataOptions
from sfumato.evaluation import EvaluationSettings
from sfumato.evaluation.samples import image_features, measures
from sfumato.evaluation.samples.features import features

LIKENESS = ["precision", "recall", "density", "coverage", "Fréchet distance", "kernel distance"]


def bars(count: int, seed: int, side: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of one bright bar, upright or lying, somewhere."""
    random = np.random.default_rng(seed)
    x = random.integers(0, 60, (count, side, side)).astype(np.uint8)
    lying, place = random.integers(0, 2, count), random.integers(0, side, count)
    for picture, kind, at in zip(x, lying, place, strict=True):
        picture[(at, slice(None)) if kind else (slice(None), at)] = 255
    return x, lying


@pytest.fixture(scope="module")
def seen() -> image_features.Network:
    x, y = bars(400, 0)
    return image_features.trained(torch.from_numpy(x)[:, None], torch.from_numpy(y), 2, 256, steps=60)


def test_the_network_learns_its_labels_and_gives_as_many_features_as_it_says(seen):
    x, y = bars(200, 1)
    told = image_features.features(seen, torch.from_numpy(x)[:, None], last=True).argmax(1)
    assert (told == y).mean() > 0.95
    assert image_features.features(seen, torch.from_numpy(x)[:, None]).shape == (200, 64)


def test_training_is_a_function_of_the_seed_and_leaves_the_noise_of_others_alone():
    x, y = (torch.from_numpy(one) for one in bars(64, 0))
    before = torch.get_rng_state()
    nets = [image_features.trained(x[:, None], y, 2, 256, steps=3, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    weights = [net.classes.weight for net in nets]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("side", [(6, 6), (6, 9)])
def test_pictures_without_labels_are_turned_or_mirrored_each_way_alike(side):
    x = torch.arange(8 * side[0] * side[1]).view(8, 1, *side)
    shown, poses = image_features.posed(x)
    assert poses.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert torch.equal(shown[:2], x[:2])
    assert all(torch.equal(one.flatten().sort().values, two.flatten()) for one, two in zip(shown, x, strict=True))
    assert all(not torch.equal(shown[place], x[place]) for place in range(2, 8))


@pytest.mark.parametrize(("shape", "outputs"), [((1, 4, 4), 1), ((3, 64, 64), 8), ((1, 28, 28), 7)])
def test_pictures_of_any_size_come_down_to_eight_pixels_or_fewer(shape, outputs):
    net = image_features.Network(shape, 3)
    maps = net.features[:-3](torch.zeros(2, *shape))
    assert maps.shape[-2:] == (outputs, outputs)
    assert net(torch.zeros(2, *shape)).shape == (2, 3)


def test_a_network_is_kept_as_long_as_its_data_and_no_longer():
    dataset = data.open(bars(60, 0), options=DataOptions())
    held = len(image_features._KNOWN)
    first, again = (image_features.network(dataset.train, 256, torch.device("cpu"), 0) for _ in range(2))
    assert first is again
    assert first.taught == "to predict the labels"
    assert len(image_features._KNOWN) == held + 1
    del dataset
    gc.collect()
    assert len(image_features._KNOWN) == held


def test_pictures_like_the_real_ones_are_closer_than_others(drawn):
    dataset = data.open(bars(600, 0), options=DataOptions())
    fresh = torch.from_numpy(bars(2000, 7)[0])[:, None].float()
    good = drawn(dataset, lambda n, given: fresh[torch.randint(2000, (n,))])
    half = drawn(dataset, lambda n, given: fresh[fresh[:, 0, 0].amin(1) > 200][torch.zeros(n, dtype=torch.long)])
    noise = drawn(dataset, lambda n, given: torch.rand(n, 1, 8, 8) * 255)
    scores = [{one.name: one for one in measures.likeness(features(found))} for found in (good, half, noise)]
    assert scores[0]["precision"].value > 0.9 > 0.5 > scores[2]["precision"].value
    assert scores[1]["recall"].value < 0.5 < scores[0]["recall"].value
    distances = [one["Fréchet distance"] for one in scores]
    assert distances[0].value < 3 * distances[0].reference < distances[1].value
    assert distances[0].value < distances[2].value
    assert "labels" in distances[0].meaning


def test_your_own_extractor_is_used_where_given_also_in_haste(drawn):
    def mean(x: torch.Tensor) -> torch.Tensor:
        return x.float().mean((2, 3)) / 255

    found = drawn(bars(100, 0), how=EvaluationSettings(extractor=mean, quick=True))
    assert features(found).test[:, 0] == pytest.approx(found.test.x.float().mean((1, 2, 3)).numpy() / 255)
    names = [one.name for one in measures.measures(found.subject, found.how)]
    assert names == [*LIKENESS, "Fréchet distance of means"]


def test_what_applies_is_measured_and_nothing_else(drawn, people):
    quick = EvaluationSettings(quick=True)
    measured = {
        name: [one.name for one in measures.measures(found.subject, found.how)]
        for name, found in {
            "table": drawn(people(150, 0), given=("kind",), how=quick),
            "pictures": drawn(bars(60, 0), how=quick),
            "series": drawn(np.random.default_rng(0).normal(size=(150, 8, 2)), sequences=True, how=quick),
            "symbols": drawn("markov", rows=150, how=quick),
            "few": drawn(people(12, 0), how=quick),
        }.items()
    }
    assert measured == {
        "table": ["column shapes", "pair trends", *LIKENESS],
        "pictures": [],
        "series": [*LIKENESS, "channel shapes", "autocorrelation distance"],
        "symbols": [*LIKENESS, "symbol frequencies", "pair frequencies", "unique", "novel"],
        "few": ["column shapes", "pair trends"],
    }


def test_every_measure_says_what_it_means_beside_a_reference(drawn):
    found = drawn(bars(120, 0), given=("label",))
    measured = measures.measures(found.subject, found.how)
    assert [one.name for one in measured] == [
        *LIKENESS,
        "Fréchet distance of means",
        "conditional accuracy: label",
        "membership attack by score",
    ]
    for one in measured:
        assert one.family == "samples"
        assert one.reference is not None
        assert one.reference_is
        assert one.error is not None
        assert one.meaning.endswith(".")
        assert np.isfinite(one.value)


def test_features_of_unlabelled_pictures_say_so_and_symbols_are_counted(drawn):
    turned = drawn(bars(60, 0)[0])
    assert "rotations" in features(turned).space
    walk = drawn("markov", rows=100)
    assert features(walk).train.shape[1] == features(walk).samples.shape[1] <= 110
