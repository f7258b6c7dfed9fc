"""Counts as a kind of data: `.h5ad`, `.mtx`, sparse matrices, AnnData objects, and tables said to hold counts."""

from __future__ import annotations

from sfumato import likelihoods
from sfumato.data.core.kinds import Kind, OptionUse
from sfumato.data.core.options import DataOptions
from sfumato.data.core.source import Source
from sfumato.data.counts import sources
from sfumato.data.counts.load import open_counts
from sfumato.data.counts.schema import CountsSchema
from sfumato.data.io import frames
from sfumato.data.io.count_files import count_matrix, mtx


def accepts(source: Source, options: DataOptions) -> bool:
    """Whether it is a file or an object of counts, or is said to be; not where a likelihood of something else is."""
    if source.builtin or (options.likelihood != "auto" and not likelihoods.named(options.likelihood).counts):
        return False
    if options.counts:
        return True
    path = source.path
    if path is None:
        return count_matrix.holds_counts(source.value) and not options.sequences and not options.symbols
    if path.is_dir():
        return mtx.matrix_of(path) is not None and not frames.is_parts(path)
    if source.endswith(".npz"):
        return path.is_file() and count_matrix.holds_sparse(path) and _counted(source)
    return source.endswith(sources.H5AD, *mtx.MTX_SUFFIXES)


def _counted(source: Source) -> bool:
    assert source.path is not None, "a file"
    return count_matrix.looks_counted(count_matrix.read_npz(source.path).x)


KIND = Kind(
    name="counts",
    schema=CountsSchema,
    accepts=accepts,
    load=open_counts,
    plural="counts",
    source="matrix of counts",
    order=20,
    suffixes=(sources.H5AD, *mtx.MTX_SUFFIXES),
    options={"counts": OptionUse("rows of whole numbers"), "layer": OptionUse(".h5ad files and AnnData objects")},
    file_suffix=sources.H5AD,
)
