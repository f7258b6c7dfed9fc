"""Which sampler of codes a model's samples are drawn by: the one under which held-out codes are the likeliest."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sfumato import training
from sfumato.data.core.dataset import Dataset
from sfumato.distributions import Normal, StandardNormal
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.latents.codes import Codes
from sfumato.latents.flow_matching import FlowMatching
from sfumato.latents.samplers import (
    NAMES,
    ActiveLatents,
    Name,
    Sampler,
    fit_mixture,
    fit_spline_flow,
    is_flow_matching,
)
from sfumato.latents.second_stage import SecondStage, Verdict
from sfumato.models.base import Model
from sfumato.models.protocols import LatentSpace, require
from sfumato.randomness.generators import redirected, seeded
from sfumato.spec import Field
from sfumato.training import Callback, Settings

SAMPLER_CANDIDATES: tuple[Name, ...] = ("prior", "mixture", "flow-matching")
"""What is chosen among, the simplest first."""
MIN_JUDGED = 100
"""Held-out codes that a choice is made by, at least."""
MAX_JUDGED, MAX_JUDGED_BY_FLOW = 3000, 500
"""Held-out codes that a choice is made by, at most, and of a flow, whose density takes many passes."""
MAX_CODE_SIZE = 512
"""Numbers of a code, at most, for samplers to be fitted to them."""
MAX_MIXTURE_CODE_SIZE = 128
"""Numbers of a code, at most, for a mixture with full covariances."""
FLOW_STEPS, FLOW_BATCH = 5000, 256
"""Steps of a flow's training, at most, and codes in each."""
TIE_ERRORS = 2.0
"""Standard errors within which two values are as good as the same."""


@dataclass
class SamplerFit:
    """How a second stage is fitted.

    Attributes:
        seed: of every draw and choice.
        seconds: what it may take in all.
        folder: where the training of a flow leaves checkpoints, from which it is resumed; None keeps none.
        callbacks, progress: of that training.
    """

    seed: int = 0
    seconds: float = math.inf
    folder: Path | None = None
    callbacks: Sequence[Callback] = ()
    progress: bool = False
    begun: float = field(default_factory=time.perf_counter)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.seconds - (time.perf_counter() - self.begun)


class FittingInterrupted(Exception):
    """The training of a flow was stopped; its checkpoints are there."""


def fit_sampler(name: str, model: Model, data: Dataset, fit: SamplerFit, *, components: int | None = None) -> nn.Module:
    """The sampler called `name`, fitted to the codes of the training split.

    Args:
        name: "mixture" (of normals with full covariances), "flow" (a neural spline flow) or "flow-matching".
        model: the first stage.
        data: what it was trained on; the validation split says when to stop.
        fit: how.
        components: of the mixture, where validation is not to choose them.

    Raises:
        SfumatoError: if the name is unknown, the codes are no points of a space, or there are too few examples.
    """
    if name not in NAMES[1:]:
        raise SfumatoError(f"no sampler is called {name!r}: {did_you_mean(name, NAMES)}")
    train, valid = _codes(model, data, fit.seed)
    return _fitted(name, model, train, valid, data.schema.spec.given, fit, components)


def choose(model: Model, data: Dataset, fit: SamplerFit) -> SecondStage:
    """Fit one candidate after the other, the simplest first, and take the one under which held-out codes are likeliest.

    Each is judged by the nats by which codes of the validation split are likelier under it than under the prior, in
    the mean; by as much the bound on log p(x) rises with it in the prior's place. If a mixture gains nothing, no other
    is tried. The simplest that is less than two standard errors behind the best is taken.

    A classifier that tells draws from codes (Lopez-Paz and Oquab 2017) would compare what samples are, but sees far
    less in as few codes: on alarm.csv, where a mixture gains 0.2 nats, it hardly told the prior's draws from 1,500.

    Raises:
        SfumatoError: if the codes are no points of a continuous space.
    """
    if len(data.valid) < MIN_JUDGED:
        few = f"as {len(data.valid)} validation rows are too few to choose another by (at least {MIN_JUDGED})"
        return SecondStage(chosen="prior", reason=few)
    train, valid = _codes(model, data, fit.seed)
    assert valid is not None, "there are codes to judge by"
    if valid.has_atoms:
        exact = "as codes are exactly 0 for many examples, which no other sampler draws"
        return SecondStage(chosen="prior", reason=exact)
    if not len(train.active()):
        return SecondStage(chosen="prior", reason="as no latent carries anything")
    judged = _judged_codes(model, valid, fit.seed)
    stage, gains = SecondStage(), dict[Name, Tensor]()
    verdicts = list[Verdict]()
    for name in SAMPLER_CANDIDATES:
        if name == "mixture" and train.code_size > MAX_MIXTURE_CODE_SIZE:
            continue
        begun = time.perf_counter()
        if name != "prior":
            if fit.left <= 0:
                break
            stage.samplers[name] = _fitted(name, model, train, valid, data.schema.spec.given, fit)
        seconds = time.perf_counter() - begun
        gains[name] = _gains(stage.sampler(name), judged, model, fit.seed)
        verdicts.append(Verdict(name, *_mean_and_error(gains[name]), round(seconds, 1)))
        if name == "mixture" and not _is_more(gains[name]):
            break
    best = max(verdicts, key=lambda verdict: verdict.gain).name
    taken = next(name for name in gains if not _is_more(_difference(gains[best], gains[name])))
    stage.verdicts, stage.chosen = tuple(verdicts), taken
    if taken != best:
        stage.reason = f"the simplest, as {best} is no better by more than chance"
    elif taken == "prior":
        stage.reason = "under which held-out codes are as likely as under any other"
    else:
        stage.reason = "under which held-out codes are the likeliest"
    if fit.left <= 0 and len(verdicts) < len(SAMPLER_CANDIDATES):
        stage.reason += ", of what there was time to fit"
    return stage


def unsuited(model: Model) -> str | None:
    """Why nothing but the model's own prior can draw its codes; None if others can."""
    if not isinstance(model, LatentSpace):
        return "the only one of this model, whose codes are no points of a continuous space with a prior over it"
    if model.code_size > MAX_CODE_SIZE:
        return f"as codes of {model.code_size:,} numbers are too long for another sampler (at most {MAX_CODE_SIZE})"
    return None


def _codes(model: Model, data: Dataset, seed: int) -> tuple[Codes, Codes | None]:
    """The codes of the training and of the validation split."""
    train = Codes.of(model, data.train, seed=seed)
    return train, Codes.of(model, data.valid, seed=seed) if len(data.valid) else None


def _fitted(
    name: str,
    model: Model,
    train: Codes,
    valid: Codes | None,
    given: Sequence[Field],
    fit: SamplerFit,
    components: int | None = None,
) -> nn.Module:
    device, active = next(model.parameters()).device, train.active()
    if 0 < len(active) < train.code_size:
        only = train.only(active), valid and valid.only(active)
        inner = _fitted(name, model, *only, given, fit, components)
        return ActiveLatents(inner, active, train.code_size).to(device)
    if name == "mixture":
        return fit_mixture(train, valid, components, seed=fit.seed, seconds=fit.left).to(device)
    if name == "flow":
        return fit_spline_flow(train, seed=fit.seed).to(device)
    return _flow_matching(train, valid, given, fit, device)


def _flow_matching(
    train: Codes, valid: Codes | None, given: Sequence[Field], fit: SamplerFit, device: torch.device
) -> FlowMatching:
    """Trained on fresh draws of the codes, until validation finds it no better or its time is up."""
    with seeded(torch.device("cpu"), fit.seed), redirected():
        flow = FlowMatching(train.code_size, given if train.given is not None else ())
    flow.standardise(train.draw(fit.seed).x)
    # Without an annealed rate a training may end at any step: it is averaged instead.
    settings = Settings(
        steps=FLOW_STEPS,
        batch_size=FLOW_BATCH,
        lr=4e-3,
        schedule="constant",
        lr_warmup=100,
        ema=0.999,
        validate_every=100,
        patience=8,
        max_time=None if math.isinf(fit.seconds) else max(fit.left, 0.1),
        seed=fit.seed,
        device=device.type,
    )
    history = training.fit(
        flow,
        train,
        valid,
        settings=settings,
        folder=fit.folder,
        resume=fit.folder is not None,
        callbacks=fit.callbacks,
        progress=fit.progress,
    )
    if history.stop == "interrupted":
        raise FittingInterrupted
    return flow.requires_grad_(False)


class _JudgedCodes(NamedTuple):
    """Held-out codes (n, L) in the coordinates of samplers, their conditions, and log p of each under the prior."""

    codes: Tensor
    given: Tensor | None
    log_prior: Tensor


def _judged_codes(model: Model, held: Codes, seed: int) -> _JudgedCodes:
    """A draw of each of at most `MAX_JUDGED` held-out codes, with noise that no sampler was fitted with."""
    space, like = require(model, LatentSpace, "fit a sampler to its codes"), next(model.parameters())
    batch = held.draw(seed + 1)
    chosen = torch.randperm(len(held), generator=torch.Generator().manual_seed(seed))[:MAX_JUDGED]
    codes, given = batch.x[chosen].to(like), None if batch.given is None else batch.given[chosen].to(like)
    with seeded(like.device, seed, model), torch.no_grad():
        prior = space.prior(len(codes), given)
        # In the coordinates of samplers a normal prior is the standard normal.
        own = StandardNormal(len(codes), held.code_size, codes) if isinstance(prior, Normal) else prior
        return _JudgedCodes(codes, given, own.log_prob(codes))


def _gains(sampler: Sampler | None, judged: _JudgedCodes, model: Model, seed: int) -> Tensor:
    """log p_s(z | c) − log p(z | c) of each code, in nats; of the first few where the density takes long."""
    if sampler is None:
        return torch.zeros(len(judged.codes), dtype=torch.double)
    n = MAX_JUDGED_BY_FLOW if is_flow_matching(sampler) else MAX_JUDGED
    codes, given = judged.codes[:n], None if judged.given is None else judged.given[:n]
    with seeded(codes.device, seed, model), torch.no_grad():
        return (sampler.log_prob(codes, given) - judged.log_prior[:n]).cpu().double()


def _difference(gains: Tensor, others: Tensor) -> Tensor:
    """Of the codes that both have."""
    n = min(len(gains), len(others))
    return gains[:n] - others[:n]


def _mean_and_error(gains: Tensor) -> tuple[float, float]:
    return float(gains.mean()), float(gains.std()) / math.sqrt(len(gains))


def _is_more(gains: Tensor) -> bool:
    """Whether the mean is above 0 by more than chance."""
    mean, error = _mean_and_error(gains)
    return mean > TIE_ERRORS * error
