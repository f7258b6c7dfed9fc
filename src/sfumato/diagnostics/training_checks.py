"""Sicknesses of the training: too short, exploding, or won by one player."""

from __future__ import annotations

import bisect
import math
from typing import Any

import numpy as np

from sfumato.diagnostics.case import SURE, Case, spread
from sfumato.diagnostics.finding import Finding, Well
from sfumato.formatting import count, figure, percent
from sfumato.models import short_training
from sfumato.models.base import END
from sfumato.training.optim import schedules
from sfumato.training.settings import Settings, resolve, seconds, steps_per_epoch, total_steps

MIN_VALIDATIONS = 4
"""Validations that are too few to see a course in."""
LATE = 0.25
"""Of a gain that dies away exponentially, what the second half brings while a tenth is still to come."""


def exploding_steps(case: Case) -> Finding | Well | None:
    """Losses that are not finite, a model worse than untrained, or a validation that lost all that had been gained.

    Worse also on what it learned from, or it was learned by heart.
    """
    if not case.lines:
        return None
    last = int(case.lines[-1]["step"])
    broken = [int(line["step"]) for line in case.lines if any(value is None for value in line.values())]
    share = case.skipped / max(last, 1)
    lr = case.options["lr"] or 1e-3
    cure = case.first({"lr": min(lr / 10, 1e-3), "clip": 100.0})
    if broken or share > 0.01:
        happened = f"{count(case.skipped, 'step')} of {last:,} had a loss or gradient that is not finite or too long"
        if broken:
            happened = f"a loss was not finite around step {broken[0]:,}"
        return Finding(
            "exploding_steps",
            "serious",
            f"Exploding steps: {happened}, at a learning rate of {figure(lr)}.",
            {"skipped": case.skipped, "steps": last, "lr": lr},
            number="skipped",
            better="lower",
            cure=cure,
        )
    learned, error = case.learned
    if learned < -SURE * error and not case.learned_by_heart:
        return Finding(
            "exploding_steps",
            "serious",
            f"Exploding steps: training for {count(last, 'step')} at a learning rate of {figure(lr)} left the model "
            f"worse than it was before the first, by {figure(-learned)} nats per example.",
            {"learned": learned, "error": error, "steps": last, "lr": lr},
            number="learned",
            cure=cure,
        )
    numbers = {"skipped": float(case.skipped), "learned": learned, "error": error, "lost": 0.0}
    if _adversarial(case):  # the loss of each player moves with the other
        return Well("no step exploded", numbers)
    steps, lost, gained = _lost(case, "valid")
    looks = len(steps)
    _, lost_in_training, gained_in_training = (one[:looks] for one in _lost(case, "train"))
    # What is learned by heart also raises the validation loss, while the training loss falls.
    both = (lost > np.maximum(gained, _spread(case))) & (lost_in_training > gained_in_training)
    if both.any():
        worst = int(np.argmax(np.where(both, lost, -np.inf)))
        return Finding(
            "exploding_steps",
            "serious",
            f"Exploding steps: at step {int(steps[worst]):,} the validation loss was {figure(lost[worst])} nats above "
            f"its best so far, more than all that training had gained by then ({figure(gained[worst])}), at a "
            f"learning rate of {figure(lr)}.",
            {"lost": float(lost[worst]), "gained": float(gained[worst]), "step": float(steps[worst]), "lr": lr},
            number="lost",
            better="lower",
            cure=cure,
        )
    return Well("no step exploded", numbers)


def adversary_wins(case: Case) -> Finding | Well | None:
    """The discriminator's error is below what the VAE-GAN's authors let it fall to: it teaches the decoder nothing.

    The mean of the three costs −log Dis(x), −log(1 − Dis(x̃)), −log(1 − Dis(x_p)) over the last tenth of training. At
    log 2 the discriminator guesses; below 0.68 − 0.4 the authors leave it out of a step.
    """
    costs = [line.get("gan", line.get("discriminator_gan")) for line in case.lines if line["split"] == "train"]
    if not costs or any(cost is None for cost in costs):
        return None
    cost = float(np.mean(costs[-max(1, len(costs) // 10) :])) / 3
    if cost >= 0.28:
        return Well(f"the discriminator can be fooled (cost {figure(cost)})", {"cost": cost})
    return Finding(
        "adversary_wins",
        "serious",
        f"The discriminator wins: its cost is {figure(cost)} for each picture, where guessing costs "
        f"{figure(math.log(2))} and below 0.28 there is nothing for the decoder to learn from it.",
        {"cost": cost, "guessing": math.log(2)},
        number="cost",
        cure=case.first(
            case.remedy(equilibrium=True),
            case.remedy(non_saturating="non_saturating"),
            case.remedy(likeness_weight=min(4 * case.setting("likeness_weight", 0.0), 1.0)),
        ),
    )


def too_short(case: Case) -> Finding | Well | None:
    """The second half of the training, by the learning rate spent, still brought a quarter of all that it brought.

    Of what dies away exponentially, that leaves a tenth to come. The gain must also exceed two standard errors of the
    bound, or nobody could measure it. Against an adversary the bound says nothing of progress.
    """
    if not case.lines:
        return None
    if case.stop == "patience":
        return Well("training ended as validation got no better", {"late": 0.0, "steps": case.lines[-1]["step"]})
    last = int(case.lines[-1]["step"])
    settings = Settings(**case.told["training"])
    total = total_steps(settings, steps_per_epoch(len(case.subject.data.train), settings.batch_size or 1))
    if (found := _out_of_time(case, settings, last, total)) is not None:
        return found
    if _adversarial(case) and len(case.course()[0]) >= MIN_VALIDATIONS:
        return None
    examples = len(case.subject.data.train)
    short = short_training(case.name, case.spec, case.told["model"])
    usual = resolve(Settings(batch_size=settings.batch_size), examples, case.spec.shape, short=short)
    planned = total_steps(usual, steps_per_epoch(examples, usual.batch_size or 1))
    cure = case.first(_longer(case, settings))
    steps, totals = case.course()
    if len(steps) < MIN_VALIDATIONS:
        if not case.model.schedules_done(last):
            why = f"its schedules take {count(_settles(case.model), 'step')}, and it took {last:,}"
        elif last < planned / 10:
            why = f"it took {count(last, 'step')}, where the default for these data is {planned:,}"
        else:
            return None
        return Finding(
            "too_short",
            "serious",
            f"Too short a training: {why}.",
            {"steps": last, "default": planned},
            number="steps",
            cure=cure,
        )
    spent = np.cumsum([schedules.factor(settings.schedule, step, total, settings.lr_warmup) for step in range(last)])
    if case.stop == "" and last < total:  # loaded, and ended by patience, time or a hand: nobody knows which
        return None
    half = int(np.searchsorted(spent, spent[-1] / 2))
    middle = float(np.interp(half, steps, totals))
    best = float(np.nanmin(totals))
    late, gained = middle - best, case.course(whole=True)[1][0] - best
    noise = _spread(case) / math.sqrt(len(case.held_out))
    if late < LATE * gained or late < 2 * noise:
        return Well(_ended(case, settings, last, total), {"late": late, "error": noise, "steps": last})
    share = late / gained if gained > late else 1.0
    return Finding(
        "too_short",
        "minor",
        f"Too short a training: the second half still brought {figure(late)} nats, {percent(share)} of all that "
        f"{count(last, 'step')} brought.",
        {"late": late, "error": noise, "gained": gained, "steps": last, "default": planned},
        number="late",
        better="lower",
        cure=cure,
    )


def _out_of_time(case: Case, settings: Settings, last: int, total: int) -> Finding | None:
    """Less than half of what was planned was done when the time was up: the learning rate never came down."""
    allowed, taken = seconds(settings.max_time), float(case.lines[-1]["seconds"])
    if case.stop not in ("", "max_time") or last >= total / 2 or taken < 0.9 * allowed:
        return None
    wanted = f"{math.ceil(1.2 * taken * total / max(last, 1))}s"
    return Finding(
        "too_short",
        "serious",
        f"Too short a training: its time was up after {last:,} of the {total:,} steps planned.",
        {"steps": last, "planned": total},
        number="steps",
        cure=case.first({"max_time": wanted}),
    )


def _ended(case: Case, settings: Settings, last: int, total: int) -> str:
    """What ended a training after which little was to come."""
    if last >= total:
        return "training ran its course"
    timely = float(case.lines[-1]["seconds"]) >= 0.9 * seconds(settings.max_time)
    why = "its time was up" if case.stop == "max_time" or timely else "it was stopped"
    return f"{why} after {last:,} of {total:,} steps, when little was still to come"


def _settles(model: Any) -> int:
    """The first step at which all schedules have run their course."""
    late = 1
    while late < END and not model.schedules_done(late):
        late *= 2
    return bisect.bisect_left(range(late), True, key=model.schedules_done)


def _adversarial(case: Case) -> bool:
    return any("gan" in line or "discriminator_gan" in line for line in case.lines)


def _lost(case: Case, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps of the looks, by how much the loss stood above its best so far, and how much it had gained until then."""
    steps, totals = case.course(split)
    best = np.minimum.accumulate(totals)
    return steps, totals - best, totals[:1] - best


def _longer(case: Case, settings: Settings) -> dict[str, int]:
    """Three times as long."""
    found = {}
    if settings.epochs is not None:
        found["epochs"] = 3 * settings.epochs
    if settings.steps is not None:
        found["steps"] = max(3 * settings.steps, 1000)
    return found


def _spread(case: Case) -> float:
    """Standard deviation of the bound over held-out examples."""
    return spread(case.parts.sum(1))
