"""Options in one flat list, and config.toml."""

from __future__ import annotations

import compileall
import math
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from sfumato import models
from sfumato.config import Config, resolve, settings
from sfumato.errors import SfumatoError
from sfumato.models.registry import index
from sfumato.spec import DataSpec, Field, Part


def test_options_go_to_their_parts_and_seed_to_two():
    config = resolve("beta_vae", {"seed": 7, "beta": 2, "epochs": 3, "drop": ["id"], "latent_dim": 4})
    assert (config.data.seed, config.training.seed) == (7, 7)
    assert config.options == {"beta": 2.0, "latent_dim": 4}
    assert config.training.epochs == 3
    assert config.data.drop == ("id",)


def test_one_word_stands_for_a_list_of_one():
    config = resolve("vae", {"drop": "id", "missing_values": "-999"})
    assert (config.data.drop, config.data.missing_values) == (("id",), ("-999",))


def test_none_is_not_said_also_for_options_of_other_models():
    assert resolve("vae", {"beta": None, "epochs": None}) == Config()


def test_seed_and_budget_alone_are_shared_by_two_parts():
    for model in models.names():
        shared = {name for name, setting in settings(model).items() if len(setting.tables) > 1}
        assert shared == {"seed", "epsilon", "delta"}


@pytest.mark.parametrize(
    ("model", "options", "line"),
    [
        ("vae", {"epohcs": 3}, "no option 'epohcs': did you mean epochs"),
        ("vae", {"latentdim": 3}, "did you mean latent_dim"),
        ("vae", {"beta": 3.0}, "beta is an option of beta_tcvae, beta_vae"),
        ("vae", {"capacity": 3.0}, "capacity is an option of beta_vae, not of vae"),
        ("vea", {}, "no model is called 'vea': did you mean vae"),
        ("vae", {"lr": "abc"}, "option lr must be a number, not 'abc'"),
        ("vae", {"lr": float("nan")}, "option lr must be a number"),
        ("vae", {"latent_dim": 2.5}, "option latent_dim must be a whole number, not 2.5"),
        ("vae", {"latent_dim": True}, "option latent_dim must be a whole number, not True"),
        ("vae", {"network": "convolutional"}, "option network must be one of auto, mlp, conv"),
        ("vae", {"split": [0.5, 0.5]}, "option split must be 3 values, each a number"),
        ("vae", {"kinds": ["age"]}, "option kinds must be a table of name = value"),
        ("vae", {"epochs": 0}, "epochs is 0: give 1 or more"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_option(model, options, line):
    with pytest.raises(SfumatoError) as found:
        resolve(model, options)
    assert line in str(found.value)
    assert "\n" not in str(found.value)


def test_numbers_of_numpy_and_single_names_are_taken():
    config = resolve("vae", {"lr": np.float64(0.01), "steps": np.int64(5), "given": "species"})
    assert (config.training.lr, config.training.steps, config.data.given) == (0.01, 5, ("species",))
    assert type(config.training.steps) is int


def test_toml_says_the_same_again(tmp_path):
    config = resolve(
        "cvae",
        {"given": ["a b", "c"], "kinds": {"age": "integer"}, "prior": "learned", "max_time": "5m", "lr": 1e-4},
        source="über/data.csv",
    )
    path = tmp_path / "config.toml"
    path.write_text(config.to_toml(), encoding="utf-8")
    assert Config.read(path) == config
    assert resolve("cvae", config.non_default_options(), source=config.source) == config


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[training]\nepohcs = 3", "[training] there is no option 'epohcs': did you mean epochs"),
        ("[training]\nlatent_dim = 3", "[training] latent_dim belongs in [model]"),
        ("[model]\nbeta = 3.0", "[model] beta is an option of beta_tcvae, beta_vae"),
        ("[trainig]\nepochs = 3", "unknown entry 'trainig': did you mean training"),
        ("training = 3", "training must be a table"),
        ("source = 3", "source must be text"),
        ("[model]\nname = 'vea'", "no model is called 'vea'"),
        ("[data]\nlikelihood = 'gausian'", "did you mean gaussian"),
        ("[data\n", "not readable as TOML"),
    ],
)
def test_a_mistake_in_the_file_names_the_file(tmp_path, text, line):
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(SfumatoError) as found:
        Config.read(path)
    assert str(found.value).startswith(str(path))
    assert line in str(found.value)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(SfumatoError, match="no such file"):
        Config.read(tmp_path / "none.toml")


def test_every_option_has_a_type_a_default_and_help():
    for setting in settings().values():
        assert setting.help
        assert not isinstance(setting.annotation, str)


NUMBERS = [
    (model, setting)
    for model in models.names()
    for setting in settings(model).values()
    if setting.tables == ("model",) and {int, float} & {setting.annotation, *get_args(setting.annotation)}
]


@pytest.mark.parametrize(("model", "setting"), NUMBERS, ids=[f"{model}-{setting.name}" for model, setting in NUMBERS])
def test_every_number_has_a_range_and_what_is_outside_is_refused(model, setting):
    assert setting.range is not None
    assert setting.default is None or setting.default in setting.range
    kind = int if int in {setting.annotation, *get_args(setting.annotation)} else float
    for beyond in (setting.range.low - 1, setting.range.high + 1):
        if math.isfinite(beyond):
            for refuse in (
                resolve,
                lambda name, chosen: models.build(
                    name, next(spec for spec in SPECS if models.suits(name, spec)), **chosen
                ),
            ):
                with pytest.raises(SfumatoError, match=rf"^{setting.name} is {beyond:g}: give a (whole )?number"):
                    refuse(model, {setting.name: kind(beyond)})


SPECS = (DataSpec((3,), (Field("real"),)), DataSpec((4, 1), (Field("real"),)))
SPECS = (*SPECS, DataSpec.of_parts([Part("x", SPECS[0])]))


def test_reading_options_does_not_import_torch():
    settings()  # so that the file of descriptions is there
    code = "import sys, sfumato.config as c; c.settings(); print('torch' in sys.modules, 'sklearn' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]


def test_descriptions_are_kept_between_processes_and_read_again_when_a_source_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    read = index.shipped_descriptions.__wrapped__
    first = {name: vars(description) for name, description in read().items()}
    (path,) = (tmp_path / "sfumato").iterdir()
    kept = path.read_bytes()

    def imported(name):
        raise AssertionError(f"{name} was described anew")

    with monkeypatch.context() as patched:
        patched.setattr(index, "_describe", imported)
        assert {name: vars(description) for name, description in read().items()} == first
        patched.setattr(index, "_sources", lambda: ["another version"])
        with pytest.raises(AssertionError, match="described anew"):
            read()
    for damage in (b"", b"[]", b'{"sources": 1}', kept[:-20]):
        path.write_bytes(damage)
        assert {name: vars(description) for name, description in read().items()} == first
        assert path.read_bytes() == kept


def test_without_a_folder_to_keep_descriptions_in_all_is_the_same(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert set(index.shipped_descriptions.__wrapped__()) == set(index.shipped())


def test_a_zip_on_the_path_and_byte_code_alone_are_enough(tmp_path):
    package = Path(index.FOLDER).parent
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in package.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, path.relative_to(package.parent))
    shutil.copytree(package, tmp_path / "bare" / "sfumato", ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(tmp_path / "bare", quiet=1, legacy=True)
    for path in (tmp_path / "bare").rglob("*.py"):
        path.unlink()
    listed = "from sfumato.models.registry import shipped; import sfumato; print(len(shipped()), sfumato.__file__)"
    described = "from sfumato.config import settings; import sfumato; print(len(settings()), sfumato.__file__)"
    for place, code, count in (
        (tmp_path / "all.zip", listed, len(index.shipped())),
        (tmp_path / "bare", described, len(settings())),  # which imports every model
    ):
        told = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONPATH": str(place)},
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
        ).stdout.split()
        assert told[0] == str(count)
        assert told[1].startswith(str(place))
