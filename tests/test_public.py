"""What is public: `__all__` of every public module is exact, and `import sfumato` stays light."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.resources import files
from types import ModuleType

import pytest

from sfumato import data

PUBLIC = (
    *("sfumato", "sfumato.distributions", "sfumato.objectives", "sfumato.networks", "sfumato.models"),
    *("sfumato.models.base", "sfumato.models.latent", "sfumato.models.protocols", "sfumato.models.registry"),
    *("sfumato.data", "sfumato.training", "sfumato.evaluation", "sfumato.diagnostics", "sfumato.artifacts"),
    *("sfumato.estimator", "sfumato.tasks", "sfumato.studies", "sfumato.report", "sfumato.cli"),
)


@pytest.mark.parametrize("name", PUBLIC)
def test_all_is_exact(name: str) -> None:
    module = import_module(name)
    assert len(set(module.__all__)) == len(module.__all__)
    for public in module.__all__:
        assert hasattr(module, public), public
    there = {
        key
        for key, value in vars(module).items()
        if key[0] != "_"
        and not isinstance(value, ModuleType)
        and getattr(value, "__module__", "").startswith(name if "." in name else "sfumato.errors")
    }
    assert there <= set(module.__all__), f"public, and not in __all__: {there - set(module.__all__)}"


def test_types_ship() -> None:
    assert (files("sfumato") / "py.typed").is_file()


def test_the_top_imports_on_first_use() -> None:
    code = "import sys, sfumato; dir(sfumato); print('torch' in sys.modules, 'pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == [
        "False",
        "False",
    ]


def test_files_of_series_can_be_read_by_themselves(tmp_path) -> None:
    (tmp_path / "a.ts").write_text("@univariate true\n@classLabel false\n@data\n1,2,3\n4,5,6\n")
    assert data.ts.read(tmp_path / "a.ts").x.shape == (2, 3, 1)
