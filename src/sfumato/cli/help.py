"""The format of `--help`: two columns of plain text, the same on a terminal and in a file."""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING, Any

from rich.console import Console

from sfumato.cli.flags import PANELS, choices, shown, spelling
from sfumato.config import settings

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import ConsoleOptions

NAME_WIDTH = 30
"""Width of the column of names; longer ones take a line of their own."""

MAX_HELP_WIDTH = 110

_SHEET = Console(file=io.StringIO(), width=10_000, no_color=True)


class OptionColumns:
    """A formatter for `cyclopts.App(help_formatter=…)`.

    Args:
        model: the model whose options are shown.
    """

    def __init__(self, model: str) -> None:
        self.model = model

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        if not panel.entries:
            return
        width = min(console.width, MAX_HELP_WIDTH)
        commands = panel.format == "command"
        names = max(len(_names(entry)) for entry in panel.entries) + 4 if commands else NAME_WIDTH
        title, entries = panel.title, list(panel.entries)
        if title == PANELS["model"].name:
            entries = _of_model(entries, self.model)
            title = f"Model {self.model} (for another, sfumato fit --model NAME --help)"
        lines = [line for entry in entries for line in _lines(entry, min(names, NAME_WIDTH), width)]
        _write(console, "\n".join([f"{title}:", *lines, ""]))

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:
        """Print the usage line."""
        if usage:
            _write(console, f"Usage: {str(usage).removeprefix('Usage:').strip()}\n")

    def render_description(self, console: Console, options: ConsoleOptions, description: Any) -> None:
        """Print the description of the command."""
        paragraphs = _plain(description).strip().split("\n\n")
        width = min(console.width, MAX_HELP_WIDTH)
        filled = [text if "\n" in text else textwrap.fill(text, width) for text in paragraphs]
        _write(console, "\n\n".join(filled) + "\n")


def _of_model(entries: list[HelpEntry], model: str) -> list[HelpEntry]:
    """The options of this model, with its choices, help and defaults."""
    own = {spelling(name): setting for name, setting in settings(model).items()}
    known = [(entry, own[name]) for entry in entries for name in entry.positive_names if name in own]
    return [
        entry.copy(
            description=setting.help,
            default=shown(setting.default) or None,
            metavar="|".join(choices(setting)) or entry.metavar,
        )
        for entry, setting in known
    ]


def _names(entry: HelpEntry) -> str:
    names = ", ".join((*entry.positive_shorts, *entry.positive_names)) or (entry.positional_label or "")
    return f"{names} {entry.metavar}" if entry.metavar and not entry.positional_label else names


def _lines(entry: HelpEntry, names: int, width: int) -> list[str]:
    text = " ".join(_plain(entry.description).split())
    if entry.default is not None:
        text += f" [default: {entry.default}]"
    first, *more = textwrap.wrap(text, max(width - names, 30), break_long_words=False) or [""]
    label = "  " + _names(entry)
    start = [label.ljust(names) + first] if len(label) <= names - 2 else [label, " " * names + first]
    return [line.rstrip() for line in start] + [" " * names + line for line in more]


def _plain(text: Any) -> str:
    """A rich renderable as plain text, neither styled nor wrapped."""
    if text is None:
        return ""
    with _SHEET.capture() as capture:
        _SHEET.print(text, markup=False, highlight=False, style="none")
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def _write(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
