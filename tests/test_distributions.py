"""Every density against torch's, or against the sum or integral it must have; every sampler against its density."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import distributions as td
from torch.nn import functional as F

from sfumato.distributions import (
    Bernoulli,
    Categorical,
    Columns,
    Layout,
    LogisticMixture,
    Normal,
    NormalMixture,
    Scaled,
    SpikeSlab,
    SpikeSlabMixture,
    StandardNormal,
    noise,
)
from sfumato.distributions.discrete import median
from sfumato.spec import Field


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_normal_agrees_with_torch() -> None:
    mean, log_scale, x = torch.randn(5, 3), 0.3 * torch.randn(5, 3), torch.randn(5, 3)
    expected = td.Normal(mean, log_scale.exp()).log_prob(x).sum(1)
    torch.testing.assert_close(Normal(mean, log_scale).log_prob(x), expected)


def test_a_scale_shared_by_all_examples_is_counted_once_per_entry() -> None:
    mean, log_scale, x = torch.randn(5, 2, 4, 4), torch.randn(2, 1, 1), torch.randn(5, 2, 4, 4)
    expected = td.Normal(mean, log_scale.exp()).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(Normal(mean, log_scale).log_prob(x), expected)


@pytest.mark.parametrize("mean_shape", [(4, 3), (1, 3)])
@pytest.mark.parametrize("scale_shape", [(4, 3), (1, 3), (3,), (1,), ()])
def test_normal_and_its_gradients_agree_with_torch_for_scales_of_any_shape(
    mean_shape: tuple[int, ...], scale_shape: tuple[int, ...]
) -> None:
    parts = [torch.randn(shape, requires_grad=True) for shape in (mean_shape, scale_shape, (4, 3))]
    mean, log_scale, x = parts
    # A mean for all examples with a scale for each is asked for by none.
    if mean_shape[0] < 4 and scale_shape[:1] == (4,):
        mean = mean.expand(4, 3)
    found = Normal(mean, log_scale).log_prob(x)
    expected = td.Normal(mean, log_scale.exp()).log_prob(x).sum(1)
    torch.testing.assert_close(found, expected)
    weights = torch.arange(1.0, 5.0)
    ours = torch.autograd.grad((weights * found).sum(), parts)
    for one, other in zip(ours, torch.autograd.grad((weights * expected).sum(), parts), strict=True):
        torch.testing.assert_close(one, other)


def test_a_draw_and_its_log_probability_are_those_asked_for_one_by_one() -> None:
    parts = [torch.randn(4, 3, requires_grad=True) for _ in range(2)]
    normal, noise, weights = Normal(*parts), torch.randn(4, 3), torch.arange(1.0, 5.0)
    z, log_q = normal.draw_and_log_prob(noise)
    expected = normal.log_prob(normal.draw(noise))
    assert torch.equal(z, normal.draw(noise))
    torch.testing.assert_close(log_q, expected)
    for one, other in zip(
        torch.autograd.grad((weights * log_q).sum(), parts, allow_unused=True, materialize_grads=True),
        torch.autograd.grad((weights * expected).sum(), parts),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_masked_entries_add_nothing_and_take_no_gradient() -> None:
    mean = torch.zeros(1, 3, requires_grad=True)
    mask = torch.tensor([[True, False, True]])
    normal = Normal(mean, torch.zeros(3))
    value = normal.log_prob(torch.tensor([[1.0, 100.0, 2.0]]), mask)
    value.sum().backward()
    torch.testing.assert_close(value, td.Normal(0.0, 1.0).log_prob(torch.tensor([1.0, 2.0])).sum()[None])
    assert mean.grad is not None
    assert mean.grad.tolist() == [[1.0, 0.0, 2.0]]


def test_normal_kl_agrees_with_torch_and_with_monte_carlo() -> None:
    q = Normal(torch.randn(4, 3), 0.5 * torch.randn(4, 3))
    p = Normal(torch.randn(4, 3), 0.5 * torch.randn(4, 3))
    exact = td.kl_divergence(td.Normal(q.mean, q.log_scale.exp()), td.Normal(p.mean, p.log_scale.exp()))
    torch.testing.assert_close(q.kl(p), exact)
    z = q.repeat(20_000)
    draws = z.sample()
    estimate = (z.log_prob(draws) - p.repeat(20_000).log_prob(draws)).view(4, -1).mean(1)
    torch.testing.assert_close(estimate, exact.sum(1), rtol=0.03, atol=0.03)


def test_the_cheap_kl_to_the_standard_normal_is_the_general_one() -> None:
    q = Normal(torch.randn(4, 3), torch.randn(4, 3))
    torch.testing.assert_close(q.kl(StandardNormal(4, 3)), q.kl(Normal(torch.zeros(4, 3), torch.zeros(4, 3))))


def test_normal_mixture_agrees_with_torch() -> None:
    logits, means, log_scales = torch.randn(6), torch.randn(6, 3), 0.4 * torch.randn(6, 3)
    reference = td.MixtureSameFamily(
        td.Categorical(logits=logits), td.Independent(td.Normal(means, log_scales.exp()), 1)
    )
    z = 2 * torch.randn(10, 3)
    mixture = NormalMixture(logits, means, log_scales, 10)
    torch.testing.assert_close(mixture.log_prob(z), reference.log_prob(z), rtol=1e-4, atol=1e-4)
    draws = NormalMixture(logits, means, log_scales, 200_000).sample()
    torch.testing.assert_close(draws.mean(0), reference.mean, rtol=0.02, atol=0.02)
    torch.testing.assert_close(draws.var(0), reference.variance, rtol=0.03, atol=0.03)


def test_mixtures_are_as_exact_under_mixed_precision() -> None:
    torch.manual_seed(0)
    logits, means, log_scales = torch.zeros(8), 2 * torch.randn(8, 16), torch.full((8, 16), -1.0)
    z = 2 * torch.randn(5, 16)
    slabs = SpikeSlab(Normal(means, log_scales), torch.full((8, 16), 0.5))
    for mixture in (NormalMixture(logits, means, log_scales, 5), SpikeSlabMixture(logits, slabs, 5)):
        with torch.autocast("cpu", torch.bfloat16):
            rounded = mixture.log_prob(z)
        torch.testing.assert_close(rounded, mixture.log_prob(z))


def test_narrow_components_far_from_zero_cost_no_digits() -> None:
    """(z − m)²/s² as three products that nearly cancel was wrong by whole nats in single precision."""
    torch.manual_seed(0)
    logits, means, log_scales = torch.zeros(16), 2 * torch.randn(16, 32), torch.full((16, 32), -6.0)
    z = means[:8] + log_scales[:8].exp() * torch.randn(8, 32)
    gamma = torch.full((16, 32), 0.5)
    exact = td.MixtureSameFamily(
        td.Categorical(logits=logits.double()), td.Independent(td.Normal(means.double(), log_scales.double().exp()), 1)
    ).log_prob(z.double())
    found = NormalMixture(logits, means, log_scales, 8).log_prob(z)
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=0.01)
    slabs = SpikeSlab(Normal(means, log_scales), gamma)
    found = SpikeSlabMixture(logits, slabs, 8).log_prob(z)
    torch.testing.assert_close(found.double(), exact + 32 * math.log(0.5), rtol=0, atol=0.01)
    near, same = (SpikeSlab(Normal(middle, log_scales[:8]), gamma[:8]) for middle in (z, means[:8]))
    torch.testing.assert_close(near.kl_to_each(slabs).diagonal(), near.kl(same).sum(1), rtol=0, atol=0.01)


def test_bernoulli_and_categorical_agree_with_torch() -> None:
    logits, x = torch.randn(5, 7), torch.bernoulli(torch.full((5, 7), 0.5))
    torch.testing.assert_close(Bernoulli(logits).log_prob(x), td.Bernoulli(logits=logits).log_prob(x).sum(1))
    logits, x = torch.randn(5, 4, 3), torch.randint(0, 3, (5, 4))
    torch.testing.assert_close(Categorical(logits).log_prob(x), td.Categorical(logits=logits).log_prob(x).sum(1))


def test_a_grey_pixel_is_the_expected_log_probability_of_a_binary_one() -> None:
    logits = torch.randn(1, 1)
    on, off = (Bernoulli(logits).log_prob(torch.tensor([[v]])) for v in (1.0, 0.0))
    grey = Scaled(Bernoulli(logits), 256).log_prob(torch.tensor([[51]], dtype=torch.uint8))
    torch.testing.assert_close(grey, 0.2 * on + 0.8 * off)


@pytest.mark.parametrize(("channels", "levels"), [(1, 256), (2, 12), (3, 6), (4, 4)])
@pytest.mark.parametrize("log_scale", [-7.0, -2.0, 2.0])
def test_logistic_mixture_adds_up_to_one_over_all_pixels(channels: int, levels: int, log_scale: float) -> None:
    mixture = _mixture(channels, levels, log_scale)
    values = torch.tensor(list(itertools.product(range(levels), repeat=channels)), dtype=torch.uint8)
    total = torch.logsumexp(_repeated(mixture, len(values)).log_prob(values.view(-1, channels, 1, 1)), 0)
    torch.testing.assert_close(total, torch.zeros(()).double(), rtol=0, atol=1e-6)


def test_logistic_mixture_samples_follow_its_probabilities() -> None:
    mixture = _mixture(2, 4, -1.0)
    values = torch.tensor(list(itertools.product(range(4), repeat=2)), dtype=torch.uint8)
    expected = _repeated(mixture, len(values)).log_prob(values.view(-1, 2, 1, 1)).exp()
    draws = _repeated(mixture, 100_000).sample().long().view(-1, 2)
    observed = torch.bincount(draws[:, 0] * 4 + draws[:, 1], minlength=16) / len(draws)
    torch.testing.assert_close(observed.double(), expected, rtol=0, atol=0.006)


def test_logistic_mixture_agrees_with_the_plain_formula() -> None:
    mixture = _mixture(3, 256, -2.5)
    x = torch.tensor([[3, 200, 255]], dtype=torch.uint8).view(1, 3, 1, 1)
    y, h = x.double().view(3) / 127.5 - 1, 1 / 255
    k = mixture.coefficients[0, :, :, 0, 0]
    mu = mixture.means[0, :, :, 0, 0].clone()
    mu[:, 1] += k[:, 0] * y[0]
    mu[:, 2] += k[:, 1] * y[0] + k[:, 2] * y[1]
    s = mixture.log_scales[0, :, :, 0, 0].exp()
    upper, lower = torch.sigmoid((y + h - mu) / s), torch.sigmoid((y - h - mu) / s)
    upper[:, 2] = 1.0
    weights = torch.softmax(mixture.logits[0, :, 0, 0], 0)
    expected = torch.log((weights * (upper - lower).prod(1)).sum())
    torch.testing.assert_close(mixture.log_prob(x)[0], expected)


def _mixture(channels: int, levels: int, log_scale: float) -> LogisticMixture:
    torch.manual_seed(channels)
    pairs = channels * (channels - 1) // 2
    return LogisticMixture(
        torch.randn(1, 3, 1, 1).double(),
        torch.randn(1, 3, channels, 1, 1).double(),
        log_scale + 0.3 * torch.randn(1, 3, channels, 1, 1).double(),
        torch.randn(1, 3, pairs, 1, 1).double(),
        levels,
    )


def _repeated(mixture: LogisticMixture, n: int) -> LogisticMixture:
    parts = (mixture.logits, mixture.means, mixture.log_scales, torch.atanh(mixture.coefficients))
    return LogisticMixture(*(part.expand(n, *part.shape[1:]) for part in parts), mixture.levels)


@pytest.mark.parametrize(("channels", "levels"), [(1, 256), (3, 256), (3, 17)])
def test_pixels_drawn_from_logistics_are_whole_numbers_in_range(channels: int, levels: int) -> None:
    mixture = _repeated(_mixture(channels, levels, -1.0), 500)
    parts = (mixture.logits, mixture.means, mixture.log_scales, torch.atanh(mixture.coefficients))
    single = LogisticMixture(*(part.float() for part in parts), levels)
    for pixels in (single.sample(), single.mode()):
        assert torch.equal(pixels, pixels.round())
        assert 0 <= pixels.min() <= pixels.max() <= levels - 1


FIELDS = (Field("category", 3), Field("real"), Field("cells", 5), Field("real"), Field("category", 2))


def _columns(n: int = 1) -> Columns:
    torch.manual_seed(1)
    means, logits = torch.randn(1, 2), torch.randn(1, 10)
    return Columns(Layout.of(FIELDS), means.expand(n, -1), torch.tensor([0.1, -0.3]), logits.expand(n, -1))


def test_columns_are_their_parts_in_the_tables_order() -> None:
    columns = _columns()
    x = torch.tensor([[2.0, 0.4, 3.7, -1.2, 1.0]])
    parts = columns.logits.split([3, 5, 2], 1)
    expected = torch.stack(
        [
            td.Categorical(logits=parts[0]).log_prob(torch.tensor(2)),
            td.Normal(columns.normal.mean[:, 0], columns.normal.log_scale[0].exp()).log_prob(x[:, 1]),
            td.Categorical(logits=parts[1]).log_prob(torch.tensor(3)),
            td.Normal(columns.normal.mean[:, 1], columns.normal.log_scale[1].exp()).log_prob(x[:, 3]),
            td.Categorical(logits=parts[2]).log_prob(torch.tensor(1)),
        ],
        1,
    )
    torch.testing.assert_close(columns.log_density(x), expected)
    mask = torch.tensor([[True, True, False, False, True]])
    torch.testing.assert_close(columns.log_prob(x, mask), expected[:, [0, 1, 4]].sum(1))


def test_the_density_of_cells_integrates_to_one() -> None:
    grid = (torch.arange(5000) + 0.5) / 1000
    x = torch.zeros(5000, 5)
    x[:, 2] = grid
    density = _columns(5000).log_density(x)[:, 2].exp()
    torch.testing.assert_close(density.sum() / 1000, torch.tensor(1.0), rtol=1e-4, atol=0)


def test_column_samples_follow_their_densities_and_stay_in_their_cells() -> None:
    columns = _columns(50_000)
    draws = columns.sample()
    probabilities = [torch.softmax(part[0], 0) for part in columns.logits.split([3, 5, 2], 1)]
    for column, expected in zip((0, 2, 4), probabilities, strict=True):
        observed = torch.bincount(draws[:, column].long(), minlength=len(expected)) / len(draws)
        torch.testing.assert_close(observed, expected, rtol=0, atol=0.01)
    inside = draws[:, 2] % 1
    torch.testing.assert_close(inside.mean(), torch.tensor(0.5), rtol=0, atol=0.01)
    torch.testing.assert_close(draws[:, 1].std(), torch.tensor(0.1).exp(), rtol=0.02, atol=0)


def test_the_point_of_cells_is_the_median() -> None:
    logits = torch.log(torch.tensor([0.1, 0.6, 0.3]))
    torch.testing.assert_close(median(logits), torch.tensor(1 + 0.4 / 0.6))
    assert _columns().mode().shape == (1, 5)


def test_noise_of_two_halves_is_the_noise_of_the_joint_batch() -> None:
    like = torch.zeros(6, 3)
    torch.manual_seed(3)
    joint = noise.normal(like)
    halves = []
    for start, count in ((0, 4), (4, 2)):
        torch.manual_seed(3)
        with noise.rows(start, count, 6):
            halves.append(noise.normal(like[:count]))
    assert torch.equal(torch.cat(halves), joint)


def test_noise_of_repeated_rows_stays_with_its_example() -> None:
    q = Normal(torch.zeros(6, 3), torch.zeros(6, 3))
    torch.manual_seed(3)
    joint = q.repeat(2).sample()
    torch.manual_seed(3)
    with noise.rows(4, 2, 6):
        part = Normal(torch.zeros(2, 3), torch.zeros(2, 3)).repeat(2).sample()
    assert torch.equal(part, joint[8:])


@pytest.mark.parametrize("entries", [1, 3, 64, 65, 784, 1000])
@pytest.mark.parametrize("spread", [0.1, 4.0, 60.0, 1000.0])
def test_the_binary_log_likelihood_without_gradients_is_that_with_them(entries: int, spread: float) -> None:
    torch.manual_seed(0)
    logits, x = spread * torch.randn(20, entries), torch.rand(20, entries)
    before = logits.clone()
    quick = Bernoulli(logits).log_prob(x)
    exact = -F.binary_cross_entropy_with_logits(logits.double(), x.double(), reduction="none").sum(1)
    torch.testing.assert_close(quick.double(), exact, rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(Bernoulli(logits.clone().requires_grad_()).log_prob(x), quick, rtol=1e-5, atol=1e-4)
    assert torch.equal(logits, before)


def test_what_stands_under_a_mask_reaches_neither_value_nor_gradient() -> None:
    mask = torch.tensor([[False, True]])
    for told in (torch.nan, torch.inf, 1.0):
        x = torch.tensor([[told, 1.0]])
        mean = torch.zeros(1, 2, requires_grad=True)
        logits = torch.zeros(1, 2, 3, requires_grad=True)
        for held, one in ((mean, Normal(mean, torch.zeros(2))), (mean, Bernoulli(mean)), (logits, Categorical(logits))):
            held.grad = None
            one.log_prob(x, mask).sum().backward()
            assert held.grad is not None
            assert held.grad.isfinite().all()
            assert not held.grad[0, 0].any()
            assert held.grad[0, 1].any()


def test_half_precision_does_not_run_out_of_numbers_on_images() -> None:
    found = Bernoulli(torch.zeros(1, 784).half()).log_prob(torch.ones(1, 784).half())
    assert float(found) == pytest.approx(-784 * math.log(2), rel=1e-3)
