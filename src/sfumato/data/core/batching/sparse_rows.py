"""Examples that stay sparse in memory: a batch is dense, the rest is not."""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from sfumato.batch import Batch
from sfumato.data.core.batching.batches import Resident, chosen


class SparseRows(Resident):
    """Rows of a sparse matrix in memory; those of a batch are made dense when it is taken.

    A device gets the entries of a batch that are not 0, and spreads them out there.

    Args:
        x: (N, D), sparse by rows.
        given: (N, G) conditions or None.
        labels: (N,) int64 or None.

    >>> rows = SparseRows(sparse.csr_array([[0, 2], [1, 0], [0, 0]]))
    >>> len(rows), rows.take(torch.tensor([1, 0])).x
    (3, tensor([[1., 0.],
            [0., 2.]]))
    """

    def __init__(self, x: sparse.csr_array, given: Tensor | None = None, labels: np.ndarray | None = None) -> None:
        super().__init__(torch.empty(0), given, labels)
        self._rows_of = x
        self._device = torch.device("cpu")

    def __len__(self) -> int:
        return int(self._rows_of.shape[0])

    def to(self, device: torch.device | str) -> Self:
        moved = super().to(device)
        assert isinstance(moved, type(self)), "of this class"
        moved._rows_of, moved._device = self._rows_of, torch.device(device)
        return moved

    def _rows(self, index: Tensor | slice) -> Batch:
        at = index if isinstance(index, slice) else index.cpu().numpy()
        rows = self._rows_of[at]
        given = None if self._given is None else chosen(self._given, _on(index, self._given.device))
        if self._device.type == "cpu":
            return Batch(torch.from_numpy(rows.astype(np.float32).toarray()), given)
        x = torch.zeros(rows.shape, device=self._device)
        lines = torch.from_numpy(np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr)))
        places = (lines.to(self._device), torch.from_numpy(rows.indices.astype(np.int64)).to(self._device))
        return Batch(x.index_put_(places, torch.from_numpy(rows.data.astype(np.float32)).to(self._device)), given)


def _on(index: Tensor | slice, device: torch.device) -> Tensor | slice:
    return index if isinstance(index, slice) else index.to(device)
