"""sample, encode and reconstruct: what they take, and what they keep of the frame they are given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import sfumato
from sfumato.errors import SfumatoError
from sfumato.estimator import Autoencoder

QUICK = {"latent_dim": 2, "width": 16, "depth": 1, "steps": 5, "device": "cpu"}


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).normal(size=(40, 2))


@pytest.fixture(scope="module")
def auto(rows):
    return Autoencoder(**QUICK).fit(rows)


def test_reconstructions_have_the_index_of_the_frame_whatever_the_model_was_trained_on(tmp_path):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 2)), columns=["a", "b"])
    frame.to_csv(tmp_path / "rows.csv", index=False)
    sfumato.fit(tmp_path / "rows.csv", run=tmp_path / "run", **QUICK)
    auto = sfumato.load(tmp_path / "run", device="cpu")
    frame.index = [f"i{number}" for number in range(40)]
    assert auto.reconstruct(frame.head(4)).index.tolist() == ["i0", "i1", "i2", "i3"]
    assert auto.reconstruct(str(tmp_path / "rows.csv")).index.tolist() == list(range(40))


@pytest.mark.parametrize("n", [2.5, True, "3", None])
def test_a_number_of_examples_is_a_whole_one(auto, n):
    with pytest.raises(SfumatoError, match="give a whole number of examples"):
        auto.sample(n)
    assert len(auto.sample(np.int64(2))) == 2


def test_conditions_come_with_their_values(rows, auto):
    for call in (lambda: auto.sample(2, given=["species"]), lambda: auto.encode(rows, given=["species"])):
        with pytest.raises(SfumatoError, match=r"given is \['species'\]: give conditions with their values"):
            call()
