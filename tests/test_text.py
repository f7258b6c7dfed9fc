"""Lines of text and sequences of symbols through all doors: fit, sample, encode, reconstruct, score, save, resume."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import sfumato
from sfumato.batch import Batch
from sfumato.errors import SfumatoError
from sfumato.estimator import Autoencoder
from sfumato.evaluation.subject import Subject, frozen_eval
from sfumato.files import read_tensors
from sfumato.models import build
from sfumato.models.vae import VAE
from sfumato.objectives import importance_bound
from sfumato.report.kinds import symbols
from sfumato.spec import DataSpec, Field

LINES = ["CCO", "C1CC1", "", "c1ccccc1 O", "N#N"] * 12
SMALL = {"width": 8, "latent_dim": 3, "steps": 6, "batch_size": 16}


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "molecules.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(text: Path) -> Path:
    return sfumato.fit(text, run=text.parent / "run", **SMALL).run_.path  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def chains() -> Autoencoder:
    return sfumato.fit("markov", model="cvae", rows=100, **SMALL)


def test_text_goes_in_and_comes_out_as_lines(cli, run: Path, text: Path) -> None:
    said = cli("sample", run, "-n", 7, "--seed", 4, "-o", "new.txt")
    assert said.code == 0, said.err
    assert len(Path("new.txt").read_text(encoding="utf-8").split("\n")) == 8
    known = set("".join(LINES))
    assert set(Path("new.txt").read_text(encoding="utf-8")) <= known | {"\n"}
    assert cli("reconstruct", run, text, "-o", "again.txt").code == 0
    assert len(Path("again.txt").read_text(encoding="utf-8").split("\n")) == len(LINES) + 1
    assert cli("sample", run, "-n", 7, "--seed", 4).out == Path("new.txt").read_text(encoding="utf-8")
    told = json.loads(cli("sample", run, "-n", 7, "--seed", 4, "--json").out)["samples"]
    assert told == Path("new.txt").read_text(encoding="utf-8").split("\n")[:-1]
    assert cli("encode", run, text).out.count("\n") == len(LINES) + 1
    assert json.loads(cli("score", run, text, "--json").out)["examples"] == len(LINES)
    assert cli("show", run).code == 0


def test_mistakes_are_told_in_a_line(cli, text: Path, run: Path) -> None:
    for arguments, said in (
        (("fit", text, "--model", "td_vae"), "td_vae is not for sequences of symbols"),
        (("fit", text, "--model", "cvae"), "no label of its own"),
        (("fit", text, "--network", "mlp"), "network 'mlp'"),
        (("fit", "moons", "--word-dropout", "0.1"), "word_dropout=0.1"),
        (("score", run, "markov"), "markov: this model was trained on text"),
        (("score", run, "moons"), "pass a set of symbols"),
    ):
        found = cli(*arguments)
        assert found.code == 2, found.err
        assert said in found.err.splitlines()[-1]


def test_a_run_is_loaded_as_it_was_and_resumed_bit_for_bit(text: Path, tmp_path: Path) -> None:
    asked = {**SMALL, "word_dropout": 0.3, "validate_every": 3, "schedule": "constant"}
    whole = sfumato.fit(text, run=tmp_path / "whole", **asked)
    sfumato.fit(text, run=tmp_path / "parts", **{**asked, "steps": 3})
    parts = sfumato.fit(resume=tmp_path / "parts", steps=6)
    weights = [read_tensors(tmp_path / name / "model.safetensors")[0] for name in ("whole", "parts")]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    loaded = sfumato.load(tmp_path / "whole")
    assert loaded.sample(5, seed=2).tolist() == whole.sample(5, seed=2).tolist() == parts.sample(5, seed=2).tolist()
    np.testing.assert_array_equal(loaded.score_samples(LINES[:5]), whole.score_samples(LINES[:5]))
    assert loaded.config_.options["network"] == "recurrent"


def test_a_result_does_not_depend_on_what_stands_beside_it(run: Path) -> None:
    auto = sfumato.load(run)
    together, alone = auto.score_samples(LINES[:5]), [auto.score_samples([one])[0] for one in LINES[:5]]
    np.testing.assert_allclose(together, alone, rtol=1e-12)
    np.testing.assert_allclose(auto.encode(LINES[:5])[3], auto.encode(LINES[3:4])[0], rtol=1e-12)


def test_the_estimator_takes_strings_and_labels() -> None:
    y = [len(one) % 2 for one in LINES]
    auto = Autoencoder("cvae", **SMALL).fit(LINES, y)
    assert auto.transform(LINES).shape == (60, 3)
    assert auto.inverse_transform(np.zeros((2, 3))).shape == (2,)
    made = auto.sample(4, given={"label": 1})
    assert made.dtype == object
    assert auto.score((LINES, y)) < 0


def test_symbols_come_back_as_whole_numbers_and_forgo_no_condition(chains: Autoencoder) -> None:
    auto = chains
    assert auto.config_.data.given == ("label",)
    made = auto.sample(6, given={"label": "3"})
    assert (made.shape, made.dtype) == ((6, 20), np.int64)
    assert set(made.flatten().tolist()) <= set(range(10))
    x = np.array(made)
    assert auto.reconstruct((x, ["1"] * 6)).shape == (6, 20)
    hidden = x.astype(float)
    hidden[:, 4:] = np.nan
    beginnings = auto.score_samples((x[:, :4], ["1"] * 6), samples=4)
    assert (beginnings > auto.score_samples((x, ["1"] * 6), samples=4)).all()
    assert np.isfinite(auto.score_samples((hidden, ["1"] * 6))).all()


def test_the_bound_of_many_draws_is_the_likelihood_by_quadrature() -> None:
    torch.manual_seed(0)
    spec = DataSpec((3, 1), (Field("category", 3),), likelihood="categorical", ends=True)
    model = build("vae", spec, latent_dim=1, width=8).double().eval()
    assert isinstance(model, VAE)
    x = torch.tensor([[0, 1, 2], [1, 2, 2], [0, 0, 0]]).double().unsqueeze(2)
    z = torch.linspace(-8, 8, 801).double()
    with torch.no_grad():
        each = torch.stack([model.decode(z[:, None]).log_prob(row.expand(801, -1, -1)) for row in x])
        log_prior = -0.5 * z.square() - 0.5 * math.log(2 * math.pi) + math.log(z[1] - z[0])
        exact = torch.logsumexp(each + log_prior, 1)
        torch.manual_seed(1)
        found = importance_bound(model.log_weight(Batch(x), 2000))
    torch.testing.assert_close(found, exact, rtol=0, atol=0.03)


def test_what_there_is_to_see_are_sequences_their_spellings_and_new_ones(chains: Autoencoder, tmp_path: Path) -> None:
    assert chains.data_ is not None
    with frozen_eval(chains.model_, 0):
        found = symbols.draw(Subject.of(chains.model_, chains.schema_, chains.data_, 0), tmp_path)
    assert [image.path.stem for image in found] == ["reconstructions", "samples"]
    assert all(image.path.exists() and image.dark.exists() for image in found)
    first, second = found[1].alt.split(". ")[1].split(" / ")
    assert len(first.split()) == len(second.split()) == 20


def test_bounds_of_text_are_given_per_character(run: Path) -> None:
    bound = next(one for one in sfumato.load(run).evaluate(families=("bounds",), k=64) if one.name == "−ELBO")
    assert bound.reference_is == "nats per character"
    assert bound.reference is not None
    lengths = [len(line) + 1 for line in LINES]
    assert bound.value / max(lengths) < bound.reference < bound.value / min(lengths)


def test_samples_of_text_can_be_more_typical(cli, run: Path) -> None:
    auto = sfumato.load(run)
    assert auto.sample(5, seed=1, top_p=1.0).tolist() == auto.sample(5, seed=1).tolist()
    assert len(set(auto.sample(20, seed=1, temperature=0.0))) == 1
    typical = auto.score_samples(auto.sample(60, seed=1, top_p=0.3)).mean()
    assert typical > auto.score_samples(auto.sample(60, seed=1)).mean()
    for value, said in (("0", "top_p is 0.0: give a number above 0"), ("2", "top_p is 2.0")):
        assert said in cli("sample", run, "--top-p", value).err
    with pytest.raises(SfumatoError, match=r"top_p is 0\.5: that is for sequences of symbols"):
        sfumato.fit("moons", rows=100, steps=2).sample(2, top_p=0.5)
