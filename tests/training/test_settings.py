"""What is chosen when nothing is said, the course of the learning rate, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sfumato.errors import SfumatoError
from sfumato.training.hardware.device import resolve_device
from sfumato.training.optim.schedules import factor
from sfumato.training.settings import Settings, resolve, seconds, steps_per_epoch, total_steps


def test_every_option_has_a_line_of_help() -> None:
    assert all(field.metadata["help"] for field in fields(Settings))


def test_settings_are_read_without_torch() -> None:
    code = "import sys, sfumato.training, sfumato.training.settings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(st.integers(1, 10**7), st.sampled_from([(2,), (3, 64, 64)]))
def test_what_is_chosen_makes_a_sensible_number_of_steps(examples: int, shape: tuple[int, ...]) -> None:
    plan = resolve(Settings(), examples, shape)
    assert plan.batch_size is not None
    assert plan.epochs is not None
    total = total_steps(plan, steps_per_epoch(examples, plan.batch_size))
    assert total >= min(1000, 1000 * examples)
    assert total <= 60_000 or plan.epochs == 3
    assert plan.batch_size <= min(examples, 512)
    assert resolve(plan, examples, shape) == plan


def test_what_is_said_is_kept() -> None:
    said = Settings(epochs=7, batch_size=100, lr=0.01, weight_decay=0.1, ema=0.0, patience=0, validate_every=3)
    assert resolve(said, 1000, (2,)) == said
    only_steps = resolve(Settings(steps=50), 1000, (2,))
    assert only_steps.epochs is None
    assert total_steps(only_steps, 40) == 50
    assert resolve(Settings(schedule="cosine"), 1000, (2,)).lr == 1e-3


def test_a_short_training_is_averaged_over_a_tenth_of_its_steps() -> None:
    plan = resolve(Settings(steps=1000), 5000, (2,), cells=640)
    assert plan.ema == pytest.approx(0.99)
    assert plan.lr == 5e-3
    assert resolve(Settings(steps=1000), 5000, (2,)).ema == 0
    assert resolve(Settings(ema=0.0), 5000, (2,), cells=640).ema == 0


def test_last_batch_too_small_for_all_processes_is_left_out() -> None:
    assert steps_per_epoch(100, 25) == 4
    assert steps_per_epoch(101, 25) == 5
    assert steps_per_epoch(101, 25, world=2) == 4


@pytest.mark.parametrize("total", [10, 100, 777])
def test_one_cycle_is_that_of_torch(total: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=total, cycle_momentum=False)
    for step in range(total):
        assert factor("one_cycle", step, total) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        if step < total - 1:
            theirs.step()


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
@given(total=st.integers(1, 50), warmup=st.integers(0, 60))
def test_factors_are_between_0_and_1(schedule: str, total: int, warmup: int) -> None:
    factors = [factor(schedule, step, total, warmup) for step in range(total)]
    assert all(0 <= value <= 1 for value in factors)


def test_warmup_rises_to_the_whole_rate() -> None:
    assert [factor("constant", step, 100, 4) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 0}, "epochs is 0: give 1 or more"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"lr": 0.0}, "lr is 0.0: give a number above 0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"ema": 1.0}, "ema is 1.0"),
        ({"clip": -1.0}, "clip is -1.0"),
        ({"schedule": "cosin"}, "did you mean cosine"),
        ({"precision": "bfloat"}, "did you mean bfloat16"),
        ({"max_time": "5 weeks"}, "max_time is '5 weeks'"),
        ({"max_time": 0}, "max_time is 0"),
    ],
)
def test_wrong_values_are_answered(wrong: dict, message: str) -> None:
    with pytest.raises(SfumatoError, match=message):
        Settings(**wrong)


def test_lengths_of_time() -> None:
    assert seconds("1.5h") == 5400
    assert seconds("1d") == 86400
    assert seconds(2.5) == 2.5
    assert seconds("30") == 30


def test_devices() -> None:
    assert resolve_device("cpu").type == "cpu"
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(SfumatoError, match="did you mean cuda"):
        resolve_device("cuda2")


def test_weight_decay_is_for_short_trainings_alone_and_less_the_more_examples_there_are() -> None:
    assert resolve(Settings(), 1000, (8,)).weight_decay == 0
    for examples, decay in ((10, 2.0), (10_000, 0.576), (10**6, 0.3)):
        assert resolve(Settings(), examples, (8,), cells=640).weight_decay == decay
    assert resolve(Settings(weight_decay=0.0), 1000, (8,), cells=640).weight_decay == 0


def test_short_trainings_take_15_passes_and_1000_steps_at_least() -> None:
    for examples, steps in ((50, 1000), (1000, 1024), (2000, 1008), (10_000, 1000), (30_000, 1003)):
        plan = resolve(Settings(), examples, (8,), cells=640)
        assert total_steps(plan, steps_per_epoch(examples, plan.batch_size or 1)) == steps
    assert resolve(Settings(epochs=40), 2000, (8,), cells=640).epochs == 40
