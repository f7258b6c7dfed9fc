from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from sfumato import data
from sfumato.data.builtin import toy
from sfumato.errors import SfumatoError


def test_names_and_summaries_import_no_heavy_library() -> None:
    code = (
        "import sys; from sfumato import data; [data.summary(name) for name in data.names()];"
        "print([name for name in ('torch', 'sklearn', 'numpy') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "shape", "labels"),
    [
        ("moons", (10_000, 2), 2),
        ("circles", (10_000, 2), 2),
        ("blobs", (10_000, 2), 3),
        ("digits", (1797, 8, 8), 10),
        ("iris", (150, 4), 3),
        ("wine", (178, 13), 3),
        ("breast_cancer", (569, 30), 2),
        ("diabetes", (442, 11), 0),
    ],
)
def test_every_built_in_set_has_its_known_size(name: str, shape: tuple[int, ...], labels: int) -> None:
    found = toy.make(name)
    assert found.values.shape == shape
    assert len(found.label_names) == labels
    assert found.levels or len(found.columns) == shape[1]


def test_the_list_is_all_there_is() -> None:
    assert set(data.names()) == set(toy.SUMMARIES)


def test_moons_lie_on_their_half_circles() -> None:
    found = toy.make("moons", rows=2000)
    upper = found.values[found.labels == 0]
    assert np.linalg.norm(upper, axis=1).mean() == pytest.approx(1, abs=0.02)
    assert np.linalg.norm(upper, axis=1).std() == pytest.approx(0.05, abs=0.01)


def test_the_seed_draws_and_rows_counts() -> None:
    one, same, other = (toy.make("blobs", rows=50, seed=seed).values for seed in (1, 1, 2))
    assert one.shape == (50, 2)
    assert (one == same).all()
    assert (one != other).any()


def test_an_unknown_name_suggests_the_closest() -> None:
    with pytest.raises(SfumatoError, match="did you mean moons"):
        data.open("moon")


def test_rows_of_a_set_that_is_not_drawn_are_refused() -> None:
    with pytest.raises(SfumatoError, match="iris is not drawn"):
        toy.make("iris", rows=10)
