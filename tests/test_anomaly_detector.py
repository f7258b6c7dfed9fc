"""The detector on planted anomalies: rows of numbers, tables, images and one long series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sfumato import AnomalyDetector, Autoencoder, SfumatoError

SHORT = {"latent_dim": 2, "steps": 60, "width": 16}
MIX = np.random.default_rng(1).normal(size=(4, 4))


def normal_rows(total: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(total, 4)) @ MIX


@pytest.fixture(scope="module")
def calibrated() -> AnomalyDetector:
    return AnomalyDetector(Autoencoder(**SHORT), contaminated=False).fit(normal_rows(1000))


def test_p_values_of_new_normal_rows_are_uniform(calibrated: AnomalyDetector) -> None:
    p = calibrated.p_values(normal_rows(1000, seed=5))
    held_out = 200
    # The reference is random too: the largest gap of two samples of these sizes.
    assert stats.kstest(p, "uniform").statistic < 1.63 * np.sqrt(1 / 1000 + 1 / held_out)
    assert not calibrated.predict(normal_rows(200, seed=6)).any()


def test_planted_rows_are_called_and_others_are_not(calibrated: AnomalyDetector) -> None:
    rows = normal_rows(200, seed=7)
    rows[:40] += 30
    labels = calibrated.predict(rows)
    assert labels[:40].all()
    assert labels[40:].sum() <= 6
    assert calibrated.predict_proba(rows)[:, 1] == pytest.approx(1 - calibrated.p_values(rows))


def test_scores_are_the_same_from_call_to_call_and_for_each_row_alone(calibrated: AnomalyDetector) -> None:
    rows = normal_rows(50, seed=8)
    scores = calibrated.decision_function(rows)
    assert np.array_equal(scores, calibrated.decision_function(rows))
    alone = np.concatenate([calibrated.decision_function(rows[row : row + 1]) for row in range(5)])
    assert alone == pytest.approx(scores[:5], rel=1e-9)
    assert np.array_equal(calibrated.score_samples(rows), -scores)


def test_a_contaminated_table_is_ranked_and_the_planted_column_named() -> None:
    frame = pd.DataFrame(normal_rows(400), columns=list("abcd"))
    frame["kind"] = np.where(frame["a"] > 0, "x", "y")
    frame.loc[:4, "c"] = 60.0 + np.arange(5)
    detector = AnomalyDetector(Autoencoder(likelihood="gaussian", **SHORT)).fit(frame)
    assert set(np.argsort(-detector.decision_scores_)[:5]) == set(range(5))
    assert detector.labels_[:5].all()
    assert detector.labels_.sum() <= 8
    assert detector.threshold_ == detector.decision_scores_[detector.labels_ == 1].min()
    assert [reasons[0].column for reasons in detector.explain(frame, range(5))] == ["c"] * 5


def test_a_planted_pixel_is_named() -> None:
    images = np.random.default_rng(0).integers(0, 40, (60, 8, 8)).astype(np.uint8)
    images[5, 3, 2] = 255
    detector = AnomalyDetector(Autoencoder(**SHORT)).fit(images)
    assert detector.decision_scores_.argmax() == 5
    assert detector.explain(images, [5])[0][0].column == "pixel 4,3"
    assert detector.costs(images, [5])[0, 0].argmax() == 3 * 8 + 2


def test_a_column_that_never_varies_has_a_place_among_the_costs() -> None:
    rows = np.insert(normal_rows(60), 1, 7.0, axis=1)
    rows[3, 2] = 50.0
    detector = AnomalyDetector(Autoencoder(likelihood="gaussian", **SHORT)).fit(rows)
    costs = detector.costs(rows, [3])
    assert costs.shape == (1, 5)
    assert costs[0, 1] == 0
    assert costs[0].argmax() == 2


def test_a_fault_in_a_long_series_is_found_and_its_steps_named() -> None:
    steps = np.arange(600)
    series = np.sin(2 * np.pi * steps / 25) + 0.1 * np.random.default_rng(0).normal(size=600)
    series[300:306] += 3
    detector = AnomalyDetector(Autoencoder(**SHORT), window="auto").fit(series)
    assert detector.window_ == 25
    starts = detector.starts(series)
    top = int(detector.decision_scores_.argmax())
    assert 275 < starts[top] < 306
    assert 295 <= detector.scores_by_step(detector.decision_scores_, starts).argmax() <= 310
    step = int(detector.explain(series, [top])[0][0].column.removeprefix("step "))
    assert 300 <= step - 1 < 306


def test_a_fitted_model_is_used_as_it_is() -> None:
    auto = Autoencoder(**SHORT).fit(normal_rows(300))
    rows = normal_rows(100, seed=3)
    rows[0] = 100
    detector = AnomalyDetector(auto, prefit=True).fit(rows)
    assert detector.estimator_ is auto
    assert detector.decision_scores_.argmax() == 0


def test_a_window_is_a_whole_number_of_numpy_too() -> None:
    detector = AnomalyDetector(Autoencoder(**SHORT), window=np.int64(8)).fit(np.sin(np.arange(100)))
    assert detector.window_ == 8


def test_series_of_a_file_are_judged_one_by_one(tmp_path: Path) -> None:
    head = "@problemName toy\n@timeStamps false\n@classLabel false\n@data\n"
    series = np.sin(np.arange(8) + np.random.default_rng(0).normal(size=(40, 1)))
    series[7] += 20
    lines = [",".join(f"{value:.3f}" for value in row) + "\n" for row in series]
    (tmp_path / "all.ts").write_text(head + "".join(lines))
    (tmp_path / "single.ts").write_text(head + lines[7])
    detector = AnomalyDetector(steps=20).fit(tmp_path / "all.ts")
    scores = detector.decision_function(tmp_path / "all.ts")
    assert scores.argmax() == 7
    assert detector.decision_function(tmp_path / "single.ts") == pytest.approx(scores[7:8])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fdr": 5}, "fdr is 5"),
        ({"neighbours": 0}, "neighbours is 0"),
        ({"window": 1}, "window is 1"),
        ({"window": 90}, "window is 90, but the series has 100 steps"),
        ({"prefit": True}, "prefit needs"),
    ],
)
def test_wrong_arguments(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(SfumatoError, match=message):
        AnomalyDetector(**wrong).fit(np.zeros(100))  # type: ignore[arg-type]
