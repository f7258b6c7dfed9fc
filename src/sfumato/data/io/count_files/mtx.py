"""Matrix Market files (`.mtx`), with the barcodes and features that 10x Genomics puts beside them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import NamedTuple

from scipy import io, sparse

from sfumato.data.io.count_files.count_matrix import CountMatrix, as_rows, no_columns
from sfumato.errors import SfumatoError
from sfumato.files import replacing

MTX_SUFFIXES = (".mtx", ".mtx.gz")
BARCODE_FILES, FEATURE_FILES = ("barcodes.tsv",), ("features.tsv", "genes.tsv")
SYMBOL = 1
"""Which column of features holds the name that people use; the first holds an identifier."""


class Beside(NamedTuple):
    """What lies beside a matrix.

    Attributes:
        cells: names of its columns, (N,), or empty.
        genes: names of its rows, (D,), or empty.
    """

    cells: tuple[str, ...]
    genes: tuple[str, ...]


def matrix_of(folder: Path) -> Path | None:
    """The matrix of a folder as 10x Genomics writes them; None where there is none."""
    return next((folder / f"matrix{ending}" for ending in MTX_SUFFIXES if (folder / f"matrix{ending}").is_file()), None)


def read(path: Path) -> tuple[CountMatrix, tuple[str, ...]]:
    """A matrix with its names, and notes on how it was read.

    Where barcodes and features lie beside it, rows of the file are genes and its columns cells, as 10x Genomics writes
    it; otherwise its rows are the examples.

    Raises:
        SfumatoError: if it is damaged, or what lies beside it does not fit.
    """
    if not path.is_file():
        raise SfumatoError(f"{path}: no such file; check the name and the folder")
    if path.stat().st_size == 0:
        raise SfumatoError(f"{path}: the file is empty (0 bytes); write it again")
    try:
        loaded = io.mmread(path)
    except Exception as error:  # Whatever the damaged line leads scipy's reader to.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SfumatoError(
            f"{path}: damaged, not readable as a Matrix Market file ({reason}); write it again"
        ) from None
    beside = Beside(_names(path, BARCODE_FILES), _names(path, FEATURE_FILES))
    if not (beside.cells or beside.genes):
        note = f"{path}: rows are taken as examples, as no barcodes.tsv and features.tsv lie beside it"
        return CountMatrix(as_rows(loaded), no_columns(loaded.shape[0]), name=str(path)), (note,)
    genes, cells = loaded.shape
    for what, names, total, axis in (
        ("features", beside.genes, genes, "rows"),
        ("barcodes", beside.cells, cells, "columns"),
    ):
        if names and len(names) != total:
            raise SfumatoError(
                f"{path}: has {total} {axis}, and {len(names)} {what} lie beside it; put the files of one run together"
            )
    matrix = CountMatrix(as_rows(loaded.T), no_columns(cells), beside.genes, beside.cells, str(path))
    return matrix, ()


def _names(path: Path, files: tuple[str, ...]) -> tuple[str, ...]:
    """The names in the first of these files that lies beside a matrix; features by their symbols, kept apart."""
    stem = path.name.removesuffix(".gz").removesuffix(".mtx")
    prefixes = (stem.removesuffix("matrix"), "") if stem.endswith("matrix") else (f"{stem}.",)
    for name in (f"{start}{file}{end}" for start in dict.fromkeys(prefixes) for file in files for end in ("", ".gz")):
        beside = path.parent / name
        if beside.is_file():
            return _lines(beside)
    return ()


def _lines(path: Path) -> tuple[str, ...]:
    try:
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        rows = [line.split("\t") for line in text.decode("utf-8").splitlines()]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise SfumatoError(f"{path}: damaged, not readable as lines of text ({error}); write it again") from None
    names = [row[SYMBOL] if len(row) > SYMBOL else row[0] for row in rows]
    return tuple(names) if len(set(names)) == len(names) else tuple(row[0] for row in rows)


def write(matrix: CountMatrix, path: Path) -> list[Path]:
    """The matrix as genes by cells, with its names beside it, each file whole or not at all.

    Returns:
        The files.
    """
    plain = path.name.removesuffix(".gz").removesuffix(".mtx")
    x = sparse.coo_array(matrix.x).T
    field = "integer" if x.data.dtype.kind in "iu" else "real"
    with replacing(path) as temporary:
        if path.name.endswith(".gz"):
            with gzip.open(temporary, "wb") as file:
                io.mmwrite(file, x, field=field)
        else:
            with temporary.open("wb") as file:
                io.mmwrite(file, x, field=field)
    written = [path]
    names = matrix.names or tuple(f"gene_{place + 1}" for place in range(matrix.x.shape[1]))
    cells = matrix.index or tuple(f"cell_{place + 1}" for place in range(len(matrix)))
    prefix = plain.removesuffix("matrix") if plain.endswith("matrix") else f"{plain}."
    for file_name, lines in (
        ("features.tsv", (f"{name}\t{name}\tGene Expression" for name in names)),
        ("barcodes.tsv", cells),
    ):
        target = path.parent / f"{prefix}{file_name}"
        with replacing(target) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        written.append(target)
    return written
