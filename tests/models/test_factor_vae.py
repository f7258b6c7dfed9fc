"""The FactorVAE: who is given which gradient, and whether its adversary finds dependence."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import sfumato
from sfumato.batch import Batch
from sfumato.distributions import Normal, StandardNormal
from sfumato.models import build
from sfumato.models.factors.factor_vae import FactorVAE
from sfumato.spec import DataSpec, Field

SPEC = DataSpec((3,), (Field("real"),), examples=1000)


def make() -> tuple[FactorVAE, Batch]:
    torch.manual_seed(0)
    return build("factor_vae", SPEC, latent_dim=3, width=16, discriminator_width=16), Batch(torch.randn(33, 3))


def routed(model: FactorVAE, batch: Batch) -> dict[str, list[Tensor]]:
    """The gradients a training step gives each player."""
    torch.manual_seed(1)
    losses, players = model.losses(batch, 0), model.players()
    for name, loss in losses.items():
        loss.total.backward(inputs=players[name], retain_graph=True)
    return {name: [p.grad for p in parameters if p.grad is not None] for name, parameters in players.items()}


def test_each_player_gets_the_gradient_of_its_own_loss_computed_alone() -> None:
    model, batch = make()
    found = routed(model, batch)
    players = model.players()

    torch.manual_seed(1)
    q = model.encode(batch)
    z = q.sample()
    order = torch.rand(16, 3).argsort(0)
    rate = q.kl(StandardNormal(33, 3)).sum(1)
    alone = (-model.decode(z).log_prob(batch.x) + rate + model.gamma * model.discriminator(z)[:, 0]).mean()
    expected = torch.autograd.grad(alone, players["model"], retain_graph=True)
    torch.testing.assert_close(found["model"], list(expected), rtol=0, atol=1e-6)

    still = z.detach()
    shuffled = torch.stack([still[17:, d][order[:, d]] for d in range(3)], 1)
    real = F.binary_cross_entropy_with_logits(model.discriminator(still[:17])[:, 0], torch.ones(17))
    false = F.binary_cross_entropy_with_logits(model.discriminator(shuffled)[:, 0], torch.zeros(16))
    expected = torch.autograd.grad(0.5 * (real + false), players["discriminator"])
    torch.testing.assert_close(found["discriminator"], list(expected), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("player", "other"), [("discriminator", "model"), ("model", "discriminator")])
def test_a_player_s_loss_gives_exactly_nothing_to_the_other(player: str, other: str) -> None:
    model, batch = make()
    losses, players = model.losses(batch, 0), model.players()
    losses[player].total.backward(inputs=players[player])
    assert all(p.grad is None for p in players[other])
    assert all(p.grad is not None for p in players[player])


def test_the_encoder_and_the_decoder_are_called_once() -> None:
    model, batch = make()
    calls = []
    for part in (model.encoder, model.decoder):
        part.register_forward_hook(lambda module, *_: calls.append(module))
    model.losses(batch, 0)
    assert calls == [model.encoder, model.decoder]


def test_the_adversary_has_an_adam_of_its_own() -> None:
    model, _ = make()
    model.discriminator_lr = 1e-4
    group = model.optimizer("discriminator", model.players()["discriminator"], 1e-3, 0.0).param_groups[0]
    assert (group["lr"], group["betas"]) == (1e-4, (0.5, 0.9))
    group = model.optimizer("model", model.players()["model"], 1e-3, 0.0).param_groups[0]
    assert (group["lr"], group["betas"]) == (1e-3, (0.9, 0.999))


class Correlated(nn.Module):
    """q(z | x) a point at x, whatever is learned."""

    def forward(self, x: Tensor, given: Tensor | None = None, mask: Tensor | None = None) -> Normal:
        return Normal(x, torch.full_like(x, -10.0))


def test_the_adversary_learns_the_total_correlation() -> None:
    torch.manual_seed(0)
    discriminator = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2))
    discriminator.append(nn.Linear(32, 1))
    model = FactorVAE(Correlated(), nn.Identity(), 2, discriminator, discriminator_lr=3e-3)
    model.decode = lambda z, given=None: Normal(z, torch.zeros(()))  # type: ignore[method-assign]
    players = model.players()
    optimizer = model.optimizer("discriminator", players["discriminator"], 1e-3, 0.0)
    estimates = []
    for _ in range(400):
        x = torch.randn(512, 2)
        x[:, 1] = 0.9 * x[:, 0] + math.sqrt(1 - 0.81) * x[:, 1]
        losses = model.losses(Batch(x), 0)
        optimizer.zero_grad()
        losses["discriminator"].total.backward(inputs=players["discriminator"])
        optimizer.step()
        estimates.append(losses["model"].terms["total_correlation"].mean().item())
    assert sum(estimates[-100:]) / 100 == pytest.approx(-0.5 * math.log(1 - 0.81), abs=0.15)


def test_a_last_batch_of_one_or_two_is_no_trouble() -> None:
    model, _ = make()
    for rows in (1, 2):
        losses = model.losses(Batch(torch.randn(rows, 3)), 0)
        assert all(loss.total.isfinite() for loss in losses.values())


def test_it_works_from_every_door(tmp_path) -> None:
    auto = sfumato.fit("moons", model="factor_vae", steps=50, device="cpu")
    auto.save(tmp_path / "run")
    again = sfumato.load(tmp_path / "run")
    points = auto.sample(20, seed=0)
    assert auto.encode(points).shape == (20, 2)
    assert auto.reconstruct(points).shape == points.shape
    assert (auto.score_samples(points) == again.score_samples(points)).all()
    assert again.sample(20, seed=0).equals(points)
