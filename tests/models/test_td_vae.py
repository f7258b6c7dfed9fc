"""The TD-VAE against the Kalman filter of a linear-Gaussian state space, and what it does with time and gaps."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from sfumato.batch import Batch
from sfumato.distributions import Normal
from sfumato.distributions.noise import rows
from sfumato.errors import SfumatoError
from sfumato.evaluation.likelihood.importance import weigh
from sfumato.models import build
from sfumato.models.td_vae import TDVAE, _halts, _pairs
from sfumato.networks.state_space import LayeredNormal
from sfumato.objectives import importance_bound
from sfumato.spec import DataSpec, Field

A, Q, R = 0.9, 0.5, 0.4
"""z′ = A^δ z + noise that keeps the variance of z at P; x = z + noise of variance R."""
P = Q / (1 - A**2)


def passing(delta: Tensor) -> tuple[Tensor, Tensor]:
    factor = A**delta
    return factor, P * (1 - factor**2)


class KalmanPast(nn.Module):
    """b = (mean, variance) of z given all seen so far; missing steps only let time pass."""

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(shift, dtype=torch.float64))

    def forward(self, x: Tensor, mask: Tensor | None, time: Tensor) -> Tensor:
        passed = time.diff(dim=1)
        mean, variance = torch.zeros(len(x), dtype=x.dtype), torch.full((len(x),), P, dtype=x.dtype)
        held = [torch.stack([mean, variance], 1)]
        for t in range(x.shape[1]):
            factor, spread = passing(passed[:, t])
            mean, variance = factor * mean, factor**2 * variance + spread
            gain = variance / (variance + R)
            if mask is not None:
                gain = gain * mask[:, t, 0]
            mean, variance = mean + gain * (x[:, t, 0] - mean), (1 - gain) * variance
            held.append(torch.stack([mean, variance], 1))
        return torch.stack(held, 1)


class Belief(nn.Module):
    def __init__(self, shift: float = 0.0) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, b: Tensor) -> Normal:
        return Normal(b[:, :1] + self.shift, 0.5 * b[:, 1:].log())


class Transition(nn.Module):
    def forward(self, z: Tensor, passed: Tensor) -> Normal:
        factor, spread = passing(passed)
        return Normal(factor[:, None] * z, 0.5 * spread.log()[:, None])


class Smoothing(nn.Module):
    """p(z₁ | z₂, x up to t₁): what was seen after t₁ adds nothing once z₂ is known and t₂ is the next step."""

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, z2: Tensor, b1: Tensor, b2: Tensor, passed: Tensor) -> Normal:
        factor, spread = passing(passed)
        precision = 1 / b1[:, 1] + factor**2 / spread
        mean = (b1[:, 0] / b1[:, 1] + factor * z2[:, 0] / spread) / precision
        return Normal(mean[:, None] + self.shift, -0.5 * precision.log()[:, None])


class Observation(nn.Module):
    def forward(self, z: Tensor) -> Normal:
        return Normal(z, torch.tensor(0.5 * math.log(R), dtype=z.dtype))


def exact(steps: int, *, shift: float = 0.0, smoothing: float = 0.0, **options) -> TDVAE:
    parts = (KalmanPast(), Belief(shift), Transition(), Smoothing(smoothing), Observation())
    return TDVAE(*parts, steps=steps, latents=1, **options)


def joint_covariance(time: Tensor) -> Tensor:
    apart = (time[:, None] - time[None, :]).abs()
    return P * A**apart + R * torch.eye(len(time), dtype=time.dtype)


def draw(n: int, time: Tensor) -> Tensor:
    torch.manual_seed(0)
    return torch.distributions.MultivariateNormal(torch.zeros_like(time), joint_covariance(time)).sample((n,))


def log_evidence(x: Tensor, time: Tensor) -> Tensor:
    return torch.distributions.MultivariateNormal(torch.zeros_like(time), joint_covariance(time)).log_prob(x)


EVEN = torch.arange(7, dtype=torch.float64)
UNEVEN = torch.tensor([0.0, 0.4, 2.0, 2.1, 5.0, 6.5, 7.0], dtype=torch.float64)


@pytest.mark.parametrize("time", [EVEN, UNEVEN], ids=["even", "uneven"])
def test_with_the_kalman_filter_plugged_in_every_draw_scores_the_exact_likelihood(time: Tensor) -> None:
    x = draw(20, time)
    weights = exact(7).log_weight(Batch(x[:, :, None], time=time.expand(20, -1)), 5).sum(2)
    torch.testing.assert_close(weights, log_evidence(x, time)[:, None].expand(-1, 5))


def test_missing_steps_and_padding_add_nothing_to_the_likelihood() -> None:
    x = draw(10, EVEN)
    mask = torch.ones(10, 7, 1, dtype=torch.bool)
    mask[:, [0, 3, 5, 6]] = False
    weights = exact(7).log_weight(Batch((x[:, :, None] * mask), mask=mask), 3).sum(2)
    kept = [1, 2, 4]
    torch.testing.assert_close(weights, log_evidence(x[:, kept], EVEN[kept])[:, None].expand(-1, 3))


def test_each_loss_of_one_step_is_the_exact_increment_of_the_kalman_filter() -> None:
    x = draw(500, EVEN[:2])
    loss = exact(2, jump=1, pairs=8).losses(Batch(x[:, :, None]), 0)["model"].per_example
    first = log_evidence(x[:, :1], EVEN[:1])
    second = log_evidence(x, EVEN[:2]) - first
    share = (loss + second) / (second - first)
    torch.testing.assert_close(loss, -(share * first + (1 - share) * second))
    assert torch.allclose(8 * share, (8 * share).round(), atol=1e-6)
    assert 0.45 < share.mean() < 0.55


def test_a_wrong_belief_stays_below_the_likelihood() -> None:
    x = draw(4000, EVEN)
    batch, truth = Batch(x[:, :, None]), log_evidence(x, EVEN).mean()
    bounds = [exact(7, shift=shift).log_weight(batch, 4).sum(2).mean() for shift in (0.0, 0.1, 0.3)]
    torch.testing.assert_close(bounds[0], truth)
    assert bounds[2] < bounds[1] - 0.1 < truth - 0.1


def test_weights_of_each_step_are_averaged_by_themselves() -> None:
    """With a wrong proposal the bound of few draws a step is nearly exact, where products over all steps are not."""
    x = draw(400, EVEN)
    batch, truth = Batch(x[:, :, None]), log_evidence(x, EVEN).mean()
    model = exact(7, smoothing=0.3)
    weights = model.log_weight(batch, 16)
    by_step, joint = importance_bound(weights).mean(), importance_bound(weights.sum(2)).mean()
    elbo = weights.sum(2).mean()
    assert elbo < joint < by_step < truth + 0.02
    assert truth - by_step < 0.5 * (truth - joint)
    weighed = weigh(model, batch, 16)
    assert weighed.evidence.mean() == pytest.approx(float(by_step), abs=0.05)
    assert -weighed.negative_elbo.mean() == pytest.approx(float(elbo), abs=0.1)


def test_over_a_long_jump_the_bound_is_below_the_likelihood_of_that_jump() -> None:
    """The belief at the end has seen the steps between, which the bound may not use."""
    x = draw(20_000, EVEN[:2])
    model = exact(2, jump=2)
    batch = Batch(x[:, :, None])
    b, time = model._seen(batch)
    p2 = model.belief(b[:, 2])
    z2 = p2.sample()
    q1 = model.smoothing(z2, b[:, 0], b[:, 2], time[:, 2] - time[:, 0])
    z1 = q1.sample()
    log_p = model.decoder(z2).log_prob(x[:, 1:]) + model.belief(b[:, 0]).log_prob(z1)
    bound = log_p + model.transition(z1, time[:, 2] - time[:, 0]).log_prob(z2) - p2.log_prob(z2) - q1.log_prob(z1)
    assert bound.mean() < log_evidence(x[:, 1:], EVEN[1:2]).mean() - 0.01


@pytest.mark.parametrize("chained", [True, False])
@pytest.mark.parametrize("jump", [2, 4])
def test_forecasts_have_the_mean_and_spread_of_the_kalman_prediction(chained: bool, jump: int) -> None:
    x = draw(3, EVEN)
    batch = Batch(x[:, :, None])
    model = exact(7, jump=jump)
    torch.manual_seed(1)
    futures = model.forecast(batch, (1.0, 2.5), n=20_000, chained=chained)[..., 0]
    mean, variance = model._seen(batch)[0][:, -1].unbind(1)
    for place, delta in enumerate((1.0, 3.5)):
        factor, spread = passing(torch.tensor(delta, dtype=torch.float64))
        torch.testing.assert_close(futures[:, :, place].mean(1), factor * mean, rtol=0, atol=0.04)
        expected = factor**2 * variance + spread + R
        torch.testing.assert_close(futures[:, :, place].var(1), expected, rtol=0.05, atol=0)


def test_samples_have_the_covariance_of_the_process() -> None:
    model = exact(4)
    torch.manual_seed(0)
    x = model.double().sample(20_000)[:, :, 0]
    torch.testing.assert_close(x.T.cov(), joint_covariance(EVEN[:4]), rtol=0, atol=0.12)


def test_pairs_end_on_observed_steps_and_are_at_most_a_jump_apart() -> None:
    torch.manual_seed(0)
    observed = torch.zeros(5000, 9, dtype=torch.bool)
    observed[:, [1, 4, 6]] = True
    first, second = _pairs(observed, torch.rand(5000, 2), 3)
    assert set(second.tolist()) == {2, 5, 7}
    counts = torch.bincount(second)[[2, 5, 7]] / 5000
    torch.testing.assert_close(counts, torch.full((3,), 1 / 3), rtol=0, atol=0.03)
    assert set((second - first)[second == 7].tolist()) == {1, 2, 3}
    assert set((second - first)[second == 2].tolist()) == {1, 2}


def test_what_comes_later_and_what_is_missing_do_not_change_a_belief() -> None:
    torch.manual_seed(0)
    model = build("td_vae", DataSpec((6, 2), (Field("real", missing=True), Field("real", missing=True)))).eval()
    x, mask = torch.randn(4, 6, 2), torch.ones(4, 6, 2, dtype=torch.bool)
    mask[:, 4:] = False
    other = torch.where(mask, x, torch.zeros(()))
    ended = model.encode(Batch(other, mask=mask)).mode()
    torch.testing.assert_close(ended, model.encode(Batch(other[:, :4], mask=mask[:, :4])).mode())


def test_options_that_cannot_be_are_refused_and_other_data_too() -> None:
    spec = DataSpec((6, 1), (Field("real"),))
    with pytest.raises(SfumatoError, match="jump is 0"):
        build("td_vae", spec, jump=0)
    with pytest.raises(SfumatoError, match="td_vae is not for tables"):
        build("td_vae", DataSpec((6,), (Field("real"),)))
    with pytest.raises(SfumatoError, match="vae is not for sequences; choose td_vae"):
        build("vae", spec)


def test_two_halves_of_a_joint_batch_lose_what_the_whole_does() -> None:
    torch.manual_seed(0)
    model = build("td_vae", DataSpec((6, 2), (Field("real"), Field("real"))), pairs=3)
    batch = Batch(torch.randn(7, 6, 2), time=(0.5 + torch.rand(7, 6)).cumsum(1))

    def losses(start: int, stop: int) -> Tensor:
        torch.manual_seed(1)
        assert batch.time is not None
        with rows(start, stop - start, 7):
            part = Batch(batch.x[start:stop], time=batch.time[start:stop])
            return model.losses(part, 0)["model"].per_example

    torch.testing.assert_close(torch.cat([losses(0, 4), losses(4, 7)]), losses(0, 7))


def test_the_density_of_a_state_just_drawn_is_the_one_asked_for_afterwards() -> None:
    torch.manual_seed(0)
    given, noise = torch.randn(7, 5), torch.randn(7, 6)
    state = LayeredNormal(5, 8, 3)(given)
    z, log_p = state.draw_and_log_prob(noise)
    assert torch.equal(z, state.draw(noise))
    torch.testing.assert_close(log_p, state.log_prob(z))


def test_a_sequence_with_nothing_to_be_seen_has_no_loss() -> None:
    model = build("td_vae", DataSpec((5, 2), (Field("real", missing=True),)), width=8, latent_dim=2)
    mask = torch.ones(3, 5, 2, dtype=torch.bool)
    mask[1] = False
    loss = model.losses(Batch(torch.randn(3, 5, 2) * mask, mask=mask), step=0)["model"]
    for values in loss.terms.values():
        assert values[1] == 0
        assert (values[[0, 2]] != 0).all()


def test_the_score_of_exact_forecasts_is_that_of_the_kalman_prediction() -> None:
    """The CRPS of N(μ, σ²) has the mean σ/√π where x is drawn from it, and forecasts from elsewhere cost more."""
    batch = Batch(draw(20_000, EVEN[:2])[:, :, None])

    def score(**options: float) -> float:
        torch.manual_seed(1)
        model = exact(2, jump=2, pairs=4, prediction=1.0, **options)
        return float(model.losses(batch, 0)["model"].terms["prediction"].mean())

    covariance = joint_covariance(EVEN[:2])
    before, after = covariance[0, 0], covariance[1, 1] - covariance[0, 1] ** 2 / covariance[0, 0]
    # t₂ is 1 or 2; t₁ is 0 or, before the second step, 1.
    expected = float((0.75 * before.sqrt() + 0.25 * after.sqrt()) / math.sqrt(math.pi))
    assert score() == pytest.approx(expected, abs=0.01)
    assert score(shift=0.5) > expected + 0.03


def test_counted_data_are_forecast_by_a_bound_of_their_likelihood() -> None:
    model = build("td_vae", DataSpec((4, 2), (Field("level", 2),), likelihood="bernoulli"), width=8, latent_dim=2)
    torch.manual_seed(0)
    term = model.losses(Batch(torch.randint(0, 2, (6, 4, 2)).float()), step=0)["model"].terms["prediction"]
    assert term.mean().item() == pytest.approx(2 * math.log(2), abs=0.4)


def test_halts_change_no_forecast_of_an_exact_process() -> None:
    model = exact(7, jump=6, prediction=1.0, draws=2)
    n = 40_000
    b1 = model._seen(Batch(draw(1, EVEN)[:, :, None]))[0][:, 2].expand(n, -1)
    start, end = torch.full((n,), 2.0, dtype=torch.float64), torch.full((n, 1), 6.0, dtype=torch.float64)
    straight = model._foretold(b1, start, end)[:, -1]
    halted = model._foretold(b1, start, torch.cat([end - 2.5, end - 2.5, end - 1, end, end], 1))[:, -1]
    torch.testing.assert_close(straight.mean(), halted.mean(), rtol=0, atol=0.03)
    torch.testing.assert_close(straight.var(), halted.var(), rtol=0.03, atol=0)


def test_halts_lie_evenly_between_two_steps() -> None:
    first, second = torch.tensor([1, 0]), torch.tensor([9, 3])
    assert _halts(first, second, 1).tolist() == [[9], [3]]
    assert _halts(first, second, 2).tolist() == [[5, 9], [1, 3]]
    assert _halts(first, second, 8).tolist() == [[2, 3, 4, 5, 6, 7, 8, 9], [0, 0, 1, 1, 1, 2, 2, 3]]


def test_the_clock_tells_sequences_of_one_cycle_where_they_are() -> None:
    spec = DataSpec((8, 1), (Field("real"),))
    model = build("td_vae", spec, width=8, latent_dim=2)
    codes = model.encode(Batch(torch.randn(3, 5, 1))).sample()
    assert codes.shape == (3, model.code_size) == (3, 5)
    assert codes[:, -1].tolist() == [5.0] * 3
    early, late = codes.clone(), codes.clone()
    late[:, -1] = 8.0
    assert not torch.allclose(model.decode(early).mode(), model.decode(late).mode())
    assert build("td_vae", spec, width=8, latent_dim=2, waves=0).code_size == 4


def test_the_spread_of_forecasts_is_chosen_where_it_is_that_of_the_data() -> None:
    model = exact(7, jump=3)
    x = draw(600, EVEN)[:, :, None]
    spreads = []
    for factor in (1.0, 0.5):
        model.finish([Batch(factor * x[:200]), Batch(factor * x[200:])])
        spreads.append(float(model.spread))
    assert 0.8 <= spreads[0] <= 1.2
    assert spreads[1] < spreads[0]
    model.finish([Batch(x[:5])])
    assert float(model.spread) == spreads[1], "too few to choose by"
