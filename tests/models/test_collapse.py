"""What holds a code up: free bits for each latent by itself, and the weight of the rate over the steps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sfumato.batch import Batch
from sfumato.distributions import Normal
from sfumato.models import build
from sfumato.models.conditional.cvae import CVAE
from sfumato.models.factors.beta_vae import BetaVAE
from sfumato.models.vae import VAE
from sfumato.objectives import Ramp
from sfumato.spec import DataSpec, Field

MEANS = torch.tensor([0.1, 2.0, 0.6])
RATES = MEANS.square() / 2
"""0.005, 2 and 0.18 nats: with a floor of 0.25, the first and the last latent are below it."""


class Fixed(nn.Module):
    """q(z | x) = N(m, 1), whatever x."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(MEANS.clone())

    def forward(self, x: Tensor, given: Tensor | None = None, mask: Tensor | None = None) -> Normal:
        mean = self.mean.expand(len(x), -1)
        return Normal(mean, torch.zeros_like(mean))


class Identity(nn.Module):
    """p(x | z) = N(z, 1)."""

    def forward(self, z: Tensor, given: Tensor | None = None) -> Normal:
        return Normal(z, torch.zeros(()))


def gradient(kind: type[VAE | BetaVAE | CVAE], term: str, **options: float) -> tuple[float, list[float]]:
    model, batch = kind(Fixed(), Identity(), 3, **options), Batch(torch.zeros(64, 3))  # type: ignore[arg-type]
    torch.manual_seed(0)
    value = model.losses(batch, 0)["model"].terms[term].mean()
    (found,) = torch.autograd.grad(value, [model.encoder.mean])  # type: ignore[list-item]
    return value.item(), found.tolist()


@pytest.mark.parametrize("kind", [VAE, BetaVAE, CVAE])
def test_each_latent_has_its_own_free_bits(kind: type[VAE | BetaVAE | CVAE]) -> None:
    charged, pull = gradient(kind, "charged_rate", free_bits=0.25)
    assert charged == pytest.approx(0.25 + 2.0 + 0.25)
    assert pull == pytest.approx([0.0, 2.0, 0.0]), "KL_l = m²/2 pulls by m, and only where it is above the floor"
    paid, pull = gradient(kind, "rate")
    assert paid == pytest.approx(RATES.sum().item())
    assert pull == pytest.approx(MEANS.tolist())


@pytest.mark.parametrize("model", ["vae", "beta_vae", "cvae"])
def test_latents_of_symbols_have_free_bits_unless_there_are_others(model: str) -> None:
    given = (Field("category", 2),) if model == "cvae" else ()
    symbols = DataSpec((6, 1), (Field("category", 4),), given=given)
    numbers = DataSpec((3,), (Field("real"),) * 3, given=given)
    assert [build(model, spec).free_bits for spec in (symbols, numbers)] == [0.25, 0.0]
    assert build(model, symbols, free_bits=0.0).free_bits == 0.0


def test_what_holds_the_rate_up_by_itself_gets_no_free_bits() -> None:
    symbols = DataSpec((6, 1), (Field("category", 4),))
    assert build("vae", symbols, samples=5).free_bits == 0.0
    assert build("beta_vae", symbols, capacity=2.0).free_bits == 0.0


@pytest.mark.parametrize("kind", [VAE, BetaVAE, CVAE])
def test_the_weight_of_the_rate_rises_once_or_again_and_again(kind: type[VAE | BetaVAE | CVAE]) -> None:
    batch = Batch(torch.zeros(4, 3))
    for ramp, expected in (
        (Ramp(4), [0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1]),
        (Ramp(2, cycles=2), [0, 0.5, 1, 1, 0, 0.5, 1, 1, 1, 1]),
    ):
        options = {"beta": 1.0} if kind is BetaVAE else {}
        model = kind(Fixed(), Identity(), 3, warmup=ramp, **options)  # type: ignore[arg-type]
        assert [model.losses(batch, step)["model"].weights["rate"] for step in range(10)] == expected
