"""Labels of files: from a table beside them, or the names of their subfolders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfumato import data
from sfumato.data.core.options import DataOptions
from sfumato.data.io.folder_labels import labels_of
from sfumato.errors import SfumatoError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images in two subfolders."""
    random = np.random.default_rng(0)
    for number in range(12):
        place = tmp_path / "images" / ("left" if number < 6 else "right")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (4, 4), dtype=np.uint8)).save(place / f"{number:02}.png")
    return tmp_path / "images"


def found(folder: Path) -> list[str | float]:
    labels = labels_of(sorted(folder.rglob("*.png")), folder)
    assert labels is not None
    return labels.tolist()


def test_subfolders_are_labels_where_no_table_is(folder: Path) -> None:
    assert found(folder) == ["left"] * 6 + ["right"] * 6


@pytest.mark.parametrize("name", ["labels.csv", "metadata.csv"])
@pytest.mark.parametrize("ending", [".png", ""])
def test_a_table_comes_before_subfolders_and_its_blanks_are_missing(folder: Path, name: str, ending: str) -> None:
    rows = [f"{place}/{number:02}{ending},{'cat' if number % 2 else 'dog'},9" for place, number in _places()]
    rows[3], rows[4] = rows[3].replace("cat", ""), rows.pop()
    (folder / name).write_text("\n".join(["file_name,Label,weight", *rows]))
    expected = ["dog", "cat"] * 6
    expected[3] = expected[4] = ""
    expected[11] = "cat"
    assert found(folder) == expected
    dataset = data.open(folder, options=DataOptions(given=("label",)))
    assert dataset.schema.label_names == ("cat", "dog")


def _places() -> list[tuple[str, int]]:
    return [("left" if number < 6 else "right", number) for number in range(12)]


def test_numbers_are_a_condition_on_a_line(folder: Path) -> None:
    lines = ["image;smile", *(f"{place}/{number:02}.png;{number / 8}" for place, number in _places())]
    (folder / "labels.csv").write_text("\n".join(lines))
    assert found(folder) == [number / 8 for number in range(12)]
    schema = data.open(folder, options=DataOptions(given=("label",))).schema
    assert schema.spec.given[0].kind == "real"


def test_a_table_that_does_not_fit_is_named_with_what_to_do(folder: Path) -> None:
    (folder / "labels.csv").write_text("file,smile,age\nleft/00.png,1,2\n")
    with pytest.raises(SfumatoError, match=r"labels.csv: which column.*smile, age; call one label"):
        found(folder)
    (folder / "labels.csv").write_text("file,label\nleft/00.png,1\nleft/99.png,2\n")
    with pytest.raises(SfumatoError, match=r"labels.csv: has a row for left/99.png, which is not in the folder"):
        data.open(folder)
    (folder / "labels.csv").rename(folder / "metadata.csv")
    (folder / "metadata.csv").write_text("file_name,text,author\nleft/00.png,a,b\n")
    assert found(folder) == ["left"] * 6 + ["right"] * 6
