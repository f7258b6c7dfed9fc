"""What is kept of an evaluation beside the run, and what layers of latents carry."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from sfumato import evaluation
from sfumato.batch import Batch
from sfumato.errors import SfumatoError
from sfumato.evaluation import EvaluationSettings, Measure, Subject, store
from sfumato.evaluation.representation import layers
from sfumato.models import build
from sfumato.models.base import END
from sfumato.spec import DataSpec, Field

BOUND = Measure("NLL", 3.5, "nats", "What it means.", error=0.1, better="lower", parts={"a": 1.0})
CODE = Measure("codes in use", math.nan, "", "How many.", "codes")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return tmp_path


def test_measures_come_back_as_they_were_and_nan_is_no_word_of_json(run: Path) -> None:
    assert evaluation.read(run) is None
    evaluation.write(run, [BOUND, CODE], part="test split", seed=3)
    told = json.loads((run / "evaluation.json").read_text())
    assert told["how"]["bounds"] == {"part": "test split", "seed": 3}
    assert told["measures"][1]["value"] is None
    bound, code = evaluation.read(run) or ()
    assert bound == BOUND
    assert math.isnan(code.value)
    assert code.name == CODE.name


def test_families_judged_again_are_replaced_and_others_stay(run: Path) -> None:
    evaluation.write(run, [BOUND, CODE])
    better = Measure("NLL", 3.0, "nats", "What it means.")
    evaluation.write(run, [better], families=("bounds",))
    assert [(one.name, one.family) for one in evaluation.read(run) or ()] == [
        ("NLL", "bounds"),
        ("codes in use", "codes"),
    ]
    assert (evaluation.read(run) or [])[0].value == 3.0


def test_of_other_weights_nothing_is_told_or_kept(run: Path) -> None:
    evaluation.write(run, [BOUND, CODE])
    (run / "model.safetensors").write_bytes(b"others")
    assert evaluation.read(run) is None
    evaluation.write(run, [BOUND], families=("bounds",))
    assert [one.name for one in evaluation.read(run) or ()] == ["NLL"]


def test_a_damaged_file_is_named(run: Path) -> None:
    evaluation.write(run, [BOUND])
    (run / "evaluation.json").write_text('{"measures": []}')
    with pytest.raises(SfumatoError, match=r"evaluation\.json: damaged.* evaluate the run again"):
        evaluation.read(run)
    (run / "evaluation.json").write_text('{"measures": [')
    with pytest.raises(SfumatoError, match=r"evaluation\.json: damaged.* evaluate the run again"):
        evaluation.read(run)
    evaluation.write(run, [BOUND])
    assert evaluation.read(run) == [BOUND]


def test_what_was_made_in_haste_does_not_take_the_place_of_what_took_its_time(run: Path) -> None:
    hasty = Measure("NLL", 9.0, "nats", "What it means.")
    assert evaluation.write(run, [BOUND], ("bounds",), quick=False, k=5000) == ()
    assert evaluation.write(run, [hasty, CODE], quick=True, k=None) == ("bounds",)
    kept = store.kept(run)
    assert kept is not None
    assert [one.name for one in kept.measures] == ["NLL", "codes in use"]
    assert kept.measures[0] == BOUND
    assert kept.settings("bounds") == {"quick": None, "k": 5000, "annealing": None, "sampler": None}
    assert kept.settings("codes") == {"quick": True}
    evaluation.write(run, [hasty], ("bounds",), quick=False, k=8)
    assert (evaluation.read(run) or [])[0].value == 9.0


def test_nothing_found_leaves_no_file_and_older_files_are_read(run: Path) -> None:
    evaluation.write(run, [], ("disentanglement",))
    assert not (run / "evaluation.json").exists()
    (run / "evaluation.json").write_text('{"broken')
    evaluation.write(run, [], ("codes",))
    assert not (run / "evaluation.json").exists()
    evaluation.write(run, [BOUND])
    values = json.loads((run / "evaluation.json").read_text())
    del values["how"]
    (run / "evaluation.json").write_text(json.dumps(values | {"quick": True, "seed": 3}))
    kept = store.kept(run)
    assert kept is not None
    assert kept.how["codes"] == {"quick": True, "seed": 3}


@torch.no_grad()
def test_rates_of_layers_are_those_of_the_loss_and_a_silent_layer_is_not_in_use() -> None:
    torch.manual_seed(0)
    spec = DataSpec((8,), (Field("real"),) * 8, examples=100)
    model = build("hierarchical_vae", spec, layers=3, latent_dim=4).eval()
    batch = Batch(torch.randn(300, 8))
    schema = cast(Any, SimpleNamespace(spec=spec))
    subject = Subject(cast(Any, model), schema, cast(Any, None), "", batch, None, 0, np.arange(300))

    torch.manual_seed(1)
    whole, used = layers.measures(subject, EvaluationSettings())
    torch.manual_seed(1)
    loss = model.losses(batch, END)["model"].metrics
    assert list(whole.parts) == ["layer 1", "layer 2", "layer 3"]
    for layer in (1, 2, 3):
        assert whole.parts[f"layer {layer}"] == pytest.approx(loss[f"rate_{layer}"].mean().item(), rel=1e-5)
    assert whole.value == pytest.approx(sum(whole.parts.values()))
    assert used.value == 3

    # An estimate so wide that merging it with the prior gives the prior.
    middle = model.net.estimates[1].linear
    middle.weight.zero_()
    middle.bias.copy_(torch.cat([torch.zeros(2), torch.full((2,), 1e4)]))
    whole, used = layers.measures(subject, EvaluationSettings())
    assert whole.parts["layer 2"] == pytest.approx(0.0, abs=1e-3)
    assert used.value == 2
    assert used.parts["layer 2"] == 0


def test_a_model_of_one_layer_has_none_to_tell_apart() -> None:
    spec = DataSpec((2,), (Field("real"),))
    schema = cast(Any, SimpleNamespace(spec=spec))
    of = Subject(
        cast(Any, build("vae", spec)), schema, cast(Any, None), "", Batch(torch.zeros(3, 2)), None, 0, np.arange(3)
    )
    assert layers.measures(of, EvaluationSettings()) == []
