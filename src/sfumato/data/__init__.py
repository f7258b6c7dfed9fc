"""Data in, and out again: a source becomes a `Dataset` of a schema and three `Batches`.

`sfumato.data.ts` reads a `.ts` file as arrays, without splits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfumato.data.core.options import DataOptions

if TYPE_CHECKING:
    from sfumato.data.core.dataset import Dataset
    from sfumato.data.core.schema import Schema
    from sfumato.data.io import ts as ts

__all__ = ["DataOptions", "names", "open", "summary"]


def __getattr__(name: str) -> Any:
    if name == "ts":
        from sfumato.data.io import ts

        return ts
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def open(
    source: Any, *, options: DataOptions | None = None, schema: Schema | None = None, forms: tuple[str, ...] = ()
) -> Dataset:
    """Open a source, split it, learn its schema on the training split, and encode it.

    Args:
        source: the name of a built-in set (see `names`; a folder of that name is `./moons`); a `.csv`, `.tsv`,
            `.parquet` (also `.gz`), `.npy`, `.npz`, `.ts`, `.h5ad` or `.mtx` file; a `.txt` file, each of its lines a
            sequence of characters; a folder of images or of sounds, whose subfolders are labels; a sound file; a numpy
            array (masked: NaN), a torch tensor, a sparse matrix, an AnnData object, a list of rows, of arrays or of
            strings, or a pair (X, y); a `Dataset` or `DataLoader` of PyTorch; a pandas, polars or arrow frame, also a
            lazy one, or a list of mappings.
        options: how it is read, split and encoded.
        schema: by which it is encoded, that of a private training, which cannot be learned again; None learns it.
        forms: of data that the model takes, see `Model.data_forms`, where these decide how a source is read.

    Raises:
        SfumatoError: if the source is missing, damaged, or does not fit the options.

    >>> data = open("moons", options=DataOptions(rows=100))
    >>> len(data.train), len(data.valid), len(data.test)
    (80, 10, 10)
    """
    from sfumato.data.opening import open_source

    return open_source(source, DataOptions() if options is None else options, schema, forms)


def names() -> tuple[str, ...]:
    """The built-in sets.

    >>> names()[:3]
    ('moons', 'circles', 'blobs')
    """
    from sfumato.data.builtin.toy import SUMMARIES

    return tuple(SUMMARIES)


def summary(name: str) -> str:
    """One line about a built-in set.

    >>> summary("moons")
    'two interleaved half circles in the plane, 2 labels, noise 0.05'
    """
    from sfumato.data.builtin.toy import SUMMARIES

    return SUMMARIES[name]
