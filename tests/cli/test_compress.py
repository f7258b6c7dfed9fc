"""compress and decompress: what goes in and what comes out."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sfumato import Autoencoder
from sfumato import errors as sfumato_errors

QUICK = {"latent_dim": 2, "width": 16, "depth": 1, "steps": 5, "device": "cpu"}


@pytest.fixture(scope="module")
def black_and_white(tmp_path_factory: pytest.TempPathFactory):
    """Images of two levels, their file, and a VAE on them that was hardly trained."""
    folder = tmp_path_factory.mktemp("compress")
    images = np.random.default_rng(0).integers(0, 2, (30, 6, 6), dtype=np.uint8)
    np.save(folder / "images.npy", images)
    Autoencoder(**QUICK).fit(images).save(folder / "run")
    return folder / "run", folder / "images.npy", images


def test_a_file_comes_back(cli, black_and_white, tmp_path):
    run, file, images = black_and_white
    packed, back = tmp_path / "images.sfz", tmp_path / "back.npy"
    done = cli("compress", run, file, "-o", packed)
    assert done.code == 0, done.err
    assert f"30 examples in {packed}" in done.out
    assert "gzip" in done.out
    assert cli("decompress", run, packed, "-o", back).out == f"30 examples written to {back}\n"
    assert np.array_equal(np.load(back), images)


def test_json_has_the_numbers(cli, black_and_white, tmp_path):
    run, file, _ = black_and_white
    packed = tmp_path / "images.sfz"
    values = json.loads(cli("compress", run, file, "-o", packed, "--json").out)
    assert values["size"] == packed.stat().st_size
    assert values["examples"] == 30
    assert values["plain"] == 30 * 36
    assert values["coded"] == pytest.approx(values["bound"], rel=0.5)


def test_what_is_wrong_is_said_in_one_line(cli, black_and_white, tmp_path, monkeypatch):
    run, file, _ = black_and_white
    packed = tmp_path / "images.sfz"
    assert "add -o NAME.sfz" in cli("compress", run, file).err
    assert "add -o NAME.sfz" in cli("compress", run, file, "-o", tmp_path / "images.zip").err
    assert "add -o NAME" in cli("decompress", run, packed).err
    done = cli("decompress", run, packed, "-o", tmp_path / "x.npy")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "cannot be read" in done.err
    cli("compress", run, file, "-o", packed)
    packed.write_bytes(packed.read_bytes()[:-20])
    # The ending is looked at first: a decoded block would be the other error.
    for ending in ("png", "csv"):
        done = cli("decompress", run, packed, "-o", tmp_path / f"x.{ending}")
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "does not hold every bit of the images; end it in .npy or .npz" in done.err
    done = cli("decompress", run, packed, "-o", tmp_path / "x.npy")
    assert done.code == 2
    assert "truncated" in done.err or "damaged" in done.err
    assert not (tmp_path / "x.npy").exists()

    def missing(name: str):
        raise ImportError(name)

    monkeypatch.setattr(sfumato_errors.importlib, "import_module", missing)
    done = cli("compress", run, file, "-o", tmp_path / "y.sfz")
    assert done.code == 2
    assert "pip install 'sfumato[compress]'" in done.err
    assert not (tmp_path / "y.sfz").exists()
