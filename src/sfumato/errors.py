"""Errors a user can fix: one line, never a traceback."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class SfumatoError(ValueError):
    """An error that the user can fix.

    The message is one line that names the thing (file, column, option), says what is wrong with it and what to do.
    The command line prints it and exits with code 2; Python raises it as the `ValueError` it is.
    """


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Name the closest of `known`, or list all of them, as the tail of an error message.

    >>> did_you_mean("bta", ["beta", "width"])
    'did you mean beta?'
    >>> did_you_mean("zzz", ["beta", "width"])
    'choose one of beta, width'
    """
    names = [str(name) for name in known]
    close = difflib.get_close_matches(str(word), names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    shown = ", ".join(names[:12])
    more = f" … ({len(names)} in all)" if len(names) > 12 else ""
    return f"choose one of {shown}{more}"


def need(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional library, or say the one pip line that installs it.

    Raises:
        SfumatoError: if `module` is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise SfumatoError(
            f"{purpose} needs {module}, which is not installed: pip install 'sfumato[{extra}]'"
        ) from None
