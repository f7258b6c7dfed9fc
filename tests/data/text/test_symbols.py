"""Symbols: lines of text and whole numbers in, an end where lengths differ, and the same kind of thing back."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet as pq

from sfumato import data
from sfumato.data import DataOptions
from sfumato.data.builtin import markov
from sfumato.data.registry import load_schema
from sfumato.data.text import lines
from sfumato.data.text.lossless import LosslessText
from sfumato.data.text.schema import SymbolSchema
from sfumato.errors import SfumatoError

WORDS = ["abba", "", "cab", "ba"]
NUMBERS = DataOptions(symbols=True)


def opened(source: object, **options: object) -> SymbolSchema:
    found = data.open(source, options=DataOptions(**options)).schema  # type: ignore[arg-type]
    assert isinstance(found, SymbolSchema)
    return found


def test_text_is_spelled_with_an_end_behind_it_and_cut_there_on_the_way_back() -> None:
    learned = opened(WORDS * 20)
    assert learned.symbols == ("a", "b", "c")
    assert learned.spec.shape == (5, 1)
    assert learned.spec.ends
    assert learned.spec.fields[0].size == 4
    x = learned.encode(learned.read(WORDS)).x
    expected = [[0, 1, 1, 0, 3], [3, 3, 3, 3, 3], [2, 0, 1, 3, 3], [1, 0, 3, 3, 3]]
    torch.testing.assert_close(x[:, :, 0], torch.tensor(expected).float())
    assert learned.decode(x).tolist() == WORDS
    behind = x.clone()
    behind[3, 3:] = 0.0
    assert learned.decode(behind).tolist() == WORDS, "what stands behind the end does not matter"
    assert learned.decode(torch.zeros(1, 5, 1)).tolist() == ["aaaaa"], "what has no end goes on to the last place"


@pytest.mark.parametrize("name", ["poem.txt", "poem.txt.gz", "poem.smi"])
def test_a_file_of_lines_comes_back_as_lines(tmp_path: Path, name: str) -> None:
    rows = ["é, π\u2028and\ttab", "", "  two blanks before and after  ", "x"] * 6
    content = "\ufeff" + "\r\n".join(rows) + "\n"
    raw = content.encode("utf-8")
    path = tmp_path / name
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    learned = opened(path, symbols=not lines.is_text(path))
    back = learned.decode(learned.encode(learned.read(path)).x) if lines.is_text(path) else learned.read(path)
    assert back.tolist() == rows
    out = tmp_path / ("new.txt.gz" if name.endswith(".gz") else "new.txt")
    learned.write(back, out)
    assert lines.from_text(out).x.tolist() == rows
    learned.write(back, tmp_path / "new.csv")
    assert (tmp_path / "new.csv").read_text(encoding="utf-8").startswith("text\n")


def test_a_table_in_a_txt_file_is_a_table_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("a\tb\n" + "1.5\tx\n2.5\ty\n" * 20)
    assert data.open(path).schema.kind == "table"
    assert data.open(path, options=NUMBERS).schema.kind == "symbols"
    path.write_text("one, two\nand three\n" * 20)
    assert data.open(path).schema.kind == "symbols"


def test_symbols_never_seen_in_training_are_missing_and_said_to_be(caplog: pytest.LogCaptureFixture) -> None:
    learned = opened(WORDS * 20)
    with caplog.at_level(logging.WARNING):
        x = learned.encode(learned.read(["axb", "b", "zz"])).x
    assert caplog.messages == ["2 sequences have a symbol never seen in training, as 'x'; taken as missing"]
    expected = [[0, torch.nan, 1, 3, 3], [1, 3, 3, 3, 3], [torch.nan, torch.nan, 3, 3, 3]]
    torch.testing.assert_close(x[:, :, 0], torch.tensor(expected), equal_nan=True)
    assert learned.decode(x).tolist() == ["a\ufffdb", "b", "\ufffd\ufffd"]
    learned.read(["axb", "b", "zz"])
    assert len(caplog.messages) == 1, "it is said once"


def test_rows_may_be_padded_far_beyond_the_longest_sequence() -> None:
    x = np.random.default_rng(0).integers(0, 3, (40, 8)).astype(float)
    x[:, 5:] = np.nan
    x[0, 3:] = np.nan
    learned = opened(x, symbols=True)
    assert learned.spec.shape == (6, 1)
    np.testing.assert_array_equal(learned.decode(learned.encode(learned.read(x)).x), x[:, :5])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"text\nab, c\n", "line 2 has 2 cells, and its header one"),
        (b"text\n", "the table has no rows"),
        (b"text\nab\xff\n", "byte 7 is not UTF-8 text"),
        (b'text\n"ab\nc\n', "line 3 is no row of a table"),
    ],
)
def test_text_in_a_broken_table_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "made.csv").write_bytes(content)
    with pytest.raises(SfumatoError, match=said):
        opened(WORDS * 20).read(tmp_path / "made.csv")


@pytest.mark.parametrize("ending", ["csv", "tsv", "tsv.gz", "parquet"])
def test_made_text_in_a_table_is_read_again(tmp_path: Path, ending: str) -> None:
    learned, path = opened(["a,b", 'say "b"', ""] * 20), tmp_path / f"made.{ending}"
    learned.write(np.array(["a,b", 'say "b"', ""], object), path)
    assert learned.read(path).tolist() == ["a,b", 'say "b"', ""]
    pq.write_table(pa.table({"words": WORDS}), tmp_path / "other.parquet")
    with pytest.raises(SfumatoError, match=r"other\.parquet: has no column 'text'"):
        learned.read(tmp_path / "other.parquet")


def test_the_vocabulary_is_that_of_the_training_part_alone() -> None:
    rows = [chr(0x4E00 + number) for number in range(100)]
    found = data.open(rows)
    assert isinstance(found.schema, SymbolSchema)
    x = found.train.take(slice(None)).x
    assert sorted(found.schema.decode(x)) == list(found.schema.symbols)
    held_out = found.test.take(slice(None))
    assert held_out.mask is not None
    assert not held_out.mask[:, 0].any()
    assert held_out.mask[:, 1].all()


def test_whole_numbers_of_one_length_have_no_end_and_shorter_ones_are_beginnings() -> None:
    x = np.array([[3, -7, 3], [10, 3, 3]] * 20)
    learned = opened(x, symbols=True)
    assert (learned.symbols, learned.spec.shape, learned.spec.ends) == ((-7, 3, 10), (3, 1), False)
    back = learned.decode(learned.encode(learned.read(x)).x)
    assert back.dtype == np.int64
    np.testing.assert_array_equal(back, x)
    assert learned.encode(learned.read(x[:, :2])).x.shape == (40, 2, 1)


def test_whole_numbers_of_several_lengths_have_an_end_and_gaps_stay_gaps() -> None:
    x = np.array([[1.0, np.nan, np.nan], [1, np.nan, 2], [2, 2, 2]] * 20)
    learned = opened(x, symbols=True)
    assert learned.spec.shape == (4, 1)
    assert learned.spec.fields[0].missing
    encoded = learned.encode(learned.read(x[:3])).x[:, :, 0]
    expected = torch.tensor([[0, 2, 2, 2], [0, torch.nan, 1, 2], [1, 1, 1, 2]])
    torch.testing.assert_close(encoded, expected, equal_nan=True)
    np.testing.assert_array_equal(learned.decode(encoded.unsqueeze(2)), x[:3])


def test_labels_are_a_condition_when_they_are_asked_to_be() -> None:
    rows, y = WORDS * 20, list("uvuv") * 20
    found = data.open((rows, y), options=DataOptions(given=("label",)))
    assert found.schema.spec.given[0].size == 2
    batch = found.train.take(slice(None))
    assert batch.given is not None
    raw = found.schema.read((["cab"], ["v"]))
    assert found.schema.encode(raw).given.tolist() == [[1.0]]  # type: ignore[union-attr]
    assert data.open((rows, y)).has_label
    with pytest.raises(SfumatoError, match="comes without labels"):
        data.open(rows, options=DataOptions(given=("label",)))


@pytest.mark.parametrize("given", [(), ("label",)])
def test_a_schema_comes_back_from_json(given: tuple[str, ...]) -> None:
    source = (WORDS * 20, [1, 2] * 40)
    learned = opened(source, given=given)
    again = load_schema(json.loads(json.dumps(learned.to_dict())))
    assert again.to_dict() == learned.to_dict()
    assert again.spec == learned.spec
    torch.testing.assert_close(again.encode(again.read(source)).x, learned.encode(learned.read(source)).x)


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        (np.zeros((20, 400)), {"symbols": True}, r"row 1 has 400 symbols.*\(--longest 400\)"),
        (["", ""] * 9, {}, "no symbol"),
        (np.zeros((20, 4)), {"symbols": True, "tokens": "bytes"}, "tokens=bytes: that is for text"),
        (WORDS * 9, {"vocabulary": 300}, "vocabulary=300: that is for tokens=bpe"),
        (WORDS * 9, {"label": "stars"}, "label='stars': lines have no columns"),
        (WORDS * 9, {"likelihood": "gaussian"}, "likelihood=gaussian is not for symbols"),
        (WORDS * 9, {"streaming": "yes"}, "held whole"),
        (np.full((20, 3), 0.5), {"symbols": True}, "row 1, place 1 is 0.5"),
        (np.zeros((20, 3, 2)), {"symbols": True}, r"shape \(20, 3, 2\)"),
        ((WORDS * 9, [1, 2]), {}, "labels have shape"),
    ],
)
def test_what_cannot_be_symbols_is_refused(source: object, options: dict[str, object], said: str) -> None:
    with pytest.raises(SfumatoError, match=said):
        opened(source, **options)


def test_files_that_are_not_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    for content, said in ((b"ab\xff\xfe\n", "byte 2 is not UTF-8"), (b"\n \n", "holds no text")):
        path.write_bytes(content)
        with pytest.raises(SfumatoError, match=said):
            data.open(path)
    with pytest.raises(SfumatoError, match="a folder"):
        lines.from_text(tmp_path)


def test_what_was_not_trained_on_is_refused() -> None:
    learned = opened(WORDS * 20)
    with pytest.raises(SfumatoError, match="at most 3"):
        opened(np.zeros((20, 3)), symbols=True).read(np.zeros((2, 4)))
    with pytest.raises(SfumatoError, match="trained on text"):
        learned.read(np.zeros((2, 3)))
    with pytest.raises(SfumatoError, match="several lines"):
        learned.write(np.array(["a\nb"], object), "out.txt")


def test_the_chains_have_the_likelihood_they_are_said_to_have() -> None:
    p = markov.matrices()
    np.testing.assert_allclose(p.sum(2), 1.0)
    x, classes = markov.draw(40_000, seed=3)
    for c in (0, 5):
        walked = x[classes == c]
        counts = np.zeros((markov.SYMBOLS, markov.SYMBOLS))
        np.add.at(counts, (walked[:, :-1], walked[:, 1:]), 1)
        from_each = counts.sum(1, keepdims=True)
        often = from_each[:, 0] > 500
        z = (counts - from_each * p[c]) / np.sqrt(from_each * p[c] * (1 - p[c]) + 1)
        assert np.abs(z[often]).max() < 4.5
    short = np.array(list(np.ndindex(*(markov.SYMBOLS,) * 3)))
    assert np.exp(markov.log_prob(short)).sum() == pytest.approx(1)
    assert np.exp(markov.log_prob(short, np.full(len(short), 2))).sum() == pytest.approx(1)


def test_the_chains_stay_the_same_whatever_the_seed() -> None:
    one, other = (data.open("markov", options=DataOptions(rows=200, seed=seed)) for seed in (0, 1))
    assert one.schema.spec.shape == (20, 1)
    assert one.schema.label_names == tuple("01234567")
    found = [o.schema.decode(o.train.take(slice(None)).x) for o in (one, other)]
    assert not np.array_equal(*found)
    means = [markov.log_prob(x).mean() for x in found]
    assert abs(means[0] - means[1]) < 2


ANY_SCRIPT = ["naïve 🎈", "👩‍👩‍👧 نص", "", "tab\tand 漢字", "the cat sat", "the cat sat on the mat"] * 10


@pytest.mark.parametrize("kind", ["bytes", "bpe"])
def test_tokens_bring_back_every_script_and_are_learned_from_the_training_split(kind: str) -> None:
    learned = opened(ANY_SCRIPT, tokens=kind, **({"vocabulary": 300} if kind == "bpe" else {}))
    again = load_schema(json.loads(json.dumps(learned.to_dict())))
    new = [*ANY_SCRIPT[:6], "Δ🦊"]
    for schema in (learned, again):
        assert schema.decode(schema.encode(schema.read(new)).x).tolist() == new
    assert learned.spec.fields[0].size == len(learned.symbols) + 1
    assert len(learned.symbols) <= 300
    held_out = data.open(
        [f"{chr(0x4E00 + row)}{chr(0x4E00 + row)}" for row in range(50)], options=DataOptions(tokens=kind)
    )
    x = held_out.train.take(slice(None)).x
    assert sorted(set(held_out.schema.decode(x))) == sorted(held_out.schema.decode(x))


def test_byte_pairs_are_fewer_and_never_those_of_held_out_lines_alone() -> None:
    learned = opened(["the cat sat on the mat"] * 50, tokens="bpe", vocabulary=300)
    assert learned.spec.shape[0] < 12
    assert learned.tokens is not None
    merged = {learned.tokens.shown(token) for token in learned.symbols[-20:]}
    assert {"the", " the", " cat"} & merged
    with pytest.raises(SfumatoError, match=r"vocabulary=5: bytes alone are \d+ tokens"):
        opened(["abc"] * 20, tokens="bpe", vocabulary=5)


@pytest.mark.parametrize("kind", ["characters", "bytes"])
def test_long_lines_are_cut_and_it_is_said(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    rows = ["ab" * 3] * 20 + ["ab" * 20]
    found = data.open(rows, options=DataOptions(tokens=kind, longest=8))
    assert isinstance(found.schema, SymbolSchema)
    what = "characters" if kind == "characters" else "tokens"
    cut = f"text: 1 line is longer than 8 {what} (line 21 has 40) and cut there; --longest 40 in fit keeps all of them"
    assert found.notes == (cut,)
    assert found.schema.spec.shape == (9, 1)
    with caplog.at_level(logging.WARNING):
        read = found.schema.read(rows)
    assert caplog.messages == [cut]
    assert found.schema.decode(found.schema.encode(read).x).tolist() == ["ab" * 3] * 20 + ["ab" * 4]


@pytest.mark.parametrize("kind", ["characters", "bytes", "bpe"])
def test_lines_that_symbols_do_not_bring_back_are_kept_aside(kind: str) -> None:
    schema = opened(["abba", "", "cab"] * 20, tokens=kind)
    parts = LosslessText(schema)
    new = np.array(["abba", "a" * 900, "\x00x", "cab"], object)
    taken = parts.split(new)
    assert parts.join(taken.coded, taken.aside).tolist() == new.tolist()


def test_a_column_of_a_table_is_text_with_the_labels_of_another(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    rows = "".join(f'{row},"so good, {row % 7}",{"up" if row % 2 else "down"}\n' for row in range(40))
    path.write_text(f"id,review,stars\n{rows}", encoding="utf-8")
    asked = {"text": "review", "label": "stars", "given": ("label",)}
    learned = opened(path, **asked)
    read = learned.read(path)
    assert read[0][:2].tolist() == ["so good, 0", "so good, 1"]
    assert read[1][:2].tolist() == ["down", "up"]
    assert learned.label_names == ("down", "up")
    again = load_schema(json.loads(json.dumps(learned.to_dict())))
    assert again.encode(again.read(path)).given[:2, 0].tolist() == [0.0, 1.0]
    assert again.as_table(read[0]).column_names == ["review"]  # type: ignore[attr-defined]
    frame = pa.table({"review": ["a", None], "other": [1, 2]})
    assert opened(pa.table({"review": ["a", None] * 10}), text="review").read(frame).tolist() == ["a", ""]
    for options, said in (
        ({"text": "reviews"}, "'reviews' is not a column; did you mean review"),
        ({"text": "review", "label": "star"}, "'star' is not a column"),
    ):
        with pytest.raises(SfumatoError, match=said):
            opened(path, **options)
    with pytest.raises(SfumatoError, match="that is a column of a table"):
        opened(["a", "b"] * 10, text="review")


def test_files_of_a_folder_are_sequences_and_its_subfolders_labels(tmp_path: Path) -> None:
    for row in range(20):
        place = tmp_path / ("prose" if row % 2 else "verse")
        place.mkdir(exist_ok=True)
        (place / f"{row:02}.txt").write_text(f"line {row}\nand another\n", encoding="utf-8")
    (tmp_path / ".hidden.txt").write_text("x")
    learned = opened(tmp_path, given=("label",))
    texts, labels = learned.read(tmp_path)
    assert texts[:2].tolist() == ["line 1\nand another", "line 3\nand another"]
    assert (labels[0], labels[-1], learned.label_names) == ("prose", "verse", ("prose", "verse"))
    assert learned.decode(learned.encode((texts, labels)).x).tolist() == texts.tolist()
    (tmp_path / "picture.png").write_bytes(b"")
    assert not lines.is_folder_of_texts(tmp_path)
