"""A run fitted again with the doctor's cures, and what that changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfumato.errors import SfumatoError
from sfumato.estimator import Autoencoder, fit_config
from sfumato.evaluation import Measure
from sfumato.evaluation.doctor import Finding
from sfumato.isolation import isolated
from sfumato.studies.comparison import APART

BOUND = "−ELBO"
FAMILIES = ("bounds", "representation", "codes", "samples")


@dataclass(frozen=True)
class Change:
    """One measure of a run, before and after.

    Attributes:
        before, after: the measure of each.
        better: whether it became better by more than `APART` times the errors of both; None if it did not change by so
            much, or neither way is better.
    """

    before: Measure
    after: Measure

    @property
    def better(self) -> bool | None:
        if self.after.better is None:
            return None
        change = self.after.value - self.before.value
        noise = ((self.before.error or 0.0) ** 2 + (self.after.error or 0.0) ** 2) ** 0.5
        if not abs(change) > APART * noise:
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
    """

    changed: dict[str, Any]
    before: Autoencoder
    after: Autoencoder
    found: tuple[list[Finding], list[Finding]]
    changes: list[Change]

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
        """Whether the first thing found is gone, and nothing serious is new."""
        worse = [one for one in self.found[1] if one.name in self.new and one.severity == "serious"]
        return self.found[0][0].name in self.gone and not worse

    @property
    def words(self) -> str:
        """Whether it helped, in a sentence or two."""
        main = _said([self.found[0][0].name])
        if self.helped:
            left = [one.name for one in self.found[1] if not one.is_healthy]
            return f"It helped: {_said(self.gone)} gone" + (f"; left to do: {_said(left, '')}." if left else ".")
        if self.found[0][0].name in self.gone:
            return f"It helped in part: {_said(self.gone)} gone, and {_said(self.new)} there now."
        bound = next((one for one in self.changes if one.after.name == BOUND and one.better), None)
        if bound is not None:
            gained = f"the {BOUND} came from {bound.before.value:.4g} to {bound.after.value:.4g} nats"
            return f"It helped in part: {gained}, and {main} there still."
        return f"It did not help: {main} there still."


def cures_of(findings: Sequence[Finding]) -> dict[str, Any]:
    """The options that all cures for the same model change; where two change the same one, the worse finding's.

    >>> first, second = Finding("a", "serious", "", cure={"beta": 1.0}), Finding("b", "minor", "", cure={"beta": 2.0})
    >>> cures_of([first, second])
    {'beta': 1.0}
    """
    found: dict[str, Any] = {}
    for finding in findings:
        if not finding.model:
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
    config = auto.config_.with_options(changed)
    after = fit_config(config, source, run=run, progress=progress)
    told = [_measures(one, seed) for one in (auto, after)]
    changes = [Change(told[0][name], told[1][name]) for name in told[1] if name in told[0]]
    return Cured(changed, auto, after, (found, after.diagnose(seed=seed)), changes)


def _measures(auto: Autoencoder, seed: int) -> dict[str, Measure]:
    return {one.name: one for one in auto.evaluate(families=FAMILIES, quick=True, seed=seed)}


def _said(names: Sequence[str], verb: str | None = None) -> str:
    words = " and ".join(name.replace("_", " ") for name in names)
    return words + (f" {'is' if len(names) == 1 else 'are'}" if verb is None else verb)
