"""A family of measures is registered once and shows in evaluation, report, comparison and command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sfumato
from sfumato.evaluation import EvaluationSettings, Family, Measure, Subject, families, register, registered_families
from sfumato.report import write_comparison, write_report
from sfumato.studies import compare

TITLE = "How smooth its reconstructions are"


def smoothness(subject: Subject, how: EvaluationSettings) -> list[Measure]:
    reconstructed = subject.chunked(subject.model.reconstruct)
    return [Measure("smoothness", float(reconstructed.var()), "", "How far they vary.", "smoothness", better="lower")]


@pytest.fixture
def smooth(monkeypatch: pytest.MonkeyPatch) -> Family:
    monkeypatch.setattr(families, "_REGISTERED", {})
    family = Family("smoothness", TITLE, "how smooth reconstructions are", "", smoothness, order=15)
    register(family)
    return family


def test_a_registered_family_is_in_evaluation_report_and_comparison(
    smooth: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = []
    for seed in (0, 1):
        auto = sfumato.fit("moons", rows=60, steps=2, seed=seed, run=f"run{seed}")
        measures = auto.evaluate(quick=True)
        assert next(one.family for one in measures if one.family != "bounds") == "smoothness", (
            "in the order of families"
        )
        runs.append(auto.run_)
    page = write_report(runs[0], [], measures).read_text(encoding="utf-8")
    assert TITLE in page
    assert "smoothness" in page
    comparison = compare([str(run.path) for run in runs])
    assert np.isfinite(comparison.row("smoothness").cells[0].value)
    assert TITLE in write_comparison(comparison, tmp_path / "page.html").read_text(encoding="utf-8")


def test_measures_of_a_family_that_is_not_registered_are_shown_all_the_same(tmp_path: Path) -> None:
    auto = sfumato.fit("moons", rows=60, steps=2, run=tmp_path / "run")
    page = write_report(auto.run_, [], [Measure("roughness", 1.0, "", "How rough.", "roughness")]).read_text(
        encoding="utf-8"
    )
    assert "Roughness" in page


def test_the_command_line_lists_what_is_registered() -> None:
    code = (
        "from sfumato.evaluation import Family, register\n"
        f"register(Family('smoothness', {TITLE!r}, 'how smooth reconstructions are', '', lambda subject, how: []))\n"
        "from sfumato.cli import main\n"
        "main(['evaluate', '--help'])\n"
    )
    page = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    words = " ".join(page.split())
    assert "smoothness, how smooth reconstructions are" in words
    for name, family in registered_families().items():
        assert f"{name}, {family.help}" in words


def test_two_families_of_one_name_are_refused(smooth: Family) -> None:
    register(smooth)
    with pytest.raises(ValueError, match="already"):
        register(Family("bounds", "", "", "", smoothness))


def test_a_measure_under_the_name_of_another_family_is_refused(smooth: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "_REGISTERED", {"other": Family("other", "", "", "", smoothness)})
    auto = sfumato.fit("moons", rows=60, steps=1)
    with pytest.raises(ValueError, match="smoothness"):
        auto.evaluate(families=("other",), quick=True)
