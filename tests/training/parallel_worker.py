"""One process of a data-parallel training: started by torchrun in `test_parallel.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import paired_models

from sfumato.files import write_tensors
from sfumato.training import Callback, History, Settings, fit
from sfumato.training.hardware.parallel import join, torch
from toys import Duel, Floored, Line, data

PLAN = Settings(device="cpu", epochs=4, batch_size=27, validate_every=5, patience=0, lr=1e-2)


class Enough(Callback):
    """Ends training at step 15; only process 0 is asked."""

    def on_validation(self, model, line):
        return line["step"] >= 15


def train(kind: str, seed: int, folder: Path | None) -> tuple[torch.nn.Module, History]:
    """The training of one kind; `seed` is that of the first weights, which process 0 decides."""
    changes: dict = {}
    callbacks: list[Callback] = []
    model: torch.nn.Module = Line(seed)
    if kind == "duel":
        model = Duel(seed)
    elif kind == "floor":
        model = Floored(seed)
    elif kind == "clip":
        changes = {"clip": 0.5, "ema": 0.9}
    elif kind == "stop":
        callbacks = [Enough()]
    elif kind == "time":
        changes = {"epochs": 10**6, "max_time": 0.5}
    settings = Settings(**{**PLAN.__dict__, **changes})
    # 100 rows in batches of 27: uneven shares, and a last batch of 19.
    # 257 rows are validated as 256 and 1.
    valid = data(257 if kind == "floor" else 31, 1)
    history = fit(model, data(100), valid, settings=settings, folder=folder, callbacks=callbacks)
    return model, history


def main() -> None:
    root = Path(sys.argv[1])
    rank = join(torch.device("cpu")).rank
    for kind in sys.argv[2:]:
        real = kind in paired_models.OPTIONS
        model, history = paired_models.train(kind, rank) if real else train(kind, rank, root / kind)
        stop = {"stop": history.stop, "lines": str(len(history.lines)), "best": str(history.best)}
        write_tensors(root / f"{kind}-{rank}.safetensors", model.state_dict(), stop)


if __name__ == "__main__":
    main()
