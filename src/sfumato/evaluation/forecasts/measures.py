"""Forecasts of held-out sequences: each is cut, what came before the cut is shown, what came after is compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.data.sequences.schema import SequenceSchema
from sfumato.evaluation.forecasts.baselines import Reference, references
from sfumato.evaluation.measure import Measure, mean_and_error
from sfumato.evaluation.settings import EvaluationSettings
from sfumato.evaluation.subject import Subject, array, rows, some
from sfumato.models.protocols import Forecasts, require

FAMILY_NAME = "forecasts"
MAX_FORECAST_SEQUENCES = 1000
"""Sequences that are forecast, at most."""
FUTURES = 99
"""Futures of each sequence: with 99, the 5th and the 95th smallest enclose 90% of a known distribution exactly."""
FORECASTS_AT_A_TIME = 10_000
CHANNEL_UNIT = "standard deviations of a channel"


def measures(subject: Subject, how: EvaluationSettings) -> list[Measure]:
    """CRPS, energy score, coverage of intervals, error by horizon; none where the model makes no forecasts.

    Each sequence is cut in the middle, windows of long series where their horizon begins. Values are in standard
    deviations of their channel over the training split, and what is missing is left out. The reference is the best of
    those of `forecasts.baselines`: the last value seen, the season before, and a linear regression on what was seen.
    """
    if how.quick or not isinstance(subject.model, Forecasts) or subject.schema.spec.shape[0] < 2:
        return []
    forecast = futures(subject, how)
    return forecast_measures(forecast) if len(forecast.came) else []


@dataclass(frozen=True)
class Futures:
    """What was forecast and what came, of N sequences at H steps after the cut.

    Attributes:
        draws: of each step by itself, (N, n, H, D).
        paths: whole futures, (N, n, H, D).
        came: (N, H, D), NaN where missing.
        references: what the forecasts are held against, the last value seen first.
    """

    draws: np.ndarray
    paths: np.ndarray
    came: np.ndarray
    references: list[Reference]


def futures(subject: Subject, how: EvaluationSettings) -> Futures:
    """Forecasts of the second half of each sequence from its first half; of those that have a second half."""
    forecast = require(subject.model, Forecasts, "forecast").forecast
    batch = rows(subject.batch, some(len(subject), MAX_FORECAST_SEQUENCES, how.seed).numpy())
    steps = batch.x.shape[1]
    cut = subject.schema.seen if isinstance(subject.schema, SequenceSchema) else (steps + 1) // 2
    mask = torch.ones_like(batch.x, dtype=torch.bool) if batch.mask is None else batch.mask
    past = Batch(batch.x[:, :cut], batch.given, mask[:, :cut], None if batch.time is None else batch.time[:, :cut])
    draws = torch.empty(2, len(batch), FUTURES, steps - cut, batch.x.shape[2])
    jumps, kinds = torch.unique(_jumps(batch, mask, cut), dim=0, return_inverse=True)
    for kind, jump in enumerate(jumps):
        mine = (kinds == kind).nonzero().squeeze(1)
        for part in mine.split(max(FORECASTS_AT_A_TIME // FUTURES, 1)):
            for place, chained in enumerate((False, True)):
                futures = forecast(rows(past, array(part)), jump.tolist(), FUTURES, chained=chained)
                draws[place, part.cpu()] = futures.cpu().float()
    came = batch.x[:, cut:].float().masked_fill(~mask[:, cut:], torch.nan)
    known = array(mask[:, cut:].flatten(1).any(1))
    before = batch.x[:, :cut].float()
    last = _last(before, mask[:, :cut])
    seen = array(before.masked_fill(~mask[:, :cut], torch.nan))[known]
    # A regression knows nothing of uneven times: it is for sequences whose steps all lie alike.
    even = batch.time is None or bool((batch.time.diff(dim=1) == batch.time[:1].diff(dim=1)).all())
    train = subject.data.train if subject.data is not None and even else None
    against = references(seen, steps - cut, array(last)[known], train)
    by_step, paths = array(draws)[:, known]
    return Futures(by_step, paths, array(came)[known], against)


def _jumps(batch: Batch, mask: Tensor, cut: int) -> Tensor:
    """The time from the last step seen before the cut to the first one after it, and between those after it, (N, H)."""
    n, steps = mask.shape[:2]
    time = torch.arange(steps, device=mask.device).expand(n, -1).float() if batch.time is None else batch.time
    seen = mask[:, :cut].flatten(2).any(2)
    at = (torch.arange(1, cut + 1, device=mask.device) * seen).amax(1)
    before = torch.cat([time[:, :1] - 1, time[:, :cut]], 1).gather(1, at[:, None])
    return torch.cat([before, time[:, cut:]], 1).diff(dim=1)


def _last(x: Tensor, mask: Tensor) -> Tensor:
    """The last value seen of each channel, (N, 1, D); 0 where there is none."""
    places = (torch.arange(1, x.shape[1] + 1, device=x.device)[:, None] * mask).amax(1, keepdim=True)
    return torch.cat([torch.zeros_like(x[:, :1]), x], 1).gather(1, places)


def forecast_measures(futures: Futures) -> list[Measure]:
    """The measures of these futures."""
    draws, came = futures.draws, futures.came
    middle = np.abs(came - np.median(draws, 1))
    squares = (came - draws.mean(1)) ** 2
    scores = crps(draws, came)
    rmse = mean_and_error(per_sequence(squares))
    root = float(np.sqrt(rmse["value"]))
    stays = futures.references[0]
    return [
        Measure(
            "CRPS",
            **mean_and_error(per_sequence(scores)),
            unit=CHANNEL_UNIT,
            meaning="Distance of the forecast distribution from the observed values; for a single draw, its absolute "
            "error.",
            family=FAMILY_NAME,
            **_best(futures, lambda reference: float(per_sequence(reference.crps(came)).mean())),
            better="lower",
            parts=by_horizon(scores),
        ),
        Measure(
            "energy score",
            **mean_and_error(energy_score(futures.paths, came)),
            unit=CHANNEL_UNIT,
            meaning="The same for whole sequences, so that the dependence between steps and channels counts too.",
            family=FAMILY_NAME,
            reference=float(np.sqrt(np.nansum((came - stays.mean) ** 2, (1, 2))).mean()),
            reference_is=stays.name,
            better="lower",
        ),
        Measure(
            "mean absolute error",
            **mean_and_error(per_sequence(middle)),
            unit=CHANNEL_UNIT,
            meaning="The error of the median forecast.",
            family=FAMILY_NAME,
            **_best(futures, lambda reference: float(per_sequence(np.abs(came - reference.mean)).mean())),
            better="lower",
            parts=by_horizon(middle),
        ),
        Measure(
            "root mean squared error",
            root,
            CHANNEL_UNIT,
            "The error of the mean forecast; large errors count more.",
            FAMILY_NAME,
            error=None if rmse["error"] is None or not root else rmse["error"] / (2 * root),
            **_best(futures, lambda reference: float(np.sqrt(per_sequence((came - reference.mean) ** 2).mean()))),
            better="lower",
            parts={name: float(np.sqrt(value)) for name, value in by_horizon(squares).items()},
        ),
        *(_coverage(draws, came, share) for share in (0.5, 0.9)),
    ]


class Against(TypedDict):
    """The fields of a `Measure` that say what is known of a simpler forecast."""

    reference: float
    reference_is: str


def _best(futures: Futures, score: Callable[[Reference], float]) -> Against:
    """The score of the best reference, and behind its name what the others have."""
    scores = {reference.name: score(reference) for reference in futures.references}
    best, *others = sorted(scores, key=lambda name: scores[name])
    beside = "".join(f"; {name} {scores[name]:.3g}" for name in others)
    return Against(reference=scores[best], reference_is=best + beside)


def _coverage(draws: np.ndarray, came: np.ndarray, share: float) -> Measure:
    inside = covered(draws, came, share)
    return Measure(
        f"coverage of {share:.0%} intervals",
        **mean_and_error(per_sequence(inside)),
        unit="",
        meaning=f"Share of observed values in the central {share:.0%} interval of the forecasts; lower means "
        "overconfident.",
        family=FAMILY_NAME,
        reference=share,
        reference_is="well calibrated",
        parts=by_horizon(inside),
    )


def crps(draws: np.ndarray, came: np.ndarray) -> np.ndarray:
    """The continuous ranked probability score of n draws, fair to n: unbiased for that of their distribution.

        CRPS = 1/n Σ_i |x_i − y| − 1/(2n(n − 1)) Σ_ij |x_i − x_j|,    Σ_ij |x_i − x_j| = 2 Σ_i (2i − n − 1) x_(i)

    Of a single draw, its absolute error. Gneiting and Raftery 2007, Strictly proper scoring rules; Ferro 2014, Fair
    scores for ensemble forecasts.

    Args:
        draws: draws, (N, n, …).
        came: what came, (N, …).

    >>> crps(np.array([[0.0, 2.0]]), np.array([1.0]))
    array([0.])
    """
    n = draws.shape[1]
    ranks = (2 * np.arange(1, n + 1) - n - 1).reshape(-1, *[1] * (came.ndim - 1)) / max(n * (n - 1), 1)
    away = np.abs(draws - came[:, None]).mean(1)
    apart = (np.sort(draws, 1) * ranks).sum(1)
    return np.asarray(away - apart)


def energy_score(draws: np.ndarray, came: np.ndarray) -> np.ndarray:
    """1/n Σ_i ‖x_i − y‖ − 1/(2n(n − 1)) Σ_ij ‖x_i − x_j‖, over all steps and channels together; fair to n, (N,).

    Entries that are missing in y are left out of the norms. Gneiting and Raftery 2007, section 4.3.

    >>> energy_score(np.array([[[[0.0]], [[2.0]]]]), np.array([[[1.0]]]))
    array([0.])
    """
    n = draws.shape[1]
    known = ~np.isnan(came)
    x = torch.from_numpy(np.where(known[:, None], draws, 0.0)).double().flatten(2)
    y = torch.from_numpy(np.where(known, came, 0.0)).double().flatten(1)
    away = (x - y[:, None]).norm(dim=2).mean(1)
    # A product of matrices would be faster, and lose the small distances of draws that are close together.
    apart = torch.cat([torch.stack([torch.pdist(draw).sum() for draw in part]) for part in x.split(100)])
    return array(away - apart / max(n * (n - 1), 1))


def covered(draws: np.ndarray, came: np.ndarray, share: float) -> np.ndarray:
    """1 where y lies in the middle `share` of the draws, 0 where not, NaN where it is missing; (N, …).

    Between the i-th and the j-th smallest of n draws lies a further one with probability (j − i)/(n + 1).
    """
    n = draws.shape[1]
    first = max(round((1 - share) / 2 * (n + 1)), 1)
    ordered = np.sort(draws, 1)
    inside = (came >= ordered[:, first - 1]) & (came <= ordered[:, n - first])
    return np.where(np.isnan(came), np.nan, inside)


def per_sequence(values: np.ndarray) -> np.ndarray:
    """Means over what was observed of each sequence, (N, H, D) to (N,)."""
    return np.asarray(np.nanmean(values, (1, 2)))


def by_horizon(values: np.ndarray) -> dict[str, float]:
    """Means at 1, 2, 4, … steps after the cut, of (N, H, D)."""
    steps = [2**power for power in range(values.shape[1].bit_length()) if 2**power <= values.shape[1]]
    observed = [step for step in steps if not np.isnan(values[:, step - 1]).all()]
    return {f"step {step}": float(np.nanmean(values[:, step - 1])) for step in observed}
