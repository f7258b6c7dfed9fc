"""The one loop: a plain PyTorch loop for every model, from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.distributions import noise
from sfumato.errors import SfumatoError
from sfumato.isolation import isolated
from sfumato.models.base import Model
from sfumato.privacy_budget import ColumnCharge
from sfumato.randomness.entropy import secret_seed
from sfumato.randomness.generators import seeded
from sfumato.training.hardware import parallel, randomness
from sfumato.training.hardware.device import keep_memory, resolve_device
from sfumato.training.hardware.threads import Threads
from sfumato.training.metrics import rows
from sfumato.training.monitoring.callbacks import Callback
from sfumato.training.monitoring.interrupt import Interrupt
from sfumato.training.monitoring.progress import Progress
from sfumato.training.monitoring.tensorboard import TensorBoard
from sfumato.training.optim import schedules
from sfumato.training.optim.guard import NotFinite
from sfumato.training.private.account import PrivateAccount
from sfumato.training.private.sampling import PoissonBatches
from sfumato.training.saving.folder import Folder
from sfumato.training.saving.history import History, judged_by
from sfumato.training.saving.state import TrainingState
from sfumato.training.settings import Settings, resolve, seconds, steps_per_epoch, total_steps
from sfumato.training.validation import validate

if TYPE_CHECKING:
    from sfumato.data.core.batching.batches import Batches

AGREE = 10
"""Steps between the moments at which several processes agree on whether to stop."""


@isolated
def fit(
    model: Model,
    train: Batches,
    valid: Batches | None = None,
    *,
    settings: Settings | None = None,
    folder: Path | None = None,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
    charge: ColumnCharge | None = None,
) -> History:
    """Train `model`, and leave it in eval mode with its best weights, on the device of the settings.

    The best weights are those with the lowest mean of `model.monitor` over `valid`, or, of a model whose losses measure
    it in eval mode, with the lowest `energy_distance` of its samples; without `valid`, the last ones.
    The same seed on the same machine gives the same weights bit for bit; with convolutions, recurrences and
    normalisations on a CPU as long as it was not busy, see `Threads`. The user's random generators and number of
    threads are left as they are. Under torchrun every process makes this same call.

    Args:
        model: any `Model`; each player moves its own parameters only, all from one forward pass. Parameters that
            require no gradient stay as they are. A model of a single player differentiates all that its loss hangs on,
            so that what is outside of it and requires a gradient gets one too, and nobody clears it.
        train: examples to learn from.
        valid: examples to validate on, with fixed noise and all schedules run.
        settings: how to train; what is None there is chosen by `resolve`.
        folder: where `metrics.jsonl`, `model.safetensors` (best so far) and `checkpoints/` are written, if anywhere.
        resume: continue from the newest whole checkpoint of `folder`, bit for bit; without one, begin.
        callbacks: the user's own code, see `Callback`.
        progress: show how it goes.
        charge: what the schema of a private training has cost already, out of `settings.epsilon`.

    Returns:
        The history: lines of metrics, the best step, why it stopped.

    Raises:
        KeyboardInterrupt: after Ctrl-C, when the step is finished, the best weights are in `model` and the folder is
            whole; or whatever the user's own handler of SIGINT raises. Where that returns, training goes on.
        SfumatoError: if there is nothing to train on, restarts are asked for, the device is not there, the folder holds
            another training and `resume` is False, or the loss stays not finite.
    """
    settings = settings or Settings()
    if settings.restarts > 1:
        raise SfumatoError(f"restarts is {settings.restarts}: a made model starts once; use sfumato.fit")
    if not len(train):
        raise SfumatoError("the training split has no rows: give more data, or a larger first part of --split")
    if train.given is not None and (rows := model.resample_indices(train.given)) is not None:
        train = train.with_resampling(rows)
    device = resolve_device(settings.device)
    group = parallel.join(device)
    plan = resolve(settings, len(train), tuple(train.take(slice(0, 1)).x.shape[1:]))
    account = None
    if plan.epsilon is not None:
        account = PrivateAccount(model, plan, len(train), group.world, charge, resume)
        train, valid = PoissonBatches(train), None
    size, every, limit = plan.batch_size or 1, plan.validate_every or 1, seconds(plan.max_time)
    if size < group.world:
        raise SfumatoError(f"batch_size {size} is less than the {group.world} processes: give each at least one row")
    per_epoch = steps_per_epoch(len(train), size, group.world)
    total = total_steps(plan, per_epoch)
    model.to(device)
    train = train.to(device)
    valid = valid.to(device) if valid is not None and len(valid) else None
    keep_memory(device)
    first = group.rank == 0
    shown = Progress(progress and first, plan, per_epoch, total)

    group.from_first([*model.parameters(), *model.buffers()])
    watchers = _watchers(callbacks, plan, folder) if first else []

    with (
        # Who knows the noise of a private training can take it off.
        seeded(device, plan.seed if account is None else secret_seed()),
        randomness.deterministic(device),
        Threads(model, size, device, group.world) as threads,
        Interrupt() as interrupt,
        shown,
    ):
        state = TrainingState(model, plan, len(train), device, group, shown.say if first else _silent, threads)
        store = Folder(folder, state, writes=first, resume=resume, checkpoints=account is None)
        advance = _advance if account is None else account.step(state)
        if account is not None:
            # All that is planned, should this process be killed.
            store.save_ledger(account.ledger())
        begun = time.perf_counter() - state.elapsed
        saved = time.perf_counter()
        model.train()
        stop = "patience" if state.tired else ""
        raised: BaseException | None = None
        shown.begin(state.step)
        try:
            for watcher in watchers:
                watcher.on_start(model, plan)
            while not stop and state.step < total:
                epoch, done = divmod(state.step, per_epoch)
                order = randomness.order_seed(plan.seed, epoch)
                for batch in train.epoch(size, seed=order, skip=done, rank=group.rank, world=group.world):
                    with threads.timed(state.step):
                        advance(state, batch, min(size, len(train) - done * size), total)
                    done += 1
                    now = time.perf_counter()
                    if now >= shown.due:
                        if group.world == 1:
                            state.guard.poll()
                        shown.update(state.step, state.meter, now)
                    if state.step % every == 0:
                        stop = _look(state, valid, now - begun, per_epoch, store, watchers, shown)
                    if now - saved >= plan.checkpoint_every:
                        store.save(now - begun)
                        saved = now
                    if group.world == 1 or state.step % AGREE == 0:
                        if group.any(interrupt.requested, device):
                            store.save(now - begun)
                            ends = group.any(any(callback.on_interrupt(model) for callback in watchers), device)
                            raised = None if ends else interrupt.deliver()
                            if ends or group.any(raised is not None, device):
                                stop = "interrupted"
                        elif not stop and group.any(now - begun >= limit, device):
                            stop = "max_time"
                    if stop or done == per_epoch or state.step == total:
                        break
            state.history.stop = stop or "epochs"
            # Saved before the look at the end, which an unbroken longer training would not take.
            elapsed = time.perf_counter() - begun
            store.save(elapsed)
            if state.step % every and stop != "interrupted":
                _look(state, valid, elapsed, per_epoch, store, watchers, shown)
            shown.update(state.step, state.meter, time.perf_counter())
        except NotFinite:
            store.save(time.perf_counter() - begun)
            raise
        finally:
            store.close()
        state.history.skipped = state.guard.skipped
        if account is not None:
            state.history.privacy = account.ledger(state.step)
            store.save_ledger(state.history.privacy)
        model.load_state_dict(state.best_weights or state.weights())
        model.eval()
        with torch.no_grad():
            model.finish(() if valid is None else valid.epoch(max(size, 256)))
        model.zero_grad(set_to_none=True)
        store.save_final(model.state_dict())
        for watcher in watchers:
            watcher.on_end(model, state.history)
        group.wait()
    if raised is not None:
        raise raised
    return state.history


def _advance(state: TrainingState, batch: Batch, joint: int, total: int) -> None:
    """One step of every player, all from one forward pass; of several each differentiates its own parameters only."""
    plan, group = state.plan, state.group
    start, local = group.share(joint) if group.world > 1 else (0, joint)
    rate = schedules.factor(plan.schedule, state.step, total, plan.lr_warmup)
    state.guard.remember()
    with noise.rows(start, local, joint) if group.world > 1 else nullcontext(), state.arithmetic(), state.redirected():
        losses = state.model.losses(batch, state.step)
        totals = {name: loss.per_example for name, loss in losses.items()}
    for parameters in state.players.values():
        for parameter in parameters:
            parameter.grad = None
    means = {name: value.mean() for name, value in totals.items()}
    moved = [name for name in totals if state.players[name]]
    for name in moved:
        # With one player all gradients are its own, and to name them would cost the small nets 5%.
        own = state.players[name] if len(state.players) > 1 else None
        means[name].backward(inputs=own, retain_graph=name != moved[-1])
    checked = [mean.detach() for mean in means.values()]

    terms = rows(losses, totals)
    sums = terms.values.sum(1)
    gradients = [[grad for parameter in state.players[name] if (grad := parameter.grad) is not None] for name in moved]
    every = [gradient for share in gradients for gradient in share]
    if group.world > 1:
        torch._foreach_mul_(every, local / joint)
        group.sum_([*every, sums])
        checked = [sums[: len(losses)]]
    norms = [_length(share) for share in gradients] if plan.clip or plan.skip_above else []
    too_long = torch.stack(norms).max() > plan.skip_above if norms and plan.skip_above else None
    if state.guard.passes([*every, *checked], state.step, terms.names, sums, too_long):
        if plan.clip:
            for share, norm in zip(gradients, norms, strict=True):
                torch._foreach_mul_(share, (plan.clip / (norm + 1e-6)).clamp(max=1.0))
        for name in moved:
            for settings, highest in zip(state.optimizers[name].param_groups, state.highest[name], strict=True):
                settings["lr"] = highest * rate
            state.steppers[name]()
        state.average.update(state.step)
        state.meter.add(terms.names, sums, joint * state.guard.applied)
    state.step += 1


def _length(gradients: list[Tensor]) -> Tensor:
    """The norm of a player's whole gradient."""
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))


def _look(
    state: TrainingState,
    valid: Batches | None,
    elapsed: float,
    per_epoch: int,
    store: Folder,
    watchers: Sequence[Callback],
    shown: Progress,
) -> str:
    """Write the means since the last look, validate, and say why to stop, if there is a reason."""
    model, group = state.model, state.group
    state.guard.poll()
    group.from_first(state.buffers)
    where = {"step": state.step, "epoch": round(state.step / per_epoch, 3)}
    line: dict[str, Any] = {**where, "split": "train", "seconds": round(elapsed, 3), **state.meter.means()}
    state.meter.clear()
    store.add(line)
    shown.logged(line)
    answers = [watcher.on_log(model, line) for watcher in watchers]
    if valid is not None:
        with state.average.swapped():
            size = max(state.plan.batch_size or 1, 256)
            means = validate(model, valid, size, state.device, group, state.arithmetic)
            line = {**where, "split": "valid", "seconds": round(elapsed, 3), **means}
            store.add(line)
            shown.logged(line)
            answers += [watcher.on_validation(model, line) for watcher in watchers]
        state.judge(means[judged_by([means])])
    if group.any(any(answers), state.device):
        return "callback"
    return "patience" if state.tired else ""


def _watchers(callbacks: Sequence[Callback], plan: Settings, folder: Path | None) -> list[Callback]:
    if not plan.tensorboard:
        return list(callbacks)
    if folder is None:
        raise SfumatoError("tensorboard: there is no run folder to write the logs into; give one")
    return [*callbacks, TensorBoard(Path(folder) / "tensorboard")]


def _silent(line: str) -> None:
    """Process 0 speaks for all."""
