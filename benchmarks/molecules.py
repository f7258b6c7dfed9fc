"""Molecules as lines of text (SMILES): whether the code of a VAE is in use, with the default free bits and none."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import torch

from registry import Measure, Setting, system
from scores import active_units
from sfumato import Autoencoder
from sfumato.batch import Batch
from sfumato.distributions import Normal
from sfumato.models.vae import VAE

LINES, HELD_OUT, STEPS, WIDTH = 20_000, 1000, 800, 100
ARMS: dict[str, dict[str, float]] = {"default": {}, "no free bits": {"free_bits": 0.0}}
MEASURES = ("rate (nats)", "active units of 32", "nats of a line that its own code tells", "−ELBO (nats)")


def first_lines(path: Path, count: int) -> list[str]:
    """The first lines of a file."""
    if not path.is_file():
        raise SystemExit(f"{path} is missing: put lines of SMILES there, or name the folder with --data")
    with path.open(encoding="utf-8") as file:
        return [line.strip() for line in islice(file, count)]


@torch.no_grad()
def in_use(fitted: Autoencoder, lines: list[str], seed: int) -> tuple[float, float, float, float]:
    """`MEASURES`: what a line's own code tells is how much less likely it is given that of another line."""
    torch.manual_seed(seed)
    model = fitted.model_
    assert isinstance(model, VAE)
    batch = Batch(fitted.schema_.encode(fitted.read(lines)).x)
    q = model.encode(batch)
    assert isinstance(q, Normal)
    z = q.sample()
    own, other = (model.decode(code).log_prob(batch.x).mean() for code in (z, z.roll(1, 0)))
    rate = q.kl(model.prior(len(batch))).sum(1).mean()
    return float(rate), active_units(q.mean), float(own - other), float(rate - own)


@system("molecules-code", *(Measure(f"{arm}: {measure}") for arm in ARMS for measure in MEASURES))
def code(setting: Setting) -> dict[str, float]:
    """An LSTM of 100 on either side, 800 steps on 20,000 lines, 1,000 others held out."""
    train = first_lines(setting.data / "smiles_train.txt", LINES)
    test = first_lines(setting.data / "smiles_test.txt", HELD_OUT)
    values: list[float] = []
    for options in ARMS.values():
        how = {"steps": STEPS, "width": WIDTH, "random_state": setting.seed, "device": setting.device}
        values += in_use(Autoencoder("vae", **how, **options).fit(train), test, setting.seed)
    return code.named(values)
