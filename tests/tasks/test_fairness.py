"""Codes that are to be independent of a condition, and what a report says of them."""

from __future__ import annotations

import functools
import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import sfumato
from sfumato.batch import Batch
from sfumato.distributions import Normal
from sfumato.errors import SfumatoError
from sfumato.models.conditional.cvae import CVAE
from sfumato.objectives import Gaussian, InverseMultiquadratic, group_mmd, mmd, standardised
from sfumato.spec import DataSpec, Field, Size
from sfumato.tasks import fairness, predictability, without_linear


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


@pytest.fixture
def fewer_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two folds of ten trees each, where five of a hundred say no more."""
    few = functools.partial(fairness.predict, iterations=10)
    monkeypatch.setattr(fairness, "predict", few)
    monkeypatch.setattr(fairness, "FOLDS", 2)


class LinearEncoder(nn.Module):
    """q(z | x) = N(Wx, 1/100): the second latent says the second entry of x, the condition."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(2))

    def forward(self, x: Tensor, given: Tensor | None = None, mask: Tensor | None = None) -> Normal:
        mean = x @ self.weight.T
        return Normal(mean, torch.full_like(mean, -2.3))


class LinearDecoder(nn.Module):
    """p(x | z) = N(z, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(2))

    def forward(self, z: Tensor, given: Tensor | None = None) -> Normal:
        return Normal(z @ self.weight.T, torch.zeros(()))


def grouped(rows: int) -> tuple[Tensor, Tensor]:
    """Two entries, of which the second is the condition (0 or 1) with a little noise."""
    groups = torch.randint(0, 2, (rows,))
    return torch.stack([torch.randn(rows), 2.0 * groups - 1 + 0.3 * torch.randn(rows)], 1), groups[:, None].float()


def test_the_penalty_on_means_does_not_change_when_they_shrink():
    torch.manual_seed(0)
    x, groups = grouped(200)
    kernel = InverseMultiquadratic(2)
    penalties = [group_mmd(standardised(x * scale), groups[:, 0], kernel).mean() for scale in (1.0, 1e-3)]
    torch.testing.assert_close(penalties[0], penalties[1], rtol=1e-3, atol=1e-6)
    assert penalties[0] > 0.1
    assert group_mmd(x * 1e-3, groups[:, 0], kernel).mean() < 1e-3  # What it would be of means as they are.


def test_the_penalty_removes_the_latent_that_is_the_condition_and_moves_the_encoder_alone():
    torch.manual_seed(0)
    model = CVAE(LinearEncoder(), LinearDecoder(), 2, condition_dropout=0.0, independence=1.0, categories=(0,))
    optimizer = torch.optim.Adam(model.encoder.parameters(), lr=0.05)
    for _ in range(150):
        x, groups = grouped(100)
        optimizer.zero_grad()
        model.losses(Batch(x, given=groups), 0)["model"].terms["dependence"].mean().backward()
        optimizer.step()
    assert model.decoder.weight.grad is None
    weight = model.encoder.weight.detach()
    # Each latent says the first entry alone now, however small its scale.
    assert ((weight[:, 1] / weight[:, 0]).abs() < 0.2).all()


def test_the_encoder_does_not_see_a_condition_that_codes_are_to_be_independent_of():
    torch.manual_seed(0)
    spec = DataSpec((2,), (Field("real"),) * 2, given=(Field("category", 2), Field("real")))
    size = Size(latent_dim=2, width=8, depth=1)
    x, groups = grouped(50)
    given = torch.cat([groups, torch.randn(50, 1)], 1)
    other, number = given.clone(), given.clone()
    other[:, 0], number[:, 1] = 1 - given[:, 0], given[:, 1] + 1
    for independence in (0.0, 10.0):
        model = CVAE.build(spec, size, independence=independence).eval()
        mean = model.encode(Batch(x, given=given)).mode()
        hidden = torch.equal(mean, model.encode(Batch(x, given=other)).mode())
        assert hidden == bool(independence)
        assert not torch.equal(mean, model.encode(Batch(x, given=number)).mode())
        decoded = [model.decode(mean, each).mode() for each in (given, other)]
        assert not torch.equal(*decoded)


def test_what_is_linear_is_removed_and_nothing_else(fewer_trees):
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


def test_codes_do_not_tell_the_condition_that_they_are_independent_of(cli, people, tmp_path, fewer_trees):
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
