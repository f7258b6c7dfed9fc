"""What `show` tells of latents: which columns each drives, and which are on."""

from __future__ import annotations

import json

import pandas as pd
import torch

import sfumato
from sfumato.cli.commands.uses.latents import latents_of, latents_table
from sfumato.models import build
from sfumato.models.sparse.sparse_decoder_vae import SparseDecoderVAE
from sfumato.models.sparse.sparse_vae import SparseVAE
from sfumato.spec import DataSpec, Field

FOUR = DataSpec((4,), (Field("real"),), examples=100)


def test_columns_stand_behind_the_latent_that_drives_them_the_strongest_first() -> None:
    model = build("sparse_decoder_vae", FOUR, latent_dim=3, width=8)
    assert isinstance(model, SparseDecoderVAE)
    with torch.no_grad():
        model.decoder.w.zero_()
        model.decoder.w[1, 0], model.decoder.w[3, 0], model.decoder.w[2, 2] = 1.0, -2.0, 0.9
        model.decoder.w[0, 1] = 0.01
    found = latents_of(model, ["a", "b", "c", "d"])
    assert found == {"of": 3, "in_use": 2, "drives": {"z1": ["d", "b"], "z3": ["c"]}}
    assert latents_table(found).splitlines()[1].split() == ["z1", "drives", "d,", "b"]
    numbered = latents_of(model, ["picture"])
    assert numbered is not None
    assert numbered["drives"]["z3"] == ["x3"]
    assert "d and 1 more" in latents_table(found, most=1)


def test_the_share_of_examples_a_latent_is_on_in_is_that_of_the_prior() -> None:
    torch.manual_seed(0)
    model = build("sparse_vae", FOUR, latent_dim=3, width=8)
    assert isinstance(model, SparseVAE)
    with torch.no_grad():
        model.encoder.v.bias.copy_(torch.tensor([-0.3, -1.5, -20.0]))
        model.prior_net.logits.normal_()
        drawn = (model.prior(20_000).sample() != 0).float().mean(0)
    torch.testing.assert_close(model.usage(), drawn, rtol=0, atol=0.015)
    found = latents_of(model, [])
    assert found is not None
    assert found["in_use"] == 2
    assert list(found["on"]) == ["z1", "z2"]
    assert "2 of 3 in use" in latents_table(found)


def test_a_model_without_such_latents_has_nothing_to_say() -> None:
    assert latents_of(build("vae", FOUR), []) is None


def test_show_tells_it_on_the_command_line_and_as_json(cli, tmp_path) -> None:
    frame = pd.DataFrame(torch.randn(60, 3).numpy(), columns=["height", "weight", "age"])
    small = {"latent_dim": 2, "width": 8, "steps": 3, "device": "cpu"}
    made = sfumato.fit(frame, model="sparse_decoder_vae", run=tmp_path / "run", **small)
    told = json.loads(cli("show", tmp_path / "run", "--json").out)["latents"]
    drives = made.model_.drives()
    assert {name: set(columns) for name, columns in told["drives"].items()} == {
        f"z{k + 1}": {frame.columns[j] for j in range(3) if drives[j, k] > 0} for k in range(2) if drives[:, k].any()
    }
    assert f"{told['in_use']} of 2 in use" in cli("show", tmp_path / "run").out
