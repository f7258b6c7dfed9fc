"""Run folders: whole at every moment, checked when opened, and never unpickled."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from sfumato import models
from sfumato.artifacts import Run
from sfumato.artifacts.manifest import RUN_FORMAT
from sfumato.artifacts.places import check_free
from sfumato.batch import Batch
from sfumato.data.core.options import DataOptions
from sfumato.data.vectors.schema import VectorSchema
from sfumato.errors import SfumatoError

CONFIG = {
    "source": "",
    "version": "0",
    "data": {},
    "model": {"name": "vae", "latent_dim": 2, "width": 8, "depth": 1},
    "training": {},
}
LINES = [{"step": 1, "split": "valid", "total": 2.5}, {"step": 2, "split": "valid", "total": 2.0}]


@pytest.fixture
def schema():
    return VectorSchema.learn(np.random.default_rng(0).normal(size=(20, 3)), None, DataOptions())


@pytest.fixture
def model(schema):
    torch.manual_seed(0)
    return models.build("vae", schema.spec, latent_dim=2, width=8, depth=1).eval()


@pytest.fixture
def run(tmp_path, schema, model):
    return Run.create("p", CONFIG, schema, model, metrics=LINES, root=tmp_path)


def test_what_is_written_is_read(run, schema, model, tmp_path):
    opened = Run.open("p", root=tmp_path)
    batch = Batch(torch.randn(4, 3))
    assert opened.config() == CONFIG
    assert opened.schema().to_dict() == schema.to_dict()
    assert opened.metrics() == LINES
    assert opened.sealed()
    assert torch.equal(opened.model().reconstruct(batch), model.reconstruct(batch))
    assert not opened.model().training


def test_a_model_can_be_loaded_without_touching_the_generator(run):
    before = torch.get_rng_state()
    run.model()
    assert torch.equal(before, torch.get_rng_state())


def test_names_count_up_and_nothing_is_overwritten(tmp_path, schema, model):
    names = [Run.create(None, CONFIG, schema, model, stem="moons-vae", root=tmp_path).name for _ in range(3)]
    assert names == ["moons-vae", "moons-vae-2", "moons-vae-3"]
    with pytest.raises(SfumatoError, match="exists already"):
        Run.create("moons-vae", CONFIG, schema, model, root=tmp_path)
    with pytest.raises(SfumatoError, match="exists already"):
        check_free("moons-vae", tmp_path)
    replaced = Run.create("moons-vae", CONFIG, schema, model, metrics=LINES, root=tmp_path, overwrite=True)
    assert replaced.metrics() == LINES
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_a_folder_that_is_no_run_is_never_overwritten(tmp_path, schema, model):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(SfumatoError, match="exists already"):
        Run.create(tmp_path / "mine", CONFIG, schema, model, overwrite=True)
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_an_unwritable_folder_is_said(tmp_path, schema, model):
    (tmp_path / "file").write_text("")
    for attempt in (
        lambda: Run.create("p", CONFIG, schema, model, root=tmp_path / "file" / "runs"),
        lambda: check_free(None, tmp_path / "file" / "runs"),
    ):
        with pytest.raises(SfumatoError, match="cannot write runs here"):
            attempt()


def test_the_manifest_has_hashes_sizes_and_versions(run):
    manifest = json.loads((run.path / "manifest.json").read_text())
    assert set(manifest["files"]) == {"config.toml", "schema.json", "model.safetensors", "metrics.jsonl"}
    weights = manifest["files"]["model.safetensors"]
    assert weights["size"] == (run.path / "model.safetensors").stat().st_size
    assert len(weights["sha256"]) == 64
    assert manifest["versions"]["torch"] == torch.__version__
    assert manifest["created"].endswith("+00:00")


def test_figures_are_sealed_and_checkpoints_are_not(run):
    for name in ("figures/latent.png", "checkpoints/step.safetensors", "report.html"):
        (run.path / name).parent.mkdir(exist_ok=True)
        (run.path / name).write_bytes(b"x")
    run.seal()
    files = json.loads((run.path / "manifest.json").read_text())["files"]
    assert {"figures/latent.png", "report.html"} < set(files)
    assert not [name for name in files if name.startswith("checkpoints")]
    (run.path / "report.html").write_bytes(b"y")
    Run.open(run.path)
    with pytest.raises(SfumatoError, match=r"report\.html: damaged"):
        run.verify()


@pytest.mark.parametrize("name", ["config.toml", "schema.json", "model.safetensors"])
def test_a_changed_byte_is_found_on_opening(run, name):
    path = run.path / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(SfumatoError, match=f"{name}: damaged.*restore it from a copy"):
        Run.open(run.path)


@pytest.mark.parametrize("name", ["config.toml", "schema.json", "model.safetensors"])
def test_a_missing_file_is_found_on_opening(run, name):
    (run.path / name).unlink()
    with pytest.raises(SfumatoError, match=f"{name}: missing"):
        Run.open(run.path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.toml", b"[model"),
        ("config.toml", b"[model]\nwidth = 8"),
        ("schema.json", b"{"),
        ("schema.json", b'{"format": 3, "kind": "vector"}'),
        ("schema.json", b'{"format": 3, "kind": "vectr"}'),
        ("schema.json", b'{"format": "two", "kind": "vector"}'),
        ("schema.json", b"[]"),
        ("model.safetensors", b"short"),
        ("manifest.json", b"[]"),
    ],
)
def test_a_damaged_file_is_one_line_that_names_it(run, name, content):
    if name != "manifest.json":
        run.unseal()
    (run.path / name).write_bytes(content)
    with pytest.raises(SfumatoError) as found:
        Run.open(run.path).model()
    assert name in str(found.value)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("name", ["schema.json", "manifest.json"])
@pytest.mark.parametrize(("told", "said"), [(None, "an earlier"), (1, "an earlier"), (RUN_FORMAT + 1, "a later")])
def test_a_run_of_another_version_is_refused_in_one_line(run, name, told, said):
    path = run.path / name
    values = json.loads(path.read_text())
    values["format"] = told
    if told is None:
        del values["format"]
    path.write_text(json.dumps(values))
    if name == "schema.json":
        run.unseal()
    cure = "fit again" if said == "an earlier" else "upgrade"
    with pytest.raises(SfumatoError, match=rf"{name}: written by {said} version of sfumato.*{cure}") as found:
        Run.open(run.path)
    assert "\n" not in str(found.value)


def test_weights_of_another_model_are_refused(run):
    run.unseal()
    path = run.path / "model.safetensors"
    tensors = load_file(path)
    tensors.pop(next(iter(tensors)))
    save_file(tensors, path)
    with pytest.raises(SfumatoError, match=r"model\.safetensors: does not fit the model of config\.toml") as found:
        run.model()
    assert "\n" not in str(found.value)


def test_an_unfinished_run_opens_with_its_last_weights(tmp_path, schema, model):
    run = Run.create("p", CONFIG, schema, model, root=tmp_path)
    (run.path / "metrics.jsonl").write_text(json.dumps(LINES[0]) + '\n{"step": 2, "spl')
    opened = Run.open("p", root=tmp_path)
    assert not opened.sealed()
    assert opened.metrics() == LINES[:1]
    assert torch.equal(next(opened.model().parameters()), next(model.parameters()))


def test_a_name_that_is_not_there_is_answered(run, tmp_path):
    Run.create("penguins", CONFIG, run.schema(), run.model(), root=tmp_path)
    with pytest.raises(SfumatoError, match="no such run; did you mean penguins"):
        Run.open("pengins", root=tmp_path)
    with pytest.raises(SfumatoError, match="there are no runs in"):
        Run.open("p", root=tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SfumatoError, match="not a run folder"):
        Run.open("empty", root=tmp_path)


def test_a_pickle_in_the_place_of_the_weights_is_never_run(run, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    run.unseal()
    (run.path / "model.safetensors").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(SfumatoError, match="damaged"):
        run.model()
    assert not (tmp_path / "sprung").exists()


@pytest.mark.slow
def test_a_killed_save_leaves_the_old_run_or_the_new(tmp_path):
    code = """
import sys, numpy as np, sfumato
m = sfumato.fit(np.random.default_rng(0).normal(size=(60, 3)), steps=3, width=256, depth=3, device="cpu")
print("ready", flush=True)
while True:
    m.save(sys.argv[1])
    m.save(sys.argv[1] + "2", overwrite=True)
    sys.argv[1] += "x"
"""
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "p")], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.7)
    process.kill()
    process.wait()
    process.stdout.close()
    runs = [path for path in tmp_path.iterdir() if path.name[0] != "."]
    assert runs
    for path in runs:
        Run.open(path).model()


def test_a_run_may_be_the_current_folder_if_that_is_empty(tmp_path, monkeypatch, schema, model):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Run.create(".", CONFIG, schema, model, metrics=LINES)
    assert Run.open(".").metrics() == LINES
    for name, said in ((".", "here: exists already"), ("..", "exists already"), ("/", "root of the disk")):
        with pytest.raises(SfumatoError, match=said):
            Run.create(name, CONFIG, schema, model, metrics=LINES)
