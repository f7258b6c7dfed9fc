"""VQ-VAE on MNIST: a codebook that follows the vectors, and finite scalars; both with a prior over 7×7 codes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from clothes import classifier
from registry import Measure, Setting, system
from sfumato.data.core.batching.batches import Batches, Resident
from sfumato.evaluation.samples.image_features import features
from sfumato.models import build
from sfumato.models.vq_vae import VQVAE
from sfumato.spec import DataSpec, Field
from sfumato.training import Settings, fit
from sources import digits, grey, pictures

CODES, STEPS = 1500, Settings(steps=4500, batch_size=32, lr=2e-3)
"""Steps of the codes, and of the prior, which goes on alone when they stand still."""
SAMPLES, SURE = 2000, 0.9
ASKED = torch.arange(SAMPLES)[:, None] % 10
"""The digit asked for in each sample."""


def labelled(data: Path, held_out: int = 5000) -> tuple[Resident, Resident]:
    """Training and validation digits (the last `held_out`) as grey levels, each with its label as the condition."""
    found = digits(data / "mnist.npz")
    x, given = pictures(found["x_train"]), torch.from_numpy(found["y_train"]).float()[:, None]
    return Resident(x[:-held_out], given[:-held_out]), Resident(x[-held_out:], given[-held_out:])


@cache
def trained(data: Path, device: str, seed: int, quantizer: str) -> VQVAE:
    """1500 steps of 32 on all but the last 5000 training digits, and 3000 more of the prior over the codes alone.

    The likelihood is normal with a learned σ.
    """
    train, valid = labelled(data)
    torch.manual_seed(seed)
    spec = DataSpec((1, 28, 28), (Field("level", 256),), given=(Field("category", 10),), examples=len(train))
    model = build("vq_vae", spec, quantizer=quantizer, codebook=256, prior_dropout=0.0, still_after=CODES)
    assert isinstance(model, VQVAE)
    fit(model, train, valid, settings=replace(STEPS, seed=seed, device=device))
    return model.eval().cpu()


@torch.no_grad()
def nmse(model: VQVAE, test: Batches) -> float:
    """Squared error over the variance of all pixels, as in the CIFAR-10 reference, on the test split."""
    pairs = [(batch.x.double(), model.reconstruct(batch).double()) for batch in test.epoch(500)]
    x, again = (torch.cat(part) for part in zip(*pairs, strict=True))
    return float((again - x).square().mean() / x.var())


@torch.no_grad()
def shares(model: VQVAE, test: Batches) -> Tensor:
    """How often each code stands in the lists of the test split, as shares of 1."""
    found = torch.cat([model.encode(batch).mode().flatten() for batch in test.epoch(500)])
    return torch.bincount(found, minlength=model.quantizer.size) / len(found)


@torch.no_grad()
def recognised(data: Path, x: Tensor) -> tuple[Tensor, Tensor]:
    """Which pictures get a class with probability 0.9 or more, and the likeliest class of each.

    The judge is a small convolutional classifier of the training split.
    """
    judge, _ = classifier(data / "mnist.npz")
    probability, label = torch.from_numpy(features(judge, x, last=True)).softmax(1).max(1)
    return probability >= SURE, label


def share_recognised(data: Path, x: Tensor) -> float:
    """Share of the pictures that are recognised."""
    return float(recognised(data, x)[0].double().mean())


@torch.no_grad()
def told(model: VQVAE, setting: Setting) -> dict[str, float]:
    """Error, use of the codes and how samples are recognised; samples are means, drawn through the prior to order.

    A class is among the samples if 1% of them are recognised as it.
    """
    test = grey(setting.data / "mnist.npz")[2]
    share = shares(model, test)
    torch.manual_seed(setting.seed)
    made = torch.cat([model.sample(len(part), part.float(), noise=False) for part in ASKED.split(SAMPLES // 4)])
    loose = model.decode(share.multinomial(SAMPLES * model.code_size, replacement=True).view(SAMPLES, -1)).mode()
    sure, label = recognised(setting.data, made)
    return {
        "NMSE": nmse(model, test),
        "codes used (share)": float((share > 0).double().mean()),
        "perplexity": float(torch.special.entr(share).sum().exp()),
        "samples recognised (share)": float(sure.double().mean()),
        "recognised as the digit asked for (share)": float((sure & (label == ASKED[:, 0])).double().mean()),
        "classes among them": int((torch.bincount(label[sure], minlength=10) >= 0.01 * SAMPLES).sum()),
        "codes drawn one by one, without prior: recognised (share)": share_recognised(setting.data, loose),
    }


def of_samples(data: Path) -> float:
    """Share of real test digits that are recognised."""
    return share_recognised(data, grey(data / "mnist.npz")[2].take(slice(None)).x)


USED = Measure("codes used (share)", low=0.95)
PERPLEXITY = Measure("perplexity", "no more than the number of codes")
RECOGNISED = (
    Measure("samples recognised (share)"),
    Measure("recognised as the digit asked for (share)"),
    Measure("real test digits recognised (share)"),
    Measure("samples over real digits", "recognised as digits", low=0.8),
    Measure("classes among them", "all ten", low=10),
    Measure("codes drawn one by one, without prior: recognised (share)"),
)


@system("vq-vae", Measure("NMSE", "pilot .040", high=0.048), USED, PERPLEXITY, *RECOGNISED)
def vq_vae(setting: Setting) -> dict[str, float]:
    """MNIST, 7×7 codes of 256, EMA codebook, 1500 steps of 32, one-cycle 2e-3; the prior takes 4500.

    The prior is told the label, and trained without dropout as it does not see all digits once. Chosen on seed 0.
    """
    found = told(trained(setting.data, setting.device, setting.seed, "codebook"), setting)
    return found | compared(found, setting)


@system(
    "fsq",
    Measure("NMSE"),
    Measure("NMSE over that of the EMA codebook of the same seed", "Mentzer et al.: on a par", high=1.15),
    USED,
    PERPLEXITY,
    *RECOGNISED,
)
def fsq(setting: Setting) -> dict[str, float]:
    """The same with finite scalars [8, 6, 5], 240 codes."""
    found = told(trained(setting.data, setting.device, setting.seed, "fsq"), setting)
    test = grey(setting.data / "mnist.npz")[2]
    codebook = nmse(trained(setting.data, setting.device, setting.seed, "codebook"), test)
    own = {"NMSE over that of the EMA codebook of the same seed": found["NMSE"] / codebook}
    return found | compared(found, setting) | own


def compared(found: dict[str, float], setting: Setting) -> dict[str, float]:
    """Samples beside real digits."""
    real = of_samples(setting.data)
    return {
        "real test digits recognised (share)": real,
        "samples over real digits": found["samples recognised (share)"] / real,
    }
