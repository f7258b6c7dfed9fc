"""The VAE-GAN: who learns from what, and what an adversary is shown."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import sfumato
from sfumato.batch import Batch
from sfumato.data.core.batching.batches import Resident
from sfumato.distributions import Columns, Normal, Scaled
from sfumato.errors import SfumatoError
from sfumato.models import build, describe
from sfumato.models.vae_gan import VAEGAN
from sfumato.networks.discriminator import ImageDiscriminator, View, straight_through
from sfumato.spec import DataSpec, Field
from sfumato.training.hardware.parallel import WorkerGroup
from sfumato.training.validation import validate

VECTOR = DataSpec((3,), (Field("real"),))
PICTURE = DataSpec((1, 8, 8), (Field("level", 17),))
TABLE = DataSpec((3,), (Field("real", missing=True), Field("category", 3), Field("cells", 4)), likelihood="cells")


def model_of(spec: DataSpec = VECTOR, **options: object) -> VAEGAN:
    torch.manual_seed(0)
    model = build("vae_gan", spec, **{"width": 16, "depth": 1, "equilibrium": False, **options})
    assert isinstance(model, VAEGAN)
    return model


def gradients(model: VAEGAN, batch: Batch) -> dict[str, list[Tensor]]:
    """What one training step leaves in each player's parameters."""
    torch.manual_seed(1)
    losses, players = model.losses(batch, 0), model.players()
    model.zero_grad()
    for name, loss in losses.items():
        loss.total.backward(inputs=players[name], retain_graph=True)
    return {name: [p.grad.clone() for p in own if p.grad is not None] for name, own in players.items()}


def by_hand(model: VAEGAN, x: Tensor, gamma: float) -> dict[str, list[Tensor]]:
    """Each player's gradient from a graph of its own, in which all other networks are constants."""
    found = {}
    for player in ("encoder", "decoder", "discriminator"):
        torch.manual_seed(1)
        q = model.encoder(x)
        z, z_p = q.sample(), torch.randn(len(x), q.mean.shape[1])
        if player != "encoder":
            z = z.detach()
        p = model.decoder(z)
        made, made_p = p.mean, model.decoder(z_p).mean
        if player == "discriminator":
            made, made_p = made.detach(), made_p.detach()
        (real_odds, real_features), (odds, features) = model.discriminator(x), model.discriminator(made)
        odds_p, _ = model.discriminator(made_p)
        like = 0.5 * (real_features - features).square().sum(1).mean()
        error = -(F.logsigmoid(real_odds) + F.logsigmoid(-odds) + F.logsigmoid(-odds_p)).mean()
        scale_only = -Normal(p.mean.detach(), p.log_scale).log_prob(x).mean()
        kl = 0.5 * (q.mean**2 + torch.exp(2 * q.log_scale) - 1 - 2 * q.log_scale).sum(1).mean()
        loss = {
            "encoder": kl + like,
            "decoder": gamma * like - (1 - gamma) * error + scale_only,
            "discriminator": error,
        }[player]
        found[player] = list(torch.autograd.grad(loss, model.players()[player]))
    return found


def test_each_player_gets_the_gradient_it_would_get_alone() -> None:
    model, x = model_of(gamma=0.3).double(), torch.randn(8, 3, dtype=torch.float64)
    torch.set_default_dtype(torch.float64)
    try:
        together, alone = gradients(model, Batch(x)), by_hand(model, x, 0.3)
    finally:
        torch.set_default_dtype(torch.float32)
    for name in model.players():
        for one, other in zip(together[name], alone[name], strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
        assert sum(float(one.abs().sum()) for one in alone[name]) > 1e-3


def test_the_adversary_gives_nothing_to_the_encoder_and_takes_nothing_from_the_others() -> None:
    model, batch = model_of(), Batch(torch.randn(8, 3))
    losses = model.losses(batch, 0)
    assert set(losses["encoder"].terms) == {"rate", "feature_distortion"}
    losses["discriminator"].total.backward(inputs=model.players()["discriminator"], retain_graph=True)
    for name in ("encoder", "decoder"):
        assert all(p.grad is None for p in model.players()[name])
    model.zero_grad()
    losses["encoder"].total.backward(inputs=model.players()["encoder"], retain_graph=True)
    for name in ("decoder", "discriminator"):
        assert all(p.grad is None for p in model.players()[name])


def test_the_encoder_is_deaf_to_the_weight_of_the_adversary() -> None:
    batch = Batch(torch.randn(8, 3))
    mild, hard = (gradients(model_of(gamma=gamma), batch) for gamma in (0.9, 0.1))
    assert all(torch.equal(one, other) for one, other in zip(mild["encoder"], hard["encoder"], strict=True))
    assert not all(torch.equal(one, other) for one, other in zip(mild["decoder"], hard["decoder"], strict=True))


def test_the_decoder_raises_what_the_discriminator_lowers() -> None:
    model, batch = model_of(gamma=0.0), Batch(torch.randn(8, 3))
    losses = model.losses(batch, 0)
    own = [p for p in model.players()["decoder"] if p is not model.decoder.head.get_parameter("scale.log_scale")]
    of_decoder = torch.autograd.grad(losses["decoder"].total, own, retain_graph=True)
    of_error = torch.autograd.grad(losses["discriminator"].total, own)
    for one, other in zip(of_decoder, of_error, strict=True):
        torch.testing.assert_close(one, -other)


def test_the_last_term_of_the_decoder_reaches_the_scale_alone() -> None:
    model, batch = model_of(), Batch(torch.randn(8, 3))
    distortion = model.losses(batch, 0)["decoder"].terms["distortion"].mean()
    found = torch.autograd.grad(distortion, model.players()["decoder"], allow_unused=True)
    assert sum(one is not None for one in found) == 1


@pytest.mark.parametrize(
    ("real", "made", "expected"),
    [(0.69, 0.69, (1, 1)), (0.1, 0.69, (1, 0)), (0.69, 0.1, (1, 0)), (1.2, 0.69, (0, 1)), (0.1, 1.2, (1, 1))],
)
def test_the_one_who_is_too_good_waits_but_never_both(real: float, made: float, expected: tuple[int, int]) -> None:
    model = model_of(equilibrium=True)
    moves = model._moves(torch.full((4,), real), torch.full((4,), made))
    assert tuple(float(move) for move in moves) == expected
    assert model.eval()._moves(torch.full((4,), real), torch.full((4,), made)) == (1.0, 1.0)


def test_a_player_that_waits_stands_still() -> None:
    model, batch = model_of(equilibrium=True), Batch(torch.randn(8, 3))
    optimizers = {k: model.optimizer(k, v, 1e-2, 0.0) for k, v in model.players().items()}
    for waits in (False, True):
        if waits:
            with torch.no_grad():
                model.discriminator.last.weight.zero_()
                model.discriminator.last.bias.fill_(0.8)  # costs of 0.37 for real ones and 1.17 for made ones
        before = [p.clone() for p in model.players()["decoder"]]
        losses = model.losses(batch, 0)
        for name, loss in losses.items():
            loss.total.backward(inputs=model.players()[name], retain_graph=True)
        for optimizer in optimizers.values():
            optimizer.step()
            optimizer.zero_grad()
        moved = [not torch.equal(a, b) for a, b in zip(before, model.players()["decoder"], strict=True)]
        # The scale of the likelihood is no part of the game and goes on.
        assert sum(moved) == (1 if waits else len(moved))


def test_a_view_of_a_table_is_its_numbers_and_one_hot_blocks() -> None:
    view = View(TABLE)
    x = torch.tensor([[0.5, 2.0, 3.7]])
    assert view.of_data(x).tolist() == [[0.5, 0, 0, 1, 0, 0, 0, 1]]
    assert view.observed(torch.tensor([[False, True, True]])).tolist() == [[False, *[True] * 7]]
    p = model_of(TABLE, latent_dim=2).decoder(torch.randn(50, 2))
    assert isinstance(p, Columns)
    made = view.of(p)
    assert set(made[:, 1:4].detach().round(decimals=5).unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(made[:, 4:].sum(1), torch.ones(50))


def test_a_view_of_an_image_is_the_mean_from_minus_one_to_one() -> None:
    view = View(PICTURE)
    x = torch.tensor([0, 16], dtype=torch.uint8).repeat(32).view(1, 1, 8, 8)
    assert view.of_data(x).unique().tolist() == [-1.0, 1.0]
    p = Scaled(Normal(torch.full((1, 1, 8, 8), 0.25), torch.zeros(1, 1, 1)), 17)
    torch.testing.assert_close(view.of(p), torch.full((1, 1, 8, 8), -0.5))


def test_straight_through_draws_follow_the_probabilities_and_carry_their_gradient() -> None:
    torch.manual_seed(0)
    logits = torch.log(torch.tensor([0.7, 0.2, 0.1])).repeat(20_000, 1).requires_grad_()
    drawn = straight_through(logits)
    torch.testing.assert_close(drawn.mean(0), torch.tensor([0.7, 0.2, 0.1]), rtol=0, atol=0.015)
    (gradient,) = torch.autograd.grad(drawn[:, 0].sum(), logits)
    torch.testing.assert_close(gradient[0], torch.tensor([0.21, -0.14, -0.07]))


def test_a_likelihood_without_a_gradient_is_refused_in_one_line() -> None:
    spec = DataSpec((1, 8, 8), (Field("level", 256),), likelihood="logistic_mixture")
    with pytest.raises(SfumatoError, match="choose one of gaussian, mse, bernoulli"):
        build("vae_gan", spec)


def test_what_is_missing_tells_the_discriminator_nothing() -> None:
    model = model_of(TABLE)
    mask = torch.ones(6, 3, dtype=torch.bool)
    mask[:, 0] = False
    seen: list[Tensor] = []
    forward = model.discriminator.forward
    model.discriminator.forward = lambda x, given=None: (seen.append(x), forward(x, given))[1]  # type: ignore[method-assign]
    model.losses(Batch(torch.zeros(6, 3), mask=mask), 0)
    real, made, _ = seen[0].chunk(3)
    assert torch.equal(real[:, 0], made[:, 0])
    assert (real[:, 0] != 0).all()


def test_conditions_reach_all_three_networks_and_may_be_left_out() -> None:
    spec = DataSpec((3,), (Field("real"),), given=(Field("category", 2),))
    model = model_of(spec).eval()
    x, given = torch.randn(4, 3), torch.tensor([[0.0], [1.0], [0.0], [torch.nan]])
    assert not torch.equal(model.discriminator(x, given)[0], model.discriminator(x, 1 - given)[0])
    assert torch.equal(model.discriminator(x, given)[1], model.discriminator(x, 1 - given)[1])
    losses = model.losses(Batch(x, given), 0)
    assert all(loss.per_example.isfinite().all() for loss in losses.values())
    assert model.sample(4, None).shape == (4, 3)
    assert describe("vae_gan").conditions == "optional"


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 20), (1, 3, 5), (1, 64, 64)])
def test_a_discriminator_of_images_cannot_be_steep(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    given = (Field("category", 2),)
    seen = ImageDiscriminator(DataSpec(shape, (Field("level", 256),), given=given), shape)
    x, condition = torch.rand(6, *shape), torch.tensor([[0.0], [1.0], [torch.nan]]).repeat(2, 1)
    for _ in range(30):
        seen(x, condition)
    weights = [part.weight.flatten(1) for part in seen.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    for weight in weights:
        assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1.0, abs=0.05)
    (odds, features), (others, same) = seen.eval()(x, condition), seen(x, 1 - condition)
    assert torch.equal(features, same)
    assert (odds != others).tolist() == [True, True, False] * 2
    torch.testing.assert_close(features.mean(1), torch.zeros(6), atol=1e-5, rtol=0)
    torch.testing.assert_close(features.square().mean(1), torch.ones(6), atol=0.02, rtol=0)


@pytest.mark.parametrize("options", [{}, {"given": ["label"]}])
def test_all_doors_on_moons(options: dict, tmp_path: Path) -> None:
    auto = sfumato.fit("moons", model="vae_gan", steps=20, rows=300, device="cpu", **options)
    drawn = auto.sample(20, seed=0)
    z = auto.encode(drawn)
    assert z.shape == (20, 2)
    assert len(auto.reconstruct(drawn)) == 20
    scores = auto.score_samples(drawn)
    auto.save(tmp_path / "run")
    again = sfumato.load(tmp_path / "run")
    assert np.array_equal(again.encode(drawn), z)
    assert np.array_equal(again.score_samples(drawn), scores)
    assert again.sample(20, seed=0).equals(drawn)


def test_likeness_weighs_by_the_number_of_features_unless_told() -> None:
    for side, features in ((8, 256), (28, 3136)):
        model = build("vae_gan", DataSpec((1, side, side), (Field("level", 256),)), network="mlp", width=16)
        view = torch.zeros(2, 1, side, side)
        assert model.discriminator(view)[1].shape == (2, features)
        assert model.gamma == pytest.approx(25 / features)
    assert build("vae_gan", DataSpec((3,), (Field("real"),)), width=64).gamma == 0.1
    assert build("vae_gan", DataSpec((3,), (Field("real"),)), gamma=0.5).gamma == 0.5


def test_the_energy_distance_is_that_of_its_definition() -> None:
    spec = DataSpec((3,), (Field("real"),), given=(Field("category", 3), Field("real")))
    model = model_of(spec).eval()
    real, made = torch.randn(7, 3), 0.5 * torch.randn(7, 3)
    given = torch.stack([torch.arange(7.0) % 3, torch.randn(7)], 1)
    found = model._energy_distance(real, made, given).mean()
    beside = torch.cat([given[:, 1:], F.one_hot(given[:, 0].long(), 3)], 1)
    u, v = (torch.cat([one, beside], 1).double() for one in (real, made))
    across = torch.cdist(u, v).mean()
    within = sum(torch.cdist(one, one).sum() / (7 * 6) for one in (u, v))
    assert found.item() == pytest.approx((2 * across - within).item(), abs=1e-5)


def test_the_energy_distance_of_images_sees_blur_that_pixels_forgive() -> None:
    # Stripes at either of two places: their mean is the nearest image to all of them, entry by entry.
    model = model_of(PICTURE).eval()
    places = torch.arange(64) % 2
    stripes = torch.where((torch.arange(8) % 2) == places[:, None], 1.0, -1.0)[:, None, None].expand(64, 1, 8, 8)
    turned = stripes[torch.randperm(64, generator=torch.Generator().manual_seed(0))]
    blurred = torch.zeros_like(stripes)
    sharp, flat = (model._energy_distance(stripes, made, None).mean().item() for made in (turned, blurred))
    assert (stripes - blurred).square().mean() < (stripes - turned).square().mean()
    assert sharp < 0.1 * flat


def test_validation_prefers_good_samples_to_a_good_bound() -> None:
    """A decoder that says nothing but the spread of the data, and one whose samples are the data, badly encoded."""
    x = torch.randn(512, 2, generator=torch.Generator().manual_seed(0)).sign() * 2.0
    found = {}
    for name, gain in (("blurred", 0.0), ("sharp", 8.0)):
        model = model_of(DataSpec((2,), (Field("real"),)), latent_dim=2)
        model.decoder = Corners(gain)
        with torch.no_grad():
            for parameter in model.encoder.parameters():
                parameter.zero_()  # q(z|x) = N(0, 1)
        found[name] = validate(model, Resident(x), 256, torch.device("cpu"), WorkerGroup(), nullcontext)
    assert found["blurred"]["total"] < found["sharp"]["total"] - 1
    assert found["sharp"]["energy_distance"] < 0.1 * found["blurred"]["energy_distance"]
    assert validate(model, Resident(x), 256, torch.device("cpu"), WorkerGroup(), nullcontext) == found["sharp"]


class Corners(nn.Module):
    """z → N(2 tanh(gain·z), σ²), σ that of the data around it for the blurred one and small for the sharp one."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain

    def raw(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        return 2 * torch.tanh(self.gain * z)

    def head(self, raw: Tensor) -> Normal:
        return Normal(raw, torch.full_like(raw, 0.7 if self.gain == 0 else -0.5))

    def forward(self, z: Tensor, given: Tensor | None = None) -> Normal:
        return self.head(self.raw(z))


def test_a_fit_keeps_and_names_the_weights_with_the_best_samples(tmp_path: Path) -> None:
    auto = sfumato.fit("moons", model="vae_gan", steps=90, validate_every=15, rows=300, device="cpu")
    valid = auto.history_.of("valid")
    lowest = min(valid, key=lambda line: line["energy_distance"])
    assert (auto.history_.best, auto.history_.best_step) == (lowest["energy_distance"], lowest["step"])
    assert "energy_distance" not in auto.history_.of("train")[0]
    assert "energy distance of samples" in auto._summary()
    auto.save(tmp_path / "run")
    again = sfumato.load(tmp_path / "run")
    assert again.history_.best_step == lowest["step"]
    assert again._summary().endswith(auto.history_.best_summary())
