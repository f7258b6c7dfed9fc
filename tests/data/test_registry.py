"""A kind of data is one object: what it declares is there, and a source goes to the first that accepts it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sfumato import data
from sfumato.data import DataOptions, registry
from sfumato.data.core.kinds import Kind
from sfumato.data.core.source import Source
from sfumato.errors import SfumatoError
from sfumato.report.kinds import figures_of


@pytest.mark.parametrize("kind", registry.kinds(), ids=lambda kind: kind.name)
def test_what_a_kind_declares_is_there(kind: Kind) -> None:
    assert kind.schema.kind == kind.name
    assert set(kind.options) <= set(DataOptions.names())
    figures = figures_of(kind)
    assert figures is not None
    assert callable(figures.draw)
    assert callable(figures.compare)


@pytest.mark.parametrize(
    ("value", "options", "name"),
    [
        (np.zeros((3, 2)), {}, "vector"),
        (np.zeros((3, 2)), {"sequences": True}, "sequence"),
        (np.zeros((3, 2)), {"symbols": True}, "symbols"),
        (np.zeros((3, 2, 2)), {}, "image"),
        (["ab", "c"], {}, "symbols"),
        (pa.table({"a": [1.0]}), {}, "table"),
        (pa.table({"a": [1.0]}), {"id": "a"}, "sequence"),
    ],
)
def test_a_source_goes_to_its_kind(value: object, options: dict[str, object], name: str) -> None:
    kind = registry.accepting(Source(value), DataOptions(**options))
    assert kind is not None
    assert kind.name == name


def test_a_kind_of_another_package_comes_before_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_REGISTERED", {})
    vector = registry.named("vector")
    loaded = []

    def load(source: Source, options: DataOptions) -> data.core.dataset.Dataset:
        loaded.append(source.path)
        return vector.load(Source(np.random.default_rng(0).normal(size=(20, 2))), options)

    kind = replace(vector, name="mine", accepts=lambda source, options: source.endswith(".mine"), load=load, order=50)
    registry.register(kind)
    registry.register(kind)
    path = tmp_path / "rows.mine"
    path.write_text("", encoding="utf-8")
    assert data.open(path).schema.spec.shape == (2,)
    assert loaded == [path]
    with pytest.raises(SfumatoError, match="header is none: that is for text files of tables"):
        data.open(path, options=DataOptions(header="none"))
    with pytest.raises(ValueError, match="already"):
        registry.register(replace(kind, name="table"))


def test_a_file_no_kind_accepts_is_refused_with_those_that_are_read(tmp_path: Path) -> None:
    path = tmp_path / "notes.pdf"
    path.write_bytes(b"x")
    with pytest.raises(SfumatoError, match=r"not a kind of file known here; give one of \.csv.*\.npy, \.npz.*\.ts"):
        data.open(path)


def test_a_schema_of_a_kind_that_is_not_there_is_refused() -> None:
    with pytest.raises(SfumatoError, match="data of kind 'tabel' are not known here; did you mean table"):
        registry.load_schema({"kind": "tabel"})
