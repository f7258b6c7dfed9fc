"""The second stage: what is chosen, that it is kept with the run, and every model with codes it can be fitted to."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from sfumato import Autoencoder, fit, load, models
from sfumato.batch import Batch
from sfumato.data.core.batching.batches import Resident
from sfumato.data.core.dataset import Dataset
from sfumato.distributions import Normal
from sfumato.latents import choosing, second_stage
from sfumato.latents.codes import Codes, absolute, relative
from sfumato.latents.density import with_prior
from sfumato.latents.flow_matching import FlowMatching
from sfumato.latents.samplers import Mixture
from sfumato.latents.second_stage import SecondStage
from sfumato.models import build
from sfumato.models.protocols import LatentSpace
from sfumato.randomness.generators import seeded
from sfumato.spec import DataSpec, Field, Part

CPU = torch.device("cpu")
SMALL = {"width": 32, "depth": 1, "lr": 0.005}


class Plain(nn.Module):
    """An encoder whose code is the example itself, nearly without noise."""

    def forward(self, x, given=None, mask=None):
        return Normal(x, torch.full_like(x, -3.0))


class Idle(nn.Module):
    """An encoder whose code is noise alone."""

    def forward(self, x, given=None, mask=None):
        return Normal(torch.zeros_like(x), torch.zeros_like(x))


class Half(nn.Module):
    """An encoder of the first of two numbers; the second latent is noise."""

    def forward(self, x, given=None, mask=None):
        return Normal(x * torch.tensor([1.0, 0.0]), torch.tensor([-3.0, 0.0]).expand(len(x), 2))


class Learned:
    """A schema of which the spec alone is asked for."""

    spec = DataSpec((2,), (Field("real"),))


def _judged(z: torch.Tensor, encoder: nn.Module | None = None, **how) -> SecondStage:
    model = build("vae", Learned.spec, latent_dim=2, width=8)
    model.encoder = encoder or Plain()
    third = len(z) // 3
    train, valid = Resident(z[third:]), Resident(z[:third])
    data = Dataset("", "", Learned, train, valid, Resident(z[:0]), None)
    return choosing.choose(model, data, choosing.SamplerFit(**how))


def test_the_prior_is_chosen_where_no_latent_carries_anything():
    stage = _judged(torch.randn(1800, 2, generator=torch.Generator().manual_seed(0)), Idle())
    assert (stage.chosen, stage.samplers, stage.verdicts) == ("prior", {}, ())


def test_samplers_are_fitted_to_the_latents_that_carry_something(monkeypatch):
    monkeypatch.setattr(choosing, "SAMPLER_CANDIDATES", ("prior", "mixture"))
    z = torch.randn(900, 2, generator=torch.Generator().manual_seed(0))
    stage = _judged(z, Half())
    assert stage.samplers["mixture"].active.tolist() == [0]


def test_the_prior_is_chosen_where_codes_fill_it_and_no_flow_is_fitted():
    stage = _judged(torch.randn(1800, 2, generator=torch.Generator().manual_seed(0)))
    assert (stage.chosen, list(stage.samplers)) == ("prior", ["mixture"])
    assert abs(stage.verdicts[1].gain) < 0.02


def test_a_gain_is_the_divergence_from_the_prior(monkeypatch):
    """Of codes from N(μ, σ²), log p_s − log p is in the mean KL(N(μ, σ²) ‖ N(0, 1)) for a mixture that fits."""
    monkeypatch.setattr(choosing, "SAMPLER_CANDIDATES", ("prior", "mixture"))
    z = 0.7 + 0.5 * torch.randn(9000, 2, generator=torch.Generator().manual_seed(0))
    verdict = _judged(z).verdicts[1]
    scale = (0.5**2 + math.exp(-6)) ** 0.5  # with the noise of the encoder
    exact = 2 * 0.5 * (scale**2 + 0.7**2 - 1 - 2 * math.log(scale))
    assert abs(verdict.gain - exact) < 3 * verdict.error
    assert verdict.error < 0.03


def test_a_mixture_is_chosen_where_codes_are_one(monkeypatch):
    monkeypatch.setattr(choosing, "FLOW_STEPS", 50)
    side = torch.randint(0, 2, (1800, 1), generator=torch.Generator().manual_seed(0)) * 3.0 - 1.5
    stage = _judged(side + 0.4 * torch.randn(1800, 2, generator=torch.Generator().manual_seed(1)))
    assert (stage.chosen, list(stage.samplers)) == ("mixture", ["mixture", "flow-matching"])
    assert [one.name for one in stage.verdicts] == ["prior", "mixture", "flow-matching"]
    assert stage.verdicts[1].gain > stage.verdicts[2].gain


def test_flow_matching_is_chosen_where_codes_lie_on_a_curve(monkeypatch):
    monkeypatch.setattr(choosing, "FLOW_STEPS", 150)
    monkeypatch.setattr("sfumato.latents.samplers.COMPONENT_COUNTS", (3,))
    angle = 6.28 * torch.rand(1800, 1, generator=torch.Generator().manual_seed(0))
    stage = _judged(1.5 * torch.cat([angle.cos(), angle.sin()], 1))
    assert stage.chosen == "flow-matching"
    assert stage.verdicts[2].gain > stage.verdicts[1].gain + 0.1


def test_without_time_the_simplest_that_are_judged_are_chosen_from():
    stage = _judged(3 + torch.randn(900, 2, generator=torch.Generator().manual_seed(0)), seconds=0.0)
    assert (stage.chosen, len(stage.verdicts)) == ("prior", 1)
    assert "time" in stage.reason


def _suited() -> list[str]:
    return [name for name in models.names() if name not in ("td_vae", "vq_vae")]


@pytest.mark.parametrize("name", _suited())
def test_every_model_of_a_continuous_code_has_a_second_stage(name, tmp_path, monkeypatch):
    monkeypatch.setattr(choosing, "FLOW_STEPS", 4)
    takes = models.describe(name).takes_conditions
    given = (Field("category", 3),) if takes else ()
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    c = torch.arange(64.0)[:, None] % 3 if takes else None
    spec = DataSpec((4,), (Field("real"),), given, examples=64)
    if "record" in models.describe(name).data_forms:
        spec = DataSpec.of_parts([Part(half, DataSpec((2,), (Field("real"),) * 2)) for half in ("first", "second")], 64)
    model = build(name, spec, latent_dim=2, width=8).eval()
    assert isinstance(model, LatentSpace)
    learned = type("Schema", (), {"spec": spec})
    data = Dataset(
        "", "", learned, Resident(x, c), Resident(x[:9], None if c is None else c[:9]), Resident(x[:0]), None
    )
    for kind in ("mixture", "flow-matching"):
        stage = SecondStage(
            {kind: choosing.fit_sampler(kind, model, data, choosing.SamplerFit(), components=None)}, kind
        )
        stage.save(tmp_path, "these")
        again = SecondStage.load(tmp_path, "these", model.code_size, given)
        drawn = []
        for one in (stage, again):
            with seeded(CPU, 1), torch.no_grad():
                drawn.append(second_stage.sample(model, one.sampler(kind), 7, None if c is None else c[:7]))
        assert drawn[0].shape == (7, 4)
        assert torch.equal(*drawn)
    assert SecondStage.load(tmp_path, "others", model.code_size, given).samplers == {}


def test_a_sampler_that_is_the_prior_gives_the_bound_of_the_prior():
    """In the coordinates of a prior that is learned from conditions, a standard normal is that prior."""
    spec = DataSpec((3,), (Field("real"),), (Field("category", 2),))
    model = build("cvae", spec, latent_dim=2, width=8, prior="learned").double()
    nn.init.normal_(model.prior_net.normal.linear.weight, std=0.5)
    batch = Batch(torch.randn(4, 3, dtype=torch.float64), torch.tensor([[0.0], [1.0], [1.0], [0.0]]).double())
    noise, prior = torch.randn(5, 2, dtype=torch.float64), model.prior(4, batch.given)
    z = torch.randn(4, 2, dtype=torch.float64)
    assert torch.allclose(absolute(prior, relative(prior, z)), z)
    own = model.log_weight(batch, 5, noise)
    for sampler in (Mixture(2, 1), FlowMatching(2, spec.given, width=8, depth=1)):
        copied = with_prior(model, sampler.double())
        with torch.inference_mode():
            replaced = copied.log_weight(batch, 5, noise)
        assert replaced.numpy() == pytest.approx(own.detach().numpy(), abs=2e-2)


def test_bounds_by_the_second_stage_are_closer_where_codes_are_far_from_the_prior(run):
    X = np.load(run.run_.path.parent / "x.npy")[:200]
    assert run.log_density(X, sampler=run.second_stage().chosen).mean() > run.log_density(X).mean() + 0.1
    measures = run.evaluate(families=("bounds",), quick=True, sampler="mixture")
    (measure,) = (each for each in measures if each.name == "−ELBO by mixture")
    assert measure.value < measure.reference


def test_a_learned_prior_under_conditions_takes_flow_matching():
    spec = DataSpec((3,), (Field("real"),), (Field("category", 2),))
    model = build("cvae", spec, latent_dim=2, width=8, prior="learned")
    batch = Resident(torch.randn(20, 3), torch.arange(20.0)[:, None] % 2)
    codes = Codes.of(model, batch)
    assert codes.draw(0).x.shape == (20, 2)
    flow = FlowMatching(2, spec.given, width=8, depth=1)
    assert flow.losses(codes.draw(1), 0)["model"].per_example.shape == (20,)
    assert isinstance(codes.take(slice(0, 2)), Batch)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Autoencoder:
    """A run whose training was long enough for a second stage, of codes far from their prior."""
    folder = tmp_path_factory.mktemp("second")
    random = np.random.default_rng(0)
    X = random.choice([-1.0, 1.0], (1300, 2)) + 0.2 * random.normal(size=(1300, 2))
    np.save(folder / "x.npy", X.astype("float32"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choosing, "FLOW_STEPS", 100)
        patch.setattr("sfumato.estimator.methods.second_stage.TIME_SHARE", 1000.0)
        return fit(str(folder / "x.npy"), model="beta_vae", beta=0.1, steps=500, run=folder / "run", **SMALL)


def test_it_is_fitted_once_and_kept_in_the_run(run, monkeypatch):
    told = json.loads((run.run_.path / "second_stage" / "choice.json").read_text())
    assert told["chosen"] == run.second_stage().chosen != "prior"
    assert told["verdicts"][1]["gain"] > 0.1
    again = load(run.run_.path)
    monkeypatch.setattr(choosing, "choose", lambda *_: pytest.fail("it was fitted before"))
    np.testing.assert_array_equal(run.sample(20, seed=4), again.sample(20, seed=4))
    assert not np.array_equal(run.sample(20, seed=4), run.sample(20, seed=4, sampler="prior"))
    run.run_.verify()


def test_it_is_fitted_again_for_other_weights_and_saved_with_a_copy(run, tmp_path):
    copy = load(run.run_.path)
    copy.save(tmp_path / "copy")
    assert load(tmp_path / "copy")._stage.chosen == run.second_stage().chosen
    with torch.no_grad():
        next(copy.model_.parameters()).add_(0.1)
    copy.run_ = None
    copy.save(tmp_path / "other")
    assert load(tmp_path / "other")._stage.chosen is not None


def test_measures_of_samples_are_of_what_the_user_gets(run):
    by_default, by_prior = (
        {one.name: one.value for one in run.evaluate(families=("samples",), quick=True, sampler=name)}
        for name in ("auto", "prior")
    )
    assert by_default["column shapes"] > by_prior["column shapes"] + 0.05


def test_a_training_can_be_told_what_its_samples_are_drawn_by():
    X = np.random.default_rng(0).normal(size=(60, 3))
    auto = Autoencoder(latent_dim=2, steps=5, sampler="mixture").fit(X)
    np.testing.assert_array_equal(auto.sample(4, seed=0), auto.sample(4, seed=0, sampler="mixture"))
    assert Autoencoder(latent_dim=2, steps=5).fit(X).second_stage().chosen == "prior"
