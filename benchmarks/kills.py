"""Kill a training at random moments, and see that nothing is lost.

    python benchmarks/kills.py                # 100 kills; prints a table, exits with 1 if anything was lost

A small model with two players, buffers and averaged weights trains in a process of its own and writes a checkpoint at
every step, so that about as many kills fall into saving as into training. SIGKILL comes after a random time. Then the
folder must load (the weights, and a checkpoint), and the next process goes on from it. Each run that reaches its end
must equal the unbroken one bit for bit: weights, best weights, optimizers, and lines of metrics but for their times.
"""

from __future__ import annotations

import os

# Children are forked from this process once it has imported torch; threads would not survive that.
os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sfumato.batch import Batch, Loss
from sfumato.data.core.batching.batches import Resident
from sfumato.distributions import noise
from sfumato.files import read_tensors
from sfumato.models.base import Model
from sfumato.training import Settings, fit
from sfumato.training.saving.checkpoint import Checkpoints

STEPS = 120
LONGEST = 0.5
"""Seconds a process may live before it is killed, at most."""


class Game(Model):
    """An autoencoder and a critic of its samples, with a buffer that every step moves."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder, self.critic = (nn.Linear(8, 8), nn.Linear(4, 8), nn.Linear(8, 1))
        self.register_buffer("mean", torch.zeros(8))

    def players(self) -> dict[str, list[nn.Parameter]]:
        return {
            "autoencoder": [*self.encoder.parameters(), *self.decoder.parameters()],
            "critic": list(self.critic.parameters()),
        }

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        if self.training:
            self.mean.lerp_(batch.x.mean(0).detach(), 0.1)
        mean, log_scale = self.encoder(batch.x - self.mean).chunk(2, 1)
        made = self.decoder(mean + log_scale.exp() * noise.normal(mean)) + self.mean
        true, false = self.critic(batch.x)[:, 0], self.critic(made)[:, 0]
        rate = (0.5 * (mean**2 + (2 * log_scale).exp() - 1) - log_scale).sum(1)
        distortion = 0.5 * (made - batch.x).square().sum(1)
        return {
            "autoencoder": Loss({"distortion": distortion, "rate": rate, "fooled": F.softplus(-false)}),
            "critic": Loss({"gan": F.softplus(-true) + F.softplus(false)}),
        }


def train(folder: Path) -> None:
    """The training that is killed, begun or gone on with."""
    draw = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    rows = torch.randn(500, 8, generator=draw)
    settings = Settings(
        device="cpu", steps=STEPS, batch_size=32, validate_every=7, patience=0, ema=0.9, checkpoint_every=0.0
    )
    fit(Game(), Resident(rows[:400]), Resident(rows[400:]), settings=settings, folder=folder, resume=True)


def start(folder: Path) -> int:
    """A child process that trains; its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        train(folder)
        code = 0
    finally:
        os._exit(code)


def loads(folder: Path) -> bool:
    """Whether the last good state can be loaded; a folder in which nothing was saved yet has none to lose."""
    checkpoints = Checkpoints(folder / "checkpoints")
    if not checkpoints.paths():
        return True
    model = Game()
    model.load_state_dict(read_tensors(folder / "model.safetensors")[0])
    return checkpoints.load() is not None


def outcome(folder: Path) -> tuple[dict[str, Tensor], list[dict[str, object]]]:
    """All tensors of an ended run, and its lines of metrics without their times."""
    found = Checkpoints(folder / "checkpoints").load()
    assert found is not None
    weights = {f"file/{name}": value for name, value in read_tensors(folder / "model.safetensors")[0].items()}
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return found[0] | weights, [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def equal(one: Path, other: Path) -> bool:
    """Whether two ended runs are the same bit for bit."""
    (first, lines), (second, others) = outcome(one), outcome(other)
    return lines == others and first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def run(kills: int, seed: int, root: Path) -> dict[str, tuple[int, int]]:
    """Kill so often; for each line of the table, how many of how many."""
    chance = random.Random(seed)
    # Torch imports much of itself at the first optimizer; here once, and not in every child.
    torch.optim.Adam([nn.Parameter(torch.zeros(1))])
    reference = root / "unbroken"
    assert os.waitstatus_to_exitcode(os.waitpid(start(reference), 0)[1]) == 0, "the unbroken run failed"
    done = loadable = saving = ended = same = 0
    folder = root / "run-0"
    while True:
        child = start(folder)
        if done < kills:
            time.sleep(chance.uniform(0.0, LONGEST))
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code == -signal.SIGKILL:
            done += 1
            loadable += loads(folder)
            saving += any(folder.rglob(".*.safetensors"))
            continue
        assert code == 0, f"training failed with exit code {code}"
        ended += 1
        same += equal(reference, folder)
        if done >= kills:
            break
        folder = root / f"run-{ended}"
    return {
        "loadable after the kill": (loadable, done),
        "killed while a file was being written": (saving, done),
        "runs that ended bit-equal to the unbroken one": (same, ended),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="how often to kill (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments (default: 0)")
    arguments = parser.parse_args()
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as root:
        table = run(arguments.kills, arguments.seed, Path(root))
    for name, (count, of) in table.items():
        print(f"{name}  {count} of {of}")
    print(f"{time.perf_counter() - begun:.0f} s")
    lost = [name for name in table if "killed" not in name and table[name][0] < table[name][1]]
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
