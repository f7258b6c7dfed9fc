"""Examples with blanks: what a schema of any kind of data makes of them, for completion."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sfumato.data.core.batching.encoded import Encoded
from sfumato.errors import SfumatoError

Sets = dict[int, tuple[np.ndarray, np.ndarray]]
"""Place of an entry → from where to where in each cell it may lie, see `sfumato.distributions.Allowed`."""


class WithBlanks(ABC):
    """The part of `Schema` that is about examples of which some entries are blank."""

    @abstractmethod
    def encode(self, raw: Any) -> Encoded:
        """Raw things as tensors in the units of `spec`."""

    @abstractmethod
    def decode(self, x: Tensor, given: Tensor | None = None) -> Any:
        """Tensors back to the user's own kind of thing."""

    @abstractmethod
    def read(self, source: Any, *, need_x: bool = True) -> Any:
        """A path, frame or array as raw examples of this schema, checked.

        Raises:
            SfumatoError: if it does not fit what the schema was learned on.
        """

    def read_with_blanks(self, source: Any) -> tuple[Any, np.ndarray | None]:
        """Examples as `read` gives them, of which some entries are blank.

        Returns:
            The examples, and True for entries that are blank where the examples themselves do not show it, of their
            shape; None if all blanks are missing there.

        Raises:
            SfumatoError: as `read` does.
        """
        return self.read(source), None

    def all_blank(self, n: int) -> Any:
        """n examples of which nothing is known, as `read_with_blanks` gives them."""
        raise SfumatoError("an example of which nothing is known is a sample: draw it with sample")

    def encode_known(self, raw: Any) -> Encoded:
        """`encode` with NaN for all that is blank, and nothing of what it means that it is."""
        return self.encode(raw)

    def with_fixed(self, raw: Any, fix: Mapping[str, Any]) -> tuple[Any, Sets]:
        """Examples with single values that `fix` states in their blanks, and the sets of values that it states.

        Args:
            raw: what `read_with_blanks` gives.
            fix: name of a column → a value, or a set of values.

        Raises:
            SfumatoError: if there is no such column, or it cannot take a value.
        """
        if fix:
            raise SfumatoError("fix is for columns of tables; leave it out for these data")
        return raw, {}

    def sets_of(self, raw: Any, sets: Sets) -> Sets:
        """`sets`, and those in which blanks of `raw` must lie for what is known beside them: (N, K) each."""
        return sets

    def blank_like(self, blank: Any, raw: Any) -> np.ndarray:
        """Which entries of raw examples are blank, of their shape.

        Args:
            blank: True where they are: of that shape, that of one example, or that of images without channels.
            raw: what `read` gives.

        Raises:
            SfumatoError: if it is of none of these.
        """
        x, mask = np.asarray(raw[0] if isinstance(raw, tuple) else raw), np.asarray(blank, bool)
        shaped = [mask[..., None], mask[..., None, :, :], mask] if x.ndim == 4 and mask.ndim > 1 else [mask]
        for each in shaped:
            with suppress(ValueError):
                return np.broadcast_to(each, x.shape)
        raise SfumatoError(f"blank has shape {mask.shape}; give one of shape {x.shape}, or {x.shape[1:]} for all")

    def as_entries(self, blank: np.ndarray) -> Tensor:
        """What `blank_like` gives, of the shape of x, (N, *spec.shape)."""
        return torch.from_numpy(np.ascontiguousarray(blank))

    def centre(self, x: Tensor, weights: Tensor) -> Tensor:
        """The best single value of each entry of weighted draws, (B, k, *shape) to (B, *shape): their mean.

        Args:
            x: the draws.
            weights: of each, adding up to 1, (B, k).
        """
        return (x * weights.to(x).view(*weights.shape, *[1] * (x.dim() - 2))).sum(1)

    def filled(
        self, raw: Any, x: Tensor, given: Tensor | None, source: Any = None, hidden: np.ndarray | None = None
    ) -> Any:
        """Examples with what x says in the place of their blanks, and everything else as it is in `raw`.

        Args:
            raw: what `read_with_blanks` gives.
            x: the examples with all blanks drawn, (N, *shape).
            given: their conditions, (N, G), or None.
            source: what the user gave.
            hidden: entries that are blank beside those that are missing, of the shape of the raw examples.
        """
        values, own = self.decode(x, given), np.asarray(raw[0] if isinstance(raw, tuple) else raw)
        blank = np.isnan(own) if own.dtype.kind == "f" else np.zeros(own.shape, bool)
        return np.where(blank if hidden is None else blank | hidden, values, own).astype(values.dtype)
