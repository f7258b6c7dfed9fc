"""The examples of README and docs are run as tests, in a folder that holds the file they speak of."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

BIRDS = """species,island,bill_length_mm,body_mass_g,sex
Adelie,Torgersen,39.1,3750,male
Adelie,Biscoe,40.3,3250,female
Gentoo,Biscoe,46.1,4500,female
Gentoo,Biscoe,48.7,4450,
Chinstrap,Dream,46.5,3500,female
"""


def _enter(namespace: dict[str, Any]) -> None:
    folder = tempfile.TemporaryDirectory()
    namespace["_before"], namespace["_folder"] = Path.cwd(), folder
    os.chdir(folder.name)
    head, *rows = BIRDS.splitlines()
    Path("penguins.csv").write_text("\n".join([head, *rows * 8]) + "\n", encoding="utf-8")


def _leave(namespace: dict[str, Any]) -> None:
    _forget()
    os.chdir(namespace["_before"])
    namespace["_folder"].cleanup()


def _forget() -> None:
    """What a page registers is there for that page alone."""
    from sfumato import likelihoods
    from sfumato.data import registry
    from sfumato.evaluation import families
    from sfumato.networks.heads.base import BUILDERS

    registry._REGISTERED.clear()
    families._REGISTERED.clear()
    shipped = {likelihood.name for likelihood in likelihoods._SHIPPED}
    for name in set(likelihoods.LIKELIHOODS) - shipped:
        del likelihoods.LIKELIHOODS[name]
    for name, values in set(BUILDERS):
        if name not in shipped:
            del BUILDERS[name, values]


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
    setup=_enter,
    teardown=_leave,
).pytest()
