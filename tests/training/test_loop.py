"""The loop: what it minimises, what it keeps, when it stops, what it leaves alone."""

from __future__ import annotations

import copy
import json
import os
import signal
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sfumato.batch import Batch
from sfumato.data.core.batching.batches import Resident
from sfumato.errors import SfumatoError
from sfumato.files import read_tensors
from sfumato.objectives import Ramp
from sfumato.training import Callback, Settings, fit
from sfumato.training.hardware.randomness import order_seed
from sfumato.training.saving.checkpoint import Checkpoints
from sfumato.training.saving.history import best_line
from toys import Duel, Judged, Line, data, same

CPU = Settings(device="cpu", epochs=6, batch_size=32, validate_every=10, patience=0)


def settings(**changes) -> Settings:
    return Settings(**{**CPU.__dict__, **changes})


def test_loop_equals_a_loop_written_by_hand() -> None:
    model, train = Line(), data(100)
    hand = copy.deepcopy(model)
    fit(model, train, settings=settings(schedule="constant", lr=1e-2, seed=5))

    with torch.random.fork_rng():
        torch.manual_seed(5)
        optimizer = torch.optim.Adam(hand.parameters(), lr=1e-2, fused=True)
        for epoch in range(6):
            for batch in train.epoch(32, seed=order_seed(5, epoch)):
                loss = hand.losses(batch, 0)["model"].total
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    assert same(model, hand)


def test_each_player_moves_its_own_parameters_by_its_own_loss() -> None:
    model, train = Duel(), data(32)
    before = copy.deepcopy(model)
    fit(model, train, settings=settings(epochs=1, schedule="constant", lr=1e-2, seed=1))

    with torch.random.fork_rng():
        torch.manual_seed(1)
        batch = next(train.epoch(32, seed=order_seed(1, 0)))
        losses = before.losses(batch, 0)
    for player, parameters in before.players().items():
        gradients = torch.autograd.grad(losses[player].total, parameters, retain_graph=True)
        for parameter, gradient, after in zip(parameters, gradients, model.players()[player], strict=True):
            # The first step of Adam is lr · sign(gradient), but for its epsilon.
            expected = parameter - 1e-2 * gradient / (gradient.abs() + 1e-8)
            torch.testing.assert_close(after, expected, atol=1e-6, rtol=0)


def test_same_seed_gives_same_bits_and_another_seed_others() -> None:
    one, two, other = Line(), Line(), Line()
    fit(one, data(), data(50, 1), settings=settings(seed=3))
    fit(two, data(), data(50, 1), settings=settings(seed=3))
    fit(other, data(), data(50, 1), settings=settings(seed=4))
    assert same(one, two)
    assert not same(one, other)


def test_global_random_state_and_threads_are_left_alone() -> None:
    torch.manual_seed(11)
    expected = torch.randn(3)
    torch.manual_seed(11)
    threads = torch.get_num_threads()
    fit(Line(), data(), data(50, 1), settings=CPU)
    assert torch.equal(torch.randn(3), expected)
    assert torch.get_num_threads() == threads


def test_the_bound_falls_and_the_lines_tell_it(tmp_path: Path) -> None:
    history = fit(Line(), data(), data(50, 1), settings=settings(epochs=40, lr=1e-2), folder=tmp_path)
    valid = history.of("valid")
    assert valid[-1]["total"] < valid[0]["total"] - 0.3
    assert history.stop == "epochs"
    assert history.best == min(line["total"] for line in valid)
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == history.lines
    line = history.of("train")[0]
    assert set(line) == {"step", "epoch", "split", "seconds", "total", "distortion", "rate"}
    assert line["total"] == pytest.approx(line["distortion"] + line["rate"], abs=1e-5)


def test_a_model_with_two_players_logs_both() -> None:
    line = fit(Duel(), data(), data(50, 1), settings=settings(epochs=2)).lines[-1]
    assert {"total", "critic_total", "fooled", "gan"} <= set(line)


class Keep(Callback):
    """Keeps a copy of the model at each validation."""

    def __init__(self) -> None:
        self.models: dict[int, Line] = {}
        self.ends = 0

    def on_validation(self, model, line):
        self.models[line["step"]] = copy.deepcopy(model)

    def on_end(self, model, history):
        self.ends += 1


def test_patience_stops_and_the_best_weights_are_kept(tmp_path: Path) -> None:
    # Validation data unlike the training data: the bound there soon rises.
    elsewhere = Resident(torch.randn(60, 2, generator=torch.Generator().manual_seed(2)) * 3)
    model, keep = Line(width=32), Keep()
    plan = settings(epochs=500, patience=3, lr=0.05, schedule="constant")
    history = fit(model, data(64), elsewhere, settings=plan, callbacks=[keep], folder=tmp_path)
    steps = [line["step"] for line in history.of("valid")]
    assert history.stop == "patience"
    assert steps[-1] == history.best_step + 30
    assert same(model, keep.models[history.best_step])
    assert not same(model, keep.models[steps[-1]])
    assert keep.ends == 1
    saved, _ = read_tensors(tmp_path / "model.safetensors")
    assert all(torch.equal(saved[name], value) for name, value in model.state_dict().items())
    assert not model.training


def test_what_a_model_sets_at_the_end_is_written_with_the_best_weights(tmp_path: Path) -> None:
    class Counted(Line):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("held_out", torch.zeros(()))

        def finish(self, held_out: Iterable[Batch]) -> None:
            self.held_out.fill_(sum(map(len, held_out)))

    model = Counted()
    fit(model, data(), data(30, seed=1), settings=Settings(steps=4, validate_every=2, batch_size=50), folder=tmp_path)
    written = read_tensors(tmp_path / "model.safetensors")[0]
    assert all(torch.equal(value, written[name]) for name, value in model.state_dict().items())
    assert written["held_out"] == 30


def test_measured_samples_choose_the_weights_and_not_the_loss(tmp_path: Path) -> None:
    model, keep = Judged(), Keep()
    history = fit(model, data(64), data(60, 1), settings=settings(epochs=30, patience=4), callbacks=[keep])
    losses = [line["total"] for line in history.of("valid")]
    assert losses == sorted(losses, reverse=True)
    assert history.best == 1.0
    assert history.best_step == history.of("valid")[0]["step"]
    assert same(model, keep.models[history.best_step])
    assert history.stop == "patience"
    assert history.best_summary() == f"energy distance of samples 1 at step {history.best_step}"
    assert best_line(history.lines) == history.of("valid")[0]


def test_patience_waits_for_the_warm_up() -> None:
    elsewhere = Resident(torch.randn(60, 2, generator=torch.Generator().manual_seed(2)) * 3)
    plan = settings(epochs=500, patience=3, lr=0.05, schedule="constant")
    model = Line(width=32)
    model.warmup = Ramp(60, cycles=2)
    history = fit(model, data(64), elsewhere, settings=plan)
    assert history.best_step < 150
    assert (history.stop, history.lines[-1]["step"]) == ("patience", 200)


def test_validation_has_fixed_noise_and_changes_nothing() -> None:
    with_, without = Line(), Line()
    fit(with_, data(), data(50, 1), settings=settings(schedule="constant", patience=0, epochs=1, validate_every=100))
    fit(without, data(), settings=settings(schedule="constant", epochs=1, validate_every=100))
    assert same(with_, without)
    still = fit(Line(), data(), data(50, 1), settings=settings(lr=1e-30, epochs=4)).of("valid")
    assert len({line["total"] for line in still}) == 1


def test_average_of_weights_is_what_is_kept_and_validated() -> None:
    class Trace(Callback):
        def __init__(self):
            self.weights = []

        def on_log(self, model, line):
            self.weights.append(model.decoder.bias.detach().clone())

    trace, model = Trace(), Line()
    start = model.decoder.bias.detach().clone()
    plan = settings(ema=0.5, schedule="constant", lr=0.01, validate_every=1, steps=8, epochs=None)
    fit(model, data(), settings=plan, callbacks=[trace])
    average = start
    for step, weight in enumerate(trace.weights):
        decay = min(0.5, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * weight
    torch.testing.assert_close(model.decoder.bias.detach(), average)


def test_averaged_weights_come_with_the_running_means_that_are_theirs() -> None:
    class Normed(Line):
        def __init__(self) -> None:
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(2, momentum=1.0)

        def losses(self, batch, step):
            return super().losses(replace(batch, x=self.norm(batch.x)), step)

    class Trace(Callback):
        def __init__(self):
            self.means = []

        def on_log(self, model, line):
            self.means.append(model.norm.running_mean.clone())

    trace, model = Trace(), Normed()
    plan = settings(ema=0.5, schedule="constant", lr=0.01, validate_every=1, steps=8, epochs=None)
    fit(model, data(), settings=plan, callbacks=[trace])
    average = torch.zeros(2)
    for step, mean in enumerate(trace.means):
        decay = min(0.5, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * mean
    torch.testing.assert_close(model.norm.running_mean, average)


def test_clip_bounds_the_step_of_plain_descent() -> None:
    class Descent(Line):
        def optimizer(self, player, parameters, lr, weight_decay):
            return torch.optim.SGD(parameters, lr=lr)

    model = Descent()
    before = copy.deepcopy(model)
    fit(model, data(), settings=settings(clip=0.01, lr=1.0, schedule="constant", steps=1, epochs=None))
    moved = torch.cat([(a - b).flatten() for a, b in zip(model.parameters(), before.parameters(), strict=True)])
    assert moved.norm().item() == pytest.approx(0.01, rel=1e-3)


def test_rate_of_each_step_follows_the_schedule() -> None:
    class Descent(Line):
        rates: list[float]

        def optimizer(self, player, parameters, lr, weight_decay):
            model, self.rates = self, []

            class Traced(torch.optim.SGD):
                def step(self, closure=None):
                    model.rates.append(self.param_groups[0]["lr"])

            return Traced(parameters, lr=lr)

    model = Descent()
    fit(model, data(), settings=settings(lr=2.0, schedule="cosine", steps=4, epochs=None))
    assert model.rates == pytest.approx([2.0, 1.7071, 1.0, 0.2929], abs=1e-3)


def test_bfloat16_trains_and_keeps_float32_weights() -> None:
    model = Line()
    history = fit(model, data(), data(50, 1), settings=settings(precision="bfloat16", epochs=6, lr=2e-2))
    assert history.of("valid")[-1]["total"] < history.of("valid")[0]["total"]
    assert {value.dtype for value in model.parameters()} == {torch.float32}


def test_max_time_ends_training() -> None:
    history = fit(Line(), data(), data(50, 1), settings=settings(epochs=10**6, max_time=0.2))
    assert history.stop == "max_time"
    assert history.lines[-1]["split"] == "valid"
    assert history.lines[-1]["seconds"] < 2


class Press(Callback):
    """Presses Ctrl-C at the second validation, and ends training on it if it `ends`."""

    def __init__(self, times: int = 1, *, ends: bool = False) -> None:
        self.times, self.ends, self.seen = times, ends, 0

    def on_interrupt(self, model):
        return self.ends

    def on_validation(self, model, line):
        self.seen += 1
        if self.seen == 2:
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)


def test_interrupt_ends_cleanly_with_best_weights(tmp_path: Path) -> None:
    model = Line()
    before = signal.getsignal(signal.SIGINT)
    history = fit(
        model, data(), data(50, 1), settings=settings(epochs=10**6), callbacks=[Press(ends=True)], folder=tmp_path
    )
    assert history.stop == "interrupted"
    assert history.lines[-1]["step"] == 20
    saved, _ = read_tensors(tmp_path / "model.safetensors")
    assert all(torch.equal(saved[name], value) for name, value in model.state_dict().items())
    assert signal.getsignal(signal.SIGINT) is before


@contextmanager
def handled_by(handler):
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_reaches_the_caller_when_the_step_is_finished_and_the_run_is_saved(tmp_path: Path) -> None:
    model = Line()
    with pytest.raises(KeyboardInterrupt):
        fit(model, data(), data(50, 1), settings=settings(epochs=10**6), callbacks=[Press()], folder=tmp_path)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not model.training
    saved, _ = read_tensors(tmp_path / "model.safetensors")
    assert all(torch.equal(saved[name], value) for name, value in model.state_dict().items())
    found = Checkpoints(tmp_path / "checkpoints").load()
    assert found is not None
    assert found[1]["step"] == 20


def test_what_a_handler_of_ones_own_raises_reaches_the_caller() -> None:
    def leave(number, frame):
        raise SystemExit(7)

    with handled_by(leave), pytest.raises(SystemExit) as raised:
        fit(Line(), data(), data(50, 1), settings=settings(epochs=10**6), callbacks=[Press()])
    assert raised.value.code == 7


def test_training_goes_on_after_a_handler_that_returns() -> None:
    seen: list[int] = []
    one, other = Line(), Line()
    with handled_by(lambda number, frame: seen.append(number)):
        history = fit(one, data(), data(50, 1), settings=settings(), callbacks=[Press(times=2)])
    fit(other, data(), data(50, 1), settings=settings())
    assert seen == [signal.SIGINT] * 2
    assert history.stop == "epochs"
    assert same(one, other)


def test_an_ignored_ctrl_c_stays_ignored() -> None:
    with handled_by(signal.SIG_IGN):
        assert fit(Line(), data(), data(50, 1), settings=settings(), callbacks=[Press()]).stop == "epochs"


def test_a_fit_in_a_thread_leaves_ctrl_c_to_the_main_thread() -> None:
    before = signal.getsignal(signal.SIGINT)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(fit, Line(), data(), settings=settings()).result().stop == "epochs"
    assert signal.getsignal(signal.SIGINT) is before


def test_second_interrupt_raises() -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(Line(), data(), data(50, 1), settings=settings(epochs=10**6), callbacks=[Press(times=2)])


def test_callbacks_hear_all_and_can_stop() -> None:
    class Told(Callback):
        heard: list[str]

        def on_start(self, model, settings):
            assert settings.lr == 2e-3
            self.heard = ["start"]

        def on_log(self, model, line):
            self.heard.append(line["split"])

        def on_validation(self, model, line):
            self.heard.append(line["split"])
            return line["step"] >= 20

        def on_end(self, model, history):
            self.heard.append(history.stop)

    told = Told()
    assert fit(Line(), data(), data(50, 1), settings=CPU, callbacks=[told]).stop == "callback"
    assert told.heard == ["start", "train", "valid", "train", "valid", "callback"]


def test_last_part_of_a_run_is_validated_too() -> None:
    history = fit(Line(), data(), data(50, 1), settings=settings(steps=25, epochs=None))
    assert [line["step"] for line in history.of("valid")] == [10, 20, 25]


def test_without_validation_the_last_weights_are_kept(tmp_path: Path) -> None:
    model = Line()
    history = fit(model, data(), settings=CPU, folder=tmp_path)
    saved, _ = read_tensors(tmp_path / "model.safetensors")
    assert all(torch.equal(saved[name], value) for name, value in model.state_dict().items())
    assert history.best is None
    assert history.of("valid") == []


def test_no_rows_no_device_and_taken_folder_are_answered(tmp_path: Path) -> None:
    with pytest.raises(SfumatoError, match="no rows"):
        fit(Line(), Resident(torch.zeros(0, 2)), settings=CPU)
    with pytest.raises(SfumatoError, match="device 'gpu'"):
        fit(Line(), data(), settings=settings(device="gpu"))
    if not torch.cuda.is_available():
        with pytest.raises(SfumatoError, match="no CUDA device"):
            fit(Line(), data(), settings=settings(device="cuda"))
    fit(Line(), data(), settings=settings(epochs=1), folder=tmp_path)
    with pytest.raises(SfumatoError, match="holds a training already"):
        fit(Line(), data(), settings=settings(epochs=1), folder=tmp_path)


def test_frozen_parameters_stay_and_a_player_without_others_is_passed_over():
    model = Duel()
    for parameter in model.critic.parameters():
        parameter.requires_grad_(False)
    start = copy.deepcopy(model.state_dict())
    fit(model, data(), settings=settings(epochs=1))
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, start[name])}
    assert moved == {name for name in start if name.startswith("generator")}
    fit(model, data(), settings=settings(epochs=1, skip_above=1e9, clip=1.0))
    with pytest.raises(SfumatoError, match="nothing to train"):
        fit(model.requires_grad_(False), data(), settings=settings(epochs=1))


def test_validation_leaves_the_mode_of_every_part():
    class Frozen(Line):
        def __init__(self) -> None:
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(2)

        def losses(self, batch, step):
            seen.append((self.training, self.norm.training))
            return super().losses(batch, step)

    class Freeze(Callback):
        def on_start(self, model, plan):
            model.norm.eval()

    seen: list[tuple[bool, bool]] = []
    fit(Frozen(), data(), data(50), settings=settings(epochs=2, validate_every=3), callbacks=[Freeze()])
    assert set(seen) == {(True, False), (False, False)}
