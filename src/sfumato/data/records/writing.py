"""Rows of records as a table file, with the images of its columns as files beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from sfumato.data.images.schema import ImageSchema
from sfumato.data.io import frames, image_files
from sfumato.data.records import images
from sfumato.data.records.raw import RawRows
from sfumato.errors import SfumatoError


def write(rows: RawRows, path: str | Path, schemas: Mapping[str, ImageSchema], forms: Mapping[str, pa.Field]) -> None:
    """Write rows to `path`, and their images as PNG files into the folder NAME_files beside it.

    Args:
        rows: the rows; images are arrays.
        path: of a table file.
        schemas: of the columns of images.
        forms: how columns of values are spelled in text, by name.

    Raises:
        SfumatoError: if the ending is of no table, or the place cannot be written to.
    """
    ending, target = frames.suffix(path), Path(path)
    if not target.parent.exists():
        raise SfumatoError(f"{target.parent}: no such folder; make it first")
    folder = target.with_name(f"{target.name[: -len(ending)]}_files")
    if folder.exists() and any(folder.iterdir()) and not target.exists():
        raise SfumatoError(f"{folder}: the folder of the images is not empty; choose another name for {target.name}")
    columns = {name: rows.table[name] for name in rows.table.column_names}
    for name, cells in rows.objects.items():
        paths = _write_images(name, cells, folder, schemas[name])
        columns[name] = pa.chunked_array([pa.array(paths, pa.string())])
    table = pa.table({name: columns[name] for name in rows.names})
    fields = [
        field.with_metadata(forms[field.name].metadata) if field.name in forms else field for field in table.schema
    ]
    frames.write(pa.table(table.columns, schema=pa.schema(fields)), path)


def _write_images(name: str, cells: Sequence[Any], folder: Path, schema: ImageSchema) -> list[str | None]:
    """Write the images of a column; the path of each, from the folder of the table on, None where there is none."""
    files = image_files.file_names(len(cells), None, ".png")
    stem = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
    paths: list[str | None] = []
    try:
        folder.mkdir(exist_ok=True)
        for cell, file in zip(cells, files, strict=True):
            paths.append(None if cell is None else f"{folder.name}/{stem}-{file}")
            if cell is not None:
                image_files.as_image(images.shown(schema, cell)).save(folder / f"{stem}-{file}")
    except OSError as error:
        raise SfumatoError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from None
    return paths
