"""The run folder: what a training leaves behind, and how it is loaded again."""

from sfumato.artifacts.run import Run

__all__ = ["Run"]
