"""The random generators of one call: its own, so that the user's stand still and no two threads share one.

Everything in the package that draws takes `current(device)`, so that a call is a function of its seed alone, whatever
runs beside it. Code that is not of the package (a model of the user's, the initial weights of torch's layers) draws
from torch's global generator; `redirected` hands it the generators of the call instead.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from sfumato.errors import SfumatoError
from sfumato.ranges import is_whole

_CURRENT: ContextVar[Mapping[str, torch.Generator] | None] = ContextVar("generators", default=None)
_SWAP = threading.RLock()


def fresh_seed() -> int:
    """A new seed from the system's entropy, below 2^32; no generator of the user's is touched."""
    return secrets.randbits(32)


def chosen_seed(seed: Any) -> int:
    """A seed as users give it, as a whole number.

    Args:
        seed: None for `fresh_seed`, a whole number, or a generator of numpy's, which one number is drawn from.

    Raises:
        SfumatoError: if it is none of these, or below 0.

    >>> chosen_seed(7), chosen_seed(np.random.RandomState(0)) == chosen_seed(np.random.RandomState(0))
    (7, True)
    """
    if seed is None:
        return fresh_seed()
    if isinstance(seed, np.random.RandomState):
        return int(seed.randint(2**31))
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(2**32))
    if not is_whole(seed) or not 0 <= int(seed) < 2**63:
        raise SfumatoError(f"seed is {seed!r}: give a whole number of at least 0, or None for a new one each time")
    return int(seed)


def current(device: torch.device) -> torch.Generator | None:
    """The generator of the call for `device`; None, torch's global one, outside `seeded`."""
    generators = _CURRENT.get()
    return None if generators is None else generators.get(device.type)


def states() -> dict[str, Tensor]:
    """The states of the generators of the call, by kind of device."""
    return {kind: generator.get_state() for kind, generator in (_CURRENT.get() or {}).items()}


def restore(saved: Mapping[str, Tensor]) -> None:
    """Put back what `states` took; a generator that was not saved is left as it is."""
    for kind, generator in (_CURRENT.get() or {}).items():
        if kind in saved:
            generator.set_state(saved[kind])


@contextmanager
def seeded(device: torch.device, seed: int, model: nn.Module | None = None) -> Iterator[None]:
    """Within this block, in this thread, the package draws from generators of its own that start from `seed`.

    Args:
        device: the block draws on it, and on the CPU.
        seed: any whole number that torch takes.
        model: where it has code that is not of the package, its draws are redirected too.

    >>> before = torch.get_rng_state()
    >>> with seeded(torch.device("cpu"), 3):
    ...     drawn = torch.randn(2, generator=current(torch.device("cpu")))
    >>> drawn.equal(torch.randn(2, generator=torch.Generator().manual_seed(3)))
    True
    >>> torch.equal(before, torch.get_rng_state())
    True
    """
    devices = {"cpu": torch.device("cpu"), device.type: device}
    generators = {kind: torch.Generator(place).manual_seed(seed) for kind, place in devices.items() if kind != "meta"}
    token = _CURRENT.set(generators)
    try:
        if model is not None and draws_globally(model):
            with redirected():
                yield
        else:
            yield
    finally:
        _CURRENT.reset(token)


def draws_globally(model: nn.Module) -> bool:
    """Whether a model may draw from torch's global generator: it has parts of the user's own, or dropout of torch's.

    >>> draws_globally(nn.Sequential(nn.Linear(2, 2))), draws_globally(nn.Sequential(nn.Dropout()))
    (False, True)
    """
    return any(
        not type(part).__module__.startswith(("sfumato.", "torch.nn.", "zuko."))
        or isinstance(part, nn.modules.dropout._DropoutNd | nn.RReLU | nn.MultiheadAttention)
        or bool(getattr(part, "dropout", 0.0) and isinstance(part, nn.RNNBase))
        for part in model.modules()
    )


class redirected(TorchFunctionMode):
    """Within this block, in this thread, what draws from torch's global generator draws from those of the call.

    It has no effect outside `seeded`. Where a function takes no generator (dropout), the state of the global one is
    exchanged for the time of that function, under a lock.

    >>> before = torch.get_rng_state()
    >>> with seeded(torch.device("cpu"), 3), redirected():
    ...     layer = nn.Linear(2, 2)
    >>> torch.equal(before, torch.get_rng_state())
    True
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call `func`, with a generator if it draws and was given none."""
        kwargs = kwargs or {}
        if func not in _DRAWING or kwargs.get("generator") is not None or _CURRENT.get() is None:
            return func(*args, **kwargs)
        device = torch.device(kwargs.get("device") or _device_of((*args, *kwargs.values())))
        generator = current(device)
        if generator is None:
            return func(*args, **kwargs)
        if func not in _TAKES_NONE:
            try:
                return func(*args, **{**kwargs, "generator": generator})
            except TypeError:
                _TAKES_NONE.add(func)
        return _exchanged(generator, func, args, kwargs)


def _exchanged(generator: torch.Generator, func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """`func` while the global generator has the state of `generator`, which takes over the state it has then."""
    default = torch.default_generator
    if generator.device.type == "cuda":
        default = torch.cuda.default_generators[generator.device.index or 0]
    elif generator.device.type == "mps":
        default = torch.mps._get_default_mps_generator()
    with _SWAP:
        before = default.get_state()
        default.set_state(generator.get_state())
        try:
            return func(*args, **kwargs)
        finally:
            generator.set_state(default.get_state())
            default.set_state(before)


def _device_of(values: tuple[Any, ...]) -> torch.device:
    return next((value.device for value in values if isinstance(value, Tensor)), torch.get_default_device())


def _named(places: Mapping[Any, str]) -> Iterator[Callable[..., Any]]:
    for place, names in places.items():
        yield from (getattr(place, name) for name in names.split() if hasattr(place, name))


_DRAWING: frozenset[Any] = frozenset(
    _named(
        {
            torch: "rand randn randint randperm rand_like randn_like randint_like normal bernoulli multinomial poisson "
            "binomial dropout dropout_ alpha_dropout alpha_dropout_ feature_dropout feature_dropout_ "
            "feature_alpha_dropout feature_alpha_dropout_ native_dropout rrelu rrelu_ _standard_gamma "
            "_sample_dirichlet lstm gru rnn_tanh rnn_relu",
            Tensor: "uniform_ normal_ bernoulli bernoulli_ multinomial cauchy_ exponential_ geometric_ log_normal_ "
            "random_",
            functional: "dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout rrelu "
            "gumbel_softmax scaled_dot_product_attention multi_head_attention_forward fractional_max_pool2d "
            "fractional_max_pool3d",
            nn.init: "uniform_ normal_ trunc_normal_ xavier_uniform_ xavier_normal_ kaiming_uniform_ kaiming_normal_ "
            "orthogonal_ sparse_",
        }
    )
)
"""What draws from torch's global generator unless it is given another."""
_TAKES_NONE: set[Any] = set()
"""Those of them that were seen to take no generator."""
