"""The flow against fields, densities and conditionals that are known in closed form."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sfumato import training
from sfumato.batch import Batch
from sfumato.latents import flow_matching
from sfumato.latents.codes import Codes
from sfumato.latents.flow_matching import FlowMatching
from sfumato.networks.velocity import gaussian_velocity
from sfumato.randomness.generators import seeded
from sfumato.spec import Field
from sfumato.training import Settings

MEAN, SCALE = torch.tensor([1.5, -0.5, 0.0]), torch.tensor([0.3, 2.0, 1.0])


class Exact(nn.Module):
    """The field of straight paths from N(0, 1) to N(MEAN, SCALE²)."""

    def forward(self, x: Tensor, t: Tensor, given: Tensor | None = None) -> Tensor:
        return gaussian_velocity(x, t, MEAN.to(x), SCALE.to(x))


class Turning(nn.Module):
    """v = A x, whose flow is x₁ = exp(A) x₀ and whose divergence is the trace of A."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.matrix = matrix

    def forward(self, x: Tensor, t: Tensor, given: Tensor | None = None) -> Tensor:
        return x @ self.matrix.t()


def flow(velocity: nn.Module, latent_dim: int = 3) -> FlowMatching:
    made = FlowMatching(latent_dim, width=8, depth=1)
    made.velocity = velocity
    return made.double()


@pytest.mark.parametrize("t", [0.0, 0.2, 0.7, 1.0])
def test_the_field_of_a_normal_is_what_a_regression_on_draws_finds(t):
    random = torch.Generator().manual_seed(0)
    noise, z = torch.randn(200_000, 3, generator=random), MEAN + SCALE * torch.randn(200_000, 3, generator=random)
    x, target = (1 - t) * noise + t * z, z - noise
    slope = ((x - x.mean(0)) * (target - target.mean(0))).mean(0) / x.var(0)
    at = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    field = gaussian_velocity(at, torch.full((2,), t), MEAN, SCALE)
    assert (field[1] - field[0]).numpy() == pytest.approx(slope.numpy(), abs=0.03)
    assert field[0].numpy() == pytest.approx((target.mean(0) - slope * x.mean(0)).numpy(), abs=0.03)


def test_the_density_of_a_normal_is_found_by_the_exact_field_and_the_error_falls_with_the_steps():
    model = flow(Exact())
    model.shift.copy_(torch.tensor([0.5, 0.0, -1.0]))
    model.scale.copy_(torch.tensor([2.0, 1.0, 0.5]))
    truth = torch.distributions.Normal((model.shift + model.scale * MEAN).double(), (model.scale * SCALE).double())
    z = truth.sample((50,))
    expected = truth.log_prob(z).sum(1).numpy()
    errors = [float(np.abs(model.log_prob(z, steps=steps).numpy() - expected).max()) for steps in (10, 20, 40)]
    assert errors[1] < 0.06
    assert errors[2] < 0.015
    assert errors[0] > 3 * errors[1] > 9 * errors[2]


def test_the_error_of_samples_falls_with_the_square_of_the_steps():
    model = flow(Exact())
    noise = torch.randn(64, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def error(steps: int) -> float:
        with seeded(torch.device("cpu"), 3):
            drawn = model.sample(64, steps=steps)
        # The paths of a normal lead from ε to MEAN + SCALE·ε.
        return float((drawn - (MEAN + SCALE * noise)).abs().max())

    errors = [error(steps) for steps in (5, 10, 20, 40)]
    assert errors[1] < 0.05
    assert all(2.8 < one / other < 6 for one, other in pairwise(errors[1:]))


def test_the_divergence_that_is_estimated_is_right_on_average(monkeypatch):
    matrix = torch.tensor([[0.2, 0.5, 0.0], [-0.3, 0.1, 0.4], [0.6, 0.0, -0.4]], dtype=torch.float64)
    model, z = flow(Turning(matrix)), torch.randn(1, 3, dtype=torch.float64).expand(4000, 3)
    exact = model.log_prob(z[:1])
    start = torch.linalg.solve(torch.matrix_exp(matrix), z[0])
    truth = -0.5 * start.square().sum() - 1.5 * math.log(2 * math.pi) - matrix.trace()
    assert float(exact) == pytest.approx(float(truth), abs=1e-3)
    monkeypatch.setattr(flow_matching, "MAX_EXACT_DIVERGENCE", 0)
    with seeded(torch.device("cpu"), 0):
        guesses = model.log_prob(z)
    assert float(guesses.std()) > 0.1
    assert float(guesses.mean()) == pytest.approx(float(exact), abs=4 * float(guesses.std()) / 4000**0.5)


def test_an_untrained_flow_is_the_normal_with_the_moments_of_its_codes():
    codes = 3 + 2 * torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    model = FlowMatching(2, width=8, depth=1)
    model.standardise(codes)
    expected = torch.distributions.Normal(codes.mean(0), codes.std(0)).log_prob(codes).sum(1)
    assert model.log_prob(codes).numpy() == pytest.approx(expected.numpy(), abs=5e-3)


@pytest.fixture(scope="module")
def conditional() -> FlowMatching:
    """Trained on N(±2, ½²) under two conditions, three of the one for each of the other."""
    side = (torch.arange(2000) % 4 == 0).float()
    codes = Codes((4 * side - 2)[:, None, None].expand(-1, 1, 2), torch.full((2000, 2), 0.5), side[:, None])
    torch.manual_seed(0)
    model = FlowMatching(2, (Field("category", 2),), width=32, depth=1)
    model.standardise(codes.draw(0).x)
    settings = Settings(steps=400, batch_size=128, lr=5e-3, validate_every=400)
    training.fit(model, codes, codes, settings=settings)
    return model


def test_draws_under_a_condition_are_those_of_the_known_conditional(conditional):
    with seeded(torch.device("cpu"), 0), torch.no_grad():
        for side, centre in ((0.0, -2.0), (1.0, 2.0)):
            drawn = conditional.sample(2000, torch.full((2000, 1), side))
            assert drawn.mean(0).tolist() == pytest.approx([centre, centre], abs=0.1)
            assert drawn.std(0).tolist() == pytest.approx([0.5, 0.5], abs=0.1)
        free = conditional.sample(4000, torch.full((4000, 1), torch.nan))
    assert float((free[:, 0] > 0).float().mean()) == pytest.approx(0.25, abs=0.05)
    z = torch.tensor([[2.0, 2.0], [2.3, 1.6], [1.5, 2.0]])
    known = torch.distributions.Normal(2.0, 0.5).log_prob(z).sum(1)
    assert conditional.log_prob(z, torch.ones(3, 1)).numpy() == pytest.approx(known.numpy(), abs=0.3)


def test_guidance_goes_from_no_condition_by_the_condition_to_beyond_it(conditional):
    given = torch.ones(500, 1)

    def drawn(c: Tensor | None, guidance: float) -> Tensor:
        with seeded(torch.device("cpu"), 1), torch.no_grad():
            return conditional.sample(500, c, guidance=guidance)

    assert torch.allclose(drawn(given, 0.0), drawn(None, 1.0))
    assert float(drawn(given, 2.0).mean()) > float(drawn(given, 1.0).mean()) + 0.05


def test_a_training_that_was_stopped_goes_on_bit_for_bit(tmp_path):
    codes = Codes(torch.randn(100, 1, 2, generator=torch.Generator().manual_seed(0)), torch.full((100, 2), 0.5))

    def trained(steps: int, folder: str, *, resume: bool = False) -> dict[str, Tensor]:
        with seeded(torch.device("cpu"), 5):
            torch.manual_seed(0)
            model = FlowMatching(2, width=8, depth=1)
        model.standardise(codes.draw(0).x)
        plan = Settings(steps=steps, batch_size=32, ema=0.9, validate_every=7, schedule="constant")
        training.fit(model, codes, codes, settings=plan, folder=tmp_path / folder, resume=resume)
        return model.state_dict()

    whole = trained(30, "whole")
    trained(13, "parts")
    resumed = trained(30, "parts", resume=True)
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_codes_are_drawn_afresh_in_each_pass_and_alike_for_one_seed():
    codes = Codes(torch.zeros(10, 1, 2), torch.ones(10, 2), torch.arange(10.0)[:, None])
    assert torch.equal(codes.draw(0).x, codes.draw(0).x)
    with seeded(torch.device("cpu"), 0):
        first, second = (torch.cat([batch.x for batch in codes.epoch(4, seed=1)]) for _ in range(2))
    assert not torch.equal(first, second)
    rows = [batch.given for batch in codes.epoch(4, seed=1, skip=1)]
    assert torch.equal(torch.cat(rows), torch.cat([batch.given for batch in codes.epoch(4, seed=1)])[4:])
    pool = Codes(torch.arange(6.0).reshape(3, 2, 1))
    assert set(pool.draw(0).x.flatten().tolist()) <= set(range(6))
    assert isinstance(pool.take(slice(0, 1)), Batch)
