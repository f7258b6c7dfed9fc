"""Runs that are trained once and only read."""

from __future__ import annotations

from pathlib import Path

import pytest

from sfumato.cli import main

PENGUINS = """species,island,bill_length_mm,body_mass_g,sex
Adelie,Torgersen,39.1,3750,male
Adelie,Torgersen,39.5,3800,female
Adelie,Biscoe,40.3,3250,female
Gentoo,Biscoe,46.1,4500,female
Gentoo,Biscoe,50.0,5700,male
Gentoo,Biscoe,48.7,4450,
Chinstrap,Dream,46.5,3500,female
Chinstrap,Dream,50.0,3900,male
"""


@pytest.fixture(scope="session")
def moons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VAE on moons, hardly trained."""
    run = tmp_path_factory.mktemp("runs") / "moons-vae"
    assert main(["fit", "moons", "--rows", "200", "--steps", "20", "--no-report", "--quiet", "--run", str(run)]) == 0
    return run


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small table of mixed columns, with missing values."""
    path = tmp_path_factory.mktemp("data") / "birds.csv"
    head, *rows = PENGUINS.splitlines()
    path.write_text("\n".join([head, *rows * 5]) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def birds(tmp_path_factory: pytest.TempPathFactory, table: Path) -> Path:
    """A conditional VAE on that table, hardly trained."""
    run = tmp_path_factory.mktemp("runs") / "birds-cvae"
    given = ["--given", "species", "--given", "island"]
    told = ["fit", str(table), "--model", "cvae", *given, "--steps", "20", "--no-report", "--quiet", "--run", str(run)]
    assert main(told) == 0
    return run
