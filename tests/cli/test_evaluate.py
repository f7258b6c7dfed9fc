"""evaluate: the same twice, by a file, kept in the run, written, and its mistakes in one line."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import sfumato
from sfumato import evaluation
from sfumato.artifacts import Run
from sfumato.evaluation import families

BOUNDS = ["distortion", "rate", "−ELBO", "NLL", "effective draws"]


@pytest.fixture
def copy(moons: Path, tmp_path: Path) -> Path:
    """A run that may be written to."""
    return Path(shutil.copytree(moons, tmp_path / "copy"))


def judge(cli, *told):
    said = cli("evaluate", *told, "--json")
    assert said.code == 0, said.err
    return json.loads(said.out)


def test_the_same_twice_and_kept_in_the_run_which_stays_whole(cli, copy):
    first, second = (judge(cli, copy, "--families", "bounds,codes", "--k", "32") for _ in range(2))
    assert first == second
    assert first["part"] == "test split"
    assert [one["name"] for one in first["measures"]] == BOUNDS
    kept = evaluation.read(copy)
    assert [one.to_dict() for one in kept or ()] == first["measures"]
    Run.open(copy).verify()
    other = judge(cli, copy, "--families", "bounds", "--k", "32", "--seed", "1")
    assert other["measures"] != first["measures"]


def test_python_says_the_same(cli, copy):
    told = judge(cli, copy, "--families", "bounds", "--k", "32")["measures"]
    assert [one.to_dict() for one in sfumato.load(copy).evaluate(families=("bounds",), k=32)] == told


def test_a_file_is_judged_instead_and_leaves_the_run_alone(cli, moons, tmp_path):
    assert cli("sample", moons, "-n", "30", "-o", "new.csv").code == 0
    told = judge(cli, moons, "new.csv", "--families", "bounds", "--quick")
    assert told["part"] == "rows of new.csv"
    assert told["examples"] == 30
    assert [one["name"] for one in told["measures"]] == BOUNDS[:3]
    assert not (moons / "evaluation.json").exists()


def test_all_families_of_a_run_as_a_table_with_meanings(cli, birds, tmp_path):
    copied = shutil.copytree(birds, tmp_path / "birds")
    said = cli("evaluate", copied, "--quick", "--explain")
    assert said.code == 0, said.err
    assert "Bounds\n  distortion" in said.out
    assert "Reconstruction error: the negative" in said.out
    assert "Representation" in said.out
    assert "Codes" not in said.out


def test_results_are_written_as_a_table_or_json(cli, copy):
    told = judge(cli, copy, "--families", "bounds", "--k", "16", "-o", "found.csv")
    rows = list(csv.DictReader(Path("found.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["name"] for row in rows if not row["part"]] == BOUNDS
    assert float(rows[0]["value"]) == pytest.approx(told["measures"][0]["value"])
    assert {row["part"] for row in rows if row["name"] == "effective draws"} == {"", "lowest tenth", "lowest"}
    judge(cli, copy, "--families", "bounds", "--k", "16", "-o", "found.json")
    assert json.loads(Path("found.json").read_text())["measures"] == told["measures"]
    assert "exists already" in cli("evaluate", copy, "-o", "found.csv").err


def test_known_factors_are_columns_of_the_data_or_of_the_file(cli, copy, monkeypatch):
    seen = {}

    def listen(subject, how):
        seen.update(how.factors or {}, batch=subject.batch.x)
        return []

    family = replace(families.registered_families()["disentanglement"], measures=listen)
    monkeypatch.setattr(families, "_shipped", lambda: (family,))
    assert cli("evaluate", copy, "--factor", "x1", "--factor", "label").code == 0
    assert set(seen) == {"x1", "label", "batch"}
    assert len(seen["x1"]) == len(seen["batch"]) == 20
    assert np.corrcoef(seen["x1"], seen["batch"][:, 0].numpy())[0, 1] == pytest.approx(1.0)
    assert set(np.unique(seen["label"])) == {0, 1}
    rows = ["x1,x2,side", *(f"{0.1 * row},{0.2 * row},{'left' if row % 3 else 'right'}" for row in range(12))]
    Path("sides.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert cli("evaluate", copy, "sides.csv", "--factor", "side").code == 0
    assert seen["side"].tolist() == [1, 0, 0] * 4


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (["--families", "boundz"], "--families boundz: no such family of measures; did you mean bounds?"),
        (["--k", "0"], "--k 0: give 1 or more"),
        (["--annealing", "-1"], "--annealing -1: give 0 or more"),
        (["none.csv"], "none.csv: no such file; check the spelling of its path"),
        (["-o", "out.txt"], "out.txt: use the extension .json or .csv"),
        (["--factor", "x9"], "--factor x9: not among the columns of the model; choose one of x1, x2"),
    ],
)
def test_mistakes_are_one_line(cli, moons, told, said):
    found = cli("evaluate", moons, *told)
    assert (found.code, found.out) == (2, "")
    assert found.err.splitlines()[-1] == f"sfumato: {said}"


def test_data_that_were_in_memory_have_to_be_given(cli, tmp_path):
    X = np.random.default_rng(0).normal(size=(60, 3))
    auto = sfumato.fit(X, steps=5, latent_dim=2)
    auto.save(tmp_path / "held")
    found = cli("evaluate", tmp_path / "held")
    assert found.code == 2
    assert found.err.splitlines()[-1].endswith("trained on data in memory; pass data to evaluate it on")
    np.save(tmp_path / "new.npy", X[:20])
    assert judge(cli, tmp_path / "held", "new.npy", "--families", "bounds", "--quick")["examples"] == 20
    with pytest.raises(sfumato.SfumatoError, match=r"factor 'f' has shape \(3,\); give one value for each of 6"):
        auto.evaluate(factors={"f": np.zeros(3)})


def test_data_that_changed_are_not_taken_for_those_of_the_run(cli, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n" + "\n".join(f"{row},{row % 7}" for row in range(60)) + "\n")
    assert cli("fit", path, "--steps", "5", "--no-report", "--run", tmp_path / "run").code == 0
    path.write_text("a,b\n" + "\n".join(f"{row * 2},{row % 5}" for row in range(60)) + "\n")
    found = cli("evaluate", tmp_path / "run")
    assert found.code == 2
    assert "not the data that this model was trained on; pass a file to evaluate it on" in found.err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--quick", "--k", "64"), "--k cannot be combined with --quick"),
        (("--quick", "--annealing", "50"), "--annealing cannot be combined with --quick"),
        (("--families", "bounds", "--factor", "x1"), "--factor is for the measures of disentanglement"),
        (("--families", "codes", "--samples", "50"), "--samples is for the measures of samples"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(cli, moons, flags, words):
    said = cli("evaluate", moons, *flags)
    assert said.code == 2
    assert words in said.err


def test_few_examples_and_better_measures_are_pointed_out(cli, copy):
    assert cli("sample", copy, "-n", "20", "-o", "few.csv").code == 0
    said = cli("evaluate", copy, "few.csv", "--families", "disentanglement", "--factor", "x1")
    assert "they need 50 examples whose factors are known" in said.err
    whole = judge(cli, copy, "--families", "bounds", "--k", "32")["measures"]
    said = cli("evaluate", copy, "--families", "bounds", "--quick")
    assert "The run already has full measures of bounds" in said.err
    assert [one.to_dict() for one in evaluation.read(copy) or ()] == whole


def test_samples_that_somebody_else_made_are_judged_without_a_run(cli, tmp_path):
    random = np.random.default_rng(0)
    for name in ("real", "made"):
        rows = [f"{a:.3f},{a + 0.1 * b:.3f}" for a, b in random.normal(size=(60, 2))]
        (tmp_path / f"{name}.csv").write_text("\n".join(["a,b", *rows]), encoding="utf-8")
    files = ("--real", tmp_path / "real.csv", "--made", tmp_path / "made.csv")
    found = judge(cli, *files, "--quick")
    assert {one["name"] for one in found["measures"]} >= {"precision", "column shapes", "pair trends"}
    assert found == judge(cli, *files, "--quick")
    said = cli("evaluate", *files, "--quick", "-o", tmp_path / "found.csv")
    assert "column shapes" in said.out
    assert "--holdout" in said.err
    for told, words in (
        (files[:2], "nothing to evaluate"),
        ((*files, "--k", 5), "--k needs a model"),
        (("run", *files), "leave out one or the other"),
        ((*files[:3], tmp_path / "none.csv"), "no such file"),
    ):
        said = cli("evaluate", *told)
        assert said.code == 2
        assert words in said.err
        assert len(said.err.strip().splitlines()) <= 3
