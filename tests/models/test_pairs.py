"""Models whose terms compare examples with one another: two processes compute what one would on the joint batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sfumato.files import read_tensors

sys.path.insert(0, str(Path(__file__).parent))
from pair_worker import OPTIONS, train


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what two processes under torchrun made of every model."""
    root = tmp_path_factory.mktemp("pairs")
    worker = Path(__file__).with_name("pair_worker.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", str(worker)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(
        [*command, str(root), *OPTIONS], env=environment, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return root


@pytest.mark.parametrize("name", OPTIONS)
def test_parameters_equal_those_of_one_process(two: Path, name: str) -> None:
    alone, history = train(name, seed=0)
    for rank in (0, 1):
        weights, said = read_tensors(two / f"{name}-{rank}.safetensors")
        for key, value in alone.state_dict().items():
            torch.testing.assert_close(weights[key], value, atol=1e-7, rtol=0)
        assert float(said["best"]) == pytest.approx(history.best, rel=1e-6, abs=1e-4)
