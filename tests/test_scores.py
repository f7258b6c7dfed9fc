"""Scores of examples: finite and in order however far out, the same from call to call and in any company."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import sfumato
from sfumato.errors import SfumatoError
from sfumato.estimator import Autoencoder

QUICK: dict[str, Any] = {"steps": 10, "latent_dim": 2, "width": 16, "depth": 1, "seed": 0}
OUT = [50.0, 1e5, 1e8, 1e30, 1e37]
FARTHER = [*OUT, 1e39, 1e150, 1e299]


def numbers(kind: str) -> tuple[Any, dict[str, Any]]:
    """Training examples of a kind of data and the options that it needs."""
    x = np.random.default_rng(0).normal(3.0, 2.0, size=(300, 3))
    if kind == "array":
        return x, {}
    if kind == "single precision":
        return x.astype(np.float32), {}
    if kind.startswith("frame"):
        return pd.DataFrame(x, columns=list("abc")), {"likelihood": kind.split()[1]}
    if kind == "series, td_vae":
        return x.reshape(50, 6, 3), {"model": "td_vae", "sequences": True}
    return x.reshape(50, 6, 3), {"model": "vq_vae", "sequences": True}


def with_value(examples: Any, value: float) -> Any:
    """The first example with one of its numbers changed."""
    if isinstance(examples, pd.DataFrame):
        return examples.iloc[:1].assign(b=value)
    changed = examples[:1].copy()
    changed[0, ..., 1].flat[0] = value
    return changed


KINDS = ["array", "single precision", "frame cells", "frame gaussian", "frame mse", "series, td_vae", "series, vq_vae"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_farther_out_the_lower_the_score_and_always_finite(kind: str) -> None:
    examples, options = numbers(kind)
    quick = QUICK if options.get("model") != "vq_vae" else {"steps": 10, "width": 16, "seed": 0}
    auto = sfumato.fit(examples, **quick, **options)
    values = OUT if kind == "single precision" else FARTHER
    for sign in (1, -1):
        scores = [auto.score_samples(with_value(examples, sign * value))[0] for value in values]
        assert np.isfinite(np.square(scores)).all()
        assert (np.diff(scores) < 0).all(), scores
        assert scores[0] < auto.score_samples(examples).min()
    assert np.isfinite(auto.transform(with_value(examples, values[-1]))).all()
    with pytest.raises((SfumatoError, ValueError), match="infini"):
        auto.score_samples(with_value(examples, np.inf))


@pytest.mark.parametrize("model", ["factor_vae", "vq_vae", "hierarchical_vae", "wae", "sparse_vae"])
def test_no_model_loses_a_row_that_lies_far_out(model: str) -> None:
    examples, _ = numbers("array")
    auto = Autoencoder(model=model, steps=10, seed=0).fit(examples)
    odd = np.concatenate([examples[:4], with_value(examples, 1e39), with_value(examples, 1e6)])
    scores = auto.score_samples(odd)
    assert np.isfinite(scores).all()
    assert np.argsort(scores)[:2].tolist() == [4, 5]
    assert np.isfinite(auto.transform(odd)).all()
