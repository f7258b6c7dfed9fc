"""sfumato doctor, its lines at the end of a fit, and what --apply leaves."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

import sfumato
from sfumato.cli.commands.doctor import _unit, summary, text
from sfumato.diagnostics import HEALTHY, Finding, Passed
from sfumato.diagnostics.remedies import command, free
from sfumato.errors import SfumatoError
from sfumato.evaluation import Measure
from sfumato.studies import cure
from sfumato.studies.refit import Change, Cured, cures_of

SICK = ("moons", "--model", "beta_vae", "--beta", 50, "--rows", 300, "--width", 32, "--lr", 0.01)
STEPS = ("--steps", 300, "--validate-every", 10, "--patience", 5)


def test_a_sick_run_is_told_at_its_end_and_cured_beside_itself(cli):
    said = cli("fit", *SICK, *STEPS, "--no-report", "--run", "a")
    assert said.code == 0, said.err
    assert "Doctor: Posterior collapse: none of the 2 latents is in use" in " ".join(said.out.split())
    line = "sfumato fit --config runs/a/config.toml --beta 1 --run a-cured"
    assert line in said.out

    before = {path: path.read_bytes() for path in Path("runs/a").rglob("*") if path.is_file()}
    said = cli("doctor", "a")
    assert said.code == 0, said.err
    assert line in said.out
    assert "sfumato doctor a --apply" in said.out

    told = json.loads(cli("doctor", "a", "--apply", "--json", "--quiet").out)
    assert told["findings"][0]["name"] == "posterior_collapse"
    assert told["changed"] == {"beta": 1.0}
    assert told["cured"] == "runs/a-cured"
    assert "posterior_collapse" in told["gone"]
    assert told["measures"]["active units"] == {"before": 0, "after": 2}
    assert told["measures"]["rate"]["after"] > 0.2
    assert before == {path: path.read_bytes() for path in Path("runs/a").rglob("*") if path.is_file()}
    assert cli(*line.split()[1:-2], "--run", "b", "--steps", 20, "--no-report").code == 0


def test_the_cured_run_takes_a_name_that_nothing_has(tmp_path):
    assert next(free(tmp_path / "a")) == tmp_path / "a-cured"
    (tmp_path / "a-cured").mkdir()
    assert next(free(tmp_path / "a")) == tmp_path / "a-cured-2"


def test_a_run_that_no_option_cures_says_so():
    found = Finding("shifted_parts", "serious", "The test split differs from the training split.")
    assert "No option" in text("a", [found])
    assert "--apply" not in text("a", [found])
    with pytest.raises(SfumatoError, match="no option"):
        cure(Named(), findings=[found])


class Named:
    """As much of an estimator as is asked for."""

    class config_:
        model = "vae"


def test_what_is_said_fits_a_terminal_and_names_what_comes_after():
    words = "Posterior collapse: none of the 16 latents is in use, and the code carries 0.01 nats per example. " * 2
    found = [
        Finding("posterior_collapse", "serious", words, cure={"beta": 1.0}, command="sfumato fit --beta 1"),
        Finding("too_short", "minor", "Training was too short."),
    ]
    short = summary("a", found)
    assert "Also: too short; see sfumato doctor a" in short
    assert all(len(line) <= 100 for line in (short + text("a", found)).splitlines())
    assert "1 serious and 1 minor findings" in text("a", found)
    well = [Finding(HEALTHY, "healthy", "Healthy: no exploding steps; training ran to its end.")]
    assert summary("a", well) == "Doctor: healthy: no exploding steps; training ran to its end."
    assert text("a", well).startswith("a is healthy.")
    greek = [Finding(HEALTHY, "healthy", "Healthy: σ is at least 0.46; all of Class A occur.")]
    assert text("a", greek) == "a is healthy.\n  σ is at least 0.46; all of Class A occur."


def test_what_is_offered_can_be_typed_wherever_the_run_lies(cli, tmp_path):
    name = tmp_path / "moved ä" / "a run"
    sick = sfumato.fit("moons", rows=200, model="beta_vae", beta=50, steps=30, run=name)
    taken = name.with_name("a run-cured")
    taken.mkdir()
    found = sick.diagnose()
    assert shlex.split(found[0].command)[-1] == str(name.with_name("a run-cured-2"))
    said = cli("doctor", name)
    assert said.code == 0, said.err
    assert shlex.split(said.out.strip().splitlines()[-1]) == ["sfumato", "doctor", str(name), "--apply"]


def test_cures_of_another_model_are_not_applied_and_the_worse_finding_wins():
    first = Finding("a", "serious", "", cure={"beta": 1.0})
    other = Finding("b", "serious", "", cure={"gamma": 1.0}, model="factor_vae")
    last = Finding("c", "minor", "", cure={"beta": 2.0, "epochs": 3})
    assert cures_of([first, other, last]) == {"beta": 1.0, "epochs": 3}


@pytest.mark.parametrize(
    ("before", "after", "better", "expected"),
    [(3.0, 1.0, "lower", True), (3.0, 1.0, "higher", False), (3.0, 2.9, "lower", None), (3.0, 1.0, None, None)],
)
def test_a_change_counts_only_beyond_its_noise(before, after, better, expected):
    one, two = (Measure("x", value, "", "", error=0.1, better=better) for value in (before, after))
    assert Change(one, two).better is expected


def test_what_was_changed_in_number_is_told_with_both_units():
    one, two = (Measure("active units", float(n), f"of {n} latents", "") for n in (16, 32))
    assert _unit(Change(one, two)) == "of 16 latents, then of 32 latents"
    assert _unit(Change(two, two)) == "of 32 latents"


@pytest.mark.parametrize(
    ("after", "words"),
    [(11.8, "It did not help: too short is still reported. The −ELBO went from 12.8"), (12.8, "It did")],
)
def test_a_better_bound_is_said_though_the_finding_stays_but_is_not_what_was_to_be_cured(after, words):
    found = [Finding("too_short", "serious", "Too short.")]
    bounds = [Measure("−ELBO", value, "", "", error=0.1, better="lower") for value in (12.8, after)]
    assert Cured({}, None, None, (found, found), [Change(*bounds)]).words.startswith(words)


LOST = Finding("dependence_lost", "serious", "Lost.", {"kept": 0.3, "error": 0.02}, number="kept")
WELL = Finding(HEALTHY, "healthy", "Healthy.")


@pytest.mark.parametrize(
    ("after", "recheck", "helped", "words"),
    [
        ([WELL], Passed("", {"kept": 0.9}), True, "It helped: dependence lost is gone (kept: 0.3, then 0.9)."),
        (
            [LOST],
            Passed("", {"kept": 0.45}),
            False,
            "It helped in part: dependence lost has improved (kept: 0.3, then 0.45), and",
        ),
        # Another finding explains it, so that it is not reported: that is no cure.
        (
            [Finding("too_short", "minor", "")],
            LOST,
            False,
            "It did not help: dependence lost is no longer reported, but",
        ),
        ([WELL], Passed("", {"kept": 0.31}), False, "It did not help: dependence lost is no longer reported, but"),
        # Of a condition there is nothing to lose.
        ([WELL], None, True, "It helped: dependence lost is gone."),
        (
            [Finding("memorising", "serious", "")],
            Passed("", {"kept": 0.9}),
            False,
            "It helped in part: dependence lost has improved (kept: 0.3, then 0.9), and memorising is new.",
        ),
    ],
)
def test_a_cure_helped_only_if_the_number_it_was_for_became_better(after, recheck, helped, words):
    found = Cured({}, None, None, ([LOST], after), [], recheck)
    assert found.helped is helped
    assert found.words.startswith(words)


def test_a_cure_by_another_model_is_typed_and_taken_whole():
    rare = Finding("rare_class_lost", "serious", "", cure={"given": ("kind",)}, model="cvae")
    other = Finding("too_short", "minor", "", cure={"epochs": 3})
    assert cures_of([rare, other]) == {"given": ("kind",)}
    assert command(rare.cure, "runs/a", "b", "cvae") == (
        "sfumato fit --config runs/a/config.toml --model cvae --given kind --run b"
    )
