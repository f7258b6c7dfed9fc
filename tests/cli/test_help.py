"""--help: plain, quick, and made from the options there are."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from sfumato import models
from sfumato.cli import flags
from sfumato.config import settings

COMMANDS = ("fit", "sample", "reconstruct", "encode", "score", "show", "report", "models", "data")


def test_the_front_page_lists_every_command(cli):
    said = cli("--help")
    assert said.code == 0
    listed = [line.split()[0] for line in said.out.partition("Commands:")[2].splitlines() if line.startswith("  ")]
    assert set(COMMANDS) <= set(listed)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(cli, command):
    said = cli(command, "--help")
    assert said.code == 0
    assert said.err == ""
    assert f"Usage: sfumato {command}" in said.out
    assert "--quiet" in said.out
    assert "--json" in said.out
    assert "object at 0x" not in said.out


@pytest.mark.parametrize("command", ["fit", "sample", "reconstruct", "encode", "score"])
def test_commands_that_compute_take_seed_and_device(cli, command):
    said = cli(command, "--help")
    assert "--seed" in said.out
    assert "auto|cpu|cuda|mps" in said.out


def test_every_option_of_data_models_and_training_has_a_flag(cli):
    page = cli("fit", "--help").out
    for name in settings():
        assert flags.spelling(name) in page, name


def test_help_of_a_model_option_names_the_models_that_have_it(cli):
    page = " ".join(cli("fit", "--help").out.split())
    owners = [model for model in models.names() if "capacity" in settings(model)]
    assert owners
    assert f"({', '.join(owners)})" in page.partition("--capacity")[2]


def test_choices_of_all_models_are_offered(cli):
    assert "--prior standard|mixture|learned" in cli("fit", "--help").out


def test_help_imports_no_torch_and_answers_at_once():
    code = (
        "import sys\n"
        "from sfumato.cli import main\n"
        f"for command in {COMMANDS}: main([command, '--help'])\n"
        "main(['--help'])\n"
        "heavy = {'torch', 'sklearn', 'pandas', 'matplotlib', 'pyarrow', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # The time of the processor, not of the clock, so that a busy machine does not make this test fail; ten pages.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.7


def test_version_is_told(cli):
    from sfumato import __version__

    assert cli("--version").out.strip() == __version__
