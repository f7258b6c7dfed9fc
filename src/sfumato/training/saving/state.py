"""All that a training is at one moment, and its way to disk and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sfumato.errors import SfumatoError
from sfumato.models.base import Model
from sfumato.randomness import generators
from sfumato.training.hardware.parallel import WorkerGroup
from sfumato.training.hardware.threads import Threads
from sfumato.training.metrics import Meter
from sfumato.training.optim.adam import stepper
from sfumato.training.optim.ema import WeightAverage
from sfumato.training.optim.guard import Guard
from sfumato.training.optim.untraced import untraced
from sfumato.training.saving.checkpoint import flatten, optimizer_numbers, optimizer_tensors, restore_optimizer, under
from sfumato.training.saving.history import History
from sfumato.training.settings import Settings


class TrainingState:
    """What one training holds: the model, its players and their optimizers, averages, sums, counters and the best.

    Attributes:
        course: what the order of the data follows from; a resumed training must have the same.
        step: steps taken; epoch and position in it follow from it.
        elapsed: seconds trained before this process began.
        stale: validations since the last better one, those during a warm-up not counted.
        best_weights: the best `state_dict` so far; empty before the first validation.
    """

    def __init__(
        self,
        model: Model,
        plan: Settings,
        examples: int,
        device: torch.device,
        group: WorkerGroup,
        say: Callable[[str], None],
        threads: Threads,
    ) -> None:
        self.threads = threads
        self.course = {"batch_size": plan.batch_size, "seed": plan.seed, "number of training rows": examples}
        self.model, self.plan, self.device, self.group = model, plan, device, group
        self.players: dict[str, list[nn.Parameter]] = {
            name: [parameter for parameter in parameters if parameter.requires_grad]
            for name, parameters in model.players().items()
        }
        if not any(self.players.values()):
            raise SfumatoError("nothing to train: no parameter of the model requires a gradient")
        assert plan.lr is not None
        with untraced():
            self.optimizers: dict[str, Optimizer] = {
                name: model.optimizer(name, parameters, plan.lr, plan.weight_decay or 0.0)
                for name, parameters in self.players.items()
                if parameters
            }
        self.steppers = {name: stepper(optimizer) for name, optimizer in self.optimizers.items()}
        self.highest = {
            name: [group["lr"] for group in optimizer.param_groups] for name, optimizer in self.optimizers.items()
        }
        kept = model.state_dict().keys()
        # Those outside the state dict are constants, made anew with the model.
        self.buffers = [buffer for name, buffer in model.named_buffers() if name in kept]
        self._draws_globally = generators.draws_globally(model)
        self.average = WeightAverage([*model.parameters(), *_running(model)], plan.ema or 0.0)
        self.guard = Guard(device, list(self.optimizers.values()), self.buffers, say)
        self.meter = Meter(device)
        self.history = History()
        self.step = 0
        self.elapsed = 0.0
        self.stale = 0
        self.best_weights: dict[str, Tensor] = {}

    def arithmetic(self) -> AbstractContextManager[Any]:
        """The precision in which losses are computed."""
        if self.plan.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def redirected(self) -> AbstractContextManager[Any]:
        """Where the model may draw from torch's global generator, the block in which it does not."""
        return generators.redirected() if self._draws_globally else nullcontext()

    def weights(self) -> dict[str, Tensor]:
        """A copy of the model's `state_dict`, with the averaged weights where there are any."""
        with self.average.swapped():
            return {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def judge(self, value: float) -> None:
        """Keep the weights if validation found the lowest so far; else lose patience, if schedules have run."""
        best = self.history.best
        if value == value and (best is None or value < best):
            self.history.best, self.history.best_step = value, self.step
            self.best_weights = self.weights()
            self.stale = 0
        elif self.model.schedules_done(self.step):
            self.stale += 1

    @property
    def tired(self) -> bool:
        """Whether patience is at its end."""
        return bool(self.plan.patience) and self.stale >= (self.plan.patience or 0)

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the state by name."""
        tensors = flatten("parameter", dict(self.model.named_parameters()))
        tensors |= flatten("buffer", dict(self.model.named_buffers()))
        tensors |= flatten("best", self.best_weights)
        tensors |= flatten("ema", {str(index): value for index, value in enumerate(self.average.values)})
        tensors |= flatten("random", generators.states())
        for name, optimizer in self.optimizers.items():
            tensors |= flatten(f"optimizer/{name}", optimizer_tensors(optimizer))
        return tensors

    def numbers(self, elapsed: float) -> dict[str, Any]:
        """The rest of the state, ready for JSON."""
        return {
            "step": self.step,
            "elapsed": elapsed,
            "stale": self.stale,
            "best": self.history.best,
            "best_step": self.history.best_step,
            "skipped": self.guard.skipped,
            "lines": len(self.history.lines),
            "meter": self.meter.state(),
            "optimizers": {name: optimizer_numbers(optimizer) for name, optimizer in self.optimizers.items()},
            "course": self.course,
            "threads": self.threads.state(),
        }

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Put back what `tensors` and `numbers` took; the lines of the history are the caller's.

        Raises:
            SfumatoError: if the state is that of another model, batch size or seed.
        """
        for name, value in numbers["course"].items():
            if value != self.course[name]:
                raise SfumatoError(
                    f"the {name} is {self.course[name]} but was {value} when this run began; "
                    f"resume with {value}, or start a new run"
                )
        for kind, live in (
            ("parameter", dict(self.model.named_parameters())),
            ("buffer", dict(self.model.named_buffers())),
            ("ema", {str(index): value for index, value in enumerate(self.average.values)}),
        ):
            _copy(kind, live, under(kind, tensors))
        self.best_weights = {name: value.to(self.device) for name, value in under("best", tensors).items()}
        for name, optimizer in self.optimizers.items():
            own = under(f"optimizer/{name}", tensors)
            restore_optimizer(optimizer, own, numbers["optimizers"].get(name, {}))
        generators.restore(under("random", tensors))
        self.meter.restore(numbers["meter"])
        self.step, self.elapsed, self.stale = numbers["step"], numbers["elapsed"], numbers["stale"]
        self.history.best, self.history.best_step = numbers["best"], numbers["best_step"]
        self.guard.skipped = numbers["skipped"]
        self.threads.restore(numbers.get("threads", {}))


def _running(model: nn.Module) -> Iterator[Tensor]:
    """Means and variances of batch norms: averaged weights need those that go with them."""
    for part in model.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.track_running_stats:
            assert part.running_mean is not None
            assert part.running_var is not None
            yield from (part.running_mean, part.running_var)


@torch.no_grad()
def _copy(kind: str, live: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
    if {name: value.shape for name, value in live.items()} != {name: value.shape for name, value in saved.items()}:
        raise SfumatoError(
            f"the checkpoint holds another model ({kind}s differ in name or shape); "
            "resume with the options the run began with"
        )
    for name, value in live.items():
        value.copy_(saved[name])
