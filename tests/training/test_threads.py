"""The number of threads that a training chooses, on a clock of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import nn

from sfumato.training import Settings, fit
from sfumato.training.hardware.threads import AGAIN, TRIAL_ROUNDS, WARM_UP, Threads
from toys import Line, data, same

CPU = torch.device("cpu")
WIDE = nn.Sequential(nn.Linear(1024, 1024), nn.ReLU())
CONV = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(16, 2))


class Machine:
    """A machine with `cores`, on which a step takes `cost(threads, time)` seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cores: int = 2) -> None:
        self.now, self.threads, self.used = 0.0, cores, []
        self.cost: Callable[[int, float], float] = lambda threads, now: 0.01
        monkeypatch.setattr("time.perf_counter", lambda: self.now)
        monkeypatch.setattr(torch, "get_num_threads", lambda: self.threads)
        monkeypatch.setattr(torch, "set_num_threads", self._set)

    def _set(self, number: int) -> None:
        self.threads = number

    def train(self, threads: Threads, steps: int, first: int = 0) -> list[int]:
        """The number of threads of each step."""
        used = []
        for step in range(first, first + steps):
            with threads.timed(step):
                used.append(self.threads)
                self.now += self.cost(self.threads, self.now)
        self.used += used
        return used


@pytest.fixture
def machine(monkeypatch) -> Machine:
    return Machine(monkeypatch)


def test_a_small_net_takes_one_thread_and_leaves_the_users_number(machine):
    with Threads(nn.Linear(4, 8), 128, CPU) as threads:
        assert set(machine.train(threads, 50)) == {1}
    assert machine.threads == 2


@pytest.mark.parametrize(("speedup", "expected"), [(1.7, 2), (1.05, 2), (0.9, 1), (1 / 40, 1)])
def test_the_quicker_number_is_kept(machine, speedup, expected):
    machine.cost = lambda threads, now: 0.01 / (speedup if threads == 2 else 1)
    with Threads(WIDE, 128, CPU) as threads:
        machine.train(threads, WARM_UP + 2 * TRIAL_ROUNDS)
        assert set(machine.train(threads, 100, 20)) == {expected}
    assert machine.threads == 2


def test_a_bad_number_of_threads_is_left_at_once(machine):
    machine.cost = lambda threads, now: 0.4 if threads == 2 else 0.01
    with Threads(WIDE, 128, CPU) as threads:
        assert machine.train(threads, 60).count(2) == 1


def test_a_neighbour_that_comes_and_goes_is_noticed(machine):
    def cost(threads: int, now: float) -> float:
        busy = 5 < now < 60
        return 0.01 if threads == 1 else 0.1 if busy else 0.006

    machine.cost = cost
    with Threads(WIDE, 128, CPU) as threads:
        found: dict[int, list[int]] = {}
        step = 0
        while machine.now < 120:
            found.setdefault(int(machine.now), []).extend(machine.train(threads, 1, step))
            step += 1
    slow = [second for second in range(5, 60) if found.get(second, []).count(2) > 4]
    assert len(slow) <= 3, "a neighbour is noticed within three seconds"
    assert all(set(found[second]) == {2} for second in range(int(60 + AGAIN) + 2, 119) if 1 not in found[second])
    late = [number for second in range(int(60 + AGAIN) + 2, 119) for number in found[second]]
    assert late.count(1) < 0.02 * len(late)


def test_what_rounds_differently_changes_its_number_only_where_it_is_clearly_better(machine):
    machine.cost = lambda threads, now: 0.01 if threads == 1 else 0.012
    with Threads(CONV, 32, CPU) as threads:
        machine.train(threads, 12_000)
    trial = machine.used[: WARM_UP + 2 * TRIAL_ROUNDS]
    assert trial == [1] * WARM_UP + [1, 2] * TRIAL_ROUNDS
    assert set(machine.used[len(trial) :]) == {2}, "nothing is tried again while nothing is slow"
    machine.cost = lambda threads, now: 0.01 if threads == 1 else 0.05
    with Threads(CONV, 32, CPU) as threads:
        machine.train(threads, 20)
        assert set(machine.train(threads, 100, 20)) == {1}


@pytest.mark.parametrize("stopped", [3, WARM_UP + 1, WARM_UP + 4, 40])
def test_a_resumed_training_takes_the_same_number_in_each_step(machine, stopped):
    machine.cost = lambda threads, now: 0.01 if threads == 1 else 0.007
    with Threads(CONV, 32, CPU) as threads:
        unbroken = machine.train(threads, 60)
    with Threads(CONV, 32, CPU) as threads:
        broken = machine.train(threads, stopped)
        state = threads.state()
    with Threads(CONV, 32, CPU) as threads:
        threads.restore(state)
        assert broken + machine.train(threads, 60 - stopped, stopped) == unbroken


def test_no_more_threads_are_used_than_the_user_allows(monkeypatch):
    machine = Machine(monkeypatch, cores=1)
    with Threads(WIDE, 128, CPU) as threads:
        assert set(machine.train(threads, 50)) == {1}
    eight = Machine(monkeypatch, cores=8)
    eight.cost = lambda threads, now: 0.01 / threads if threads < 8 else 0.4
    with Threads(WIDE, 128, CPU) as threads:
        eight.train(threads, 30)
        assert set(eight.train(threads, 30, 30)) == {7}
    assert eight.threads == 8


def test_fully_connected_layers_give_the_same_bits_with_any_number_of_threads():
    before, models = torch.get_num_threads(), []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            models.append(Line(width=512))
            assert Threads(models[-1], 1024, CPU).rounds_alike
            fit(models[-1], data(2000), settings=Settings(device="cpu", steps=6, batch_size=1024))
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(before)
    assert same(*models)


@pytest.mark.parametrize(("given", "told"), [({}, "10000"), ({"OMP_WAIT_POLICY": "active"}, "None")])
def test_threads_wait_briefly_unless_the_user_says_how(given, told):
    environment = {
        name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    }
    words = "import os, sfumato; print(os.environ.get('GOMP_SPINCOUNT'))"
    done = subprocess.run([sys.executable, "-c", words], env=environment | given, capture_output=True, text=True)
    assert done.stdout.strip() == told
