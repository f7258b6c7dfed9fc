"""A run fitted again with the doctor's remedies, and what that changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfumato.diagnostics import Finding, Passed
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
            change by so much, or neither direction is better.
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
        before, after: the two fitted models.
        findings: the doctor's findings for each.
        changes: the measures that both have.
        recheck: the check of the first finding, run on the new model; None where it does not apply.
    """

    changed: dict[str, Any]
    before: Autoencoder
    after: Autoencoder
    findings: tuple[list[Finding], list[Finding]]
    changes: list[Change]
    recheck: Finding | Passed | None = None

    @property
    def numbers(self) -> tuple[float, float] | None:
        """The number that the first finding is measured by, before and after; None if it no longer applies."""
        first = self.findings[0][0]
        if self.recheck is None or first.number not in self.recheck.numbers:
            return None
        return first.numbers[first.number], self.recheck.numbers[first.number]

    @property
    def better(self) -> bool:
        """Whether that number improved by more than its error, or no longer applies."""
        first, numbers = self.findings[0][0], self.numbers
        if numbers is None:
            return first.name in self.gone
        gained = numbers[1] - numbers[0] if first.better == "higher" else numbers[0] - numbers[1]
        return gained > DIFFERENT_ERRORS * 2**0.5 * first.numbers.get("error", 0.0)

    @property
    def gone(self) -> list[str]:
        """Findings of before that are gone."""
        return [
            finding.name
            for finding in self.findings[0]
            if finding.name not in {other.name for other in self.findings[1]}
        ]

    @property
    def new(self) -> list[str]:
        """Findings that are new."""
        had = {finding.name for finding in self.findings[0]}
        return [finding.name for finding in self.findings[1] if finding.name not in had and not finding.is_healthy]

    @property
    def helped(self) -> bool:
        """Whether the number of the first finding improved, that finding is gone, and no serious one is new."""
        worse = [finding for finding in self.findings[1] if finding.name in self.new and finding.severity == "serious"]
        return self.better and self.findings[0][0].name in self.gone and not worse

    @property
    def words(self) -> str:
        """Whether it helped, in a sentence or two."""
        first = self.findings[0][0]
        main, number = _listed([first.name]), self._number()
        if self.helped:
            left = [item.name for item in self.findings[1] if not item.is_healthy]
            return f"It helped: {_listed(self.gone)} gone{number}" + (
                f"; still to fix: {_listed(left, '')}." if left else "."
            )
        if self.better:
            rest = f"{main} still reported" if first.name not in self.gone else f"{_listed(self.new)} new"
            return f"It helped in part: {_listed([first.name], '')} has improved{number}, and {rest}."
        bound = next((item for item in self.changes if item.after.name == BOUND and item.better), None)
        gained = ""
        if bound is not None:
            gained = f" The {BOUND} went from {bound.before.value:.4g} to {bound.after.value:.4g} nats."
        if first.name in self.gone:
            name = _listed([first.name], "")
            return f"It did not help: {name} is no longer reported, but has not improved{number}.{gained}"
        return f"It did not help: {main} still reported{number}.{gained}"

    def _number(self) -> str:
        """The number of the first finding, before and after, in brackets."""
        if self.numbers is None:
            return ""
        before, after = map(figure, self.numbers)
        return f" ({self.findings[0][0].number.replace('_', ' ')}: {before}, then {after})"


def model_of(findings: Sequence[Finding]) -> str:
    """The other model that the worst finding needs; empty if the same one will do."""
    return findings[0].model


def cures_of(findings: Sequence[Finding]) -> dict[str, Any]:
    """The options that the cures change, for the model of the worst finding; the worse finding wins a conflict.

    >>> first, second = Finding("a", "serious", "", cure={"beta": 1.0}), Finding("b", "minor", "", cure={"beta": 2.0})
    >>> cures_of([first, second])
    {'beta': 1.0}
    """
    options: dict[str, Any] = {}
    for finding in findings:
        if finding.model == model_of(findings):
            options = {**finding.cure, **options}
    if (
        "warmup" in options and "steps" in options and "cycles" not in options
    ):  # A third of the training, which is longer now.
        options["warmup"] = max(options["warmup"], options["steps"] // 3)
    return options


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
    """Fit again with the cures of all findings, and compare both.

    >>> import sfumato
    >>> collapsed = sfumato.fit("moons", rows=200, model="beta_vae", beta=50, steps=100)
    >>> cured = cure(collapsed, "moons")
    >>> collapsed.diagnose()[0].name in cured.gone
    True

    Args:
        auto: the fitted model, which does not change.
        X: the data it was fitted on; None for `config_.source`.
        findings: of `auto.diagnose`, which is run unless they are passed.
        run: name or path of the new run folder; None writes none.
        seed: of the diagnoses and measures.
        progress: show a progress bar.

    Raises:
        SfumatoError: if there is nothing to cure, no option cures it, or the data are missing.
    """
    findings = list(findings or auto.diagnose(seed=seed))
    changed = cures_of(findings)
    if not changed:
        raise SfumatoError(f"{findings[0].name}: no option of {auto.config_.model} fixes that; {findings[0].words}")
    source = auto.config_.source if X is None else X
    if isinstance(source, str) and not source:
        raise SfumatoError("this model was trained on data in memory; pass the data to fit again")
    model = model_of(findings)
    config = auto.config_.with_model(model) if model else auto.config_
    config = config.with_options(changed)
    after = fit_config(config, source, run=run, progress=progress)
    measures = [_measures(each, seed) for each in (auto, after)]
    changes = [Change(measures[0][name], measures[1][name]) for name in measures[1] if name in measures[0]]
    recheck = after.run_check(findings[0].name, seed=seed)
    changed = {"model": model, **changed} if model else changed
    return Cured(changed, auto, after, (findings, after.diagnose(seed=seed)), changes, recheck)


def _measures(auto: Autoencoder, seed: int) -> dict[str, Measure]:
    return {measure.name: measure for measure in auto.evaluate(families=REFIT_FAMILIES, quick=True, seed=seed)}


def _listed(names: Sequence[str], verb: str | None = None) -> str:
    words = " and ".join(name.replace("_", " ") for name in names)
    return words + (f" {'is' if len(names) == 1 else 'are'}" if verb is None else verb)
