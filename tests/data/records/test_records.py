"""Mixed records: how rows of a table with images and text are read, encoded and written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from PIL import Image

import sfumato
from sfumato import data
from sfumato.data import DataOptions
from sfumato.data.registry import load_schema
from sfumato.errors import SfumatoError

WORDS = ("zero", "one", "two")


def images(total: int, random: np.random.Generator) -> np.ndarray:
    return random.integers(0, 256, (total, 6, 5), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A table of 40 rows: an image, a word and a number; every fifth image and every seventh word is missing."""
    random = np.random.default_rng(0)
    rows = ["image,word,number"]
    for row, pixels in enumerate(images(40, random)):
        Image.fromarray(pixels).save(tmp_path / f"{row}.png")
        path = "" if row % 5 == 0 else f"{row}.png"
        rows.append(f"{path},{'' if row % 7 == 0 else WORDS[row % 3]},{row % 3 + 0.5 * (row % 2)}")
    (tmp_path / "records.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path


def opened(source: object, **options: object) -> data.core.dataset.Dataset:
    return data.open(source, options=DataOptions(**{"kinds": {"word": "text"}} | options))


def test_a_column_of_paths_makes_a_table_mixed_records(folder: Path) -> None:
    found = data.open(folder / "records.csv")
    rows = {row["column"]: (row["kind"], row["missing"] != "") for row in found.schema.describe()}
    assert rows["image"] == ("image, grey, 6×5", True)
    assert rows["word"] == ("categorical", True)
    assert [part.name for part in found.schema.spec.parts] == ["columns", "image"]
    with_text = opened(folder / "records.csv")
    assert [part.name for part in with_text.schema.spec.parts] == ["number", "word", "image"]
    assert data.open(folder / "records.csv", options=DataOptions(drop=("image",))).schema.kind == "table"


def test_what_is_encoded_is_decoded_and_what_is_missing_stays_so(folder: Path) -> None:
    schema = opened(folder / "records.csv").schema
    schema = load_schema(schema.to_dict())
    records = schema.read(folder / "records.csv")
    x = schema.encode(records).x
    assert x.shape == (40, 1 + 5 + 30)
    own = schema.split(x)
    assert own["image"].isnan().all(-1).all(-1)[:, 0].tolist() == [row % 5 == 0 for row in range(40)]
    assert own["word"].isnan().flatten(1).all(1).tolist() == [row % 7 == 0 for row in range(40)]
    frame = schema.decode(x)
    assert frame["word"].isna().tolist() == [row % 7 == 0 for row in range(40)]
    assert frame["image"][0] is None
    np.testing.assert_array_equal(frame["image"][1], np.asarray(Image.open(folder / "1.png")))
    torch.testing.assert_close(schema.encode(frame).x, x, equal_nan=True)


@pytest.mark.parametrize("kind", ["pandas", "polars", "mapping"])
def test_frames_in_memory_come_back_as_they_came(kind: str) -> None:
    pixels = images(30, np.random.default_rng(1))
    columns = {"number": np.arange(30) % 4 + 0.25, "image": list(pixels), "word": [WORDS[row % 3] for row in range(30)]}
    if kind == "pandas":
        source: object = pd.DataFrame(columns)
    elif kind == "polars":
        source = pl.DataFrame({name: columns[name] for name in ("number", "word")}).insert_column(
            1, pl.Series("image", columns["image"], dtype=pl.Object)
        )
    else:
        source = columns | {"image": pixels}
    schema = opened(source).schema
    made = schema.decode(schema.encode(source).x)
    assert isinstance(made, dict if kind == "mapping" else type(source))
    assert list(made) == list(columns) if kind != "polars" else made.columns == list(columns)
    np.testing.assert_array_equal(np.stack(list(made["image"])), pixels)
    assert list(made["word"]) == columns["word"]


def test_rows_are_written_with_their_images_beside_them(folder: Path, tmp_path: Path) -> None:
    schema = opened(folder / "records.csv").schema
    x = schema.encode(folder / "records.csv").x
    schema.write(schema.decode(x), folder / "new.csv")
    again = schema.encode(folder / "new.csv").x
    torch.testing.assert_close(again, x, equal_nan=True)
    assert len(list((folder / "new_files").iterdir())) == 32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "3.png").unlink(), "records.csv: row 4, column 'image': 3.png is not there; give"),
        (lambda folder: (folder / "3.png").write_bytes(b""), "3.png: the file is empty"),
        (lambda folder: (folder / "3.png").write_bytes(b"no image at all"), "3.png: damaged, or not an image"),
    ],
)
def test_a_bad_image_is_one_line(folder: Path, change: object, message: str) -> None:
    change(folder)  # type: ignore[operator]
    with pytest.raises(SfumatoError, match=message):
        data.open(folder / "records.csv")


def test_images_of_several_sizes_are_brought_to_one(folder: Path) -> None:
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(folder / "1.png")
    assert data.open(folder / "records.csv").schema.spec.parts[-1].spec.shape == (1, 8, 8)
    shapes = [np.zeros((4, 4), np.uint8), np.zeros((5, 4), np.uint8)] * 10
    with pytest.raises(SfumatoError, match="row 3, column 'image': 'x\\.png' is no image as that of row 1 is"):
        data.open({"image": [*shapes[:1] * 2, "x.png"] * 6, "number": np.arange(18.0) ** 2})
    with pytest.raises(SfumatoError, match="row 2, column 'image': the image has shape"):
        data.open({"image": shapes, "number": np.arange(20.0) ** 2})


def test_long_texts_are_cut_and_said_to_be() -> None:
    rows = {"image": images(30, np.random.default_rng(2)), "word": [WORDS[row % 3] for row in range(30)]}
    found = opened(rows, longest=3)
    assert "longer than 3 characters" in found.notes[0]
    assert found.schema.decode(found.schema.encode(rows).x)["word"][0] == "zer"
    assert opened(rows, tokens="bytes").schema.spec.parts[0].spec.fields[0].size > 200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"given": ("number",)}, "mixed records have no conditions"),
        ({"likelihood": "gaussian"}, "each part of a record has its own"),
        ({"streaming": "yes"}, "held whole"),
        ({"binarise": "threshold"}, "that is for images"),
    ],
)
def test_options_that_records_do_not_take_are_refused(folder: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(SfumatoError, match=message):
        opened(folder / "records.csv", **options)


def test_another_model_names_the_one_for_records(folder: Path) -> None:
    with pytest.raises(SfumatoError, match="model beta_vae is not for mixed records; choose multimodal_vae"):
        sfumato.fit(folder / "records.csv", model="beta_vae", steps=1)
