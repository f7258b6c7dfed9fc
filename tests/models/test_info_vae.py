"""The InfoVAE between the VAE and the Wasserstein autoencoder."""

from __future__ import annotations

import pytest
import torch

from sfumato.batch import Batch
from sfumato.errors import SfumatoError
from sfumato.models import build
from sfumato.spec import DataSpec, Field

SPEC = DataSpec((3,), (Field("real"),), examples=1000)
SIZE = {"latent_dim": 2, "width": 16}


def losses(name: str, **options):
    torch.manual_seed(0)
    model = build(name, SPEC, **SIZE, **options)
    batch = Batch(torch.randn(40, 3))
    torch.manual_seed(1)
    return model.losses(batch, 0)["model"]


def test_alpha_0_and_lambda_1_is_the_vae() -> None:
    torch.testing.assert_close(losses("info_vae", alpha=0.0, lam=1.0).total, losses("vae").total)


@pytest.mark.parametrize("kernel", ["imq", "gaussian"])
def test_alpha_1_is_the_wasserstein_autoencoder(kernel: str) -> None:
    wae = losses("wae", lam=70.0, kernel=kernel)
    torch.testing.assert_close(losses("info_vae", alpha=1.0, lam=70.0, kernel=kernel).total, wae.total)
    expected = wae.terms["distortion"] + 70.0 * wae.terms["mmd"]
    torch.testing.assert_close(wae.per_example, expected)


def test_weights_are_those_of_the_paper() -> None:
    loss = losses("info_vae", alpha=0.3, lam=20.0)
    assert loss.weights == pytest.approx({"rate": 0.7, "mmd": 19.3})


def test_lambda_follows_the_number_of_values_unless_given() -> None:
    assert losses("wae").weights["mmd"] == 100.0
    image = DataSpec((1, 8, 8), (Field("level", 17),))
    assert build("wae", image).lam == 1000.0
    assert build("wae", DataSpec((1, 4, 5), (Field("level", 17),))).lam == 320.0
    assert build("info_vae", image).lam == 32.0
    assert build("info_vae", DataSpec((1, 28, 28), (Field("level", 2),), likelihood="bernoulli")).lam == 112.0
    assert build("info_vae", image, lam=3.0).lam == 3.0


def test_the_bandwidth_is_the_number_of_latents_unless_given() -> None:
    assert build("wae", SPEC, kernel="gaussian", latent_dim=5).kernel.bandwidth == 5
    assert build("wae", SPEC, kernel="gaussian", bandwidth=2.0).kernel.bandwidth == 2.0


def test_a_discrepancy_of_negative_weight_is_refused() -> None:
    for alpha, lam in ((0.5, 0.0), (0.0, 0.9), (-1.0, 1.5)):
        with pytest.raises(SfumatoError, match=f"give lam of at least {1 - alpha:g}"):
            build("info_vae", SPEC, alpha=alpha, lam=lam)
    for alpha, lam in ((0.5, 0.5), (1.0, 0.0), (-1.0, 2.0), (0.9, 0.1)):
        assert build("info_vae", SPEC, alpha=alpha, lam=lam).lam == lam
