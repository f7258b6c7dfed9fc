"""Make the pictures of the docs that show single latents, and of futures: what drives what, exact zeros, fans.

    python benchmarks/docs_latents.py [FOLDER OF DATA SETS]

The series lie in the folder of data sets (default: ../shared/data); without it only built-in sets are made.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import sfumato
from docs_images import DOCS, make
from sfumato.report.figures.style import Theme, figure, place, save, tidy

EXAMPLES = 60


def keep(name: str, draw: object) -> None:
    """The picture on light paper, into the docs."""
    with tempfile.TemporaryDirectory() as folder:
        made = save(Path(folder), name, draw, title="", alt="", caption="")  # type: ignore[arg-type]
        shutil.copyfile(made.path, DOCS / f"{name}.png")
        print(DOCS / f"{name}.png")


def drives() -> None:
    """Seven columns of two causes (Moran et al. 2022, section 5): which drives which, and what was found."""
    noise = np.random.default_rng(0)
    a, b = noise.normal(size=(2, 1250))
    made = {
        "a": a, "2a": 2 * a, "3a²": 3 * a**2, "4b": 4 * b, "5b": 5 * b, "6 sin b": 6 * np.sin(b), "7ab": 7 * a * b
    }  # fmt: skip
    frame = pd.DataFrame({name: column + 0.5 * noise.normal(size=1250) for name, column in made.items()})
    told = {"latent_dim": 5, "width": 50, "batch_size": 100, "lr": 1e-2, "steps": 2000, "restarts": 5}
    auto = sfumato.fit(
        frame,
        model="sparse_decoder_vae",
        scaling="elbo",
        sparsity=10.0,
        warmup=1000,
        likelihood="gaussian",
        progress=True,
        **told,
    )
    found = auto.model_.drives().numpy()
    true = np.array([[cause in name for cause in "ab"] for name in made])
    print(found.round(2))

    def draw(look: Theme) -> Figure:
        sheet = figure(5.2, 2.9, look)
        for left, values, title, names in (
            (0.9, true, "the truth", ["a", "b"]),
            (2.5, found, "|w| that was found", [f"z{one + 1}" for one in range(found.shape[1])]),
        ):
            axes = tidy(place(sheet, left, 0.5, 0.5 * len(names), 2.1), look, title)
            axes.imshow(values / values.max(), vmin=-1, vmax=1, cmap=look.diverging, aspect="auto")
            axes.set_xticks(range(len(names)), names)
            axes.set_yticks(range(len(made)), list(made) if left < 1 else [])
        return sheet

    keep("sparse_decoder_vae-drives", draw)


def zeros() -> None:
    """The codes of some digits: all that is blank is exactly 0."""
    told = {"latent_dim": 64, "alpha": 0.06, "steps": 3000}
    auto = sfumato.fit("digits", model="sparse_vae", progress=True, **told)
    assert auto.data_ is not None
    part = auto.data_.test
    labels = np.asarray(part.labels)
    chosen = np.argsort(labels, kind="stable")[:: max(len(labels) // EXAMPLES, 1)][:EXAMPLES]
    codes = auto.encode(auto.schema_.decode(part.take(slice(None)).x))[chosen]
    used = np.flatnonzero((codes != 0).any(0))
    used = used[np.argsort([np.flatnonzero(codes[:, one]).mean() for one in used], kind="stable")]
    largest = np.abs(codes).max()

    def draw(look: Theme) -> Figure:
        sheet = figure(9.0, 4.2, look)
        share = f"{(codes != 0).mean():.1%} of {codes.size:,} entries are not 0"
        axes = tidy(place(sheet, 0.6, 0.4, 8.1, 3.3), look, share, "digits, sorted by label", "latents in use")
        axes.imshow(
            codes[:, used].T, vmin=-largest, vmax=largest, cmap=look.diverging, aspect="auto", interpolation="nearest"
        )
        starts = [int(np.flatnonzero(labels[chosen] == label)[0]) for label in range(10)]
        axes.set_xticks(starts, [str(label) for label in range(10)])
        axes.set_yticks([])
        return sheet

    keep("sparse_vae-zeros", draw)


def main(folder: Path) -> None:
    DOCS.mkdir(parents=True, exist_ok=True)
    drives()
    zeros()
    series = folder / "ItalyPowerDemand_TEST.ts"
    if not series.exists():
        print(f"{series}: no such file, so no picture of futures")
        return
    make(str(series), "td_vae", {"futures": "td_vae-futures"}, steps=1500, warmup=225)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("../shared/data"))
