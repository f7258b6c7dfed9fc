"""sample, reconstruct, encode and score: what goes in and what comes out."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
from PIL import Image

import sfumato

HEADER = "species,island,bill_length_mm,body_mass_g,sex"


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_samples_have_the_columns_of_the_table_and_the_value_asked_for(cli, birds):
    said = cli("sample", birds, "-n", 7, "--given", "species=Gentoo", "-o", "new.csv")
    assert said.code == 0, said.err
    assert "new.csv" in said.out
    text = Path("new.csv").read_text()
    assert text.splitlines()[0].replace('"', "") == HEADER
    assert [row["species"] for row in rows(text)] == ["Gentoo"] * 7
    assert {row["island"] for row in rows(text)} == {"Biscoe"}, "drawn from the rows of that species"
    assert all(row["body_mass_g"].isdigit() for row in rows(text))


def test_samples_go_to_stdout_as_csv_when_no_file_is_named(cli, birds):
    said = cli("sample", birds, "-n", 3)
    assert re.fullmatch(r"Codes are drawn by .*\nDrawn with --seed \d+\n", said.err)
    assert len(rows(said.out)) == 3
    assert list(rows(said.out)[0]) == HEADER.split(",")


def test_samples_keep_what_is_stated_or_the_error_says_what_few_rows_keep(cli, birds, monkeypatch, caplog):
    rule = "bill_length_mm > 40 and sex != 'female'"
    said = cli("sample", birds, "-n", 20, "--range", "body_mass_g=3500..", "--rule", rule, "--seed", 1)
    assert said.code == 0, said.err
    for row in rows(said.out):
        assert not row["body_mass_g"] or int(row["body_mass_g"]) >= 3500
        assert not row["bill_length_mm"] or float(row["bill_length_mm"]) > 40
        assert row["sex"] != "female"
    assert "drawn rows were rejected" in caplog.text
    for wrong, words in (("body_mass_g=1..2", "range body_mass_g=1..2: 0.00% of"), ("mass=1..2", "is not a column")):
        monkeypatch.setattr("sfumato.estimator.rejection.EXTRA_DRAWS", 200)
        refused = cli("sample", birds, "-n", 2, "--range", wrong)
        assert refused.code == 2
        assert words in refused.err
        assert "Traceback" not in refused.err


def test_samples_as_json(cli, birds):
    told = json.loads(cli("sample", birds, "-n", 3, "--given", "species=Adelie", "--json").out)
    assert len(told["samples"]) == 3
    assert told["samples"][0]["species"] == "Adelie"


def test_the_seed_decides_the_samples(cli, moons):
    one, same, other = (cli("sample", moons, "-n", 5, "--seed", seed).out for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_without_a_seed_each_draw_is_new_and_says_how_to_repeat_it(cli, moons):
    one, other = (cli("sample", moons, "-n", 5) for _ in range(2))
    assert one.out != other.out
    assert cli("sample", moons, "-n", 5, *one.err.split()[-2:]).out == one.out
    told = json.loads(cli("sample", moons, "-n", 5, "--json", "--quiet").out)
    again = json.loads(cli("sample", moons, "-n", 5, "--json", "--seed", told["seed"]).out)
    assert again == told
    cli("sample", moons, "-n", 5, "-o", "points.csv")
    drawn = json.loads(cli("encode", moons, "points.csv", "--draw", "--json").out)
    assert json.loads(cli("encode", moons, "points.csv", "--draw", "--json", "--seed", drawn["seed"]).out) == drawn
    assert "seed" not in json.loads(cli("encode", moons, "points.csv", "--json").out)


def test_temperature_zero_takes_the_latent_mean(cli, moons):
    told = json.loads(cli("sample", moons, "-n", 200, "--temperature", 0, "--json").out)["samples"]
    varied = json.loads(cli("sample", moons, "-n", 200, "--temperature", 3, "--json").out)["samples"]
    assert np.std([row["x1"] for row in told]) < np.std([row["x1"] for row in varied])


def test_marginal_fills_what_is_not_named_with_values_that_suit_the_row(cli, birds):
    said = cli("sample", birds, "-n", 4, "--given", "species=Gentoo", "--marginal")
    assert said.code == 0, said.err
    assert {row["species"] for row in rows(said.out)} == {"Gentoo"}
    assert {row["island"] for row in rows(said.out)} <= {"Biscoe", "Dream", "Torgersen"}


def test_reconstructions_have_the_rows_of_the_file(cli, birds, table):
    said = cli("reconstruct", birds, table, "-o", "out.parquet")
    assert said.code == 0, said.err
    frame = parquet.read_table("out.parquet")
    assert frame.num_rows == 40
    assert frame.column_names == HEADER.split(",")
    assert frame["species"].to_pylist()[:4] == ["Adelie", "Adelie", "Adelie", "Gentoo"]


def test_codes_are_those_of_the_estimator(cli, birds, table):
    expected = sfumato.load(birds).encode(str(table))
    assert cli("encode", birds, table, "-o", "latents.parquet").code == 0
    assert cli("encode", birds, table, "-o", "latents.npy").code == 0
    frame = parquet.read_table("latents.parquet")
    assert frame.column_names == [f"z{index + 1}" for index in range(expected.shape[1])]
    np.testing.assert_allclose(np.stack([column.to_numpy() for column in frame.columns], 1), expected)
    np.testing.assert_allclose(np.load("latents.npy"), expected)


def test_codes_go_to_stdout_as_csv(cli, moons, tmp_path):
    cli("sample", moons, "-n", 6, "-o", "points.csv")
    said = cli("encode", moons, "points.csv")
    assert len(rows(said.out)) == 6
    assert set(rows(said.out)[0]) >= {"z1", "z2"}


def test_score_tells_mean_error_and_the_oddest_rows(cli, birds, table):
    expected = sfumato.load(birds).score_samples(str(table))
    told = json.loads(cli("score", birds, table, "--json").out)
    assert told["mean"] == pytest.approx(expected.mean())
    assert told["standard_error"] == pytest.approx(expected.std(ddof=1) / len(expected) ** 0.5)
    first, density = told["lowest"][0], sfumato.load(birds).log_density(str(table))
    assert (first["row"], first["score"]) == (int(expected.argmin()) + 1, pytest.approx(expected.min()))
    assert first["log_density"] == pytest.approx(density[expected.argmin()])
    assert told["mean_log_density"] == pytest.approx(density.mean())
    assert [why["nats"] for why in first["why"]] == sorted((why["nats"] for why in first["why"]), reverse=True)
    said = cli("score", birds, table, "-o", "scores.csv")
    assert "40 examples" in said.out
    assert "nats (standard error), the log-density in the units of your data" in said.out
    assert told["unit"] == "nats; log-densities in the units of your data"
    written = rows(Path("scores.csv").read_text())
    assert [float(row["score"]) for row in written] == pytest.approx(list(expected))
    assert [float(row["log_density"]) for row in written] == pytest.approx(list(density))
    assert [row["row"] for row in written] == [str(number + 1) for number in range(40)]


def test_what_is_there_is_kept_unless_told_otherwise(cli, moons):
    Path("precious.csv").write_text("mine")
    said = cli("sample", moons, "-o", "precious.csv")
    assert said.code == 2
    assert said.err == "sfumato: precious.csv: exists already; choose another name or add --overwrite\n"
    assert Path("precious.csv").read_text() == "mine"
    assert cli("sample", moons, "-o", "precious.csv", "--overwrite").code == 0
    assert Path("precious.csv").read_text() != "mine"


def test_pictures_are_written_as_a_grid_or_a_folder_or_an_array(cli):
    assert cli("fit", "digits", "--steps", 5, "--no-report", "--quiet", "--run", "digits").code == 0
    assert cli("sample", "digits", "-n", 6, "-o", "grid.png").code == 0
    assert cli("sample", "digits", "-n", 6, "-o", "many").code == 0
    assert cli("sample", "digits", "-n", 6, "-o", "six.npy").code == 0
    assert Path("grid.png").read_bytes()[:4] == b"\x89PNG"
    assert len(list(Path("many").glob("*.png"))) == 6
    assert np.load("six.npy").shape == (6, 8, 8)
    said = cli("sample", "digits")
    assert said.code == 2
    assert "-o grid.png" in said.err
    assert cli("score", "digits", "six.npy").code == 0


def test_a_built_in_set_is_taken_by_name(cli, moons):
    assert json.loads(cli("score", moons, "moons", "--json").out)["examples"] == 200, "as drawn for the training"
    assert len(sfumato.load(moons).transform("moons")) == 200
    assert cli("evaluate", moons, "moons", "--families", "bounds", "--quick").code == 0
    said = cli("score", moons, "digits")
    assert said.code == 2
    assert said.err == "sfumato: digits: not of the kind this model was trained on; pass a table\n"


def test_pictures_are_told_by_their_files(cli):
    for number in range(24):
        path = Path("pics", "ab"[number % 2], f"{number}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (8, 8)).astype(np.uint8)).save(path)
    files = sorted(path.relative_to("pics").as_posix() for path in Path("pics").rglob("*.png"))
    assert cli("fit", "pics", "--steps", 2, "--no-report", "--quiet", "--run", "r").code == 0
    told = json.loads(cli("score", "r", "pics", "--json").out)
    assert told["file"] == files
    lowest = told["lowest"][0]
    assert lowest["file"] == files[lowest["row"] - 1]
    assert lowest["score"] == told["scores"][lowest["row"] - 1] == min(told["scores"])
    said = cli("score", "r", "pics", "-o", "scores.csv").out
    assert f"{lowest['row']:<3}  {lowest['file']}" in said
    scores = rows(Path("scores.csv").read_text())
    assert [row["file"] for row in scores] == files
    assert [row["row"] for row in scores] == [str(number + 1) for number in range(24)]
    assert [row["file"] for row in rows(cli("encode", "r", "pics").out)] == files
    assert cli("encode", "r", "pics", "-o", "z.npy").code == 0
    assert np.load("z.npy").dtype == np.float64
    assert cli("reconstruct", "r", "pics", "-o", "again").code == 0
    assert sorted(path.relative_to("again").as_posix() for path in Path("again").rglob("*.png")) == files


def test_sequences_of_a_long_table_keep_their_ids(cli):
    lengths = [3 + number % 4 for number in range(20)]
    lines = [f"s{n},{2 * t},{n + t},x" for n in range(20) for t in range(lengths[n])]
    Path("long.csv").write_text("who,when,value,note\n" + "\n".join(lines) + "\n")
    told = ["--id", "who", "--time", "when", "--drop", "note", "--latent-dim", 2, "--width", 8]
    words = ["--model", "td_vae", "--steps", 2, "--no-report", "--quiet", "--run", "r"]
    assert cli("fit", "long.csv", *told, *words).code == 0
    ids = [f"s{n}" for n in range(20)]
    made = rows(cli("reconstruct", "r", "long.csv").out)
    assert list(made[0]) == ["who", "when", "value"]
    assert [f"{row['who']},{row['when']}" for row in made] == [",".join(line.split(",")[:2]) for line in lines]
    assert json.loads(cli("reconstruct", "r", "long.csv", "--json").out)["who"] == ids
    assert [row["who"] for row in rows(cli("encode", "r", "long.csv").out)] == ids
    ahead = rows(cli("forecast", "r", "long.csv", "-n", 2, "--jumps", "2,4").out)
    assert list(ahead[0]) == ["who", "when", "future", "ahead", "value"]
    assert [row["who"] for row in ahead] == [one for one in ids for _ in range(4)]
    assert [int(row["when"]) - float(row["ahead"]) for row in ahead[::4]] == [2 * length - 2 for length in lengths]
    lowest = json.loads(cli("score", "r", "long.csv", "--json").out)["lowest"][0]
    assert lowest["who"] == ids[lowest["row"] - 1]
    assert cli("sample", "r", "-n", 3, "-o", "new.csv").code == 0
    assert {row["who"] for row in rows(Path("new.csv").read_text())} == {"0", "1", "2"}
    assert cli("score", "r", "new.csv").code == 0
    assert cli("reconstruct", "r", "new.csv").out.splitlines()[0] == "who,when,value"


def test_sequences_in_days_come_back_in_days(cli):
    lines = [f"s{n},2024-02-{2 * t + 1:02},{n + t}" for n in range(20) for t in range(5 + n % 3)]
    Path("days.csv").write_text("shop,day,sold\n" + "\n".join(lines) + "\n")
    told = ["--id", "shop", "--time", "day", "--latent-dim", 2, "--width", 8, "--steps", 2]
    assert cli("fit", "days.csv", *told, "--model", "td_vae", "--no-report", "--quiet", "--run", "r").code == 0
    new = rows(cli("sample", "r", "-n", 2).out)
    assert [row["day"] for row in new[:3]] == ["2024-02-01", "2024-02-03", "2024-02-05"]
    ahead = rows(cli("forecast", "r", "days.csv", "-n", 1, "--jumps", "1d,1w").out)
    assert [row["day"] for row in ahead[:2]] == ["2024-02-10", "2024-02-17"]
    assert [float(row["ahead"]) for row in ahead[:2]] == [86400.0, 8 * 86400.0]
    told = json.loads(cli("forecast", "r", "days.csv", "-n", 1, "--jumps", "2d", "--json").out)
    assert told["day"][0] == "2024-02-11"
    bad = cli("forecast", "r", "days.csv", "--jumps", "1y")
    assert bad.code == 2
    assert "as 6h, 1d" in bad.err
