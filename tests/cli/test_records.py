"""Mixed records from a table with images to a table with images, by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Thirty rows of an image, a word and a number; one row has nothing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dots").mkdir()
    lines = ["image,word,number", ",,"]
    for row in range(29):
        pixels = np.full((4, 4), 20, np.uint8)
        pixels[row % 4] = 230
        Image.fromarray(pixels).save(tmp_path / f"dots/{row}.png")
        lines.append(f"dots/{row}.png,{'even' if row % 2 == 0 else 'odd'},{row % 4}")
    path = tmp_path / "records.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_records_are_fitted_sampled_and_completed(cli, table: Path) -> None:
    shown = json.loads(cli("data", "records.csv", "--kind", "word=text", "--json").out)
    assert shown["kind"] == "record"
    assert shown["models"] == ["multimodal_vae"]
    assert "row has nothing in any part, the first is row 1" in shown["notes"][-1]
    done = cli("fit", "records.csv", "--kind", "word=text", "--steps", "3", "--width", "8", "--run", "a", "--no-report")
    assert done.code == 0, done.err
    assert "add -o records.csv" in cli("sample", "a").err
    assert cli("sample", "a", "-n", "2", "-o", "new.csv", "--quiet").code == 0
    assert cli("score", "a", "new.csv", "--quiet").code == 0
    (table.parent / "asked.csv").write_text("image,word\n,even\ndots/1.png,\n", encoding="utf-8")
    assert cli("complete", "a", "asked.csv", "-o", "filled.csv", "--quiet").code == 0
    first, second = (table.parent / "filled.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert first.startswith("filled_files/image-0.png,even,")
    own = Image.open(table.parent / second.split(",")[0])
    np.testing.assert_array_equal(np.asarray(own), np.asarray(Image.open(table.parent / "dots/1.png")))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("anomalies", "records.csv"), "mixed records are not ranked by anomalies yet"),
        (("impute", "records.csv", "-o", "new.csv"), "not a table; fill arrays and images by sfumato complete"),
        (("fit", "records.csv", "--model", "vae"), "model vae is not for mixed records; choose multimodal_vae"),
        (("fit", "records.csv", "--model", "cvae", "--given", "word"), "mixed records have no conditions"),
    ],
)
def test_what_is_not_for_records_says_so(cli, table: Path, command: tuple[str, ...], message: str) -> None:
    done = cli(*command)
    assert (done.code, message in done.err) == (2, True), done.err
