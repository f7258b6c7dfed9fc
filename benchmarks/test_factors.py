"""A run of the sprites is kept, and scored the same from what was kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import factors
from registry import Setting
from sfumato.data.builtin import sprites
from sfumato.data.core.batching.batches import Resident
from sfumato.evaluation.disentanglement.factors import Factor, known


def few(side: int) -> tuple[Resident, list[Factor]]:
    drawn = sprites.draw(400, seed=0)
    return Resident(torch.from_numpy(sprites.render(drawn, side))[:, None]), known(sprites.named(drawn))[0]


@pytest.mark.parametrize("name", list(factors.MODELS))
def test_a_second_look_takes_the_model_from_the_cache(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = factors.Plan(side=32, width=8, steps=3)
    monkeypatch.setattr(factors, "SMALL", small)
    monkeypatch.setattr(factors, "WIDE", {"cpu": replace(small, batch=96)})
    monkeypatch.setattr(factors, "pictures", few)
    setting = Setting(0, "cpu", Path(), None, tmp_path)
    first = factors.encoded(setting, name)
    monkeypatch.setattr(factors, "fit", None)
    again = factors.encoded(setting, name)
    assert (first.means == again.means).all()
    assert (first.distortion, first.rate) == (again.distortion, again.rate)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1
    assert tuple(factors.told(setting, name)) == factors.TOLD


@pytest.mark.parametrize("name", [factors.VAE, factors.TC])
def test_larger_pictures_have_models_of_their_own(name: str, tmp_path: Path) -> None:
    setting = Setting(0, "cpu", Path(), None, tmp_path)
    usual, larger = factors.planned(setting, name), factors.planned(setting, name, 64)
    assert (usual.side, larger.side) == (32, 64)
    assert larger == replace(usual, side=64)
    assert factors.planned(replace(setting, device="cuda"), name).side == 64
