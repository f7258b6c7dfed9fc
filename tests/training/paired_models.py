"""Trainings of models whose terms compare examples with one another, for `parallel_worker.py`."""

from __future__ import annotations

import torch

from sfumato.data.core.batching.batches import Resident
from sfumato.models import build
from sfumato.models.base import Model
from sfumato.spec import DataSpec, Field
from sfumato.training import History, Settings, fit

SPEC = DataSpec((3,), (Field("real"),), examples=100)
GIVEN = DataSpec((3,), (Field("real"),), (Field("category", 4),), examples=100)
SEQUENCES = DataSpec((6, 2), (Field("real", missing=True), Field("real", missing=True)), examples=100)
PLAN = Settings(device="cpu", epochs=3, batch_size=27, validate_every=5, patience=0, lr=1e-3)
OPTIONS = {
    "vae": {"samples": 3},
    "beta_vae": {"capacity": 5.0, "prior": "vamp", "components": 4},
    "cvae": {"condition_dropout": 0.3},
    "m2": {"lead": 5},
    "m1_m2": {"lead": 5},
    "vae_gan": {},
    "factor_vae": {"discriminator_width": 16},
    "beta_tcvae": {},
    "info_vae": {},
    "hierarchical_vae": {"warmup": 5},
    "wae": {"kernel": "gaussian"},
    "vq_vae": {"codebook": 8, "prior_width": 16, "prior_depth": 1, "levels": 2},
    "sparse_vae": {"spike_steps": 3, "slab_steps": 4},
    "sparse_decoder_vae": {"scaling": "released"},
    "td_vae": {"warmup": 5, "pairs": 2},
}


def columns(rows: int, draw: torch.Generator) -> torch.Tensor:
    """Three columns, of which the second follows the first."""
    x = torch.randn(rows, 3, generator=draw)
    x[:, 1] = x[:, 0] + 0.2 * x[:, 1]
    return x


def points(rows: int, seed: int) -> Resident:
    """`columns` alone."""
    return Resident(columns(rows, torch.Generator().manual_seed(seed)))


def labelled(rows: int, seed: int) -> Resident:
    """`columns` with a class for two thirds of the rows."""
    draw = torch.Generator().manual_seed(seed)
    given = torch.randint(0, 4, (rows, 1), generator=draw).to(torch.get_default_dtype())
    given[::3] = torch.nan
    return Resident(columns(rows, draw), given)


def walks(rows: int, seed: int) -> Resident:
    """Two channels that wander, of six steps at uneven times, with gaps and early ends."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 6, 2, generator=draw).cumsum(1)
    x[::3, 4:], x[1::4, 2, 0] = torch.nan, torch.nan
    return Resident(x, time=(0.5 + torch.rand(rows, 6, generator=draw)).cumsum(1))


def train(name: str, seed: int) -> tuple[Model, History]:
    """Batches of 27 of 100 rows: uneven shares, halves cut inside a share, a last batch of 19.

    In double precision, so that what is left between one process and two is no rounding that Adam makes more of.
    """
    torch.manual_seed(seed)
    kinds = {"td_vae": (SEQUENCES, walks), **dict.fromkeys(("cvae", "m2", "m1_m2"), (GIVEN, labelled))}
    spec, data = kinds.get(name, (SPEC, points))
    torch.set_default_dtype(torch.float64)
    try:
        model = build(name, spec, latent_dim=2, width=16, depth=1, **OPTIONS[name])
        return model, fit(model, data(100, 0), data(31, 1), settings=PLAN)
    finally:
        torch.set_default_dtype(torch.float32)
