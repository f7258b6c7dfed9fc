"""Checks of the training: too short, exploding, or won by the discriminator."""

from __future__ import annotations

import bisect
import math
from typing import Any

import numpy as np

from sfumato.diagnostics.case import SURE, Case, spread
from sfumato.diagnostics.finding import Finding, Passed
from sfumato.formatting import count, figure, percent
from sfumato.models import memorised_cells
from sfumato.models.base import END
from sfumato.training.optim import schedules
from sfumato.training.settings import Settings, resolve, seconds, steps_per_epoch, total_steps

MIN_VALIDATIONS = 4
"""With fewer validations there is no curve to judge."""
LATE = 0.25
"""The share that the second half contributes to an exponentially decaying gain of which a tenth is still to come."""


def exploding_steps(case: Case) -> Finding | Passed | None:
    """Losses that are not finite, a model worse than untrained, or a validation that lost all that had been gained.

    Worse on training examples too; otherwise the model memorised them.
    """
    if not case.lines:
        return None
    last = int(case.lines[-1]["step"])
    broken = [int(line["step"]) for line in case.lines if any(value is None for value in line.values())]
    share = case.skipped / max(last, 1)
    lr = case.options["lr"] or 1e-3
    cure = case.first({"lr": min(lr / 10, 1e-3), "clip": 100.0})
    if broken or share > 0.01:
        happened = f"{count(case.skipped, 'step')} of {last:,} had a loss or gradient that was not finite or too large"
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
    if learned < -SURE * error and not case.improved_on_training:
        return Finding(
            "exploding_steps",
            "serious",
            f"Exploding steps: after {count(last, 'step')} at a learning rate of {figure(lr)} the model is worse than "
            f"an untrained one, by {figure(-learned)} nats per example.",
            {"learned": learned, "error": error, "steps": last, "lr": lr},
            number="learned",
            cure=cure,
        )
    numbers = {"skipped": float(case.skipped), "learned": learned, "error": error, "lost": 0.0}
    if _adversarial(case):  # The loss of each player depends on the other.
        return Passed("no exploding steps", numbers)
    steps, lost, gained = _above_best(case, "valid")
    looks = len(steps)
    _, lost_in_training, gained_in_training = (values[:looks] for values in _above_best(case, "train"))
    # Memorising also raises the validation loss, but the training loss falls.
    both = (lost > np.maximum(gained, _spread(case))) & (lost_in_training > gained_in_training)
    if both.any():
        worst = int(np.argmax(np.where(both, lost, -np.inf)))
        return Finding(
            "exploding_steps",
            "serious",
            f"Exploding steps: at step {int(steps[worst]):,} the validation loss was {figure(lost[worst])} nats above "
            f"its best so far, more than training had gained by then ({figure(gained[worst])}), at a learning rate of "
            f"{figure(lr)}.",
            {"lost": float(lost[worst]), "gained": float(gained[worst]), "step": float(steps[worst]), "lr": lr},
            number="lost",
            better="lower",
            cure=cure,
        )
    return Passed("no exploding steps", numbers)


def adversary_wins(case: Case) -> Finding | Passed | None:
    """The discriminator's loss is below the limit of the VAE-GAN's authors: the decoder learns nothing from it.

    The mean of the three losses −log Dis(x), −log(1 − Dis(x̃)), −log(1 − Dis(x_p)) over the last tenth of training. At
    log 2 the discriminator guesses; below 0.68 − 0.4 the authors skip its step.
    """
    costs = [line.get("gan", line.get("discriminator_gan")) for line in case.lines if line["split"] == "train"]
    if not costs or any(cost is None for cost in costs):
        return None
    cost = float(np.mean(costs[-max(1, len(costs) // 10) :])) / 3
    if cost >= 0.28:
        return Passed(f"the discriminator can be fooled (loss {figure(cost)})", {"cost": cost})
    return Finding(
        "adversary_wins",
        "serious",
        f"The discriminator wins: its loss is {figure(cost)} per image. Guessing gives {figure(math.log(2))}; below "
        "0.28 the decoder learns nothing from it.",
        {"cost": cost, "guessing": math.log(2)},
        number="cost",
        cure=case.first(
            case.remedy(equilibrium=True),
            case.remedy(non_saturating="non_saturating"),
            case.remedy(likeness_weight=min(4 * case.setting("likeness_weight", 0.0), 1.0)),
        ),
    )


def too_short(case: Case) -> Finding | Passed | None:
    """The second half of the training, by learning rate spent, still contributed a quarter of the whole gain.

    If the gain decays exponentially, a tenth is still to come. Of a training of the default length it takes half: the
    rate of a one-cycle schedule, which that length is made for, is high until late, and so is the loss. The gain must
    also exceed two standard errors of the bound, or it could not be measured. In adversarial training the bound does
    not measure progress.
    """
    if not case.lines:
        return None
    if case.stop == "patience":
        return Passed(
            "training stopped when validation no longer improved", {"late": 0.0, "steps": case.lines[-1]["step"]}
        )
    last = int(case.lines[-1]["step"])
    settings = Settings(**case.config["training"])
    total = total_steps(settings, steps_per_epoch(len(case.subject.data.train), settings.batch_size or 1))
    if (out_of_time := _out_of_time(case, settings, last, total)) is not None:
        return out_of_time
    if _adversarial(case) and len(case.loss_curve()[0]) >= MIN_VALIDATIONS:
        return None
    examples = len(case.subject.data.train)
    cells = memorised_cells(case.name, case.spec, case.config["model"])
    as_default = Settings(batch_size=settings.batch_size, epsilon=settings.epsilon, delta=settings.delta)
    usual = resolve(as_default, examples, case.spec.shape, cells=cells)
    planned = total_steps(usual, steps_per_epoch(examples, usual.batch_size or 1))
    steps, totals = case.loss_curve()
    if len(steps) < MIN_VALIDATIONS:
        if not case.model.schedules_done(last):
            needed = _end_of_schedules(case.model)
            why = f"its schedules take {count(needed, 'step')}, and it took {last:,}"
        elif last < planned / 10:
            needed = planned
            why = f"it took {count(last, 'step')}, and the default for these data is {planned:,}"
        else:
            return None
        return Finding(
            "too_short",
            "serious",
            f"Training was too short: {why}.",
            {"steps": last, "default": planned},
            number="steps",
            cure=case.first(_longer(case, settings, needed)),
        )
    spent = np.cumsum([schedules.factor(settings.schedule, step, total, settings.lr_warmup) for step in range(last)])
    if (
        case.stop == "" and last < total
    ):  # Loaded, and stopped by patience, time or the user: the reason is not recorded.
        return None
    half = int(np.searchsorted(spent, spent[-1] / 2))
    middle = float(np.interp(half, steps, totals))
    best = float(np.nanmin(totals))
    late, gained = middle - best, case.loss_curve(whole=True)[1][0] - best
    noise = _spread(case) / math.sqrt(len(case.held_out))
    bar = LATE if last < planned else 2 * LATE
    if late < bar * gained or late < 2 * noise:
        return Passed(_ended(case, settings, last, total), {"late": late, "error": noise, "steps": last})
    share = late / gained if gained > late else 1.0
    return Finding(
        "too_short",
        "minor",
        f"Training was too short: its second half still gained {figure(late)} nats, {percent(share)} of the gain of "
        f"all {count(last, 'step')}.",
        {"late": late, "error": noise, "gained": gained, "steps": last, "default": planned},
        number="late",
        better="lower",
        cure=case.first(_longer(case, settings)),
    )


def _out_of_time(case: Case, settings: Settings, last: int, total: int) -> Finding | None:
    """The time limit was reached before half of the planned steps: the learning rate never decayed."""
    allowed, taken = seconds(settings.max_time), float(case.lines[-1]["seconds"])
    if case.stop not in ("", "max_time") or last >= total / 2 or taken < 0.9 * allowed:
        return None
    wanted = f"{math.ceil(1.2 * taken * total / max(last, 1))}s"
    return Finding(
        "too_short",
        "serious",
        f"Training was too short: it reached max_time after {last:,} of {total:,} planned steps.",
        {"steps": last, "planned": total},
        number="steps",
        cure=case.first({"max_time": wanted}),
    )


def _ended(case: Case, settings: Settings, last: int, total: int) -> str:
    """Why a training ended that had little left to gain."""
    if last >= total:
        return "training ran to its end"
    timely = float(case.lines[-1]["seconds"]) >= 0.9 * seconds(settings.max_time)
    why = "training reached max_time" if case.stop == "max_time" or timely else "training was stopped"
    return f"{why} after {last:,} of {total:,} steps, with little left to gain"


def _end_of_schedules(model: Any) -> int:
    """The first step at which all schedules have ended."""
    late = 1
    while late < END and not model.schedules_done(late):
        late *= 2
    return bisect.bisect_left(range(late), True, key=model.schedules_done)


def _adversarial(case: Case) -> bool:
    return any("gan" in line or "discriminator_gan" in line for line in case.lines)


def _above_best(case: Case, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps of the validations, the loss above its best so far, and the gain until then."""
    steps, totals = case.loss_curve(split)
    best = np.minimum.accumulate(totals)
    return steps, totals - best, totals[:1] - best


def _longer(case: Case, settings: Settings, needed: int = 0) -> dict[str, int]:
    """Options for a training three times as long, and of at least `needed` steps."""
    longer = {}
    if settings.epochs is not None:
        per_epoch = steps_per_epoch(len(case.subject.data.train), settings.batch_size or 1)
        longer["epochs"] = max(3 * settings.epochs, math.ceil(needed / per_epoch))
    if settings.steps is not None:
        longer["steps"] = max(3 * settings.steps, 1000, needed)
    return longer


def _spread(case: Case) -> float:
    """Standard deviation of the bound over held-out examples."""
    return spread(case.parts.sum(1))
