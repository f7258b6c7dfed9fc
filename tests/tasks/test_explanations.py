"""What latents do to columns, against a linear decoder; what matters to a target; stability of selections."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import sfumato
from sfumato import Autoencoder
from sfumato.distributions import Bernoulli, Normal
from sfumato.errors import SfumatoError
from sfumato.spec import DataSpec, Field
from sfumato.studies import select_over_seeds
from sfumato.tasks import importances, latent_effects, selected, stability

QUICK = {"latent_dim": 2, "width": 16, "depth": 1, "device": "cpu"}


class Linear:
    """p(x | z) = N(zW, 1)."""

    def __init__(self, weights: torch.Tensor) -> None:
        self.weights = weights

    def decode(self, z, given=None):
        return Normal(z @ self.weights, torch.zeros(()))


def test_effects_of_a_linear_decoder_are_squares_of_its_weights():
    weights = torch.tensor([[0.6, 0.0, 0.3], [0.0, 0.5, 0.4]])
    spec = DataSpec((3,), (Field("real"),) * 3)
    levels = (torch.arange(200) + 0.5) / 200
    values = torch.special.ndtri(levels)[:, None].expand(-1, 2)
    effects = latent_effects(Linear(weights), torch.randn(5, 2), None, values, spec)
    torch.testing.assert_close(effects, weights.square() * values[:, 0].var(correction=0), atol=1e-5, rtol=1e-4)
    assert effects[0, 1] == 0


class Switched(Linear):
    """Entries that are 0 or 1, more often 1 the higher the sum."""

    def decode(self, z, given=None):
        return Bernoulli(4 * z @ self.weights)


def test_effects_on_levels_are_shares_of_what_the_decoder_varies():
    spec = DataSpec((2,), (Field("level", 2),) * 2, likelihood="bernoulli")
    values = torch.special.ndtri((torch.arange(50) + 0.5) / 50)[:, None]
    codes = torch.randn(500, 1, generator=torch.Generator().manual_seed(0))
    effects = latent_effects(Switched(torch.tensor([[1.0, 0.0]])), codes, None, values, spec)
    assert effects[0, 0] > 0.9
    assert effects[0, 1] == 0


def test_what_is_shuffled_costs_what_it_tells():
    noise = np.random.default_rng(0)
    codes = noise.normal(size=(400, 2))
    answers = (codes[:, 0] > 0).astype(float)
    shuffled = {}
    for latent in range(2):
        draws = codes.copy()
        draws[:, latent] = noise.permutation(draws[:, latent])
        shuffled[f"z{latent + 1}"] = draws
    results, loss = importances(codes, shuffled, answers, 2)
    assert loss < 0.2
    assert results["z1"].value > 1
    assert abs(results["z2"].value) < 0.05
    assert selected(results) == ["z1"]
    numbers, _ = importances(codes, shuffled, codes[:, 1] * 3, 0)
    assert selected(numbers) == ["z2"]


def test_stability_is_kuncheva_s_index_where_sets_have_one_size():
    names = [f"c{place}" for place in range(10)]
    sets = [names[:4], names[1:5], names[2:6]]
    overlaps = [len(set(a) & set(b)) for at, a in enumerate(sets) for b in sets[at + 1 :]]
    kuncheva = np.mean([(r * 10 - 16) / (4 * (10 - 4)) for r in overlaps])
    assert stability(sets, names) == pytest.approx(kuncheva)
    assert stability([names[:4]] * 3, names) == 1


@pytest.fixture(scope="module")
def causes() -> pd.DataFrame:
    """Two columns of one cause, two of another, and a class that follows from the first."""
    noise = np.random.default_rng(0)
    z = noise.normal(size=(200, 2))
    x = z[:, [0, 0, 1, 1]] + 0.2 * noise.normal(size=(200, 4))
    return pd.DataFrame(x, columns=["a1", "a2", "b1", "b2"]).assign(kind=np.where(z[:, 0] > 0, "up", "down"))


@pytest.fixture(scope="module")
def run(causes: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory):
    """A VAE on them, and their file."""
    folder = tmp_path_factory.mktemp("causes")
    causes.to_csv(folder / "causes.csv", index=False)
    path = folder / "run"
    sfumato.fit(
        folder / "causes.csv",
        run=path,
        drop=("kind",),
        likelihood="gaussian",
        steps=200,
        sampler="prior",
        lr=1e-2,
        **QUICK,
    )
    return path, folder / "causes.csv"


def test_the_columns_of_the_cause_are_selected_and_no_others(run, causes):
    auto = sfumato.load(run[0], device="cpu")
    selection = auto.select(run[1], "kind")
    assert set(selection.selected) == {"a1", "a2"}
    assert selection.loss < selection.chance
    assert replace(selection, count=3).selected[:2] == selection.selected
    # A column that is modelled is hidden from the codes: its neighbour tells it.
    assert auto.select(causes, "a1").selected == ["a2"]
    again = select_over_seeds(auto, str(run[1]), "kind", seeds=2)
    assert again.frequency["a1"] == 1
    assert again.stability == 1


def test_commands_show_a_table_and_draw_a_picture(cli, run, tmp_path):
    path, _ = run
    result = json.loads(cli("explain", path, "--json", "-o", "effects.png").out)
    assert any({"a1", "a2"} <= set(latent["drives"]) for latent in result["latents"].values())
    with Image.open("effects.png") as image:
        assert image.width > 500
    assert cli("explain", path, "-o", "effects.csv").code == 0
    assert list(pd.read_csv("effects.csv")) == ["latent", "rate", "a1", "a2", "b1", "b2"]
    result = json.loads(cli("select", path, "--target", "kind", "--count", 2, "--json", "-o", "columns.csv").out)
    assert set(result["selected"]) == {"a1", "a2"}
    assert pd.read_csv("columns.csv")["selected"].sum() == 2
    for more, error in ((["--target", "kinds"], "kinds"), (["--target", "kind", "--count", 9], "from 1 to 4")):
        failed = cli("select", path, *more)
        assert failed.code == 2
        assert error in failed.err


def test_columns_of_the_names_that_the_table_has_are_beside_these(cli, tmp_path):
    z = np.random.default_rng(0).normal(size=(200, 1))
    frame = pd.DataFrame(np.hstack([z, -z]), columns=["rate", "latent"])
    how = {"likelihood": "gaussian", "steps": 150, "batch_size": 64, "lr": 1e-2}
    auto = sfumato.fit(frame, run=tmp_path / "run", **how, **QUICK)
    said = cli("explain", tmp_path / "run", tmp_path / "rows.csv")
    assert said.code == 2
    frame.to_csv("rows.csv", index=False)
    assert cli("explain", tmp_path / "run", "rows.csv", "-o", "effects.csv").code == 0
    lines = pd.read_csv("effects.csv")
    assert list(lines) == ["latent_2", "rate_2", "rate", "latent"]
    explanation = auto.explain(frame)
    assert lines["rate_2"].tolist() == pytest.approx(explanation.rates[explanation.in_use].tolist())


def test_columns_with_flags_move_together_and_images_have_maps(cli, tmp_path):
    noise = np.random.default_rng(0)
    frame = pd.DataFrame({"x": noise.normal(size=80), "c": noise.choice(["u", "v"], 80)})
    frame = frame.mask(noise.random(frame.shape) < 0.2)
    auto = Autoencoder(steps=5, **QUICK).fit(frame)
    groups = auto.schema_.entry_groups()
    assert list(groups) == ["x", "c"]
    assert sorted(entry for entries in groups.values() for entry in entries) == list(range(auto.schema_.spec.entries))
    images = np.random.default_rng(0).integers(0, 255, (40, 6, 6), dtype=np.uint8)
    sfumato.fit(images, run=tmp_path / "images", steps=60, sampler="prior", **QUICK)
    said = cli("explain", tmp_path / "images", "-o", "maps.png")
    assert said.code in (0, 2), said.err  # So short a training may leave all latents unused.
    with pytest.raises(SfumatoError, match="two different values"):
        auto.select(frame.assign(same="s"), "same")
