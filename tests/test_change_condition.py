"""Examples shown under other conditions: what is encoded under one and decoded under another, in every interface."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sfumato import Autoencoder
from sfumato.batch import Batch
from sfumato.distributions import Normal
from sfumato.errors import SfumatoError
from sfumato.estimator.conditions.inferred import most_likely
from sfumato.models import build, chosen_by_data
from sfumato.networks.gaussian import GivenPrior
from sfumato.spec import DataSpec, Field

CENTRES = torch.tensor([[-1.2, 0.2], [0.0, 1.2], [1.2, -1.2]])
"""Of the classes, in the units of the model too: the deviation of both columns is about 1."""


def _centre(given: Tensor | None, like: Tensor) -> Tensor:
    """Of the class; 0 where it is left out."""
    if given is None:
        return torch.zeros_like(like)
    known = CENTRES.to(like)[given[:, 0].nan_to_num(0.0).long()]
    return known.where(~given.isnan(), 0.0)


class Coder(nn.Module):
    """q(z|x, c) near x, or near x less the centre of its class."""

    def __init__(self, apart: bool) -> None:
        super().__init__()
        self.apart = apart

    def forward(self, x: Tensor, given: Tensor | None = None, mask: Tensor | None = None) -> Normal:
        z = x - _centre(given, x) if self.apart else x
        return Normal(z, torch.full_like(z, -4.0))


class Maker(nn.Module):
    """p(x|z, c) near z, or near z and the centre of its class."""

    def __init__(self, apart: bool) -> None:
        super().__init__()
        self.apart = apart
        self.log_scale = nn.Parameter(torch.tensor(-2.0))

    def forward(self, z: Tensor, given: Tensor | None = None) -> Normal:
        return Normal(z + _centre(given, z) if self.apart else z, self.log_scale)


def classes() -> tuple[np.ndarray, np.ndarray]:
    """600 points about the centres, and their classes."""
    noise = np.random.default_rng(5)
    y = noise.integers(0, 3, 600)
    return (CENTRES.numpy()[y] + 0.15 * noise.normal(size=(600, 2))).astype("f4"), y


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray]:
    return classes()


def made(rows: tuple[np.ndarray, np.ndarray], *, apart: bool, **options: object) -> Autoencoder:
    """A CVAE whose code is apart from the class, or is the example itself."""
    auto = Autoencoder("cvae", latent_dim=2, steps=1, likelihood="gaussian", **options).fit(*rows)
    auto.model_.encoder, auto.model_.decoder = Coder(apart), Maker(apart)
    return auto


def test_reconstruct_decodes_under_what_is_given_and_encodes_under_the_examples_own(rows) -> None:
    auto = made(rows, apart=True)
    x, y = rows
    to = (y + 1) % 3
    moved = x + (CENTRES.numpy()[to] - CENTRES.numpy()[y]) * x.std(0)
    own = auto.reconstruct((x, y))
    np.testing.assert_allclose(own, x, atol=0.02)
    np.testing.assert_allclose(auto.reconstruct((x, y), {"label": to}), moved, atol=0.1)
    both = auto.reconstruct((x, y), {"label": to}, encode_given={"label": to})
    np.testing.assert_allclose(both, x, atol=0.02)
    # The conditions of the encoder are the decoder's, unless others are given.
    np.testing.assert_allclose(auto.reconstruct(x, encode_given={"label": y}), x, atol=0.02)
    np.testing.assert_allclose(auto.reconstruct(x, {"label": to}, encode_given={"label": y}), moved, atol=0.1)
    swapped = auto.decode(auto.encode(x, {"label": y}), {"label": to})
    np.testing.assert_allclose(swapped, auto.reconstruct((x, y), {"label": to}), atol=1e-5)


@pytest.mark.parametrize("name", ["cvae", "m2", "vae_gan", "hierarchical_vae"])
def test_every_conditional_model_decodes_under_other_conditions(name: str) -> None:
    torch.manual_seed(0)
    spec = DataSpec((4,), (Field("real"),), given=(Field("category", 3),), examples=100)
    model = build(name, spec, width=16, depth=1).eval()
    batch, other = Batch(torch.randn(6, 4), torch.arange(6.0)[:, None] % 3), (torch.arange(6.0)[:, None] + 1) % 3
    with torch.no_grad():
        z = model.encode(batch).mode()
        torch.testing.assert_close(model.reconstruct(batch, given=other), model.decode(z, other).mode())
        torch.testing.assert_close(model.reconstruct(batch), model.decode(z, batch.given).mode())
    assert not torch.equal(model.reconstruct(batch, given=other), model.reconstruct(batch))


def test_layers_that_are_not_taken_are_drawn_under_the_new_condition() -> None:
    torch.manual_seed(0)
    spec = DataSpec((6,), (Field("real"),), given=(Field("category", 2),), examples=100)
    model = build("hierarchical_vae", spec, width=16, depth=1, layers=2, latent_dim=4).eval()
    batch, other = Batch(torch.randn(5, 6), torch.zeros(5, 1)), torch.ones(5, 1)
    with torch.no_grad():
        nothing = model.reconstruct(batch, given=other, layers=0)
        torch.testing.assert_close(nothing, model.decode(model.prior(5, other).mode(), other).mode())


def test_a_class_that_an_example_comes_without_is_told_from_it(rows) -> None:
    auto = made(rows, apart=True)
    x, y = rows
    to = (y + 1) % 3
    # The centres are 1.5 apart or more, and p(z) is N(0, 1): told by the bound, most are right.
    with_label, without = auto.reconstruct((x, y), {"label": to}), auto.reconstruct(x, {"label": to})
    same = np.abs(with_label - without).max(1) < 1e-6
    assert same.mean() > 0.95
    spec = auto.schema_.spec
    batch = Batch(torch.as_tensor((x - x.mean(0)) / x.std(0)), torch.as_tensor(y[:, None]).float())
    batch.given[::2] = torch.nan
    found = most_likely(auto.model_, batch, spec.given, [0]).given
    assert torch.equal(found[1::2], batch.given[1::2])
    assert (found[::2, 0].numpy() == y[::2]).mean() > 0.95


def test_a_model_whose_decoder_sees_no_conditions_says_so(rows) -> None:
    auto = Autoencoder("vq_vae", given=["label"], steps=1).fit(*rows)
    with pytest.raises(SfumatoError, match="decoder of a vq_vae sees no conditions"):
        auto.reconstruct(rows, {"label": 1})


def test_the_weight_of_the_rate_falls_to_beta_where_conditions_come_first() -> None:
    spec = DataSpec((2,), (Field("real"),), given=(Field("category", 3),))
    model = build("cvae", spec, beta=4.0, conditions_first=10)
    batch = Batch(torch.zeros(3, 2), torch.zeros(3, 1))
    weights = [model.losses(batch, step)["model"].weights["rate"] for step in (0, 5, 10, 500)]
    assert weights == pytest.approx([40.0, 22.0, 4.0, 4.0])
    assert not model.schedules_done(9)
    assert model.schedules_done(10)


def test_the_defaults_of_a_cvae_follow_the_data(rows) -> None:
    images = DataSpec((1, 6, 6), (Field("level", 256),), given=(Field("category", 3),))
    table = DataSpec((3,), (Field("real"),) * 3, given=(Field("category", 3),))
    assert [chosen_by_data("cvae", spec, {}) for spec in (images, table)] == [
        {"beta": 2.0, "conditions_first": 1000},
        {"beta": 1.0, "conditions_first": 0},
    ]
    assert [build("cvae", spec).beta for spec in (images, table)] == [2.0, 1.0]
    assert build("cvae", images, beta=0.5).beta == 0.5
    assert chosen_by_data("cvae", images, {"planned": 80})["conditions_first"] == 20
    learned = build("cvae", images, prior="learned")
    assert (learned.beta, learned.conditions_first.end) == (1.0, 0)
    assert chosen_by_data("cvae", images, {"prior": "learned", "width": 3})["beta"] == 1.0
    assert not isinstance(build("cvae", table).prior_net, GivenPrior)
    assert isinstance(build("cvae", table, prior="learned").prior_net, GivenPrior)
    assert Autoencoder("cvae", steps=1).fit(*rows).config_.to_dict()["model"]["beta"] == 1.0
