"""The run folder: what a training leaves behind, and how it is loaded again."""

from sfumato.artifacts.run import Run
from sfumato.artifacts.token_file import TokenFile

__all__ = ["Run", "TokenFile"]
