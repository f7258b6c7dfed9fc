"""Which sampler of codes a model's samples are drawn by: the one that a classifier tells from codes the least."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sfumato import training
from sfumato.data.core.dataset import Dataset
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.evaluation.metrics.classifiers import two_sample_auc
from sfumato.generators import redirected, seeded
from sfumato.latents.codes import Codes, relative
from sfumato.latents.flow_matching import FlowMatching
from sfumato.latents.samplers import NAMES, Name, Sampler, fit_mixture, fit_spline_flow
from sfumato.latents.second_stage import SecondStage, Verdict
from sfumato.models.base import Model
from sfumato.models.protocols import LatentSpace, require
from sfumato.spec import Field
from sfumato.training import Callback, Settings

SAMPLER_CANDIDATES: tuple[Name, ...] = ("prior", "mixture", "flow-matching")
"""What is chosen among, the simplest first."""
MIN_JUDGED = 100
"""Held-out codes that a choice is made by, at least."""
MAX_JUDGED = 3000
"""Held-out codes that a choice is made by, at most."""
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
    """Fit one candidate after the other, the simplest first, and take the one told from held-out codes the least.

    Each is judged by a classifier two-sample test (Lopez-Paz and Oquab 2017) between the codes of the validation split
    and as many draws under the same conditions, with the conditions beside both. A candidate that is told apart by no
    more than two standard errors ends the search, as none could be better by more than chance. Otherwise the simplest
    within two standard errors of the best is taken.

    Raises:
        SfumatoError: if the codes are no points of a continuous space.
    """
    if len(data.valid) < MIN_JUDGED:
        few = f"as {len(data.valid)} validation rows are too few to choose another by (at least {MIN_JUDGED})"
        return SecondStage(chosen="prior", reason=few)
    train, valid = _codes(model, data, fit.seed)
    stage, verdicts = SecondStage(), list[Verdict]()
    for name in SAMPLER_CANDIDATES:
        if name == "mixture" and train.code_size > MAX_MIXTURE_CODE_SIZE:
            continue
        begun = time.perf_counter()
        if name != "prior":
            if fit.left <= 0:
                break
            stage.samplers[name] = _fitted(name, model, train, valid, data.schema.spec.given, fit)
        seconds = time.perf_counter() - begun
        verdicts.append(_judged(name, model, stage.sampler(name), valid, fit.seed, seconds))
        if _is_chance(verdicts[-1].auc - 0.5, verdicts[-1].error):
            break
    best = min(verdicts, key=lambda verdict: verdict.auc)
    taken = next(each for each in verdicts if _is_chance(each.auc - best.auc, math.hypot(each.error, best.error)))
    stage.verdicts, stage.chosen = tuple(verdicts), taken.name
    if _is_chance(taken.auc - 0.5, taken.error):
        stage.reason = "whose codes cannot be told from those of held-out examples"
    elif taken is best:
        stage.reason = "whose codes are told the least from those of held-out examples"
        if len(verdicts) < len(SAMPLER_CANDIDATES) and fit.left <= 0:
            stage.reason += ", of what there was time to fit"
    else:
        stage.reason = f"the simplest, as {best.name} is no better by more than chance"
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
    device = next(model.parameters()).device
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


def _judged(
    name: Name, model: Model, sampler: Sampler | None, held: Codes | None, seed: int, seconds: float
) -> Verdict:
    """A classifier between held-out codes and as many draws under the same conditions."""
    assert held is not None, "there are codes to judge by"
    space, like = require(model, LatentSpace, "fit a sampler to its codes"), next(model.parameters())
    # With the noise that the sampler starts from, draws of latents that carry nothing would be rows of the other set.
    batch = held.draw(seed + 1)
    chosen = torch.randperm(len(held), generator=torch.Generator().manual_seed(seed))[:MAX_JUDGED]
    given = None if batch.given is None else batch.given[chosen]
    with seeded(like.device, seed, model), torch.no_grad():
        c = None if given is None else given.to(like)
        if sampler is None:
            prior = space.prior(len(chosen), c)
            draws = relative(prior, prior.sample())
        else:
            draws = sampler.sample(len(chosen), c)
    beside = [] if given is None else [given.numpy()]
    real, drawn = (np.concatenate([z.cpu().double().numpy(), *beside], 1) for z in (batch.x[chosen], draws))
    test = two_sample_auc(real, drawn, seed=seed)
    return Verdict(name, test.value, test.error, round(seconds, 1))


def _is_chance(difference: float, error: float) -> bool:
    return difference <= TIE_ERRORS * error
