"""A TD-VAE that was stopped goes on bit for bit: uneven times, gaps and the warm-up included."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from paired_models import PLAN, SEQUENCES, walks

from sfumato.models import build
from sfumato.models.base import Model
from sfumato.training import Callback, fit


class Crash(Callback):
    def on_log(self, model, line):
        raise RuntimeError("crash")


def made(seed: int) -> Model:
    torch.manual_seed(seed)
    return build("td_vae", SEQUENCES, latent_dim=2, width=16, warmup=8)


def test_resumed_training_equals_an_unbroken_one(tmp_path: Path) -> None:
    plan = replace(PLAN, checkpoint_every=0)
    unbroken, broken = made(0), made(1)
    fit(unbroken, walks(100, 0), walks(31, 1), settings=plan)
    with pytest.raises(RuntimeError, match="crash"):
        fit(made(0), walks(100, 0), walks(31, 1), settings=plan, folder=tmp_path, callbacks=[Crash()])
    fit(broken, walks(100, 0), walks(31, 1), settings=plan, folder=tmp_path, resume=True)
    assert all(torch.equal(value, broken.state_dict()[name]) for name, value in unbroken.state_dict().items())
