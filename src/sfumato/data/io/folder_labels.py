"""Labels of the files of a folder: from a table beside them, else the names of the subfolders they lie in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from sfumato.data.io import csv
from sfumato.errors import SfumatoError

LABEL_FILES = ("labels.csv", "labels.tsv", "metadata.csv", "metadata.tsv")
FILE_COLUMNS = ("file_name", "filename", "file", "path", "image", "id")
LABEL_COLUMNS = ("label", "labels", "class", "target")


def labels_of(paths: Sequence[Path], folder: Path) -> np.ndarray | None:
    """The label of each file, missing where it has none; None if there are fewer than two different ones.

    A table called labels.csv or metadata.csv (or .tsv) in `folder` comes first. Files are in its column file_name, or
    another of `FILE_COLUMNS`, or else the first one: paths inside the folder, with or without their endings. Labels are
    in its column label, or another of `LABEL_COLUMNS`, or else the only other one. Without such a table the first
    subfolder that a file lies in is its label.

    Raises:
        SfumatoError: if the table has no column of labels, or a label for a file that is not there.
    """
    table = next((folder / name for name in LABEL_FILES if (folder / name).is_file()), None)
    listed = None if table is None else _listed(table, paths, folder)
    if listed is not None:
        return listed
    inside = [path.relative_to(folder).parts for path in paths]
    labels = np.array([parts[0] if len(parts) > 1 else "" for parts in inside], str)
    return labels if len(set(labels.tolist()) - {""}) > 1 else None


def _listed(table: Path, paths: Sequence[Path], folder: Path) -> np.ndarray | None:
    """Labels from a table; None if it is a metadata file that has none."""
    rows = csv.read(table, {})
    files, column = _columns(table, rows)
    if column is None:
        return None
    inside = [path.relative_to(folder) for path in paths]
    place = {path.with_suffix("").as_posix(): number for number, path in enumerate(inside)}
    place |= {path.as_posix(): number for number, path in enumerate(inside)}
    names = [Path(str(name)).as_posix() for name in rows[files].cast(pa.string()).to_pylist()]
    absent = [name for name in names if name not in place]
    if absent:
        raise SfumatoError(
            f"{table}: has a row for {absent[0]}, which is not in the folder; take such rows out ({len(absent)} of "
            f"{len(names)}), or add the files"
        )
    values = rows[column]
    numbers = pa.types.is_floating(values.type)
    labels = np.full(len(paths), np.nan) if numbers else np.full(len(paths), "", object)
    listed = values.to_pylist() if numbers else values.cast(pa.string()).to_pylist()
    for name, value in zip(names, listed, strict=True):
        if value is not None:
            labels[place[name]] = value
    labels = labels if numbers else labels.astype(str)
    known = set(labels[~np.isnan(labels)].tolist()) if numbers else set(labels.tolist()) - {""}
    return labels if len(known) > 1 else None


def _columns(table: Path, rows: pa.Table) -> tuple[str, str | None]:
    """The column of files and that of labels; None where a file of metadata has no labels."""
    names = rows.column_names
    lower = {name.lower(): name for name in reversed(names)}
    files = next((lower[name] for name in FILE_COLUMNS if name in lower), names[0])
    others = [name for name in names if name != files]
    label = next((lower[name] for name in LABEL_COLUMNS if lower.get(name) in others), None)
    if label is None and len(others) == 1:
        label = others[0]
    if label is None and table.stem == "labels":
        shown = ", ".join(others) or "none"
        raise SfumatoError(
            f"{table}: which column holds the labels? Besides {files}, the files, it has {shown}; call one label"
        )
    return files, label
