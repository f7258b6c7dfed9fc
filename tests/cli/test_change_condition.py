"""`reconstruct` under other conditions."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from sfumato import Autoencoder


def test_reconstruct_takes_the_conditions_of_encoder_and_decoder_apart(cli, tmp_path) -> None:
    sizes = np.r_[[1.0, 9.0] * 40] + np.linspace(0, 1, 80)
    frame = pd.DataFrame({"kind": ["low", "high"] * 40, "size": sizes, "other": sizes[::-1] ** 2})
    frame.to_csv(tmp_path / "rows.csv", index=False)
    auto = Autoencoder("cvae", given=["kind"], latent_dim=2, steps=3, likelihood="gaussian").fit(frame)
    auto.save(tmp_path / "run")
    args = ["reconstruct", tmp_path / "run", tmp_path / "rows.csv", "--json"]
    told = json.loads(cli(*args, "--given", "kind=high", "--encode-given", "kind=low").out)["reconstructions"]
    assert {row["kind"] for row in told} == {"high"}
    expected = auto.reconstruct(frame, {"kind": "high"}, encode_given={"kind": "low"})
    assert [row["size"] for row in told] == pytest.approx(expected["size"].tolist())
    other = json.loads(cli(*args, "--given", "kind=high").out)["reconstructions"]
    assert [row["size"] for row in other] != [row["size"] for row in told]
