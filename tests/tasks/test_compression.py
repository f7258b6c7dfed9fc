"""Arithmetic that is the same everywhere, integer masses, and bits-back coding against what they must be."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from scipy import special, stats
from torch import nn

from sfumato import Autoencoder
from sfumato.batch import Batch
from sfumato.errors import SfumatoError
from sfumato.estimator.inference import exact
from sfumato.models import build
from sfumato.networks.attention import AttentionBlock
from sfumato.spec import DataSpec, Field
from sfumato.tasks.compression import Coder, functions, latents, masses
from sfumato.tasks.compression.reproducible import reproducible
from sfumato.tasks.compression.stack import Stack, random_words, read_steps
from sfumato.tasks.compression.steps import digits

QUICK = {"latent_dim": 4, "width": 16, "depth": 1, "steps": 5, "device": "cpu"}


def binary_images(n: int = 60) -> np.ndarray:
    return (np.random.default_rng(0).random((n, 8, 8)) < np.linspace(0.05, 0.95, 64).reshape(8, 8)).astype(np.uint8)


@pytest.mark.parametrize("name", ["exp", "sigmoid", "tanh", "expm1", "softplus"])
def test_elementary_functions_are_those_of_numpy(name):
    x = torch.linspace(-40, 40, 4001).double()
    theirs = np.logaddexp(0, x.numpy()) if name == "softplus" else getattr(torch, name)(x).numpy()
    assert np.allclose(getattr(functions, name)(x).numpy(), theirs, rtol=1e-12, atol=1e-15)


def test_logarithms_over_the_whole_range():
    x = torch.logspace(-300, 300, 2001, dtype=torch.float64)
    assert torch.allclose(functions.log(x), torch.log(x), rtol=1e-15, atol=1e-15)
    assert functions.log(torch.tensor([0.0, -1.0])).tolist()[0] == -math.inf


def test_products_do_not_depend_on_the_order_of_their_terms():
    a, b = torch.randn(7, 1000).double(), torch.randn(1000, 5).double() * 1e6
    order = torch.randperm(1000)
    assert torch.equal(functions.matmul(a, b), functions.matmul(a[:, order], b[order]))
    assert torch.allclose(functions.matmul(a, b), a @ b, rtol=1e-4, atol=1e2)


def test_reproducible_layers_are_those_of_torch():
    layers = nn.Sequential(
        nn.Conv2d(2, 8, 3, stride=2, padding=1),
        nn.GroupNorm(4, 8),
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(32, 6),
        nn.Tanh(),
    ).double()
    x = torch.randn(5, 2, 4, 4).double()
    with torch.no_grad():
        with reproducible(layers):
            all_at_once, one = layers(x), layers(x[2:3])
        assert torch.allclose(all_at_once, layers(x), atol=1e-4)
    assert torch.equal(all_at_once[2:3], one)


@pytest.mark.parametrize("causal", [True, False])
def test_reproducible_attention_is_that_of_torch(causal):
    q, k, v = torch.randn(3, 5, 2, 7, 4).double()
    block = AttentionBlock(8, causal=causal).double().eval()
    x = torch.randn(5, 7, 8).double()
    with torch.no_grad():
        with reproducible(block):
            all_at_once, one = (block(rows)[0] for rows in (x, x[2:3]))
            plain = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
        assert torch.allclose(all_at_once, block(x)[0], atol=1e-4)
        assert torch.allclose(
            plain, torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal), atol=1e-4
        )
    assert torch.equal(all_at_once[2:3], one)


def test_an_operation_without_such_arithmetic_is_refused():
    with reproducible(), pytest.raises(SfumatoError, match="the model computes sin, for which there is no arithmetic"):
        torch.sin(torch.ones(2))


def test_masses_sum_to_their_total_and_none_is_zero():
    torch.manual_seed(0)
    logits = torch.cat([torch.randn(200, 40) * 20, torch.full((1, 40), -300.0)]).double()
    for found in (masses.categorical(logits), masses.binary(logits.reshape(-1))):
        assert (found.sum(-1) == masses.MASS_TOTAL).all()
        assert (found >= 1).all()
        assert (found == found.round()).all()
    shares = masses.categorical(logits) / masses.MASS_TOTAL
    assert torch.allclose(shares, torch.softmax(logits, 1), atol=1e-4)


def test_tabulated_distribution_functions():
    x = torch.linspace(-10, 10, 3001).double()
    assert np.abs(masses.normal().between(x).numpy() / masses.TABLE_TOTAL - stats.norm.cdf(x.numpy())).max() < 1e-7
    assert np.abs(masses.logistic().nearest(x).numpy() / masses.TABLE_TOTAL - special.expit(x.numpy())).max() < 2e-4
    assert (masses.normal().between(torch.sort(torch.randn(10_000).double()).values).diff() >= 0).all()
    assert np.abs(masses.normal_quantiles(64)[1:-1].numpy() - stats.norm.ppf(np.arange(1, 64) / 64)).max() < 1e-6


def test_digits_have_the_masses_of_their_distribution_function():
    size = 100
    shares = torch.from_numpy(np.random.default_rng(0).integers(0, 1000, size)).double()
    below = torch.cat([torch.zeros(1).double(), shares.cumsum(0)])
    symbols = torch.arange(size)
    taken, returned = read_steps(digits(lambda k: below[k], size, (size,)), symbols)
    assert torch.equal(returned, symbols)
    cost = sum(torch.log(mass.sum(1)) - torch.log(mass.gather(1, s[:, None])[:, 0]) for s, mass in taken)
    wanted = torch.log(shares.sum()) - torch.log(shares.clamp_min(1))
    assert (cost - wanted).abs()[shares > 50].max() < 0.1
    assert all((mass >= 1).all() for _, mass in taken)


def test_what_is_pushed_is_popped_at_its_cost():
    generator = np.random.default_rng(0)
    shares = torch.from_numpy(generator.integers(1, 2**20, (5000, 7))).double()
    chosen = torch.multinomial(shares, 1)[:, 0]
    start = random_words(4)
    stack = Stack(start)
    before = stack.bits
    stack.push(chosen, shares)
    cost = -torch.log2(shares.gather(1, chosen[:, None])[:, 0] / shares.sum(1)).sum()
    assert stack.bits - before == pytest.approx(float(cost), abs=2)
    assert torch.equal(stack.pop(shares), chosen)
    assert np.array_equal(stack.words(), start)


def test_bins_of_a_posterior_have_its_probabilities():
    from sfumato.distributions import Normal, StandardNormal

    q = Normal(torch.tensor([[0.3, -2.0]]).double(), torch.log(torch.tensor([[0.05, 0.8]])).double())
    prior = StandardNormal(1, 2, torch.zeros(0).double())
    stack = Stack(random_words(2000))
    with torch.no_grad():
        drawn = [stack.pop_steps(latents.code_steps(prior, q)).z[0] for _ in range(400)]
    standard = (torch.stack(drawn) - q.mean) / torch.exp(q.log_scale)
    for column in standard.T:
        assert stats.kstest(column.numpy(), "norm").pvalue > 1e-3


@pytest.mark.parametrize(
    ("model", "likelihood", "levels", "options"),
    [
        ("vae", "bernoulli", 2, {}),
        ("vae", "logistic_mixture", 256, {"network": "conv", "width": 8}),
        ("vae", "categorical", 5, {}),
        ("vae", "gaussian", 256, {}),
        ("hierarchical_vae", "bernoulli", 2, {}),
    ],
)
def test_images_come_back(model, likelihood, levels, options):
    torch.manual_seed(0)
    channels = 3 if likelihood == "logistic_mixture" else 1
    spec = DataSpec((channels, 8, 8), (Field("level", levels),), likelihood=likelihood, examples=100)
    coder = Coder(exact(build(model, spec, **({"latent_dim": 4, "width": 16} | options))))
    images = torch.randint(0, levels, (12, channels, 8, 8))
    data = coder.encode(images)
    assert torch.equal(coder.decode(data, 12), images)


def test_the_length_is_the_bound():
    images = np.repeat(binary_images(100), 8, 0)
    auto = Autoencoder(**QUICK | {"steps": 200, "likelihood": "bernoulli"}).fit(images)
    found = auto.compress(images)
    model = exact(auto.model_)
    with torch.no_grad():
        batch = Batch(torch.from_numpy(images).double()[:, None])
        bound = -model.log_weight(batch, 4).mean() / math.log(2)
    assert found.coded == pytest.approx(float(bound), rel=0.02)
    assert found.bound == pytest.approx(float(bound), rel=0.02)
    assert len(found.data) == found.size


def test_every_bit_of_grey_images_comes_back_from_a_model_of_black_and_white():
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 6), dtype=np.uint8)
    auto = Autoencoder(**QUICK, binarise="threshold").fit(images)
    found = auto.compress(images)
    assert found.aside > 0
    assert np.array_equal(auto.decompress(found.data), images)


def test_conditions_are_kept_aside(tmp_path):
    images, labels = binary_images(20), np.arange(20) % 3
    auto = Autoencoder(**QUICK, model="cvae", given=("label",)).fit((images, labels))
    data = auto.compress((images, labels)).data
    assert auto.decompress(data, tmp_path / "back.npz") == 20
    back = np.load(tmp_path / "back.npz")
    assert np.array_equal(back["x"], images)
    assert back["y"].tolist() == labels.tolist()
    with pytest.raises(SfumatoError, match="does not hold images and their labels; end it in"):
        auto.decompress(data, tmp_path / "back.npy")


def test_blocks_and_damage(tmp_path):
    images = binary_images(20)
    auto = Autoencoder(**QUICK).fit(images)
    data = auto.compress(images, block=9).data
    assert np.array_equal(auto.decompress(data), images)
    for place in np.linspace(40, len(data) - 1, 7).astype(int):
        broken = bytearray(data)
        broken[place] ^= 4
        with pytest.raises(SfumatoError, match=r"damaged|truncated"):
            auto.decompress(bytes(broken))
    with pytest.raises(SfumatoError, match="the compressed data: ends before its end: truncated"):
        auto.decompress(data[:-3])
    with pytest.raises(SfumatoError, match="not a file that sfumato compress wrote"):
        auto.decompress(b"PK" + data)
    other = Autoencoder(**QUICK, seed=1).fit(images)
    with pytest.raises(SfumatoError, match="was compressed with another run, of a vae; give the run"):
        other.decompress(data)


def test_models_that_have_no_probabilities_are_named():
    with pytest.raises(SfumatoError, match="cannot be compressed yet"):
        Autoencoder(**QUICK).fit(np.random.default_rng(0).normal(size=(30, 3))).compress(np.zeros((3, 3)))
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 6), dtype=np.uint8)
    with pytest.raises(SfumatoError, match="a prior of the kind NormalMixture"):
        Autoencoder(**QUICK, prior="mixture").fit(images).compress(images)


def test_another_process_with_another_number_of_threads_decodes_the_bytes(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (20, 6, 6), dtype=np.uint8)
    options = QUICK | {"network": "conv", "width": 8, "latent_dim": 2, "steps": 1, "likelihood": "logistic_mixture"}
    auto = Autoencoder(**options).fit(images)
    auto.save(tmp_path / "run")
    auto.compress(images[:3], tmp_path / "images.sfz")
    program = (
        "import torch, sfumato; torch.set_num_threads(2);"
        f"sfumato.load({str(tmp_path / 'run')!r}, device='cpu')"
        f".decompress({str(tmp_path / 'images.sfz')!r}, {str(tmp_path / 'back.npy')!r})"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "ATEN_CPU_CAPABILITY": "default"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, timeout=120)
    assert np.array_equal(np.load(tmp_path / "back.npy"), images[:3])


def test_lines_of_text_come_back_also_with_new_characters(tmp_path):
    lines = ["".join(np.random.default_rng(row).choice(list("abc"), row % 7)) for row in range(30)]
    auto = Autoencoder(**QUICK).fit(lines)
    wanted = ["abca", "", "zabé", *lines[:8]]
    data = auto.compress(wanted).data
    assert auto.decompress(data, tmp_path / "back.txt") == len(wanted)
    assert (tmp_path / "back.txt").read_text(encoding="utf-8").split("\n")[:-1] == wanted
    with pytest.raises(SfumatoError, match="not a kind of table file"):
        auto.decompress(data, tmp_path / "back.zip")


def rows_of_all_kinds(n: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "name": [f"row {row}" for row in range(n)],
            "kind": random.choice(["a", "b", "c"], n),
            "count": random.poisson(30, n),
            "price": random.gamma(2, 10, n).round(2),
            "size": random.lognormal(size=n),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 400, n), "D"),
        }
    )
    frame.loc[::5, "price"] = np.nan
    frame.loc[1::7, "kind"] = None
    return frame


@pytest.mark.parametrize("likelihood", ["autoregressive", "cells"])
def test_every_cell_of_a_table_comes_back(likelihood):
    frame = rows_of_all_kinds(120)
    auto = Autoencoder(**QUICK | {"latent_dim": 2}, likelihood=likelihood).fit(frame)
    wanted = frame.iloc[:12].reset_index(drop=True)
    wanted.loc[3, "kind"] = "new"
    wanted.loc[4, ["count", "size"]] = [10_000, -1e9]
    wanted.loc[5, "size"] = np.nan
    wanted["more"] = np.arange(12)
    found = auto.compress(wanted)
    pd.testing.assert_frame_equal(auto.decompress(found.data), wanted)
    assert math.isfinite(found.bound)


def test_ranks_number_the_values_of_cells():
    from sfumato.data.columns import learn
    from sfumato.data.columns.ranks import ranks_of

    table = pa.table(rows_of_all_kinds(300)[["kind", "count", "price", "size", "day"]])
    kinds = {"kind": "categorical", "count": "integer", "price": "continuous", "size": "continuous", "day": "datetime"}
    for name, kind in kinds.items():
        values = table[name].combine_chunks()
        ranks = ranks_of(learn(name, kind, table.schema.field(name), table[name], 16))
        cell, rank = ranks.encode(values)
        there = cell >= 0
        assert (rank[there] < ranks.values[cell[there]]).all()
        assert (rank >= 0).all()
        assert ranks.decode(cell, rank).cast(values.type).equals(values)
