"""Tables whose names and cells need options: what is typed acts, at once and on new data."""

from __future__ import annotations

import csv
import tomllib
from pathlib import Path

QUICK = ("--steps", 2, "--no-report", "--width", 8, "--depth", 1)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_columns_with_an_equals_sign_or_a_dash_are_named(cli):
    lines = [f"{'uv'[i % 2]},{i % 9}.5,{'pq'[i % 3 > 0]},{i / 7:.2f},{i}" for i in range(120)]
    Path("t.csv").write_text("\n".join(["a=b,-m,c=d=e,x,-n", *lines]) + "\n", encoding="utf-8")
    options = ("--given", "a=b", "--given", "c=d=e", "--given", "-m", "--drop", "-n", "--kind", "a=b=categorical")
    fitted = cli("fit", "t.csv", "--model", "cvae", *options, *QUICK, "--run", "r")
    assert fitted.code == 0, fitted.err
    said = cli("sample", "r", "-n", 5, "--given", "a=b=u", "--given", "c=d=e=p", "--given", "-m=3.5", "-o", "s.csv")
    assert said.code == 0, said.err
    made = rows(Path("s.csv"))
    assert list(made[0]) == ["a=b", "-m", "c=d=e", "x"]
    assert {(row["a=b"], row["-m"], row["c=d=e"]) for row in made} == {("u", "3.5", "p")}


def test_missing_values_and_header_are_told_saved_and_used_for_new_data(cli):
    lines = [f"{-999 if i % 6 == 0 else i},{'none' if i % 4 else 'NA'},${i},{i % 28 + 1}-Jan-2024" for i in range(120)]
    Path("t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    refused = cli("fit", "t.csv", *QUICK)
    assert refused.code == 2
    assert "--header none" in refused.err
    missing = ("--missing-values", "-999")
    fitted = cli("fit", "t.csv", "--header", "none", *missing, *QUICK, "--run", "r")
    assert fitted.code == 0, fitted.err
    assert "read as missing (--missing-values decides): column_1 20 × -999, column_2 30 × NA" in fitted.err
    saved = tomllib.loads(Path("runs/r/config.toml").read_text(encoding="utf-8"))["data"]
    assert (saved["missing_values"], saved["header"]) == (["-999"], "none")
    assert cli("reconstruct", "r", "t.csv", "-o", "s.csv").code == 0
    made = rows(Path("s.csv"))
    assert len(made) == 120
    assert [row["column_1"] == "-999" for row in made] == [i % 6 == 0 for i in range(120)]
    assert [row["column_2"] for row in made] == [line.split(",")[1] for line in lines]
    assert cli("reconstruct", "r", "t.csv", "--complete", "-o", "full.csv").code == 0
    assert all(float(row["column_1"]) >= 0 for row in rows(Path("full.csv")))
    assert all(row["column_3"].startswith("$") and row["column_4"].endswith("-Jan-2024") for row in made)
    # What was written has a header, and says the same.
    assert cli("score", "r", "s.csv", "--quiet").code == 0
