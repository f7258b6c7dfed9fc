from __future__ import annotations

import json
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sfumato import data
from sfumato.data import DataOptions
from sfumato.data.core.dataset import Dataset
from sfumato.data.images.schema import ImageSchema
from sfumato.data.io import arrays
from sfumato.data.io import image_files as files
from sfumato.data.registry import load_schema
from sfumato.errors import SfumatoError


def levels(*shape: int, high: int = 256, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, high, shape).astype(np.uint8)


def _training_rows(opened: Dataset, raw: np.ndarray) -> set[int]:
    """Which rows of `raw` are training rows of `opened`."""
    taken = opened.schema.decode(opened.train.take(slice(None)).x)
    return {row for row in range(len(raw)) if (taken == raw[row]).all((1, 2)).any()}


def filled(folder: Path, number: int = 6, mode: str = "RGB", size: tuple[int, int] = (10, 8)) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    channels = {"L": (), "RGB": (3,), "RGBA": (4,), "LA": (2,)}[mode]
    for one in range(number):
        Image.fromarray(levels(size[1], size[0], *channels, seed=one)).save(folder / f"{one}.png")
    return folder


@pytest.mark.parametrize(
    ("raw", "shape", "size"),
    [
        (levels(9, 4, 5), (1, 4, 5), 256),
        (levels(9, 4, 5, 3), (3, 4, 5), 256),
        (levels(9, 3, 4, 5), (3, 4, 5), 256),
        (levels(9, 4, 5, 1), (1, 4, 5), 256),
        (levels(9, 6, 5, 2), (2, 6, 5), 256),
        (levels(9, 4, 5, high=17).astype(np.int64), (1, 4, 5), 17),
        (levels(9, 4, 5, high=17).astype(np.float64), (1, 4, 5), 17),
        (levels(9, 4, 5, high=2).astype(bool), (1, 4, 5), 2),
        (levels(9, 4, 5) / np.float32(255), (1, 4, 5), 256),
    ],
)
def test_arrays_of_images_come_back_as_they_were(raw: np.ndarray, shape: tuple[int, ...], size: int) -> None:
    learned = ImageSchema.learn(raw, None, DataOptions())
    assert learned.spec.shape == shape
    assert learned.spec.fields[0].size == size
    x = learned.encode(raw).x
    assert x.dtype == torch.uint8
    assert x.shape == (9, *shape)
    back = learned.decode(x)
    assert back.dtype == raw.dtype
    np.testing.assert_allclose(back, raw, atol=1e-6)
    assert learned.shown(x).shape == (9, shape[1], shape[2], shape[0])


def test_sixteen_bits_become_eight() -> None:
    raw = np.array([[[0, 257, 65535], [32768, 300, 65278]]] * 4, np.uint16)
    learned = ImageSchema.learn(raw, None, DataOptions())
    assert learned.encode(raw).x[0, 0].tolist() == [[0, 1, 255], [128, 1, 254]]


def test_doubtful_layouts_follow_where_they_come_from() -> None:
    raw = levels(8, 3, 3, 3)
    assert data.open(raw).train.take(slice(1)).x[0, 1, 0, 2] in raw[:, 0, 2, 1]
    opened = data.open(torch.from_numpy(raw))
    assert opened.schema.decode(opened.train.take(slice(None)).x).shape == (6, 3, 3, 3)
    assert isinstance(opened.schema, ImageSchema)
    assert opened.schema.pixels.layout == "CHW"


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        (np.full((5, 3, 3), -1), "image 1 holds -1"),
        (np.array([[[0.5]], [[np.nan]], [[0.1]]]), "image 2 holds nan"),
        (np.array([[[0.5]], [[3.5]], [[0.1]]]), r"holds floats up to 3\.5; give 0 to 1, or"),
        (np.array([[[0.5, 3.5]]] * 3), "give 0 to 1, or 0 to 255, or add --sequences"),
        (np.zeros((5, 9, 9, 9)), "C from 1 to 4"),
        (np.zeros((2, 2, 2, 2, 2)), r"give \(N, D\), or images"),
    ],
)
def test_arrays_that_are_no_images_are_refused(raw: np.ndarray, match: str) -> None:
    with pytest.raises(SfumatoError, match=match):
        data.open(raw)


@pytest.mark.parametrize(
    ("likelihood", "binarise", "resolved", "size"),
    [
        ("auto", "auto", "gaussian", 256),
        ("bernoulli", "auto", "bernoulli", 2),
        ("bernoulli", "no", "bernoulli", 256),
        ("auto", "threshold", "bernoulli", 2),
        ("logistic_mixture", "auto", "logistic_mixture", 256),
    ],
)
def test_likelihood_and_binarising_are_resolved(likelihood: str, binarise: str, resolved: str, size: int) -> None:
    options = DataOptions(likelihood=likelihood, binarise=binarise)
    learned = ImageSchema.learn(levels(9, 4, 4), None, options)
    assert (learned.spec.likelihood, learned.spec.fields[0].size) == (resolved, size)


def test_a_threshold_cuts_at_half_and_decoding_gives_black_and_white() -> None:
    raw = np.array([[[0, 127, 128, 255]]] * 3, np.uint8)
    learned = ImageSchema.learn(raw, None, DataOptions(binarise="threshold"))
    x = learned.encode(raw).x
    assert x[0].flatten().tolist() == [0, 0, 1, 1]
    assert learned.decode(x)[0].tolist() == [[0, 0, 255, 255]]


def test_images_binarised_some_at_a_time_are_those_binarised_together(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = np.random.default_rng(0).integers(0, 256, (7, 4, 4), dtype=np.uint8)
    learned = ImageSchema.learn(raw, None, DataOptions(likelihood="bernoulli"))
    together = learned.encode(raw).x
    monkeypatch.setattr(arrays, "ENTRIES_AT_A_TIME", 2 * 16)
    assert torch.equal(learned.encode(raw).x, together)
    assert len(learned.encode(raw[:0]).x) == 0


def test_validation_is_binarised_once_and_training_afresh() -> None:
    opened = data.open(levels(100, 6, 6), options=DataOptions(likelihood="bernoulli"))
    for part, same in ((opened.train, False), (opened.valid, True), (opened.test, True)):
        first, second = (torch.cat([batch.x for batch in part.epoch(50, seed=0)]) for _ in range(2))
        assert torch.equal(first, second) is same
    assert opened.schema.spec.fields[0].size == 2


def test_densities_are_given_on_the_levels_scale() -> None:
    raw = levels(9, 2, 2)
    gauss = ImageSchema.learn(raw, None, DataOptions())
    assert gauss.log_jacobian(gauss.encode(raw).x).tolist() == pytest.approx([4 * math.log(255)] * 9)
    exact = ImageSchema.learn(raw, None, DataOptions(likelihood="categorical"))
    assert exact.log_jacobian(raw_x := exact.encode(raw).x).tolist() == [0] * len(raw_x)


def test_a_schema_survives_json() -> None:
    options = DataOptions(likelihood="bernoulli", given="label")
    opened = data.open((levels(40, 4, 4), np.arange(40) % 3), options=options)
    again = load_schema(json.loads(json.dumps(opened.schema.to_dict(), allow_nan=False)))
    assert again.to_dict() == opened.schema.to_dict()
    assert torch.equal(again.encode(levels(5, 4, 4)).x, opened.schema.encode(levels(5, 4, 4)).x)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("LA", 1), ("RGB", 3), ("RGBA", 3)])
def test_a_folder_has_one_mode(tmp_path: Path, mode: str, channels: int) -> None:
    opened = data.open(filled(tmp_path / "p", mode=mode))
    assert opened.schema.spec.shape == (channels, 8, 10)
    assert opened.has_label is False


def test_pixels_of_files_are_untouched(tmp_path: Path) -> None:
    folder = filled(tmp_path / "p", number=3)
    opened = data.open(folder, options=DataOptions(split=(1, 0, 0)))
    for one in range(3):
        raw = levels(8, 10, 3, seed=one)
        assert (opened.schema.decode(opened.train.take(slice(one, one + 1)).x)[0] == raw).all()


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    folder = filled(tmp_path / "p", number=1, size=(2, 1))
    clear = np.array([[[10, 20, 30, 0], [10, 20, 30, 255]]], np.uint8)
    Image.fromarray(clear).save(folder / "1.png")
    Image.new("P", (2, 1), 0).save(folder / "2.png", transparency=0)
    pixels = data.open(folder, options=DataOptions(split=(1, 0, 0))).train.take(slice(None)).x
    assert pixels[1, :, 0].T.tolist() == [[255, 255, 255], [10, 20, 30]]
    assert pixels[2].min() == 255


def test_odd_modes_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    Image.fromarray(np.full((4, 4), 65535, np.uint16)).save(folder / "a.png")
    Image.new("1", (4, 4), 1).save(folder / "b.png")
    Image.new("L", (4, 4), 255).save(folder / "c.gif")
    Image.new("L", (4, 4), 255).save(folder / "d.tiff")
    Image.new("L", (4, 4), 255).save(folder / "e.webp", lossless=True)
    Image.new("CMYK", (4, 4), 0).save(folder / "f.jpg")
    opened = data.open(folder, options=DataOptions(split=(1, 0, 0)))
    assert opened.train.take(slice(None)).x.float().mean() > 254


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (np.array([[0, 0.25], [0.5, 1]], np.float32), [[0, 64], [128, 255]]),
        (np.array([[0, 0.25], [100, 255]], np.float32), [[0, 0], [100, 255]]),
        (np.array([[0, 17], [100, 255]], np.int32), [[0, 17], [100, 255]]),
        (np.array([[0, 257], [25700, 65535]], np.int32), [[0, 1], [100, 255]]),
    ],
    ids=["to 1", "to 255", "8 bits", "16 bits"],
)
def test_floats_and_long_integers_become_eight_bits(tmp_path: Path, values: np.ndarray, wanted: list) -> None:
    for name in "abc":
        Image.fromarray(values).save(tmp_path / f"{name}.tif")
    opened = data.open(tmp_path, options=DataOptions(split=(1, 0, 0)))
    assert opened.train.take(slice(0, 1)).x[0, 0].tolist() == wanted


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.float32(-0.5), "-0.5"),
        (np.float32(np.nan), "nan"),
        (np.float32(255.5), "255.5"),
        (np.int32(-1), "-1"),
        (np.int32(65536), "65536"),
    ],
)
def test_pixels_on_no_known_scale_are_refused(tmp_path: Path, value: np.generic, said: str) -> None:
    folder = filled(tmp_path / "p", mode="L")
    values = np.zeros((8, 10), value.dtype)
    values[2, 3] = value
    Image.fromarray(values).save(folder / "bad.tif")
    cure = "scale its pixels to 0 to 1 or 0 to 255, or take it out of the folder"
    with pytest.raises(SfumatoError, match=rf"bad\.tif: holds the pixel {said}; {cure}$"):
        data.open(folder)


def test_the_camera_orientation_is_followed(tmp_path: Path) -> None:
    folder = filled(tmp_path / "p", number=2, mode="L", size=(8, 4))
    upright = Image.fromarray(levels(8, 4))
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("7.jpg", "8.jpg"):
        upright.save(folder / name, exif=exif, quality=100)
    opened = data.open(folder, options=DataOptions(split=(1, 0, 0)))
    assert opened.schema.spec.shape == (1, 4, 8)
    turned = np.rot90(levels(8, 4), -1).astype(float)
    assert np.abs(opened.train.take(slice(2, 3)).x[0, 0].numpy() - turned).mean() < 4


def test_mixed_sizes_are_brought_to_one_by_the_rule(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    for one, (width, height) in enumerate([(50, 30), (30, 44), (100, 30), (60, 60), (20, 30)]):
        image = np.zeros((height, width), np.uint8)
        middle = slice(height // 2 - 2, height // 2 + 2), slice(width // 2 - 2, width // 2 + 2)
        image[middle] = 255
        Image.fromarray(image).save(folder / f"{one}.png")
    everything = DataOptions(split=(1, 0, 0))
    opened = data.open(folder, options=everything)
    assert opened.schema.spec.shape == (1, 24, 24)
    x = opened.train.take(slice(None)).x[:, 0].float()
    assert (x[:, 11:13, 11:13].mean((1, 2)) > 150).all()
    assert data.open(folder, options=DataOptions(size=12)).schema.spec.shape == (1, 12, 12)


def test_large_images_are_brought_to_64(tmp_path: Path) -> None:
    assert data.open(filled(tmp_path / "p", size=(90, 90))).schema.spec.shape == (3, 64, 64)


def test_subfolders_are_labels(tmp_path: Path) -> None:
    for name in ("cat", "dog/small"):
        filled(tmp_path / "p" / name, number=10)
    filled(tmp_path / "p" / ".hidden")
    (tmp_path / "p" / "cat" / ".secret.png").write_bytes(b"")
    (tmp_path / "p" / "notes.txt").write_text("not an image")
    opened = data.open(tmp_path / "p", options=DataOptions(given="label"))
    assert opened.has_label
    assert opened.schema.label_names == ("cat", "dog")
    assert len(opened.train) == 16
    assert opened.train.labels is not None
    assert np.bincount(opened.train.labels).tolist() == [8, 8]
    given = opened.train.take(slice(None)).given
    assert given is not None
    assert given[:, 0].tolist() == opened.train.labels.tolist()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def huge(side: int) -> bytes:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def good_png(folder: Path) -> bytes:
    return (folder / "0.png").read_bytes()


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (lambda folder: b"", r"bad\.png: the file is empty"),
        (lambda folder: b"hello, this is no image", r"bad\.png: damaged, or not an image"),
        (lambda folder: good_png(folder)[:-60], r"bad\.png: damaged"),
        (lambda folder: huge(50_000), r"bad\.png: has .* more than 50 megapixels"),
        (lambda folder: huge(10_000), r"bad\.png: has 10000×10000 pixels, more than 50 megapixels"),
    ],
    ids=["empty", "text", "truncated", "bomb", "large"],
)
def test_bad_files_are_named_with_the_cure(tmp_path: Path, content, match: str) -> None:
    folder = filled(tmp_path / "p")
    (folder / "bad.png").write_bytes(content(folder))
    with pytest.raises(SfumatoError, match=match) as caught:
        data.open(folder)
    assert "take it out of the folder" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SfumatoError, match="holds no images"):
        data.open(tmp_path)


def test_new_images_are_brought_to_what_was_learned(tmp_path: Path) -> None:
    learned = data.open(filled(tmp_path / "p")).schema
    Image.new("RGBA", (77, 33), (1, 2, 3, 255)).save(tmp_path / "new.png")
    raw = learned.read(tmp_path / "new.png")
    assert raw.shape == (1, 8, 10, 3)
    assert raw[0, 0, 0].tolist() == [1, 2, 3]
    with pytest.raises(SfumatoError, match=r"trained on images of shape \(N, 8, 10, 3\); give it images of that"):
        learned.read(levels(4, 9, 9))


@pytest.mark.parametrize(
    ("trained", "given", "match"),
    [
        ((9, 8, 8), (4, 1, 8, 8), r"has shape \(4, 1, 8, 8\); .* of shape \(N, 8, 8\); reshape\(-1, 8, 8\) brings"),
        ((9, 8, 8), (4, 64), r"of shape \(N, 8, 8\); reshape\(-1, 8, 8\) brings"),
        ((9, 6, 5, 3), (6, 5, 3), r"of shape \(N, 6, 5, 3\); reshape\(-1, 6, 5, 3\) brings"),
        ((9, 6, 5, 3), (4, 3, 6, 5), r"of shape \(N, 6, 5, 3\); move the channels to the end: np\.moveaxis\(X, 1, 3\)"),
        (
            (9, 3, 6, 5),
            (4, 6, 5, 3),
            r"of shape \(N, 3, 6, 5\); move the channels to the front: np\.moveaxis\(X, 3, 1\)",
        ),
        ((9, 6, 5, 3), (4, 5, 6, 3), r"of shape \(N, 6, 5, 3\); give it images of that shape"),
    ],
)
def test_an_array_laid_out_otherwise_is_told_how_to_come_by_the_shape(
    trained: tuple[int, ...], given: tuple[int, ...], match: str
) -> None:
    learned = ImageSchema.learn(levels(*trained), None, DataOptions())
    with pytest.raises(SfumatoError, match=match):
        learned.read(levels(*given))


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
@pytest.mark.parametrize("top", [16, 255])
def test_images_scaled_to_one_are_refused_by_a_model_of_levels(top: int, dtype: type) -> None:
    raw = levels(9, 4, 5, high=top + 1).astype(dtype)
    raw[0, 0, 0] = top
    learned = ImageSchema.learn(raw, None, DataOptions())
    for small in (np.float64, np.float32, np.float16):
        with pytest.raises(SfumatoError, match=f"X: holds floats from 0 to 1; .* 0 to {top}; multiply it by {top}$"):
            learned.read((raw / top).astype(small))
    with pytest.raises(SfumatoError, match=f"X: holds booleans; .* multiply it by {top}$"):
        learned.read(raw > 3)
    for good in (
        raw,
        raw.astype(np.int64),
        raw.astype(np.float32),
        np.minimum(raw, 1),
        np.minimum(raw, 1).astype(float),
    ):
        assert learned.read(good) is good


def test_what_a_model_of_levels_makes_of_dark_images_is_read_again() -> None:
    for dtype in (np.float64, np.float32):
        learned = ImageSchema.learn(levels(9, 4, 5, high=17).astype(dtype), None, DataOptions())
        made = learned.decode(torch.rand(3, 1, 4, 5, generator=torch.Generator().manual_seed(0)))
        assert made.max() < 1
        assert learned.read(made) is made


def test_a_model_of_two_levels_reads_booleans_and_whole_numbers() -> None:
    for raw in (levels(9, 4, 5, high=2).astype(bool), levels(9, 4, 5, high=2)):
        learned = ImageSchema.learn(raw, None, DataOptions())
        for dtype in (bool, np.uint8, np.float32):
            assert (learned.levels(learned.read(raw.astype(dtype))) == torch.from_numpy(raw[:, None].astype(int))).all()


@pytest.mark.parametrize(
    ("raw", "size"), [(levels(60, 4, 4, high=16).astype(int), 17), (levels(60, 4, 4, high=2) * 1.0, 256)]
)
def test_the_number_of_levels_is_read_off_all_rows(tmp_path: Path, raw: np.ndarray, size: int) -> None:
    rare = data.open(raw)
    chosen = next(row for row in range(60) if row not in _training_rows(rare, raw))
    raw[chosen, 0, 0] = 16 if size == 17 else 0.5
    np.save(tmp_path / "x.npy", raw)
    learned = data.open(tmp_path / "x.npy").schema
    assert learned.spec.fields[0].size == size
    assert len(learned.read(tmp_path / "x.npy")) == 60


@pytest.mark.parametrize("name", ["out.npy", "out.npz", "out.png", "out"])
def test_images_are_written_and_read_again(tmp_path: Path, name: str) -> None:
    raw = levels(4, 6, 5, 3)
    learned = ImageSchema.learn(raw, None, DataOptions())
    learned.write(raw, tmp_path / name)
    if name == "out.png":
        with Image.open(tmp_path / name) as sheet:
            assert sheet.size == (2 * 5 + 2, 2 * 6 + 2)
    else:
        assert (learned.read(tmp_path / name) == raw).all()


def test_nothing_is_overwritten_and_other_formats_are_refused(tmp_path: Path) -> None:
    raw = levels(4, 6, 5, 3)
    learned = ImageSchema.learn(raw, None, DataOptions())
    learned.write(raw, tmp_path / "out")
    with pytest.raises(SfumatoError, match="not empty"):
        learned.write(raw, tmp_path / "out")
    with pytest.raises(SfumatoError, match=r"written as \.png"):
        learned.write(raw, tmp_path / "out.csv")


def test_too_many_images_to_hold_are_streamed(tmp_path: Path) -> None:
    folder = filled(tmp_path / "p", number=20)
    whole = data.open(folder, options=DataOptions(streaming="no"))
    stream = data.open(folder, options=DataOptions(streaming="yes"))
    assert type(stream.train).__name__ == "Streamed"
    assert torch.equal(stream.train.take(slice(None)).x, whole.train.take(slice(None)).x)


def test_emoji_open_in_seconds_with_their_labels(real_data: Path) -> None:
    opened = data.open(real_data / "emoji", options=DataOptions(size=16))
    assert len(opened.train) + len(opened.valid) + len(opened.test) == 3786
    assert len(opened.schema.label_names) == 10
    corner = opened.train.take(slice(None)).x[:, :, 0, 0].float()
    assert corner.median() == 255


def test_what_is_made_of_files_is_called_after_them(tmp_path: Path) -> None:
    source = filled(tmp_path / "p" / "cat", number=2).parent
    filled(source / "dog", number=1)
    Image.fromarray(levels(8, 10, 3)).save(source / "dog" / "0.jpg")
    learned = data.open(source, options=DataOptions(split=(1, 0, 0))).schema
    raw = learned.read(source)
    assert learned.named(raw, source) == {"file": ["cat/0.png", "cat/1.png", "dog/0.jpg", "dog/0.png"]}
    assert learned.named(raw[:1], str(source / "cat/0.png")) == {"file": ["0.png"]}
    assert learned.named(raw, raw) == {}
    learned.write_beside(raw, tmp_path / "made", raw, source)
    made = sorted(path.relative_to(tmp_path / "made").as_posix() for path in (tmp_path / "made").rglob("*.png"))
    assert made == ["cat/0.png", "cat/1.png", "dog/0.jpg.png", "dog/0.png.png"]
    assert (np.asarray(Image.open(tmp_path / "made/cat/1.png")) == raw[1]).all()


def test_no_two_files_are_called_alike(tmp_path: Path) -> None:
    names = ["1.jpg", "1.png", "1.jpg.png", "1.jpg.png.bmp", "2.png", "2.PNG"]
    shown = levels(len(names), 4, 4, 1)
    files.save(shown, tmp_path / "made", names)
    made = {np.asarray(Image.open(path)).tobytes() for path in (tmp_path / "made").iterdir()}
    assert made == {one.tobytes() for one in shown}
    assert (tmp_path / "made" / "2.png.png").exists()
