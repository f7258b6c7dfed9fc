"""Two processes compute what one would on the joint batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from paired_models import OPTIONS
from paired_models import train as train_model
from parallel_worker import train

from sfumato.files import read_tensors
from sfumato.training.hardware.parallel import WorkerGroup, join
from sfumato.training.saving.history import read_lines

KINDS = ("line", "duel", "clip", "stop", "floor", "time")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what two processes made of every kind of training and of every model."""
    root = tmp_path_factory.mktemp("two")
    worker = str(Path(__file__).with_name("parallel_worker.py"))
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(
        [*launch, worker, str(root), *KINDS, *OPTIONS],
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return root


@pytest.mark.parametrize("kind", ["line", "duel", "clip", "stop", "floor"])
def test_parameters_equal_those_of_one_process(two: Path, kind: str) -> None:
    """Under floor fewer rows are left to validate than there are processes, which keeps nobody waiting."""
    alone, history = train(kind, seed=0, folder=None)
    for rank in range(2):
        weights, said = read_tensors(two / f"{kind}-{rank}.safetensors")
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(weights[name], value, atol=1e-5, rtol=0)
        assert said["stop"] == history.stop
        assert int(said["lines"]) == len(history.lines)
        assert float(said["best"]) == pytest.approx(history.best, abs=1e-5)


@pytest.mark.parametrize("name", OPTIONS)
def test_models_that_compare_examples_equal_those_of_one_process(two: Path, name: str) -> None:
    alone, history = train_model(name, seed=0)
    for rank in range(2):
        weights, said = read_tensors(two / f"{name}-{rank}.safetensors")
        for key, value in alone.state_dict().items():
            torch.testing.assert_close(weights[key], value, atol=1e-7, rtol=0)
        assert float(said["best"]) == pytest.approx(history.best, rel=1e-6, abs=1e-4)


def test_only_process_0_writes_and_its_lines_are_means_over_joint_batches(two: Path) -> None:
    _, history = train("duel", seed=0, folder=None)
    written = read_lines(two / "duel" / "metrics.jsonl", len(history.lines))
    assert len((two / "duel" / "metrics.jsonl").read_text().splitlines()) == len(history.lines)
    for one, other in zip(written, history.lines, strict=True):
        assert one.keys() == other.keys()
        for name in one.keys() - {"seconds", "split"}:
            assert one[name] == pytest.approx(other[name], abs=1e-5)


def test_processes_hold_the_same_bits_and_stop_together(two: Path) -> None:
    for kind in KINDS:
        (one, first), (other, second) = (read_tensors(two / f"{kind}-{rank}.safetensors") for rank in (0, 1))
        assert all(torch.equal(one[name], other[name]) for name in one)
        assert first == second
    assert read_tensors(two / "time-0.safetensors")[1]["stop"] == "max_time"


def test_shares_are_those_of_tensor_split() -> None:
    for joint in (2, 3, 19, 27):
        parts = torch.arange(joint).tensor_split(4)
        for rank, part in enumerate(parts):
            start, count = WorkerGroup(rank, 4).share(joint)
            assert torch.equal(torch.arange(joint)[start : start + count], part)


def test_a_process_alone_needs_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join(torch.device("cpu")) == WorkerGroup(0, 1)


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ({"RANK": "1", "WORLD_SIZE": "2"}, "RANK=1 and WORLD_SIZE=2 are set without MASTER_ADDR and MASTER_PORT"),
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE=2 is set, and RANK is not"),
        ({"RANK": "3", "WORLD_SIZE": "2"}, "RANK=3 is not below WORLD_SIZE=2"),
        ({"RANK": "one"}, "RANK=one is set, and is no whole number"),
        ({"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "9"}, "cannot meet"),
    ],
)
def test_what_another_program_left_behind_is_said_and_nothing_is_written(cli, monkeypatch, left, said) -> None:
    monkeypatch.setattr("sfumato.training.hardware.parallel.MEET", 1)
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in left.items():
        monkeypatch.setenv(name, value)
    answer = cli("fit", "moons", "--steps", 3, "--no-report")
    assert answer.code == 2
    assert said in answer.err
    assert "unset RANK WORLD_SIZE" in answer.err
    assert not Path("runs").exists() or not any(Path("runs").iterdir())


def test_a_rank_without_a_world_is_one_process(cli, monkeypatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert cli("fit", "moons", "--steps", 3, "--rows", 200, "--no-report").code == 0
    assert Path("runs/moons-vae/model.safetensors").exists()
