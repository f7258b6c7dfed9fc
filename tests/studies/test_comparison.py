"""Runs beside each other: what is shared, what is compared, what is best."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from sfumato.errors import SfumatoError
from sfumato.estimator import load
from sfumato.evaluation import Measure, store
from sfumato.evaluation.disentanglement.udr import udr
from sfumato.evaluation.subject import Subject
from sfumato.studies import compare
from sfumato.studies.comparison import Cell, cell, marked


def one(value: float, error: float | None = None) -> Measure:
    return Measure("m", value, "", "", error=error)


def single(value: float, error: float | None) -> Cell:
    return Cell(value, value, value, error, 1)


def test_the_error_of_a_median_is_that_of_draws():
    draws = np.random.default_rng(0).normal(size=(20_000, 25))
    errors = [cell([one(value) for value in row]).error for row in draws[:200]]
    assert np.mean(errors) == pytest.approx(np.median(draws, 1).std(), rel=0.05)


def test_errors_of_the_same_examples_do_not_shrink_with_seeds():
    found = cell([one(1.0, 0.3), one(1.0, 0.3), one(1.0, 0.3), one(1.0, 0.3)])
    assert found.error == pytest.approx(0.3)
    assert (found.value, found.low, found.high, found.runs) == (1.0, 1.0, 1.0, 4)
    assert cell([one(2.0)]).error is None


def test_best_are_those_that_are_not_worse_by_more_than_two_errors():
    cells = [single(1.0, 0.1), single(1.2, 0.1), single(1.3, 0.1), single(5.0, None)]
    assert [found.best for found in marked(cells, lower=True)] == [True, True, False, False]
    assert [found.best for found in marked(cells, lower=False)] == [False, False, False, True]


def test_nothing_is_best_where_all_are_alike_and_what_is_not_a_number_never_is():
    alike = [single(1.0, 0.1), single(1.1, 0.1)]
    assert not any(found.best for found in marked(alike, lower=True))
    unknown = [single(math.nan, None), single(1.0, 0.1), single(9.0, 0.1)]
    assert [found.best for found in marked(unknown, lower=True)] == [False, True, False]
    assert not any(found.best for found in marked([single(math.nan, None)] * 2, lower=True))


def test_runs_that_differ_in_their_seeds_alone_are_one_group(runs):
    found = compare(list(runs.values()))
    assert [(group.name, len(group.members)) for group in found.groups] == [("vae", 2), ("beta_vae", 1)]
    bound = found.row("−ELBO")
    assert bound is not None
    values = [run.measures["−ELBO"].value for run in found.groups[0].members]
    assert bound.cells[0].value == pytest.approx(np.mean(values))
    assert (bound.cells[0].low, bound.cells[0].high) == (min(values), max(values))
    assert bound.cells[1].value == load(runs["beta"]).evaluate(quick=True)[2].value
    assert any("use different splits" in note for note in found.notes)
    told = json.loads(json.dumps(found.to_dict()))
    assert told["groups"][0]["measures"]["−ELBO"]["runs"] == 2
    assert told["groups"][1]["runs"][0]["seed"] == 0


def test_groups_are_named_by_what_sets_them_apart(runs, twin, tmp_path):
    other = twin(runs["beta"], tmp_path / "other", {"beta = 50.0": "beta = 2.0"})
    slow = twin(runs["vae0"], tmp_path / "slow", {"steps = 20": "steps = 21"})
    found = compare([runs["vae0"], runs["beta"], other, slow])
    names = [group.name for group in found.groups]
    assert names == ["vae, steps=20", "beta_vae, beta=50, steps=20", "beta_vae, beta=2, steps=20", "vae, steps=21"]


def test_runs_of_other_data_are_refused_in_one_line(runs, points, fitted, tmp_path):
    np.save(tmp_path / "other.npy", np.random.default_rng(1).normal(size=(60, 2)))
    fitted(tmp_path / "other.npy", tmp_path / "elsewhere")
    with pytest.raises(SfumatoError, match=r"not of the same data \(points\.npy, other\.npy\)") as caught:
        compare([runs["vae0"], str(tmp_path / "elsewhere")])
    assert "\n" not in str(caught.value)
    with pytest.raises(SfumatoError, match="two runs"):
        compare([runs["vae0"]])
    with pytest.raises(SfumatoError, match="given twice"):
        compare([runs["vae0"], runs["vae0"]])


def test_bounds_of_different_things_are_shown_and_not_compared(fitted, tmp_path):
    x = np.random.default_rng(0).integers(0, 3, (60, 4, 4)).astype(np.uint8)
    np.save(tmp_path / "x.npy", x)
    for likelihood in ("gaussian", "mse", "bernoulli"):
        fitted(tmp_path / "x.npy", tmp_path / likelihood, likelihood=likelihood, latent_dim=2, steps=3)
    names = [str(tmp_path / name) for name in ("gaussian", "mse", "bernoulli")]
    unlike = compare(names).row("−ELBO")
    assert unlike is not None
    assert "bernoulli" in unlike.not_comparable
    assert not any(found.best for found in unlike.cells)
    alike = compare(names[:2]).row("−ELBO")
    assert alike is not None
    assert not alike.not_comparable


def test_measures_that_some_runs_lack_are_left_out_and_named(runs, tmp_path):
    copies = [shutil.copytree(path, tmp_path / name) for name, path in runs.items()]
    extra = Measure("extra", 1.0, "", "One more.", "samples", better="higher", error=0.1)
    for place, path in enumerate(copies[:2]):
        store.write(path, [*load(path).evaluate(quick=True), Measure(**{**vars(extra), "value": float(place)})])
    found = compare([str(path) for path in copies])
    assert found.left_out == ("extra",)
    both = compare([str(path) for path in copies[:2]])
    assert both.row("extra") is not None
    assert both.row("extra").cells[0].value == 0.5
    assert not any("Quick" in note for note in both.notes)


def test_measures_made_in_unlike_ways_are_made_anew_for_all(runs, tmp_path):
    copies = [shutil.copytree(runs[name], tmp_path / name) for name in ("vae0", "beta")]
    for path, count in zip(copies, (20, 30), strict=True):
        auto = load(path)
        store.write(path, auto.evaluate(families=("samples",), samples=count), ("samples",), quick=False, samples=count)
        store.write(path, auto.evaluate(families=("bounds",), k=8), ("bounds",), quick=False, k=8)
    found = compare([str(path) for path in copies])
    quick = compare([runs["vae0"], runs["beta"]])
    row, alone = found.row("precision"), quick.row("precision")
    assert row is not None
    assert alone is not None
    assert [cell.value for cell in row.cells] == [cell.value for cell in alone.cells]
    assert any("not evaluated the same way for all runs" in note for note in found.notes)
    assert found.row("NLL") is not None, "judged alike, and kept"
    assert "train on samples, test on real" in found.left_out


def test_measures_made_in_unlike_ways_are_not_ranked_where_the_data_are_gone(runs, points, fitted, tmp_path):
    data = tmp_path / "gone.npy"
    shutil.copy(points, data)
    names = []
    for place, count in enumerate((20, 30)):
        auto = fitted(data, tmp_path / f"run{place}", seed=place, latent_dim=2 + place)
        found = auto.evaluate(families=("samples",), samples=count)
        store.write(tmp_path / f"run{place}", found, ("samples",), quick=False, samples=count)
        names.append(str(tmp_path / f"run{place}"))
    data.unlink()
    row = compare(names).row("precision")
    assert row is not None
    assert "the runs were evaluated with different settings" in row.not_comparable
    assert not any(cell.best for cell in row.cells)


def test_a_training_that_is_repeated_is_no_other_seed(runs, tmp_path):
    again = str(shutil.copytree(runs["vae0"], tmp_path / "again"))
    found = compare([runs["vae0"], runs["vae1"], again])
    assert [len(group.members) for group in found.groups] == [2]
    assert found.left_out == compare([runs["vae0"], runs["vae1"]]).left_out
    assert any(note == f"Left out, as another run has the same options and weights: {again}." for note in found.notes)


def test_seeds_rank_latents_where_no_factors_are_known(runs, twin, tmp_path):
    beta = {"beta = 50.0": "beta = 2.0"}
    names = [runs["beta"], twin(runs["beta"], tmp_path / "again", {}, 1)]
    names += [twin(runs["beta"], tmp_path / f"two{place}", beta, place) for place in (2, 3)]
    found = compare(names)
    assert [len(group.members) for group in found.groups] == [2, 2]
    assert found.row("UDR") is not None
    assert not any(one.best for one in found.row("UDR").cells), "two seeds have one value, whatever chance does"
    for group in found.groups:
        subjects = [Subject.of(one.auto.model_, one.auto.schema_, one.data, 0) for one in group.members]
        with torch.no_grad():
            expected = udr([one.means() for one in subjects], [one.rates() for one in subjects])
        got = [one.measures["UDR"].value for one in group.members]
        np.testing.assert_allclose(got, expected, atol=1e-6)
    assert compare(names[:1] + names[2:]).row("UDR") is None


def test_the_command_writes_table_json_and_page(cli, runs, tmp_path):
    said = cli("compare", *runs.values())
    assert said.code == 0, said.err
    assert "vae (2 seeds)" in said.out
    assert "beta_vae" in said.out
    bound = next(line for line in said.out.splitlines() if line.startswith("−ELBO"))
    assert "[" in bound
    assert "±" in bound
    told = json.loads(cli("compare", *runs.values(), "--json").out)
    assert [group["name"] for group in told["groups"]] == ["vae", "beta_vae"]
    said = cli("compare", *runs.values(), "-o", "c.html")
    assert said.code == 0, said.err
    page = Path("c.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "3 runs of points.npy" in page
    assert page.count("<img ") == 2
    assert cli("compare", *runs.values(), "-o", "c.html").code == 2
    assert cli("compare", *runs.values(), "-o", "c.txt").err == (
        "sfumato: c.txt: a comparison is written as .html or .json; use one of these extensions\n"
    )
