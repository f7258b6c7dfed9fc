"""Models of other packages: found by name, by where they are, or handed over; used like those that ship."""

from __future__ import annotations

import gc
import json
import os
import pickle
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from sklearn.base import clone

import sfumato
from sfumato import Autoencoder, Batch, DataSpec, LatentModel, Loss, SfumatoError, Size, extensions
from sfumato.cli import main
from sfumato.data import registry as kinds_registry
from sfumato.diagnostics import code_checks
from sfumato.diagnostics.case import Case
from sfumato.models import registry
from sfumato.models.registry import lookup
from sfumato.networks import decoder_for, encoder_for, sizes_for
from sfumato.objectives import rate

PAGE = Path(__file__).parents[1] / "docs" / "extend" / "model.md"
PACKAGE = PAGE.read_text(encoding="utf-8").partition("```python\n")[2].partition("```\n")[0]
"""The denoising VAE of the documentation, as a package of its own has it."""
ENTRY = "[sfumato.models]\ndenoise_plugin = denoise.vae:DenoisingVAE\nvae = denoise.vae:DenoisingVAE\n"
METADATA = "Metadata-Version: 2.1\nName: sfumato-denoise\nVersion: 0.3\n"
SHORT = ("--rows", "200", "--steps", "20", "--quiet")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages with one that brings a model."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "denoise").mkdir()
    (folder / "denoise" / "__init__.py").touch()
    (folder / "denoise" / "vae.py").write_text(PACKAGE, encoding="utf-8")
    info = folder / "sfumato_denoise-0.3.dist-info"
    info.mkdir()
    for name, text in {"METADATA": METADATA, "entry_points.txt": ENTRY, "top_level.txt": "denoise\n"}.items():
        (info / name).write_text(text, encoding="utf-8")
    return folder


@contextmanager
def installed(site: Path) -> Iterator[None]:
    """While the package is there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        _forget()
        yield
    _forget()


def _forget() -> None:
    """What this process knows of installed packages."""
    lookup.plugins.cache_clear()
    lookup._distributions.cache_clear()
    for name in ("denoise", "denoise.vae"):
        sys.modules.pop(name, None)


def fresh(code: str, *path: Path) -> str:
    """What a process of its own prints."""
    places = [*map(str, path), str(Path(sfumato.__file__).parents[1])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(places)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_package_with_an_entry_point_is_used_from_python_and_the_command_line(site: Path, cli, caplog) -> None:
    with installed(site):
        named = ("fit", "moons", "--model", "denoise_plugin", *SHORT, "--no-report")
        assert cli(*named, "--noise", "0.2", "--run", "named").code == 0
        assert cli("fit", "moons", "--model=denoise.vae:DenoisingVAE", *SHORT, "--no-report").code == 0
        assert cli(*named, "--noise", "-1").err == "sfumato: noise is -1: give a number from 0 up to 1\n"
        page = " ".join(cli("fit", "--help", "--model", "denoise_plugin").out.split())
        assert "--noise X ν, how often the encoder sees an entry of another example [default: 0.1]" in page
        assert "denoise_plugin: Im et al. 2017" in cli("models").out
        assert "calls its model vae, as one that ships; use denoise.vae:DenoisingVAE" in caplog.text
        auto = sfumato.fit("moons", model=registry.resolve("denoise_plugin"), rows=200, steps=20, noise=0.2)
        assert auto.config_.model == "denoise_plugin"
    config = tomllib.loads(Path("runs/named/config.toml").read_text())
    assert (config["model"]["name"], config["model"]["noise"]) == ("denoise_plugin", 0.2)
    assert config["origin"] == "denoise.vae:DenoisingVAE of sfumato-denoise 0.3"
    for words in (("show", "named"), ("sample", "named")):
        said = cli(*words)
        assert (said.code, said.err.count("\n")) == (2, 1)
        assert "It was denoise.vae:DenoisingVAE of sfumato-denoise 0.3; make that available here" in said.err

    fresh(
        """
import sfumato
from sfumato.cli import main
auto = sfumato.load("named")
assert type(auto.model_).__name__ == "DenoisingVAE" and auto.model_.noise == 0.2
assert auto.sample(3, seed=0).shape == (3, 2)
assert auto.evaluate(families=("bounds",), k=8)
assert auto.diagnose(quick=True)[0].name == "too_short"
for words in ("sample named -n 3 -o new.csv", "evaluate moons-DenoisingVAE --quick", "doctor named",
              "report moons-DenoisingVAE"):
    assert main([*words.split(), "--quiet"]) == 0, words
""",
        site,
    )
    assert Path("runs/moons-DenoisingVAE/report.html").is_file()


class Shrunk(LatentModel):
    """A VAE with a lighter rate."""

    remedies: ClassVar = {"rate_weight": "lam"}

    def __init__(self, encoder, decoder, prior, *, lam: float = 0.5) -> None:
        super().__init__(encoder, decoder, prior)
        self.factor = lam

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        q = self.encode(batch)
        z = q.sample()
        distortion = -self.decode(z, batch.given).log_prob(batch.x, batch.mask)
        rates = rate(q, self.prior(len(batch)), z).sum(1)
        return {"model": Loss({"distortion": distortion, "rate": rates}, {"rate": self.factor})}

    @classmethod
    def build(cls, spec: DataSpec, size: Size, *, lam: float = 0.5):
        """Build it.

        Args:
            lam: weight of the rate
        """
        sizes = sizes_for(spec, size)
        return cls(encoder_for(spec, sizes), decoder_for(spec, sizes), sizes.latent_dim, lam=lam)


class Named(Shrunk):
    """With an option that no model has that ships."""

    remedies: ClassVar = {}

    @classmethod
    def build(cls, spec: DataSpec, size: Size, *, strength: float = 0.5):
        return super().build(spec, size, lam=strength)


X = np.random.default_rng(0).normal(size=(120, 2))
QUICK = {"steps": 20, "latent_dim": 2, "width": 8}


LISTS = (PAGE.parent / "data.md").read_text(encoding="utf-8").partition("```python\n")[2].partition("```\n")[0]
EXTENSIONS = "[sfumato.extensions]\nlists = lists_plugin\nbroken = lists_broken\n"


def test_what_an_extension_registers_is_there_for_every_command(
    tmp_path: Path, cli: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kind of data of the documentation, as an installed package has it, and one that cannot be imported."""
    call = "from sfumato.data.registry import register\nregister(KIND)\n"
    (tmp_path / "lists_plugin.py").write_text(LISTS + call, encoding="utf-8")
    (tmp_path / "lists_broken.py").write_text("import nowhere_at_all\n", encoding="utf-8")
    info = tmp_path / "sfumato_lists-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sfumato-lists\nVersion: 0.1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(EXTENSIONS, encoding="utf-8")
    (tmp_path / "rows.ndjson").write_text("".join(f"[{row % 7}, {row % 5}]\n" for row in range(60)), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(kinds_registry, "_REGISTERED", {})
    monkeypatch.setattr(extensions, "_imported", set())
    extensions._points.cache_clear()
    try:
        fitted = cli("fit", "rows.ndjson", "--steps", 5, "--no-report", "--run", "lists")
        assert fitted.code == 0, fitted.err
        assert "lists_broken of sfumato-lists 0.1 is left out, as its import failed with ModuleNotFound" in caplog.text
        rows = [json.loads(line) for line in cli("sample", "lists", "-n", 3).out.splitlines()]
        assert [list(map(type, row)) for row in rows] == [[int, int]] * 3
        assert cli("anomalies", "rows.ndjson", "--steps", 5).out.startswith("60 rows")
    finally:
        extensions._points.cache_clear()
        sys.modules.pop("lists_plugin", None)
    monkeypatch.setattr(extensions, "_points", tuple)
    monkeypatch.setattr(kinds_registry, "_REGISTERED", {})
    assert "are not known here" in cli("sample", "lists").err


def test_a_class_is_a_parameter_like_any_other(tmp_path: Path) -> None:
    auto = Autoencoder(Shrunk, lam=0.25, **QUICK)
    assert auto.get_params()["lam"] == 0.25
    again = clone(auto).set_params(lam=0.125)
    assert (again.model, again.lam, auto.lam) == (Shrunk, 0.125, 0.25)
    auto.fit(X)
    assert auto.model_.factor == 0.25
    assert auto.config_.model == registry.reference(Shrunk)
    twin = pickle.loads(pickle.dumps(auto))
    np.testing.assert_array_equal(twin.transform(X), auto.transform(X))
    assert "lam=0.25" in repr(auto)
    assert "epochs" not in repr(auto)
    assert auto.set_params(model="beta_vae", lam=None, beta=2.0).fit(X).model_.beta == 2.0
    switched = Autoencoder(Named, strength=0.25).set_params(model="vae", strength=None, **QUICK)
    assert clone(switched).fit(X).config_.model == "vae"


def test_the_doctor_changes_the_options_a_model_declares_and_no_others() -> None:
    class Silent(Shrunk):
        remedies: ClassVar = {}

    for model, louder, quieter in ((Shrunk, {"lam": 1.0}, {}), (Silent, {}, {})):
        auto = sfumato.fit(X, model=model, lam=8.0, **QUICK)
        case = Case(**auto._examined(None, 0))
        # An option called `lam` is λ of a discrepancy elsewhere, and an attribute `lam` this model has not.
        assert {name: value for name, value in code_checks.stronger_code(case).items() if name == "lam"} == louder
        assert code_checks._weaker_code(case) == quieter
        assert auto.diagnose()


def test_a_local_class_trains_and_saving_says_what_loading_needs(tmp_path: Path, caplog) -> None:
    class Local(Shrunk):
        pass

    auto = sfumato.fit(X, model=Local, run=tmp_path / "r", **QUICK)
    assert f"sfumato.load({str(tmp_path / 'r')!r}, model=Local)" in caplog.text
    np.testing.assert_array_equal(sfumato.load(tmp_path / "r").transform(X), auto.transform(X))
    config = (tmp_path / "r" / "config.toml").read_text()
    assert "defined in a script or notebook" in config
    name = auto.config_.model
    del auto, Local
    gc.collect()
    assert registry.handed_over(name) is None
    with pytest.raises(SfumatoError, match=r"defined in a script or notebook.* sfumato\.load\(run, model=Local\)"):
        sfumato.load(tmp_path / "r")
    loaded = sfumato.load(tmp_path / "r", model=Shrunk)
    assert loaded.config_.model == registry.reference(Shrunk)
    assert loaded.evaluate(X, families=("bounds",), k=8)


def test_a_built_module_is_trained_as_a_copy(tmp_path: Path, caplog) -> None:
    spec = DataSpec((2,), (sfumato.spec.Field("real"),))
    module = Shrunk.build(spec, Size(latent_dim=2, width=8))
    before = [parameter.clone() for parameter in module.parameters()]
    auto = Autoencoder(module, steps=20).fit(X)
    assert all(map(torch.equal, before, module.parameters()))
    assert not all(map(torch.equal, before, auto.model_.parameters()))
    run = auto.save(tmp_path / "built")
    assert "model=module)" in caplog.text
    assert auto.diagnose(quick=True)
    twin = pickle.loads(pickle.dumps(auto))
    np.testing.assert_array_equal(twin.fit(X).transform(X), auto.transform(X))
    loaded = sfumato.load(run.path, model=module)
    np.testing.assert_array_equal(loaded.transform(X), auto.transform(X))
    with pytest.raises(SfumatoError, match="width"):
        Autoencoder(module, steps=20, width=8).fit(X)


class NoBuild(LatentModel):
    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        return {}


def _with(**attributes):
    return type("Odd", (Shrunk,), attributes)


def _build(spec, size, *, seed: int = 1):
    return None


@pytest.mark.parametrize(
    ("model", "line"),
    [
        (dict, "dict is no model: give the name of one, or a subclass of sfumato.Model"),
        (LatentModel, "model LatentModel lacks losses"),
        (NoBuild, r"model NoBuild has no class method build\(spec, size, \*, …\)"),
        (_with(data_forms=("vektor",)), "data_forms has 'vektor': did you mean vector"),
        (_with(conditions="some"), "conditions has 'some'"),
        (_with(remedies={"rate_wait": "lam"}), "remedies has 'rate_wait': did you mean rate_weight"),
        (_with(remedies={"warmup": "warmup"}), "remedies has 'warmup': 'warmup', which is no argument of build"),
        (_with(data_forms=("sequence",)), r"is not for tables, vectors and images.*Odd\.data_forms \(vector\)"),
        (_with(build=staticmethod(_build), remedies={}), "argument seed of build needs another name"),
        ("nowhere.at_all:Model", r"model nowhere\.at_all:Model: there is no module nowhere\.at_all here"),
        ("sfumato.spec:Sizes", r"sfumato\.spec has no Sizes: did you mean Size"),
        ("sfumato.spec:Size", "Size is no model"),
    ],
)
def test_what_is_no_model_is_refused_in_a_line(model, line) -> None:
    with pytest.raises(SfumatoError, match=line):
        sfumato.fit(X, model=model, **QUICK)
    if "is not for" not in line:
        with pytest.raises(SfumatoError, match=line):
            Autoencoder(model, strength=1.0)


def test_a_module_in_the_current_folder_is_found(cli) -> None:
    Path("mine.py").write_text(PACKAGE, encoding="utf-8")
    Path("broken.py").write_text("import torch\n1 / 0\n", encoding="utf-8")
    said = cli("fit", "moons", "--model", "mine:DenoisingVAE", "--noise", "0.5", *SHORT, "--no-report")
    assert said.code == 0, said.err
    assert json.loads(cli("show", "moons-DenoisingVAE", "--json").out)
    said = cli("fit", "moons", "--model", "broken:Model", *SHORT)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "importing broken failed with ZeroDivisionError" in said.err
    said = cli("fit", "moons", "--model", "mine:Missing", *SHORT)
    assert "mine has no Missing" in said.err
    assert main(["fit", "moons", "--model", "mine:DenoisingVAE", "--noise", "x", *SHORT]) == 2
