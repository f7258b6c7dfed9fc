"""A loss or gradient that is not finite never reaches the weights."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sfumato.errors import SfumatoError
from sfumato.training import Callback, Settings, fit
from sfumato.training.optim.guard import Guard, NotFinite
from sfumato.training.saving import state as state_module
from toys import Line, Poison, data, same

PLAN = Settings(device="cpu", steps=12, batch_size=32, validate_every=4, patience=0, schedule="constant")


class Watch(Callback):
    """Keeps the model at each training line."""

    def __init__(self) -> None:
        self.models: dict[int, Poison] = {}

    def on_log(self, model, line):
        self.models[line["step"]] = copy.deepcopy(model)


@pytest.fixture(params=[False, True], ids=["flag on the host", "flag on the device"])
def place(request, monkeypatch) -> bool:
    """Where the decision is taken; the way of the GPU runs on a CPU too."""

    def guard(device, optimizers, buffers, say):
        return Guard(device, optimizers, buffers, say, on_device=request.param)

    monkeypatch.setattr(state_module, "Guard", guard)
    return request.param


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_bad_step_is_not_applied_and_is_named(place: bool, value: float) -> None:
    model, watch = Poison({5}, value), Watch()
    plan = Settings(**{**PLAN.__dict__, "validate_every": 1})
    with pytest.warns(RuntimeWarning, match=r"step 5: distortion is not finite; the step was not applied"):
        history = fit(model, data(), settings=plan, callbacks=[watch])
    assert same(watch.models[5], watch.models[6])
    assert not same(watch.models[6], watch.models[7])
    assert history.skipped == 1
    assert model.seen.item() == 11
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_means_are_finite_over_a_bad_step(place: bool) -> None:
    with pytest.warns(RuntimeWarning, match="step 5"):
        history = fit(Poison({5}), data(), settings=PLAN)
    assert all(line["total"] < 100 for line in history.lines)


def test_a_gradient_that_is_not_finite_stops_the_step_though_the_loss_is_finite(place: bool) -> None:
    class Root(Line):
        def losses(self, batch, step):
            loss = super().losses(batch, step)["model"]
            # √0 = 0, and its slope is infinite.
            edge = (self.decoder.bias - self.decoder.bias.detach()).abs().sqrt().sum() if step == 3 else 0.0
            return {"model": type(loss)({**loss.terms, "rate": loss.terms["rate"] + edge})}

    model = Root()
    with pytest.warns(RuntimeWarning, match="step 3: the gradient is not finite"):
        fit(model, data(), settings=PLAN)
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_three_in_a_row_end_training_with_the_good_weights_on_disk(place: bool, tmp_path: Path) -> None:
    model = Poison({5, 6, 7, 8, 9, 10, 11})
    # On the host the first two are told of, on the device all at once.
    told = nullcontext() if place else pytest.warns(RuntimeWarning, match="not applied")
    with told, pytest.raises(SfumatoError, match=r"distortion is not finite, \d steps in a row; try a lower --lr"):
        fit(model, data(), settings=PLAN, folder=tmp_path)
    good = Poison(set())
    fit(good, data(), settings=Settings(**{**PLAN.__dict__, "steps": 5}))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), good.parameters(), strict=True))
    assert (tmp_path / "model.safetensors").exists()


def test_optimizers_that_cannot_skip_are_decided_for_on_the_host() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    guard = Guard(torch.device("cpu"), [torch.optim.SGD([weight])], [], print, on_device=True)
    assert not guard.passes([torch.tensor(float("nan"))], 0, ("total",), torch.tensor([float("nan")]))
    assert guard.passes([torch.tensor(1.0)], 1, ("total",), torch.tensor([1.0]))


def test_two_bad_steps_two_good_ones_and_two_bad_ones_are_not_three_in_a_row() -> None:
    said: list[str] = []
    guard = Guard(torch.device("cpu"), [], [], said.append)
    bad = torch.tensor(float("inf"))
    verdicts = []
    for step, kind in enumerate("bbggbb"):
        value = bad if kind == "b" else torch.ones(())
        verdicts.append(guard.passes([value.clone()], step, ("total",), value[None]))
    assert verdicts == [False, False, True, True, False, False]
    assert len(said) == 4
    with pytest.raises(NotFinite, match="total is not finite, 3 steps in a row"):
        guard.passes([bad], 6, ("total",), bad[None])


class Steep(Line):
    """Its loss is a thousand times as steep at some steps."""

    def __init__(self, steps: set[int]) -> None:
        super().__init__()
        self.steps = steps

    def losses(self, batch, step):
        loss = super().losses(batch, step)["model"]
        return {"model": replace(loss, weights={"distortion": 1000.0 if step in self.steps else 1.0})}


def test_steps_with_too_long_a_gradient_are_counted_and_not_applied(place: bool) -> None:
    model, watch = Steep({2, 3, 4, 5, 6}), Watch()
    with pytest.warns(RuntimeWarning, match="longer than skip_above") as told:
        history = fit(model, data(), settings=replace(PLAN, validate_every=1, skip_above=100.0), callbacks=[watch])
    assert history.skipped == 5
    assert len(told) == 1
    assert same(watch.models[2], watch.models[7])
    assert not same(watch.models[7], watch.models[8])


def test_no_step_is_skipped_for_its_length_unless_asked(place: bool) -> None:
    assert fit(Steep({2, 3}), data(), settings=PLAN).skipped == 0


class Counted(Steep):
    """Measures 1 for each example."""

    def losses(self, batch, step):
        loss = super().losses(batch, step)["model"]
        return {"model": replace(loss, metrics={"one": torch.ones(len(batch))})}


def test_steps_that_are_not_applied_do_not_count_in_the_means(place: bool) -> None:
    with pytest.warns(RuntimeWarning, match="longer than skip_above"):
        history = fit(Counted({2, 3, 4}), data(), settings=replace(PLAN, skip_above=100.0))
    means = [line["one"] for line in history.lines if line["split"] == "train"]
    assert means == [1.0] * len(means)
