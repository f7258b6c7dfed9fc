"""Sources in memory other than arrays and frames: PyTorch datasets and loaders, sparse matrices, records."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset
from torch.utils.data.sampler import RandomSampler, SequentialSampler, SubsetRandomSampler

from sfumato.data.io import arrays
from sfumato.data.io.count_files.count_matrix import looks_counted
from sfumato.errors import SfumatoError

logger = logging.getLogger("sfumato.data")

X_KEYS = ("x", "image", "images", "pixel_values", "img", "input", "inputs", "features", "data", "sample")
Y_KEYS = ("y", "label", "labels", "target", "targets", "class")


def unpacked(source: Any) -> Any:
    """An array, a pair (X, y), or a mapping of columns where `source` is something that holds one; else `source`.

    * a `TensorDataset`, a `Subset`, any dataset with a length: its examples, and the second of each as its label
    * a `DataLoader`: its dataset, of which a `SubsetRandomSampler` chooses the rows; it is neither shuffled nor batched
    * masked arrays: dense, NaN where masked; sparse matrices of scipy too, but those of counts stay as they are
    * structured arrays and lists of mappings: columns by name
    * lists of arrays, tensors or images of one shape: one array

    Raises:
        SfumatoError: for a dataset without a length, a sampler of another kind, or examples of several shapes.

    >>> unpacked(TensorDataset(torch.zeros(3, 2), torch.arange(3)))[1]
    tensor([0, 1, 2])
    """
    if isinstance(source, DataLoader):
        return _of_loader(source)
    if isinstance(source, Dataset):
        return _of_dataset(source, None)
    if sparse.issparse(source):
        return source if looks_counted(source) else source.toarray()
    if isinstance(source, np.ma.MaskedArray):
        return arrays.as_array(source, "X")
    if isinstance(source, np.ndarray) and source.dtype.names is not None:
        return {name: source[name] for name in source.dtype.names}
    if isinstance(source, tuple) and len(source) == 2 and not isinstance(source[0], str):
        x = unpacked(source[0])
        return source if x is source[0] or isinstance(x, tuple | Mapping) else (x, source[1])
    if isinstance(source, list) and source:
        return _of_list(source)
    return source


def _of_list(source: list[Any]) -> Any:
    if all(isinstance(item, Mapping) for item in source):
        names = dict.fromkeys(name for item in source for name in item)
        return {str(name): [item.get(name) for item in source] for name in names}
    are_arrays = all(isinstance(item, torch.Tensor) or hasattr(item, "__array_interface__") for item in source)
    if are_arrays and not any(isinstance(item, np.generic) for item in source):
        examples = [arrays.as_array(item, "X") for item in source]
        return np.stack(examples) if len({item.shape for item in examples}) == 1 else examples
    return source


def _of_loader(loader: DataLoader[Any]) -> Any:
    sampler = loader.sampler
    if isinstance(sampler, SubsetRandomSampler):
        return unpacked(Subset(loader.dataset, sorted(sampler.indices)))
    if isinstance(loader.dataset, IterableDataset) or isinstance(sampler, SequentialSampler | RandomSampler):
        return unpacked(loader.dataset)
    raise SfumatoError(
        f"X: a DataLoader whose rows a {type(sampler).__name__} draws; give its dataset, "
        "or Subset(loader.dataset, indices) with the rows to train on, in place of a tensor"
    )


def _of_dataset(source: Dataset[Any], rows: Sequence[int] | None) -> Any:
    """The examples of these rows, None for all; with their labels if they have some."""
    if isinstance(source, Subset):
        chosen = [int(row) for row in source.indices]
        return _of_dataset(source.dataset, chosen if rows is None else [chosen[row] for row in rows])
    if isinstance(source, TensorDataset):
        tensors = [tensor if rows is None else tensor[torch.as_tensor(rows)] for tensor in source.tensors]
        return _labelled(tensors[0], tensors[1]) if len(tensors) == 2 else _only(tensors)
    if isinstance(source, IterableDataset) or not hasattr(source, "__len__"):
        raise SfumatoError(
            f"X: {type(source).__name__} has no length, so its examples cannot be split; "
            "give them as a tensor, or as a list: list(dataset)"
        )
    wanted = range(len(source)) if rows is None else rows
    examples = [source[row] for row in wanted]
    if not examples:
        raise SfumatoError(f"X: {type(source).__name__} has no examples; give at least 2")
    return _of_examples(examples)


def _only(tensors: Sequence[torch.Tensor]) -> Any:
    if len(tensors) != 1:
        raise SfumatoError(f"X: a TensorDataset of {len(tensors)} tensors; give examples, or examples and labels")
    return tensors[0]


def _of_examples(examples: list[Any]) -> Any:
    """What items of a dataset are: examples, (example, label), or mappings with the two under their usual names."""
    first = examples[0]
    if isinstance(first, Mapping):
        x = next((name for name in X_KEYS if name in first), None)
        y = next((name for name in Y_KEYS if name in first), None)
        if x is None:
            return _of_list(examples)
        inputs = _stacked([example[x] for example in examples])
        return inputs if y is None else _labelled(inputs, _stacked([example[y] for example in examples]))
    if not isinstance(first, tuple | list):
        return _stacked(examples)
    inputs = _stacked([example[0] for example in examples])
    return inputs if len(first) == 1 else _labelled(inputs, _stacked([example[1] for example in examples]))


def _stacked(values: list[Any]) -> Any:
    if all(isinstance(value, torch.Tensor) for value in values):
        shapes = {tuple(value.shape) for value in values}
        if len(shapes) == 1:
            return torch.stack([value.detach().to_dense() for value in values])
    elif len(shapes := {np.shape(value) for value in values}) == 1:
        return np.stack([np.asarray(value) for value in values])
    some = " and ".join(str(shape) for shape in sorted(shapes)[:2])
    raise SfumatoError(f"X: its examples have several shapes, as {some}; bring them to one")


def _labelled(x: Any, y: Any) -> Any:
    """(X, y) if y has one value for each example, else X alone, with a warning."""
    shape = tuple(np.shape(y))
    if shape in ((len(x),), (len(x), 1)):
        return x, y
    logger.warning("X: what comes second has shape %s, which is no label for each example; it is left out", shape)
    return x
