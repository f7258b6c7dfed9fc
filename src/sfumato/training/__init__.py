"""One plain PyTorch loop for every model: `fit`, its `Settings`, and what it is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfumato.training.settings import Settings, resolve

if TYPE_CHECKING:
    from sfumato.training.hardware.device import resolve_device
    from sfumato.training.loop import fit
    from sfumato.training.monitoring.callbacks import Callback
    from sfumato.training.saving.history import History

__all__ = ["Callback", "History", "Settings", "fit", "resolve", "resolve_device"]

_PLACES = {
    "Callback": "monitoring.callbacks",
    "History": "saving.history",
    "fit": "loop",
    "resolve_device": "hardware.device",
}


def __getattr__(name: str) -> Any:
    """Import what needs torch on first use, so that the settings can be read without it."""
    if name in _PLACES:
        from importlib import import_module

        return getattr(import_module(f"sfumato.training.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'sfumato.training' has no attribute {name!r}")
