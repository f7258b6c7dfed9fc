"""A mistake is answered in one line that names the thing and the cure, with exit code 2, and nothing is lost."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfumato.cli import main

ROWS = "".join(f"{20 + i},{('Rome', 'Paris', 'Oslo')[i % 3]},{10.5 + i}\n" for i in range(40))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "people.csv").write_text("age,city,income\n" + ROWS)
    run = folder / "run"
    told = ["fit", str(folder / "people.csv"), "--model", "cvae", "--given", "city"]
    assert main([*told, "--steps", "5", "--no-report", "--quiet", "--run", str(run)]) == 0
    return run


@pytest.fixture
def refused(cli):
    """Run a command that must be refused; its one line."""

    def run(*arguments: object) -> str:
        said = cli(*arguments)
        assert said.code == 2, said
        assert said.out == ""
        assert said.err.startswith("sfumato: ")
        assert said.err.count("\n") == 1, said.err
        assert "Traceback" not in said.err
        assert not list(Path().glob("runs/*")), "nothing half-made is left"
        return said.err

    return run


def names(line: str, *words: str) -> None:
    for word in words:
        assert word in line, f"{word!r} is not in {line!r}"


def png(width: int, height: int) -> bytes:
    """A PNG that says how large it is, and holds nothing."""
    chunks = b""
    for kind, body in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", b""),
        (b"IEND", b""),
    ):
        chunks += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_missing_file(refused):
    names(refused("fit", "nowhere.csv"), "nowhere.csv", "no such file")


def test_missing_folder(refused):
    names(refused("fit", "nowhere/"), "nowhere")


def test_misspelt_built_in_set(refused):
    names(refused("fit", "mons"), "mons", "did you mean moons?")


def test_empty_file(refused):
    Path("empty.csv").touch()
    names(refused("fit", "empty.csv"), "empty.csv", "empty")


def test_header_without_rows(refused):
    Path("head.csv").write_text("a,b,c\n")
    names(refused("fit", "head.csv"), "head.csv", "row")


def test_ragged_csv_names_the_line(refused):
    Path("ragged.csv").write_text("a,b,c\n1,2,3\n4,5\n6,7,8\n")
    names(refused("fit", "ragged.csv"), "ragged.csv", "3")


def test_table_without_any_value(refused):
    Path("holes.csv").write_text("a,b\n" + ",\n" * 30)
    names(refused("fit", "holes.csv"), "no column is left to model")


def test_condition_without_any_value(refused):
    Path("holes.csv").write_text("a,b,c\n" + "".join(f"{i},,{i % 7}\n" for i in range(30)))
    names(refused("fit", "holes.csv", "--model", "cvae", "--given", "b"), "'b'", "cannot be a condition")


def test_first_line_that_is_a_row(refused):
    Path("rows.csv").write_text("".join(f"{i % 9}.5,{'uv'[i % 2]}\n" for i in range(30)))
    names(refused("fit", "rows.csv"), "rows.csv", "first line", "--header none")


def test_unknown_column_in_given(refused):
    Path("people.csv").write_text("age,city,income\n" + ROWS)
    names(refused("fit", "people.csv", "--model", "cvae", "--given", "citty"), "citty", "did you mean city?")


def test_unknown_column_in_drop_and_kind(refused):
    Path("people.csv").write_text("age,city,income\n" + ROWS)
    names(refused("fit", "people.csv", "--drop", "incme"), "incme", "did you mean income?")
    names(refused("fit", "people.csv", "--kind", "agge=integer"), "agge", "did you mean age?")
    names(refused("fit", "people.csv", "--kind", "age=intger"), "intger", "did you mean integer?")


def test_given_for_a_model_that_takes_no_conditions(refused):
    Path("people.csv").write_text("age,city,income\n" + ROWS)
    names(refused("fit", "people.csv", "--given", "city"), "city", "cvae")


@pytest.mark.parametrize("word", ["inf", "-inf"])
def test_infinite_number_in_a_table(refused, word):
    Path("people.csv").write_text("age,city,income\n" + ROWS + f"30,Rome,{word}\n")
    names(refused("fit", "people.csv"), "income", "infinit")


def test_infinite_number_in_an_array(refused):
    np.save("points.npy", np.array([[0.0, 1.0], [np.inf, 2.0]] * 10))
    names(refused("fit", "points.npy"), "points.npy", "infinit")


def test_array_of_nothing_but_nan(refused):
    np.save("points.npy", np.full((20, 2), np.nan))
    names(refused("fit", "points.npy"), "points.npy", "no column has a value")


def test_one_row(refused):
    Path("one.csv").write_text("a,b\n1,2\n")
    names(refused("fit", "one.csv"), "one.csv", "row")


def test_file_of_an_unknown_kind(refused):
    Path("notes.docx").write_text("hello")
    names(refused("fit", "notes.docx"), "notes.docx", ".csv")


def test_damaged_arrays_and_tables(refused):
    for name in ("bad.npy", "bad.npz", "bad.parquet"):
        Path(name).write_bytes(b"neither this nor that")
        names(refused("fit", name), name)


def test_binary_file_called_csv(refused):
    Path("bytes.csv").write_bytes(bytes(range(256)) * 4)
    names(refused("fit", "bytes.csv"), "bytes.csv")


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """A folder of small images."""
    folder = tmp_path / "faces"
    folder.mkdir()
    for index in range(12):
        Image.fromarray(np.full((8, 8, 3), index * 20, np.uint8)).save(folder / f"{index:02}.png")
    return folder


def test_empty_image(refused, faces):
    (faces / "blank.png").touch()
    names(refused("fit", faces), "blank.png")


def test_truncated_image(refused, faces):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(faces / "torn.png")
    whole = (faces / "torn.png").read_bytes()
    (faces / "torn.png").write_bytes(whole[: len(whole) // 2])
    names(refused("fit", faces), "torn.png")


def test_image_too_large_for_memory(refused, faces):
    (faces / "huge.png").write_bytes(png(50_000, 50_000))
    names(refused("fit", faces), "huge.png", "50")


def test_folder_without_images(refused):
    Path("void").mkdir()
    names(refused("fit", "void"), "void", "image")


def test_misspelt_option(refused):
    names(refused("fit", "moons", "--bta", 4), "--bta", "did you mean --beta?")
    names(refused("fit", "moons", "--epoch", 4), "--epoch", "did you mean --epochs?")


def test_misspelt_model(refused):
    names(refused("fit", "moons", "--model", "vea"), "vea", "vae")
    names(refused("fit", "moons", "--model", "betavae"), "betavae", "did you mean beta_vae?")


def test_misspelt_command(refused):
    names(refused("smaple", "run"), "smaple", "did you mean sample?")


def test_option_of_another_model(refused):
    names(refused("fit", "moons", "--capacity", 4), "capacity", "beta_vae")


def test_value_of_the_wrong_kind(refused):
    names(refused("fit", "moons", "--epochs", "many"), "--epochs", "many", "whole number")
    names(refused("fit", "moons", "--lr", "fast"), "--lr", "fast", "number")
    names(refused("fit", "moons", "--likelihood", "gausian"), "gausian", "did you mean gaussian?")
    names(refused("fit", "moons", "--network", "mpl"), "mpl", "mlp")
    names(refused("fit", "moons", "--device", "gpu"), "--device", "gpu", "cpu")
    names(refused("fit", "moons", "--max-time", "soon"), "soon", "5m")
    names(refused("fit", "moons", "--split", 1, 1, 1), "split", "1")
    names(refused("fit", "moons", "--epochs", 0), "epochs", "0")


def test_number_out_of_range_before_anything_is_read(refused):
    names(refused("fit", "nowhere.csv", "--model", "beta_vae", "--beta", -1), "beta is -1", "at least 0")


@pytest.mark.parametrize("words", [("fit", "moons", "--steps"), ("sample", "m", "-n"), ("evaluate", "m", "--k")])
def test_a_part_of_a_whole_number(refused, words):
    names(refused(*words, "10.5"), f"{words[-1]}: '10.5' is not a whole number")


def test_values_left_out(refused):
    names(refused("fit"), "source")
    names(refused("fit", "moons", "--beta"), "--beta", "value")
    names(refused("sample"), "RUN")
    names(refused("fit", "moons", "circles"), "circles")


def test_unwritable_folder(refused):
    Path("a-file").write_text("in the way")
    names(refused("fit", "moons", "--rows", 100, "--steps", 1, "--run", "a-file/run"), "a-file", "cannot write")
    assert Path("a-file").read_text() == "in the way"
    names(refused("fit", "moons", "--rows", 100, "--steps", 1, "--run", "/proc/run"), "/proc", "cannot write")


def test_run_name_that_is_taken(cli, trained):
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    said = cli("fit", "moons", "--rows", 100, "--steps", 1, "--run", trained)
    assert said.code == 2
    names(said.err, str(trained), "exists already", "another name")
    assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()} == before


def test_place_to_write_that_is_not_there(refused, trained):
    names(refused("sample", trained, "-o", "nowhere/new.csv"), "nowhere", "folder")
    names(refused("sample", trained, "-o", "new.docx"), "new.docx", ".csv")
    names(refused("encode", trained, trained.parent / "people.csv", "-o", "z.docx"), "z.docx", ".csv")
    assert not Path("new.docx").exists()


def test_text_where_numbers_were(refused, trained):
    Path("odd.csv").write_text("age,city,income\n31,Rome,much\n")
    names(refused("score", trained, "odd.csv"), "odd.csv", "income", "much")


def test_column_that_is_gone(refused, trained):
    Path("short.csv").write_text("age,city\n31,Rome\n")
    names(refused("encode", trained, "short.csv"), "short.csv", "income")


def test_unknown_condition_or_value(refused, trained):
    names(refused("sample", trained, "--given", "town=Rome"), "town")
    names(refused("sample", trained, "--given", "city=Rom"), "Rom", "did you mean Rome?")
    names(refused("sample", trained, "--given", "city"), "city", "name=value")
    names(refused("sample", trained, "-n", 0), "-n")


def test_missing_file_for_a_trained_run(refused, trained):
    names(refused("score", trained, "nowhere.csv"), "nowhere.csv", "no such file")


def test_no_such_run(refused):
    names(refused("show", "nobody"), "nobody", "no such run")


def test_config_that_says_something_unknown(refused):
    Path("mine.toml").write_text('source = "moons"\n[model]\nname = "vae"\nlatnt_dim = 2\n')
    names(refused("fit", "--config", "mine.toml"), "mine.toml", "latnt_dim", "did you mean latent_dim?")
    Path("mine.toml").write_text("not toml at all")
    names(refused("fit", "--config", "mine.toml"), "mine.toml", "TOML")
    names(refused("fit", "--config", "absent.toml"), "absent.toml", "no such file")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("model.safetensors", lambda whole: whole[: len(whole) // 2]),
        ("model.safetensors", lambda whole: whole[:-4] + b"oops"),
        ("schema.json", lambda whole: whole[:50]),
        ("config.toml", lambda whole: whole + b"\n[oops"),
        ("manifest.json", lambda whole: b"{}"),
        ("model.safetensors", None),
        ("schema.json", None),
        ("config.toml", None),
    ],
)
def test_damaged_run_folder(refused, trained, tmp_path, name, damage):
    run = tmp_path / "copy"
    shutil.copytree(trained, run)
    if damage is None:
        (run / name).unlink()
    else:
        (run / name).write_bytes(damage((run / name).read_bytes()))
    for command in (("show", run), ("sample", run), ("score", run, trained.parent / "people.csv")):
        names(refused(*command), "copy", name)


def test_a_process_of_its_own_ends_with_code_2(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "sfumato", "fitt", "nowhere.csv"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("sfumato: no command 'fitt'")
    assert done.stderr.count("\n") == 1
