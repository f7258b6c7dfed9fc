"""--help: plain, quick, and made from the options there are."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from sfumato import models
from sfumato.cli import flags
from sfumato.cli.app import make
from sfumato.config import settings

COMMANDS = tuple(name for name in make() if not name.startswith("-"))


def test_the_front_page_lists_every_command(cli):
    said = cli("--help")
    assert said.code == 0
    listed = [line.split()[0] for line in said.out.splitlines() if line.startswith("  ") and line[2] != " "]
    assert set(COMMANDS) <= set(listed)
    assert len(COMMANDS) >= 31
    titles = [line for line in said.out.splitlines() if line.endswith(":") and " " in line]
    assert titles == ["Train a model:", "Train one and use it at once:", "Use a run:", "Understand a run:"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(cli, command):
    said = cli(command, "--help")
    assert said.code == 0
    assert said.err == ""
    assert f"Usage: sfumato {command}" in said.out
    assert "--quiet" in said.out
    assert "--json" in said.out
    assert "object at 0x" not in said.out


@pytest.mark.parametrize(
    "command", ["fit", "sample", "reconstruct", "encode", "score", "evaluate", "compare", "sweep", "augment"]
)
def test_commands_that_compute_take_seed_and_device(cli, command):
    said = cli(command, "--help")
    assert "--seed" in said.out
    assert "auto|cpu|cuda|mps" in said.out


@pytest.mark.parametrize("model", models.names())
def test_every_option_of_data_model_and_training_has_a_flag(cli, model):
    page = cli("fit", "--model", model, "--help").out
    for name in settings(model):
        assert flags.spelling(name) + " " in page, name


def test_help_tells_the_options_of_the_model_that_is_named_and_of_no_other(cli):
    told = {model: cli("fit", f"--model={model}", "--help").out for model in ("vae", "cvae", "beta_vae")}
    assert "--prior standard|learned" in told["cvae"]
    assert "--prior standard|mixture" in told["vae"]
    assert "--capacity" in told["beta_vae"]
    assert "--capacity" not in told["vae"]
    assert cli("fit", "--help").out == told["vae"]


def test_help_imports_no_torch_and_answers_at_once():
    settings()  # so that the file of descriptions is there
    code = (
        "import sys\n"
        "from sfumato.cli import main\n"
        f"for command in {COMMANDS}: main([command, '--help'])\n"
        "main(['--help'])\n"
        "heavy = {'torch', 'sklearn', 'pandas', 'matplotlib', 'pyarrow', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    _processor_seconds(code)
    # The time of the processor, not of the clock, and the best of three, so that a busy machine does not make this
    # test fail.
    page = "from sfumato.cli import main; main(['fit', '--help'])"
    assert min(_processor_seconds(page) for _ in range(3)) < 1.0


def _processor_seconds(code: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_version_is_told(cli):
    from sfumato import __version__

    assert cli("--version").out.strip() == __version__
