"""Private training of the estimator and of the command line: what the run holds, and what is refused."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import sfumato
from sfumato import Autoencoder, studies
from sfumato.artifacts import Run
from sfumato.data.core.private.marginals import NoisyCounts, apportioned, grid, on_simplex
from sfumato.data.tables.private.pairs import CoarseColumn, tree_rows
from sfumato.errors import SfumatoError
from sfumato.report import write_report
from sfumato.spec import Field
from sfumato.training.private import accounting, beginning
from sfumato.training.settings import PRIVATE_STEPS

ROWS = 1500
ANSWER = "an answer nobody else gave"


@pytest.fixture
def _opacus(monkeypatch) -> None:
    pytest.importorskip("opacus", reason="opacus is not installed (the extra privacy)")
    monkeypatch.setattr(accounting, "ACCOUNTANT", "rdp")  # the faster one
    monkeypatch.setattr(beginning, "BEGINNING_EPOCHS", 1)


def write(path: Path) -> Path:
    """A table with a word and a number that one row alone has, and whole numbers and fractions."""
    draw = np.random.default_rng(0)
    rows = [
        [("red", "green", "blue")[draw.integers(3)], draw.integers(20, 60), round(draw.normal(5.0, 1.0), 2)]
        for _ in range(ROWS)
    ]
    rows[7] = [ANSWER, 123_456_789, 5.0]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["colour", "age", "size"], *rows])
    return path


@pytest.mark.usefixtures("_opacus")
class TestRun:
    """A run of the command line."""

    def test_from_fit_to_samples(self, cli, tmp_path) -> None:
        """Nothing that one row alone has is in the folder; ledger, samples and measures are there."""
        path = write(tmp_path / "people.csv")
        options = ["--epsilon", 8, "--split", 1, 0, 0, "--range", "age=18..90", "--run", "p", "--steps", 5]
        trained = cli("fit", path, *options, "--json")
        assert trained.code == 0, trained.err
        ledger = json.loads(trained.out)["privacy"]
        assert 7.5 < ledger["epsilon"] <= 8.0
        assert ledger["delta"] == 1 / (10 * ROWS)
        assert ledger["stated"] == ["the range of age"]
        assert len(ledger["columns"]) == 2
        assert any("range of size" in text for text in ledger["charged"])
        assert not any("range of age" in text for text in ledger["charged"])
        folder = tmp_path / "runs" / "p"
        manifest = json.loads((folder / "manifest.json").read_text())
        assert manifest["privacy"] == ledger == json.loads((folder / "privacy.json").read_text())
        texts = "".join(file.read_text("utf-8") for file in folder.iterdir() if file.suffix in (".json", ".jsonl"))
        assert ANSWER not in texts
        assert "123456789" not in texts
        assert not (folder / "report.html").exists()
        assert not (folder / "checkpoints").exists()
        assert "ε = 7.9" in cli("show", "p").out or "ε = 8.0" in cli("show", "p").out
        rows = list(csv.DictReader(cli("sample", "p", "-n", 50).out.splitlines()))
        assert {row["colour"] for row in rows} <= {"red", "green", "blue", ""}
        assert all(18 <= int(row["age"]) <= 90 for row in rows if row["age"])
        assert all(-64 < float(row["size"]) < 64 for row in rows if row["size"])
        for command, words in (
            (("fit", "--resume", "p"), "cannot be resumed"),
            (("sample", "p", "--sampler", "mixture"), "does not cover"),
        ):
            refused = cli(*command)
            assert refused.code == 2
            assert words in refused.err
        evaluated = cli("evaluate", "p", path, "--families", "bounds", "--quick", "--json")
        assert json.loads(evaluated.out)["privacy"].startswith("ε = ")
        short = sfumato.load("p").run_check("too_short")
        assert short.numbers == {"steps": 5, "default": PRIVATE_STEPS}
        shown = cli("data", path, "--epsilon", 8, "--json")
        assert json.loads(shown.out)["steps"] == PRIVATE_STEPS
        page = write_report(Run.open("p"), []).read_text("utf-8")
        assert "Accountant" in page
        assert "sweep" not in page

    def test_array(self, tmp_path) -> None:
        """Rows of numbers are standardised by noisy counts; the ledger stays with the model when it is saved."""
        draw = np.random.default_rng(0)
        x = draw.normal([3.0, -200.0], [1.0, 50.0], (2000, 2))
        x[0, 0] = np.nan
        auto = Autoencoder(epsilon=5, steps=4, ranges={"0": "0..6"}, split=(1, 0, 0)).fit(x)
        assert auto.schema_.mean == pytest.approx([3.0, -200.0], rel=0.2)
        # Intervals without rows have noisy counts too, which widen the scale, by a third in the median.
        spread = auto.schema_.scale / [1.0, 50.0]
        assert (spread > 0.8).all()
        assert (spread < 2.0).all()
        assert auto.sample(3).shape == (3, 2)
        assert auto.transform(x[:5]).shape[0] == 5
        assert auto.privacy_.stated == ("the range of 0",)
        saved = auto.save(tmp_path / "array")
        assert sfumato.load(saved.path).privacy_ == auto.privacy_

    def test_conditions_and_classes(self) -> None:
        """A model given the class is trained, and samples by class."""
        draw = np.random.default_rng(0)
        x, y = draw.normal(size=(900, 3)), draw.integers(2, size=900)
        auto = sfumato.fit((x, y), model="cvae", epsilon=9, steps=3)
        assert auto.sample(4, given={"label": 1}).shape == (4, 3)
        assert auto.privacy_.rows == 810  # validation rows are trained on

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"model": "factor_vae"}, "use beta_vae, cvae or vae"),
            ({"model": "vq_vae"}, "cannot be trained privately"),
            ({"free_bits": 0.5}, "several rows at once"),
            ({"samples": 5}, "several rows at once"),
            ({"model": "beta_vae", "capacity": 5.0}, "several rows at once"),
            ({"delta": 0.01}, "published as it is"),
            ({"streaming": "yes"}, "in memory"),
            ({"ranges": {"3": "0..1"}}, "no column of numbers"),
            ({"ranges": {"0": "1..0"}}, "LOW..HIGH"),
            ({"ranges": {"0": "many"}}, "LOW..HIGH"),
            ({"sampler": "flow-matching"}, "use prior"),
        ],
    )
    def test_refused(self, options, words) -> None:
        x = np.random.default_rng(0).normal(size=(600, 2))
        with pytest.raises(SfumatoError, match=words):
            sfumato.fit(x, epsilon=9.0, steps=2, **options)

    def test_other_kinds_of_data_are_refused(self) -> None:
        with pytest.raises(SfumatoError, match="tables and rows of numbers"):
            sfumato.fit(np.zeros((20, 8, 8), np.uint8), epsilon=3.0, steps=2)

    def test_range_that_noise_hides(self) -> None:
        x = np.random.default_rng(0).normal(size=(30, 2))
        with pytest.raises(SfumatoError, match="--range 0=LOW"):
            sfumato.fit(x, epsilon=0.5, steps=2)


def test_what_needs_no_package() -> None:
    """Ranges and other commands are refused before anything is counted."""
    with pytest.raises(SfumatoError, match="give epsilon too"):
        sfumato.fit("moons", ranges={"x": "0..1"})
    with pytest.raises(SfumatoError, match="each of its trainings costs"):
        studies.sweep("moons", epsilon=3.0)
    with pytest.raises(SfumatoError, match="real rows stand beside"):
        studies.augment("moons", epsilon=3.0)


def test_package_is_named_where_it_is_missing(cli, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "opacus", None)
    refused = cli("fit", "moons", "--epsilon", 3)
    assert refused.code == 2
    assert "pip install 'sfumato[privacy]'" in refused.err


def test_noisy_counts() -> None:
    """Counts get noise of the deviation they say, and values appear that enough rows have."""
    counts = NoisyCounts(noise=7.0, threshold=45.0)
    noise = counts(np.zeros(20_000))
    assert noise.std() == pytest.approx(7.0, rel=0.03)
    values = np.repeat(["often", "rare", "single"], [500, 10, 1])
    known, noisy = counts.frequent(values)
    assert known.tolist() == ["often"]
    assert noisy[0] == pytest.approx(500, abs=50)
    low, high = counts.range(np.repeat([-3.0, 1000.0, 5e9], [200, 200, 1]))
    assert -4 <= low <= -3
    assert high == 1024
    cents, total = np.arange(500) / 100, 500
    assert NoisyCounts(1.0, 5.0).digits(cents, total) == 2
    assert NoisyCounts(1.0, 5.0).digits(np.random.default_rng(0).normal(size=500), total) is None


def test_rows_of_a_tree_have_the_pairs_of_the_data() -> None:
    """Nearly without noise rows drawn along a chain of columns have its pairs, missing cells too; with noise nearly."""
    draw = np.random.default_rng(0)
    first = draw.integers(0, 3, 20_000)
    second = np.where(draw.uniform(size=20_000) < 0.9, first, draw.integers(0, 3, 20_000)).astype(float)
    third = np.where(second == 2, np.nan, 4 * (second + draw.uniform(0, 0.99, 20_000)))
    data = torch.from_numpy(np.stack([first, second, third], 1))
    shares = [np.bincount(first) / 20_000, np.bincount(second.astype(int)) / 20_000, np.full(8, 1 / 8)]
    fields = [Field("category", 3), Field("category", 3), Field("cells", 8, missing=True, counts=(0,) * 8)]
    columns = [CoarseColumn(*pair) for pair in zip(fields, shares, strict=True)]
    for multiplier, off in ((1e-4, 0.015), (5.0, 0.03)):
        rows = tree_rows(data, columns, multiplier)
        for x, y in ((0, 1), (1, 2)):
            tables = [pair_shares(values, x, y) for values in (data.numpy(), rows.numpy())]
            assert np.abs(tables[0] - tables[1]).sum() < off * 2
    assert not tree_rows(data, columns, 5.0).equal(rows)  # the noise is new each time


def pair_shares(values: np.ndarray, first: int, second: int) -> np.ndarray:
    """The share of rows with each two whole parts of two columns, 9 where missing."""
    parts = np.floor(np.nan_to_num(values, nan=9.0)).astype(int)
    return np.bincount(parts[:, first] * 10 + parts[:, second], minlength=100) / len(values)


def test_counts_become_rows() -> None:
    """Counts on a simplex are the nearest ones, and rows have them."""
    noisy = np.random.default_rng(0).normal(0, 5, 50)
    near = on_simplex(noisy, 100.0)
    assert near.sum() == pytest.approx(100.0)
    assert (near >= 0).all()
    others = np.random.default_rng(1).dirichlet(np.ones(50), 200) * 100
    assert (np.square(others - noisy).sum(1) >= np.square(near - noisy).sum()).all()
    assert apportioned(near, 1000).sum() == 1000
    assert grid(0.0, 1.0, whole=False)[[0, -1]].tolist() == [0.0, 1.0]
