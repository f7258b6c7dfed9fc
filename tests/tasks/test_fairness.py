"""Codes that are to be independent of a condition, and what a report says of them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import sfumato
from sfumato.errors import SfumatoError
from sfumato.objectives import Gaussian, group_mmd, mmd
from sfumato.tasks import predictability, without_linear


def test_two_groups_of_one_size_are_as_far_apart_as_the_mmd_of_their_codes():
    torch.manual_seed(0)
    a, b = torch.randn(40, 3), torch.randn(40, 3) + 1
    kernel = Gaussian(2.0)
    shares = group_mmd(torch.cat([a, b]), torch.arange(80) // 40, kernel)
    torch.testing.assert_close(shares.mean(), mmd(a, b, kernel).mean(), atol=1e-5, rtol=1e-4)
    # Both of two groups are compared with all others, each with half of the weight; rows without a group are left out.
    groups = torch.cat([torch.arange(80) // 40, torch.full((20,), torch.nan)])
    more = group_mmd(torch.cat([a, b, torch.randn(20, 3)]), groups, kernel)
    torch.testing.assert_close(more.mean(), shares.mean(), atol=1e-5, rtol=1e-4)


def test_groups_of_one_distribution_are_0_apart_on_average_and_a_lone_row_has_no_pairs():
    torch.manual_seed(0)
    values = [group_mmd(torch.randn(60, 2), torch.randint(0, 3, (60,)), Gaussian(1.0)).mean() for _ in range(300)]
    assert abs(float(torch.stack(values).mean())) < 3 * float(torch.stack(values).std()) / 300**0.5
    assert group_mmd(torch.randn(3, 2), torch.tensor([0, 0, 1]), Gaussian(1.0)).abs().sum() == 0


def test_what_is_linear_is_removed_and_nothing_else():
    noise = np.random.default_rng(0)
    group = noise.integers(0, 2, 600)
    x = noise.normal(size=(600, 2)) * np.where(group == 1, 3.0, 1.0)[:, None]
    x[:, 0] += 4 * group
    before, after = predictability(x, group), predictability(without_linear(x, group), group)
    assert before.linear > 0.8
    assert after.linear < 0.6
    assert after.trees > 0.75  # The spread of the groups still differs.


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory):
    """A column that says the group, one that says the target."""
    noise = np.random.default_rng(0)
    group, target = noise.integers(0, 2, (2, 200))
    frame = pd.DataFrame(
        {
            "g": noise.normal(size=200) + 4 * group,
            "t": noise.normal(size=200) + 4 * target,
            "group": np.array(["a", "b"])[group],
            "target": np.array(["no", "yes"])[target],
        }
    )
    path = tmp_path_factory.mktemp("people") / "people.csv"
    frame.to_csv(path, index=False)
    return path


QUICK = {
    "model": "cvae",
    "given": "group",
    "drop": ("target",),
    "likelihood": "gaussian",
    "sampler": "prior",
    "latent_dim": 2,
    "width": 16,
    "depth": 1,
    "steps": 150,
    "batch_size": 64,
    "lr": 1e-2,
    "device": "cpu",
}


def test_codes_do_not_tell_the_condition_that_they_are_independent_of(cli, people, tmp_path):
    run, columns = tmp_path / "run", ("--protected", "group", "--target", "target")
    sfumato.fit(people, run=run, independence=300.0, **QUICK)
    said = cli("fairness", run, people, *columns, "--json", "-o", "fair.png")
    assert said.code == 0, said.err
    report = {each["name"]: each for each in json.loads(said.out)["representations"]}
    of_codes, of_columns = report["codes"], report["columns"]
    assert of_columns["protected"]["linear"] > 0.95
    assert max(of_codes["protected"]["trees"], of_codes["protected"]["linear"]) < 0.7
    assert max(of_codes["target"]["trees"], of_codes["target"]["linear"]) > 0.9
    with Image.open("fair.png") as image:
        assert image.width > 500
    for protected, target, error in (("group", "t", "fit again with drop=t"), ("group", "group", "name two")):
        failed = cli("fairness", run, people, "--protected", protected, "--target", target)
        assert failed.code == 2
        assert error in failed.err


def test_independence_needs_a_category(people):
    with pytest.raises(SfumatoError, match="no condition is a category"):
        sfumato.fit(people, **{**QUICK, "given": "g", "independence": 10.0})
