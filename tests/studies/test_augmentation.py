"""Rows of rare classes: how many, where they stand, and what a check says of them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import sfumato
from sfumato.errors import SfumatoError
from sfumato.estimator.methods.uses.augmentation import AugmentedExamples
from sfumato.studies import AugmentationCheck, augmentation_check
from sfumato.studies.augmentation_check import Labelled, compare_ways
from sfumato.studies.rebalancing import Rows, rebalanced, scores
from sfumato.tasks import rows_to_add

QUICK = {"latent_dim": 2, "width": 8, "depth": 1, "steps": 5, "device": "cpu"}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Two classes, of 50 and 12 rows, with a column that is not modelled and missing cells."""
    noise = np.random.default_rng(0)
    kind = np.array(["common"] * 50 + ["rare"] * 12)
    return pd.DataFrame(
        {
            "number": np.arange(62) * 7,
            "size": np.where(noise.random(62) < 0.1, np.nan, noise.normal(size=62) + (kind == "rare")),
            "colour": noise.choice(["red", "green"], 62),
            "kind": kind,
        }
    )


def test_the_largest_remainders_are_rounded_up_and_the_total_is_kept():
    counts = {"a": 7, "b": 5, "c": 1}
    for rows in range(1, 40):
        assert sum(rows_to_add(counts, False, rows).values()) == rows
        shares = rows_to_add(counts, True, rows)
        assert sum(shares.values()) == rows
        assert all(abs(shares.get(name, 0) - rows * lack / 8) < 1 for name, lack in (("a", 0), ("b", 2), ("c", 6)))
    with pytest.raises(SfumatoError, match="nothing to balance"):
        rows_to_add(counts, 1)
    with pytest.raises(SfumatoError, match="say how many"):
        rows_to_add(counts, False)


def test_real_rows_come_first_and_unchanged_and_each_class_is_brought_to_the_largest(frame):
    for source in (frame, frame.assign(colour=frame["colour"].astype("category"), generated=1)):
        augmented = sfumato.augment(source, "kind", drop=("number",), **QUICK)
        more = augmented.examples
        mark = more.columns[-1]
        assert mark == ("generated_2" if "generated" in source else "generated")
        pd.testing.assert_frame_equal(more[source.columns][: len(source)], source, check_dtype=False)
        assert more["colour"].dtype == source["colour"].dtype
        assert more[mark].tolist() == [False] * 62 + [True] * 38
        assert augmented.generated == 38
        assert (more["kind"][62:] == "rare").all()
        assert more["number"][62:].isna().all()


def test_numbers_can_be_classes_and_arrays_come_with_their_labels(frame):
    numbered = frame.assign(kind=(frame["kind"] == "rare").astype(int))
    more = sfumato.augment(numbered, "kind", balance=20, **QUICK).examples
    assert more["kind"].value_counts().to_dict() == {0: 50, 1: 20}
    x = np.random.default_rng(0).integers(0, 255, (30, 8, 8), dtype=np.uint8)
    y = np.array([3] * 24 + [5] * 6)
    images = sfumato.augment((x, y), **QUICK).examples
    assert isinstance(images, AugmentedExamples)
    assert images.x.dtype == np.uint8
    np.testing.assert_array_equal(images.x[:30], x)
    assert np.bincount(images.labels).tolist() == [0, 0, 0, 24, 0, 24]
    assert images.generated.sum() == 18


@pytest.mark.parametrize("labels", [np.repeat([False, True], [6, 24]), np.repeat(np.array([3, 5], np.int8), [6, 24])])
def test_labels_keep_their_type_and_the_rare_class_is_brought_to_the_largest(labels):
    x = np.random.default_rng(0).normal(size=(30, 3))
    more = sfumato.Autoencoder("cvae", given=["label"], **QUICK).fit((x, labels)).augment((x, labels), seed=0)
    assert more.labels.dtype == labels.dtype
    assert (more.labels[30:] == labels[0]).all()
    assert more.generated.sum() == 18


def test_what_cannot_be_balanced_is_refused_before_the_training(frame):
    for options, error in (
        ({"target": "kinds"}, "did you mean kind"),
        ({"target": "number"}, "does not hold classes"),
        ({"target": "kind", "mark": "size"}, "choose another name"),
        ({"target": "kind", "balance": False}, "say how many"),
        ({"target": "kind", "folds": 13, "check": True}, "12 rows"),
    ):
        with pytest.raises(SfumatoError, match=error):
            sfumato.augment(frame, **options, **QUICK)


def test_weights_and_repeated_rows_say_the_same_of_a_prior():
    x, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 0, 1])
    ways = rebalanced(x, y, None, 0)
    np.testing.assert_allclose(np.bincount(y, ways["class weights"].weights), [2, 2])
    assert np.bincount(ways["oversampling"].y).tolist() == [3, 3]
    assert "SMOTE" not in ways  # Its class of one row has no neighbour.


def test_smote_keeps_categories_and_lies_between_neighbours():
    pytest.importorskip("imblearn")
    noise = np.random.default_rng(0)
    x = np.stack([noise.normal(size=40), noise.integers(0, 3, 40).astype(float)], 1)
    x[noise.random(x.shape) < 0.1] = np.nan
    y = np.array([0] * 30 + [1] * 10)
    made = rebalanced(x, y, np.array([False, True]), 0)["SMOTE"]
    np.testing.assert_array_equal(made.x[:40], x)
    assert set(made.x[40:, 1][~np.isnan(made.x[40:, 1])]) <= {0.0, 1.0, 2.0}
    assert np.nanmin(x[30:, 0]) <= made.x[40:, 0].min()
    assert made.x[40:, 0].max() <= max(np.nanmax(x[30:, 0]), np.nanmedian(x[:, 0]))


@pytest.mark.parametrize("trees", [True, False])
def test_a_class_that_was_never_seen_is_never_predicted(trees):
    x = np.linspace(0, 1, 40)[:, None]
    y = np.where(x[:, 0] < 0.5, 0, 2)
    given = scores(Rows(x, y), x, 3, None, trees=trees, seed=0)
    assert (given.argmax(1) == y).mean() > 0.9
    assert np.isneginf(given[:, 1]).all()


def test_the_check_tells_help_from_harm():
    noise = np.random.default_rng(0)

    def check(gain: float) -> AugmentationCheck:
        base = {name: 0.5 + 0.01 * noise.normal(size=5) for name in ("balanced accuracy", "average precision")}
        better = {name: values + gain + 0.005 * noise.normal(size=5) for name, values in base.items()}
        others = {"F1": np.zeros(5), "recall": np.zeros(5)}
        values = {"nothing": base | others, "class weights": base | others, "augmentation": better | others}
        return AugmentationCheck("rare", 12, values, 0.25)

    assert check(0.1).helps
    assert "better than class weights too" in check(0.1).verdict
    assert not check(-0.1).helps
    assert check(0.0).verdict.startswith("Augmentation does not help here")


def test_generated_rows_stay_out_of_what_is_tested(frame):
    answers = (frame["kind"] == "rare").to_numpy().astype(int)
    even = np.arange(len(frame)) % 2 == 0
    parts = [Labelled(frame[rows].reset_index(drop=True), answers[rows]) for rows in (even, ~even)]
    ways = compare_ways(*parts, "kind", ["common", "rare"], model="cvae", given="kind", **QUICK)
    assert {"nothing", "class weights", "oversampling", "augmentation"} <= set(ways)
    assert all(0 <= value <= 1 for measures in ways.values() for value in measures.values())


def test_all_folds_measure_the_same_class_and_ways_that_not_all_have_are_left_out(frame, monkeypatch):
    rarest = []

    def ways(real, tested, target, classes, **how):
        rarest.append(how["rarest"])
        found = {name: {"F1": 0.5} for name in ("nothing", "augmentation")}
        return found | ({"SMOTE": {"F1": 0.9}} if len(rarest) == 1 else {})

    monkeypatch.setattr(augmentation_check, "compare_ways", ways)
    auto = sfumato.fit(frame, model="cvae", given="kind", steps=2, width=8)
    check = augmentation_check.check_augmentation(auto, frame, "kind", folds=3)
    assert rarest == [1, 1, 1]
    assert set(check.values) == {"nothing", "augmentation"}


def test_the_command_writes_the_file_as_it_was_with_rows_below(cli, frame, tmp_path):
    frame.to_csv(tmp_path / "kinds.csv", index=False)
    quick = [word for name, value in QUICK.items() for word in (f"--{name.replace('_', '-')}", value)]
    command = ["augment", "kinds.csv", "--target", "kind", "--balance", "--quiet", *quick]
    result = cli(*command, "-o", "more.csv", "--check", "--folds", 2, "--json")
    assert result.code == 0, result.err
    printed = json.loads(result.out)
    assert printed["generated"] == 38
    assert printed["check"]["rarest"] == "rare"
    before = (tmp_path / "kinds.csv").read_text().splitlines()
    after = (tmp_path / "more.csv").read_text().splitlines()
    assert [line.rpartition(",")[0] for line in after[:63]] == before
    assert {line.rpartition(",")[2] for line in after[63:]} == {"True"}
    for more, error in (([], "needs -o FILE"), (["-o", "more.png"], "more.png")):
        failed = cli(*command, *more)
        assert failed.code == 2
        assert error in failed.err
    assert "--balance, --rows N" in cli("augment", "kinds.csv", "--target", "kind").err
