"""A call is a function of its arguments: whatever the user has set, drawn, or runs in other threads."""

from __future__ import annotations

import copy
import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import sfumato
from sfumato import Autoencoder
from sfumato.batch import Batch, Loss
from sfumato.models.base import Model
from sfumato.training import Callback, Settings, fit
from toys import data

QUICK = {"steps": 25, "latent_dim": 2, "width": 16, "device": "cpu"}
RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(120, 3))
FRAME = pd.DataFrame(X, columns=["u", "v", "w"]).assign(kind=RANDOM.choice(["left", "right"], 120))
SERIES = RANDOM.normal(size=(30, 8, 1))


def generators() -> tuple:
    state = np.random.get_state()  # noqa: NPY002 - the user's own, which must stand still
    return torch.get_rng_state().tolist(), random.getstate(), state[1].tolist(), state[2:]


@pytest.fixture(scope="module")
def conditional() -> Autoencoder:
    return sfumato.fit(FRAME, model="cvae", given=["kind"], **QUICK)


@pytest.fixture(scope="module")
def forecaster() -> Autoencoder:
    return sfumato.fit(SERIES, model="td_vae", sequences=True, **QUICK)


class Noisy(Model):
    """A user's model that knows nothing of generators: it draws and drops out as a torch module does."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.3), nn.Linear(8, 2))

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        error = self.net(batch.x + 0.1 * torch.randn_like(batch.x)) - torch.normal(batch.x, 0.1)
        return {"model": Loss({"error": error.square().sum(1)})}


UNTRAINED = Noisy()


def noisy(seed: int) -> Model:
    model = copy.deepcopy(UNTRAINED)
    fit(model, data(), data(50, 1), settings=Settings(device="cpu", steps=40, batch_size=32, seed=seed))
    return model


class Watch(Callback):
    """The user's generators as they stand while a model trains."""

    def __init__(self) -> None:
        self.seen: list = []

    def on_log(self, model, line):
        self.seen.append(generators())


def test_what_draws_is_given_a_generator():
    """Initial weights are `redirected`; all else names the generator of the call, or one of its own."""
    draws = re.compile(r"torch\.(rand|randn|randint|randperm|multinomial|bernoulli|normal|manual_seed)(_like)?\(")
    initial = ("nn.Parameter(", "register_buffer(", "generator=", ">>>", "... ")
    source = Path(sfumato.__file__).parent
    for path in source.rglob("*.py"):
        text = re.sub(r"\(\n\s+", "(", path.read_text(encoding="utf-8"))
        found = [line for line in text.splitlines() if draws.search(line) and not any(one in line for one in initial)]
        assert not found, f"{path}: {found}"


def test_no_call_moves_a_generator_of_the_users(conditional, forecaster):
    before, watch = generators(), Watch()
    auto = sfumato.fit(FRAME, model="beta_vae", callbacks=[watch], **QUICK)
    auto.sample(3), auto.sample(3, sampler="mixture"), auto.encode(FRAME, noise=True), auto.score_samples(FRAME)
    auto.reconstruct(FRAME, noise=True), auto.evaluate(quick=True), auto.diagnose(quick=True)
    conditional.sample(5), forecaster.forecast(SERIES, n=2), noisy(0)
    assert watch.seen
    assert all(state == before for state in [*watch.seen, generators()])


@pytest.mark.parametrize("what", ["condition", "future", "sampler", "code", "fit", "own model"])
def test_a_seed_gives_the_same_whichever_threads_run_beside_it(what, conditional, forecaster):
    def call(seed: int) -> np.ndarray:
        if what == "condition":
            return conditional.sample(40, {"kind": "left"}, seed=seed).iloc[:, :3].to_numpy()
        if what == "future":
            return forecaster.forecast(SERIES, n=2, seed=seed)
        if what == "sampler":
            return conditional.sample(40, seed=seed, sampler="mixture").iloc[:, :3].to_numpy()
        if what == "code":
            return conditional.encode(FRAME, noise=True, seed=seed)
        if what == "fit":
            return sfumato.fit(X, seed=seed, model="info_vae", **QUICK).transform(X)
        return torch.cat([value.flatten() for value in noisy(seed).state_dict().values()]).numpy()

    count = 3 if what in ("fit", "own model") else 12
    alone = [call(seed) for seed in range(count)]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(call, range(count)))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))
    assert not np.array_equal(alone[0], alone[1])


def test_a_users_draws_in_another_thread_neither_change_a_fit_nor_are_changed_by_it():
    drawn: list[float] = []
    ended = threading.Event()

    def draw() -> None:
        torch.manual_seed(3)
        while not ended.is_set() or len(drawn) < 10:
            drawn.append(float(torch.rand(())))

    with torch.random.fork_rng(devices=[]):
        thread = threading.Thread(target=draw)
        thread.start()
        fitted = sfumato.fit(X, **QUICK)
        ended.set()
        thread.join()
    generator = torch.Generator().manual_seed(3)
    assert drawn == [float(torch.rand((), generator=generator)) for _ in drawn]
    np.testing.assert_array_equal(fitted.transform(X), sfumato.fit(X, **QUICK).transform(X))


def figures() -> list:
    auto = sfumato.fit(FRAME, **QUICK)
    pixels = (X[:60, :1, None] > np.zeros((8, 8))).astype(np.uint8)
    conv = sfumato.fit(pixels, network="conv", **{**QUICK, "steps": 4})
    return [auto.score(FRAME), auto.sample(3, seed=1).iloc[:, :3].to_numpy().tolist(), conv.history_.best]


@pytest.fixture(scope="module")
def expected() -> list:
    return figures()


def settings() -> tuple:
    return (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.is_anomaly_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        np.geterr(),
        torch.get_num_threads(),
    )


class Default:
    """A process-wide setting of torch within a block."""

    def __init__(self, set_to, value, back) -> None:
        self._set, self._value, self._back = set_to, value, back

    def __enter__(self):
        self._set(self._value)

    def __exit__(self, *_):
        self._set(self._back)


CONDITIONS = {
    "half precision by default": lambda: Default(torch.set_default_dtype, torch.float16, torch.float32),
    "double precision by default": lambda: Default(torch.set_default_dtype, torch.float64, torch.float32),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "no_grad": torch.no_grad,
    "inference mode": torch.inference_mode,
    "a default device": lambda: torch.device("meta"),
    "anomaly detection": lambda: torch.autograd.set_detect_anomaly(True),
    "deterministic algorithms": lambda: Default(torch.use_deterministic_algorithms, True, False),
    "numpy raises": lambda: np.errstate(all="raise"),
}


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
@pytest.mark.parametrize("name", CONDITIONS)
def test_what_is_set_in_torch_changes_no_figure_and_stands_afterwards(name, expected):
    with CONDITIONS[name]():
        before = settings()
        assert figures() == expected
        with pytest.raises(sfumato.SfumatoError):
            sfumato.fit(FRAME, latent_dim=0)
        assert settings() == before


def test_calls_that_end_in_another_order_than_they_began_leave_the_default_dtype():
    from sfumato.isolation import isolated

    first_in, first_out, second_out = threading.Event(), threading.Event(), threading.Event()

    @isolated
    def first():
        first_in.set()
        first_out.wait(5)

    @isolated
    def second():
        second_out.wait(5)
        assert torch.get_default_dtype() == torch.float32

    torch.set_default_dtype(torch.float64)
    try:
        with ThreadPoolExecutor(2) as pool:
            one = pool.submit(first)
            first_in.wait(5)
            two = pool.submit(second)
            first_out.set()
            one.result()
            second_out.set()
            two.result()
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
