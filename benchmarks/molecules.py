"""Molecules as lines of text (SMILES): codes in use, molecules that are valid, unique and new, and lines that return.

A VAE with its defaults and either network, at equal steps. Validity is RDKit's; without RDKit it is not a number.
"""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from registry import Measure, Setting, system
from scores import active_units
from sfumato import Autoencoder
from sfumato.batch import Batch
from sfumato.distributions import Normal
from sfumato.evaluation.representation.information import densities
from sfumato.models.vae import VAE

LINES, HELD_OUT, STEPS, BATCH, DRAWN, TOP_P = 20_000, 1000, 400, 128, 1000, 0.9
NETWORKS = ("recurrent", "transformer")
CODE = (
    "rate (nats)",
    "active units of 32",
    "mutual information, at least (nats)",
    "nats of a line that its own code tells",
    "−ELBO (nats)",
    "−ELBO (nats per character)",
)
LINE = ("characters at their places", "test lines that return", "lines a second in training")
DRAWS = ("valid", "valid at top-p 0.9", "unique among valid", "new among valid")


def first_lines(path: Path, count: int) -> list[str]:
    """The first lines of a file."""
    if not path.is_file():
        raise SystemExit(f"{path} is missing: put lines of SMILES there, or name the folder with --data")
    with path.open(encoding="utf-8") as file:
        return [line.strip() for line in islice(file, count)]


@torch.no_grad()
def in_use(fitted: Autoencoder, lines: list[str], seed: int) -> tuple[float, ...]:
    """`CODE`: what a line's own code tells is how much less likely it is given that of another line."""
    torch.manual_seed(seed)
    model = fitted.model_
    assert isinstance(model, VAE)
    batch = Batch(fitted.schema_.encode(fitted.read(lines)).x)
    q = model.encode(batch)
    assert isinstance(q, Normal)
    z = q.sample()
    own, other = (model.decode(code).log_prob(batch.x).mean() for code in (z, z.roll(1, 0)))
    rate = q.kl(model.prior(len(batch))).sum(1).mean()
    informed = float(densities(q, z).at_least.mean())
    loss = float(rate - own)
    per_character = loss / float(np.mean([len(line) + 1 for line in lines]))
    return float(rate), active_units(q.mean), informed, float(own - other), loss, per_character


def returned(fitted: Autoencoder, lines: list[str]) -> tuple[float, float]:
    """Shares of the characters that reconstructions have at the same place, and of lines that return as they were."""
    again = fitted.reconstruct(lines)
    same = sum(a == b for line, back in zip(lines, again, strict=True) for a, b in zip(line, back, strict=False))
    whole = np.mean([line == back for line, back in zip(lines, again, strict=True)])
    return same / sum(map(len, lines)), float(whole)


def canonical(lines: list[str]) -> list[str]:
    """The molecules that RDKit can read, each as it writes it."""
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")
    molecules = [Chem.MolFromSmiles(line) for line in lines if line]
    return [Chem.MolToSmiles(molecule) for molecule in molecules if molecule is not None]


def drawn(fitted: Autoencoder, train: list[str], seed: int) -> tuple[float, ...]:
    """`DRAWS`, of `DRAWN` samples; not a number without RDKit."""
    try:
        known = set(canonical(train))
    except ImportError:
        return (float("nan"),) * len(DRAWS)
    valid = canonical(list(fitted.sample(DRAWN, seed=seed)))
    typical = canonical(list(fitted.sample(DRAWN, seed=seed, top_p=TOP_P)))
    different, count = set(valid), max(len(valid), 1)
    new = sum(molecule not in known for molecule in valid)
    return len(valid) / DRAWN, len(typical) / DRAWN, len(different) / count, new / count


def trained(train: list[str], setting: Setting, **options: Any) -> tuple[Autoencoder, float]:
    """A fitted `vae`, and lines a second."""
    start = time.perf_counter()
    how = {"steps": STEPS, "batch_size": BATCH, "random_state": setting.seed, "device": setting.device}
    fitted = Autoencoder("vae", **how, **options).fit(train)
    return fitted, STEPS * BATCH / (time.perf_counter() - start)


def measures(*names: str) -> tuple[Measure, ...]:
    """Each measure of each network; of the default one with the bands it is to be in."""
    bands = {"recurrent: active units of 32": 16.0, "recurrent: nats of a line that its own code tells": 8.0}
    full = [f"{network}: {name}" for network in NETWORKS for name in names]
    return tuple(Measure(name, low=bands.get(name, float("-inf"))) for name in full)


def lines_of(setting: Setting) -> tuple[list[str], list[str]]:
    """Lines to train on, and others that are held out."""
    parts = (("smiles_train.txt", LINES), ("smiles_test.txt", HELD_OUT))
    train, test = (first_lines(setting.data / name, count) for name, count in parts)
    return train, test


@system("smiles", *measures(*CODE, *LINE, *DRAWS))
def smiles(setting: Setting) -> dict[str, float]:
    """400 steps of 128 on 20,000 lines, 1,000 others held out; all else as `vae` chooses it."""
    train, test = lines_of(setting)
    values: list[float] = []
    for network in NETWORKS:
        fitted, speed = trained(train, setting, network=network)
        values += [*in_use(fitted, test, setting.seed), *returned(fitted, test), speed]
        values += drawn(fitted, train, setting.seed)
    return smiles.named(values)


FREE = (0.0, 0.25, 1.0)
"""Free bits that are not the default."""


@system("free-bits", *(Measure(f"{bits:g} free bits: {name}") for bits in FREE for name in (*CODE, *LINE[:2])))
def free_bits(setting: Setting) -> dict[str, float]:
    """As `smiles`, with the recurrent network and other free bits than the default."""
    train, test = lines_of(setting)
    values: list[float] = []
    for bits in FREE:
        fitted, _ = trained(train, setting, free_bits=bits)
        values += [*in_use(fitted, test, setting.seed), *returned(fitted, test)]
    return free_bits.named(values)
