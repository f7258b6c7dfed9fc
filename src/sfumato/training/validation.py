"""The bound on held-out data, always with the same noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from sfumato.distributions import noise
from sfumato.models.base import END, Model
from sfumato.randomness.generators import seeded
from sfumato.training.hardware.parallel import WorkerGroup
from sfumato.training.metrics import Meter, rows

if TYPE_CHECKING:
    from sfumato.data.core.batching.batches import Batches

VALIDATION_SEED = 20131220


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode in this block; then every module is in the mode it was in, those too that somebody has frozen.

    >>> net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2).eval())
    >>> with evaluating(net):
    ...     net.training
    False
    >>> [part.training for part in net.modules()]
    [True, True, False]
    """
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def validate(
    model: Model,
    valid: Batches,
    size: int,
    device: torch.device,
    group: WorkerGroup,
    arithmetic: Callable[[], AbstractContextManager[Any]],
) -> dict[str, float]:
    """Means of the terms over `valid` in nats per example; `total` is the mean of `model.monitor`.

    All schedules have run their course (`END`), the model is in eval mode, and the noise starts from one seed, so that
    two validations differ by their weights alone. The model's mode is put back.
    """
    group = group if len(valid) >= group.world else WorkerGroup()
    meter = Meter(device)
    with evaluating(model), torch.no_grad(), seeded(device, VALIDATION_SEED, model):
        for number, batch in enumerate(valid.epoch(size, rank=group.rank, world=group.world)):
            joint = min(size, len(valid) - number * size)
            start, local = group.share(joint)
            if joint < group.world:
                # Too few to share out: all look at them, as a process without rows would keep the others waiting.
                batch, start, local = valid.take(slice(number * size, None)), 0, joint
            with noise.rows(start, local, joint), arithmetic():
                losses = model.losses(batch, END)
                totals = {name: loss.per_example for name, loss in losses.items()}
                if type(model).monitor is not Model.monitor:
                    totals[next(iter(totals))] = model.monitor(batch)
            terms = rows(losses, totals)
            if joint >= group.world or group.rank == 0:
                meter.add(terms.names, terms.values.sum(1), local)
    return _joint(meter, group, device).means()


def _joint(meter: Meter, group: WorkerGroup, device: torch.device) -> Meter:
    for names, sums in meter.sums.items():
        count = torch.tensor([float(meter.counts[names])], dtype=sums.dtype, device=device)
        group.sum_([sums, count])
        meter.counts[names] = int(count.item())
    return meter
