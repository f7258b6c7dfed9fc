"""A run fitted again with the doctor's cures, and what that changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfumato.diagnostics import Finding, Well
from sfumato.errors import SfumatoError
from sfumato.estimator import Autoencoder, fit_config
from sfumato.evaluation import Measure
from sfumato.formatting import figure
from sfumato.isolation import isolated
from sfumato.studies.comparison import DIFFERENT_ERRORS

BOUND = "−ELBO"
REFIT_FAMILIES = ("bounds", "representation", "codes", "samples")


@dataclass(frozen=True)
class Change:
    """One measure of a run, before and after.

    Attributes:
        before, after: the measure of each.
        better: whether it became better by more than `DIFFERENT_ERRORS` times the errors of both; None if it did not
            change by so much, or neither way is better.
    """

    before: Measure
    after: Measure

    @property
    def better(self) -> bool | None:
        if self.after.better is None:
            return None
        change = self.after.value - self.before.value
        noise = ((self.before.error or 0.0) ** 2 + (self.after.error or 0.0) ** 2) ** 0.5
        if not abs(change) > DIFFERENT_ERRORS * noise:
            return None
        return (change > 0) == (self.after.better == "higher")


@dataclass(frozen=True)
class Cured:
    """A run before and after its cure.

    Attributes:
        changed: the options that were changed, by name.
        before, after: the two.
        found: what the doctor said of each.
        changes: the measures that both have.
        again: what the doctor says after it of the first thing found before, whatever else it found; None where that
            cannot be any more.
    """

    changed: dict[str, Any]
    before: Autoencoder
    after: Autoencoder
    found: tuple[list[Finding], list[Finding]]
    changes: list[Change]
    again: Finding | Well | None = None

    @property
    def numbers(self) -> tuple[float, float] | None:
        """The number that the first thing found is judged by, before and after; None where it is not there any more."""
        first = self.found[0][0]
        if self.again is None or first.number not in self.again.numbers:
            return None
        return first.numbers[first.number], self.again.numbers[first.number]

    @property
    def better(self) -> bool:
        """Whether that number became better by more than its error, or is not there as the thing cannot be any more."""
        first, numbers = self.found[0][0], self.numbers
        if numbers is None:
            return first.name in self.gone
        gained = numbers[1] - numbers[0] if first.better == "higher" else numbers[0] - numbers[1]
        return gained > DIFFERENT_ERRORS * 2**0.5 * first.numbers.get("error", 0.0)

    @property
    def gone(self) -> list[str]:
        """What was found before and is not any more."""
        return [one.name for one in self.found[0] if one.name not in {other.name for other in self.found[1]}]

    @property
    def new(self) -> list[str]:
        """What was not found before."""
        had = {one.name for one in self.found[0]}
        return [one.name for one in self.found[1] if one.name not in had and not one.is_healthy]

    @property
    def helped(self) -> bool:
        """Whether the number of the first thing found became better, that thing is gone, and nothing serious is new."""
        worse = [one for one in self.found[1] if one.name in self.new and one.severity == "serious"]
        return self.better and self.found[0][0].name in self.gone and not worse

    @property
    def words(self) -> str:
        """Whether it helped, in a sentence or two."""
        first = self.found[0][0]
        main, number = _said([first.name]), self._number()
        if self.helped:
            left = [one.name for one in self.found[1] if not one.is_healthy]
            return f"It helped: {_said(self.gone)} gone{number}" + (
                f"; left to do: {_said(left, '')}." if left else "."
            )
        if self.better:
            rest = f"{main} there still" if first.name not in self.gone else f"{_said(self.new)} there now"
            return f"It helped in part: {_said([first.name], '')} is less{number}, and {rest}."
        bound = next((one for one in self.changes if one.after.name == BOUND and one.better), None)
        gained = ""
        if bound is not None:
            gained = f" The {BOUND} came from {bound.before.value:.4g} to {bound.after.value:.4g} nats."
        if first.name in self.gone:
            return f"It did not help: {_said([first.name], '')} is not found any more, but is no less{number}.{gained}"
        return f"It did not help: {main} there still{number}.{gained}"

    def _number(self) -> str:
        """The number of the first thing found, before and after, in brackets."""
        if self.numbers is None:
            return ""
        before, after = map(figure, self.numbers)
        return f" ({self.found[0][0].number.replace('_', ' ')}: {before}, then {after})"


def model_of(findings: Sequence[Finding]) -> str:
    """The other model that the worst finding asks for; empty if it is cured by the same one."""
    return findings[0].model


def cures_of(findings: Sequence[Finding]) -> dict[str, Any]:
    """The options that all cures for the worst finding's model change; where two change the same, the worse finding's.

    >>> first, second = Finding("a", "serious", "", cure={"beta": 1.0}), Finding("b", "minor", "", cure={"beta": 2.0})
    >>> cures_of([first, second])
    {'beta': 1.0}
    """
    found: dict[str, Any] = {}
    for finding in findings:
        if finding.model == model_of(findings):
            found = {**finding.cure, **found}
    if "warmup" in found and "steps" in found and "cycles" not in found:  # a third of the training, longer now
        found["warmup"] = max(found["warmup"], found["steps"] // 3)
    return found


@isolated
def cure(
    auto: Autoencoder,
    X: Any = None,
    *,
    findings: Sequence[Finding] | None = None,
    run: str | Path | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Cured:
    """Fit again with the cures, and look at both.

    >>> import sfumato
    >>> sick = sfumato.fit("moons", rows=200, model="beta_vae", beta=50, steps=200)
    >>> cured = cure(sick, "moons")
    >>> sick.diagnose()[0].name in cured.gone
    True

    Args:
        auto: the run, which stays as it is.
        X: what it was fitted on; None if `config_.source` says so.
        findings: of its doctor; asked anew unless given.
        run: name or path of the new run folder; None writes none.
        seed: of the looks.
        progress: show a progress bar.

    Raises:
        SfumatoError: if nothing is to be cured, no option cures it, or the data are not there.
    """
    found = list(findings or auto.diagnose(seed=seed))
    changed = cures_of(found)
    if not changed:
        raise SfumatoError(f"{found[0].name}: no option of {auto.config_.model} cures that; {found[0].words}")
    source = auto.config_.source if X is None else X
    if isinstance(source, str) and not source:
        raise SfumatoError("this model was trained on data held in memory; give the data to fit again")
    model = model_of(found)
    config = auto.config_.with_model(model) if model else auto.config_
    config = config.with_options(changed)
    after = fit_config(config, source, run=run, progress=progress)
    told = [_measures(one, seed) for one in (auto, after)]
    changes = [Change(told[0][name], told[1][name]) for name in told[1] if name in told[0]]
    again = after.look_for(found[0].name, seed=seed)
    changed = {"model": model, **changed} if model else changed
    return Cured(changed, auto, after, (found, after.diagnose(seed=seed)), changes, again)


def _measures(auto: Autoencoder, seed: int) -> dict[str, Measure]:
    return {one.name: one for one in auto.evaluate(families=REFIT_FAMILIES, quick=True, seed=seed)}


def _said(names: Sequence[str], verb: str | None = None) -> str:
    words = " and ".join(name.replace("_", " ") for name in names)
    return words + (f" {'is' if len(names) == 1 else 'are'}" if verb is None else verb)
