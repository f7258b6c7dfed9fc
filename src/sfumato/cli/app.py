"""The application with all commands, and the conversion of errors to one-line messages."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from cyclopts import App, Group
from cyclopts.exceptions import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from sfumato._version import __version__
from sfumato.cli.commands import apply, compare, doctor, evaluate, fit, inspect, sweep
from sfumato.cli.commands.uses import (
    anomalies,
    augment,
    complete,
    compress,
    differential,
    explain,
    fairness,
    forecast,
    interpolate,
    score,
    tokenize,
)
from sfumato.cli.flags import with_options
from sfumato.cli.help import OptionColumns
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.files import read_toml
from sfumato.models import registry

if TYPE_CHECKING:
    from cyclopts.argument import ArgumentCollection

ABOUT = """Variational autoencoders for your own data.

Start with:  sfumato fit moons
Then:        sfumato show moons-vae

RUN is the folder of a run, or its name under runs/. For the options of a command: sfumato COMMAND --help"""

HELP = {"--help", "-h"}


USAGES = {"fit": "fit SOURCE [OPTIONS]", "data": "data [SOURCE] [OPTIONS]"}
"""Of commands whose argument may be left out."""

OPTION_COMMANDS = {
    "fit": "vae",
    "impute": "vae",
    "sweep": "vae",
    "data": "vae",
    "augment": "cvae",
    "tokenize": "vq_vae",
}
"""Commands with flags for the options of data, models and training, and the model that each takes where none is
named."""


def make(model: str = "vae", models: Sequence[str] = ()) -> App:
    """The application with all its commands.

    Args:
        model: the model whose options `--help` shows.
        models: those whose options are flags of `OPTION_COMMANDS`.
    """
    app = App(
        name="sfumato",
        help=ABOUT,
        version=__version__,
        help_format="plaintext",
        help_formatter=OptionColumns(model),
        print_error=False,
        exit_on_error=False,
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )
    for title, commands in _commands(models).items():
        group = Group.create_ordered(title)
        for command in commands:
            usage = USAGES.get(command.__name__)
            app.command(command, group=group, **({} if usage is None else {"usage": f"Usage: sfumato {usage}"}))
    options = Group.create_ordered("Options")
    for flag in ("--help", "--version"):
        app[flag].group = (options,)
    return app


def _commands(models: Sequence[str]) -> dict[str, tuple[Callable[..., Any], ...]]:
    """All commands, as the help lists them, under their titles."""
    return {
        "Train a model": (
            with_options(fit.fit, models),
            with_options(sweep.sweep, models),
            inspect.models,
            with_options(inspect.data, models, ("data",)),
        ),
        "Train one and use it at once": (
            anomalies.anomalies,
            with_options(augment.augment, models),
            with_options(complete.impute, models),
            with_options(tokenize.tokenize, ("vq_vae",) if models else ()),
        ),
        "Use a run": (
            apply.sample,
            complete.complete,
            apply.reconstruct,
            apply.encode,
            apply.predict,
            score.score,
            forecast.forecast,
            interpolate.interpolate,
            interpolate.traverse,
            interpolate.neighbours,
            interpolate.transfer,
            compress.compress,
            compress.decompress,
            tokenize.detokenize,
        ),
        "Understand a run": (
            inspect.show,
            inspect.report,
            evaluate.evaluate,
            doctor.doctor,
            compare.compare,
            explain.explain,
            explain.select,
            fairness.fairness,
            differential.differential_expression,
        ),
    }


def run(arguments: Sequence[str] | None = None) -> int:
    """Parse the arguments, run the command and return the exit code; see `sfumato.cli.main`."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        app = make(*(_models(words) if words and words[0] in OPTION_COMMANDS else ()))
    except SfumatoError as error:
        return _fail(" ".join(str(error).split()))
    logging.getLogger("sfumato").setLevel(logging.ERROR if "--quiet" in words else logging.WARNING)
    try:
        if words and words[0] in app and HELP & set(words[1:]):
            # Printing the help directly avoids building the command's arguments twice.
            app.help_print(words[:1])
            code = 0
        else:
            code = app(words)
        sys.stdout.flush()
        return code or 0
    except CycloptsError as error:
        return _fail(_line(app, error))
    except SfumatoError as error:
        return _fail(" ".join(str(error).split()))
    except KeyboardInterrupt:
        print("sfumato: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Python flushes stdout again at exit, although its reader is gone.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _models(words: Sequence[str]) -> tuple[str, list[str]]:
    """The model named by the arguments, or the default, and all models whose options are flags.

    They are needed before the arguments are parsed. Models from other packages are imported if they are named.

    Raises:
        SfumatoError: if one from another package cannot be imported.
    """
    after = dict(pairwise([part for word in words for part in word.split("=", 1)]))
    typed = after.get("--model") or _model_of(after.get("--config", ""))
    named = [name.strip() for name in (typed, *after.get("--models", "").split(","))]
    more = [
        name for name in named if name and name not in registry.shipped() and (":" in name or name in registry.names())
    ]
    for name in more:
        registry.describe(name)
    default = OPTION_COMMANDS[words[0]]
    shown = typed if typed in (*registry.shipped(), *more) else (*more, default)[0]
    return shown, [*registry.shipped(), *more]


def _model_of(config: str) -> str:
    """The model that a `config.toml` names; "" if it cannot be read, which is reported when it is read in full."""
    try:
        name = read_toml(config)["model"]["name"]
    except (SfumatoError, LookupError, TypeError):
        return ""
    return name if isinstance(name, str) else ""


def _fail(line: str) -> int:
    print(f"sfumato: {line}", file=sys.stderr)
    return 2


def _line(app: App, error: CycloptsError) -> str:
    """One line on what is wrong with the arguments and how to fix it."""
    command = " ".join(["sfumato", *(error.command_chain or ())])
    hint = f"see {command} --help"
    if isinstance(error, UnknownCommandError) and error.unused_tokens:
        word = error.unused_tokens[0]
        known = [name for name in app if not name.startswith("-")]
        return f"no command {word!r}: {did_you_mean(word, known)}"
    if isinstance(error, UnknownOptionError):
        word = error.token.keyword or error.token.value
        return f"{command} has no option {word}: {_closest(word, error.argument_collection, hint)}"
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        word = error.unused_tokens[0]
        return f"{command}: unexpected argument {word!r}; {hint}"
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        name = error.keyword or error.argument.name
        count, _ = error.argument.token_count()
        if not error.argument.field_info.is_keyword:
            return f"{command} needs {name.upper()}; {hint}"
        return f"{name} needs {'a value' if count == 1 else f'{count} values'}; {hint}"
    if isinstance(error, CoercionError) and error.token is not None:
        name = error.token.keyword or (error.argument.name if error.argument else "")
        return f"{name}: {_expected(error)}"
    return " ".join(str(error).split())


def _closest(word: str, arguments: ArgumentCollection, hint: str) -> str:
    names = [name for argument in arguments if argument.show for name in argument.names if name.startswith("--")]
    guess = did_you_mean(word.partition("=")[0], names)
    return guess if guess.startswith("did you mean") else hint


def _expected(error: CoercionError) -> str:
    message = " ".join(str(error).split())
    value = error.token.value if error.token else ""
    if get_origin(error.target_type) is Literal:
        return f"{value!r} is not a valid choice; {did_you_mean(value, get_args(error.target_type))}"
    kinds = {int: "a whole number", float: "a number", bool: "yes or no"}
    expected = kinds.get(error.target_type) if isinstance(error.target_type, type) else None
    if expected:
        return f"{value!r} is not {expected}"
    return message.partition(": ")[2] or message
