"""Runs made sick on purpose: each is recognised by name, before anything else that may follow from it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from sfumato import Autoencoder
from sfumato.config import settings
from sfumato.diagnostics import CAUSES, CHECKS, Finding, diagnose
from sfumato.evaluation.subject import Subject
from sfumato.training import Callback


def look(auto: Autoencoder, *, quick: bool = False, lines: list | None = None) -> list[Finding]:
    subject = Subject.of(auto.model_, auto.schema_, auto.data_, 0)
    lines = auto.history_.lines if lines is None else lines
    return diagnose(subject, lines, auto.config_.to_dict(), run="runs/a", stop=auto.history_.stop, quick=quick)


def first(auto: Autoencoder) -> Finding:
    """What is found first, at the end of a fit as when asked, and it can be acted on."""
    found = look(auto)
    assert look(auto, quick=True)[0].name == found[0].name
    main = found[0]
    known = settings(main.model or auto.config_.model)
    assert set(main.cure) <= set(known)
    assert main.words
    assert main.numbers
    assert main.command.startswith("sfumato fit --config runs/a/config.toml --") or not main.cure
    return main


def test_posterior_collapse(fitted):
    found = first(fitted("moons", model="beta_vae", beta=50.0, steps=120))
    assert found.name == "posterior_collapse"
    assert found.cure == {"beta": 1.0}
    assert found.command == "sfumato fit --config runs/a/config.toml --beta 1 --run a-cured"
    assert "none of the 2 latents is in use" in found.words


def test_over_regularised(fitted):
    noise = np.random.default_rng(0)
    x = (noise.normal(size=(600, 6)) @ noise.normal(size=(6, 12)) / 2.4 + 0.2 * noise.normal(size=(600, 12))).astype(
        "f4"
    )
    found = first(fitted(x, model="beta_vae", beta=5.0, steps=300, latent_dim=8))
    assert found.name == "over_regularised"
    assert found.cure == {"beta": 1.0}


def test_under_regularised(fitted, wide):
    found = first(fitted(wide, model="beta_vae", beta=0.0003, steps=400))
    assert found.name == "under_regularised"
    assert found.numbers["near"] < found.numbers["of_prior"] / 2
    assert found.cure == {"beta": 1.0}


def test_decoder_that_ignores_the_code(fitted):
    reset = Reset(lambda model: next(p for p in model.decoder.parameters() if p.ndim == 2))
    found = first(fitted("moons", model="beta_vae", capacity=3.0, steps=160, callbacks=[reset]))
    assert found.name == "decoder_ignores_code"
    assert found.numbers["rate"] > 2


def test_exploding_steps_by_what_is_left(fitted):
    found = first(fitted("moons", lr=3.0, steps=60))
    assert found.name == "exploding_steps"
    assert found.cure == {"lr": 0.001, "clip": 100.0}


def test_exploding_steps_by_their_course(fitted):
    auto = fitted("moons", steps=300)
    broken = [*auto.history_.lines]
    broken[4] = {**broken[4], "rate": None}
    assert look(auto, lines=broken)[0].name == "exploding_steps"
    spiked = [dict(line) for line in auto.history_.lines]
    valid = [line for line in spiked if line["split"] == "valid"]
    valid[7]["total"] = valid[0]["total"] + 50.0
    assert look(auto, lines=spiked)[0].name != "exploding_steps"
    train = [line for line in spiked if line["split"] == "train"]
    train[7]["total"] = train[0]["total"] + 50.0
    found = look(auto, lines=spiked)[0]
    assert found.name == "exploding_steps"
    assert found.numbers["step"] == valid[7]["step"]


def test_too_short(fitted):
    found = first(fitted("moons", steps=250, schedule="constant", lr=4e-4, validate_every=10))
    assert found.name == "too_short"
    assert found.cure == {"steps": 1000}
    few = first(fitted("moons", steps=20))
    assert few.name == "too_short"
    assert few.severity == "serious"
    assert few.cure["steps"] >= few.numbers["default"]


@pytest.mark.parametrize("length", [{"steps": 60}, {"epochs": 4}])
def test_a_longer_training_is_at_least_as_long_as_the_schedules(fitted, length):
    auto = fitted("moons", model="beta_vae", warmup=1500, **length)
    found = first(auto)
    assert "its schedules take 1,500 steps" in found.words
    batches = auto.config_.training
    per_epoch = -(-len(auto.data_.train) // batches.batch_size)
    assert found.cure.get("steps", found.cure.get("epochs", 0) * per_epoch) >= 1500


def test_time_that_was_up_long_before_the_end(fitted):
    auto = fitted("moons", steps=60_000, max_time=1.0, validate_every=50)
    found = {one.name: one for one in look(auto)}["too_short"]
    assert found.severity == "serious"
    assert found.numbers["planned"] == 60_000
    assert "it reached max_time after" in found.words
    assert float(found.cure["max_time"].removesuffix("s")) > 2
    auto.history_.stop = ""  # as after loading
    assert "too_short" in {one.name for one in look(auto)}


def test_adversary_that_wins(fitted):
    asleep = Reset(lambda model: model.decoder.trunk[-1].weight, lambda model: model.decoder.trunk[-1].bias)
    told = {"equilibrium": False, "steps": 160, "validate_every": 5, "lr": 6e-3, "callbacks": [asleep]}
    found = first(fitted("moons", model="vae_gan", **told))
    assert found.name == "adversary_wins"
    assert found.cure == {"equilibrium": True}


def test_conditions_that_are_ignored(fitted):
    found = first(fitted("moons", model="cvae", condition_dropout=0.999, steps=300))
    assert found.name == "conditions_ignored"
    assert found.cure == {"condition_dropout": 0.1}


def test_conditions_that_codes_say_in_their_place(fitted):
    found = first(fitted("moons", model="cvae", beta=0.05, latent_dim=4, steps=600))
    assert found.name == "conditions_ignored"
    assert found.cure == {"beta": 1.0}


def test_memorising(fitted):
    x = np.random.default_rng(0).normal(size=(60, 8)).astype("f4")
    found = first(fitted(x, steps=500, split=(0.5, 0.0, 0.5), lr=0.005, width=128))
    assert found.name == "memorising"
    assert found.cure == {"split": (0.8, 0.1, 0.1)}


def test_scale_at_its_floor(fitted):
    x = np.random.default_rng(0).normal(size=(400, 4))
    x[:, 3] = 1 + 1e-13 * (x[:, 0] > 0)  # varies, but no more than rounding does
    found = first(fitted(x, steps=500, lr=0.02, width=16))
    assert found.name == "scale_at_floor"
    assert found.numbers["at_floor"] == 1


def test_squared_error_whose_scale_is_wrong(fitted):
    found = first(fitted("digits", likelihood="mse", steps=100))
    assert found.name == "scale_mismatched"
    assert found.cure == {"likelihood": "gaussian"}


def test_bernoulli_of_grey_pictures(fitted):
    slope = np.linspace(-1.5, 1.5, 4)
    z = np.random.default_rng(0).normal(size=(400, 2))[:, :, None, None]
    grey = 1 / (1 + np.exp(-(z[:, 0] * slope[:, None] + z[:, 1] * slope)))
    x = (255 * grey).astype(np.uint8)
    found = first(fitted(x, likelihood="bernoulli", binarise="no", steps=300, lr=0.005, latent_dim=2))
    assert found.name == "not_binary"
    assert found.cure["likelihood"] == "gaussian"


def test_dead_codes(fitted):
    found = first(fitted("moons", model="vq_vae", codebook=512, steps=200))
    assert found.name == "dead_codes"
    assert found.numbers["used"] < found.numbers["even"] / 2
    assert found.cure["codebook"] < 512


def test_prior_of_codes_that_is_lost(fitted):
    reset = Reset(lambda model: model.code_prior.heads[0].weight, lambda model: model.code_prior.heads[0].bias)
    found = first(fitted("moons", model="vq_vae", codebook=16, steps=200, callbacks=[reset]))
    assert found.name == "code_prior_lost"


def test_held_out_examples_of_another_kind(fitted, tmp_path):
    noise = np.random.default_rng(0)
    x, other = noise.normal(size=(300, 3)), noise.normal(size=(100, 3)) + 1.5
    np.savez(tmp_path / "x.npz", x=x, x_test=other)
    found = first(fitted(str(tmp_path / "x.npz"), steps=100))
    assert found.name == "shifted_parts"
    assert not found.command


def test_samples_of_too_little_variety(fitted, wide):
    found = first(drawing(fitted(wide, steps=300), lambda auto, n: auto.model_.sample(1, noise=True).expand(n, -1)))
    assert found.name == "low_variety"
    assert found.numbers["samples"] < 0.05


def test_classes_that_are_missing(fitted):
    def one_moon(auto: Autoencoder, n: int) -> torch.Tensor:
        drawn = auto.model_.sample(20 * n)
        return drawn[drawn[:, 1].argsort(descending=True)[:n]]

    found = first(drawing(fitted("moons", steps=300), one_moon))
    assert found.name == "classes_missing"
    assert "there is none of class 1" in found.words


def test_samples_that_are_copies(fitted):
    def copied(auto: Autoencoder, n: int) -> torch.Tensor:
        x = auto.data_.train.take(slice(0, n)).x
        return x + 1e-4 * torch.randn(x.shape)

    auto = drawing(fitted("moons", steps=300), copied)
    assert [one.name for one in look(auto)] == ["copies"]


def drawing(auto: Autoencoder, sample: Callable[[Autoencoder, int], torch.Tensor]) -> Autoencoder:
    """The same run, whose samples come from somewhere else."""
    other = copy.copy(auto)
    other.model_ = copy.deepcopy(auto.model_)
    other.model_.sample = lambda n, given=None, *, temperature=1.0, noise=True: sample(auto, n)
    return other


class Reset(Callback):
    """Sets parameters to zero before each validation."""

    def __init__(self, *which: Callable[[torch.nn.Module], torch.nn.Parameter]) -> None:
        self.which = which

    def on_log(self, model: torch.nn.Module, line: object) -> None:
        with torch.no_grad():
            for one in self.which:
                one(model).zero_()


def test_every_sickness_is_proved_here():
    text = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert all(f'"{check.__name__}"' in text for check in CHECKS)
    assert all({name, *brings} <= {check.__name__ for check in CHECKS} for name, brings in CAUSES.items())
