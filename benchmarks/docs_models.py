"""Draw the images of the models' pages that need more than a report shows, with the public interface alone.

    python benchmarks/docs_models.py                     # all of them: ten minutes on one core
    python benchmarks/docs_models.py m2 info_vae         # some
    python benchmarks/docs_models.py report --data FOLDER

`report` needs penguins.csv in the folder of data sets (default: ../shared/data), playwright and a Chromium on the path.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from sklearn.datasets import load_digits, make_moons
from sklearn.neighbors import KNeighborsClassifier

import sfumato
from sfumato.cli import main as command_line

matplotlib.use("Agg")
from matplotlib import pyplot as plt

DOCS = Path(__file__).resolve().parents[1] / "docs" / "images"
BLUE, AMBER, QUIET = "#3f90da", "#ffa90e", "#5b6470"
ACROSS = 14
"""Images in a row."""


def keep(figure: Figure, name: str) -> None:
    """Save into the docs' folder."""
    figure.savefig(DOCS / f"{name}.png", dpi=160, bbox_inches="tight", facecolor="white")
    print(DOCS / f"{name}.png")


def strips(rows: list[tuple[str, np.ndarray]], name: str) -> None:
    """One row of grey images (N, H, W) under each other, with its name at the left."""
    figure, axes = plt.subplots(len(rows), 1, figsize=(9, 0.68 * len(rows)), squeeze=False)
    for axis, (label, images) in zip(axes[:, 0], rows, strict=True):
        gap = max(images.shape[1] // 16, 1)
        padded = np.pad(images.astype(float), ((0, 0), (0, 0), (0, gap)), constant_values=np.nan)
        axis.imshow(np.hstack(list(padded)), cmap="gray", vmin=0, vmax=images.max())
        axis.set_yticks([images.shape[1] / 2], [label], fontsize=8, color=QUIET)
        axis.set_xticks([])
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    figure.subplots_adjust(hspace=0.05)
    keep(figure, name)


def digits(model: str, **options: object) -> None:
    """Digits of the data, their reconstructions, and two rows of samples."""
    data = load_digits()
    images = data.images / 16
    m = sfumato.fit((images, data.target), model=model, seed=0, progress=True, **options)
    new = m.sample(2 * ACROSS, seed=0)
    strips(
        [
            ("data", images[:ACROSS]),
            ("reconstructions", m.reconstruct((images[:ACROSS], data.target[:ACROSS]))),
            ("samples", new[:ACROSS]),
            ("", new[ACROSS:]),
        ],
        f"{model}-digits",
    )


def traversals(model: str, **options: object) -> None:
    """Sprites: one row for each latent in use, which moves from −2 to 2 while the others stay."""
    m = sfumato.fit("sprites", model=model, latent_dim=10, seed=0, progress=True, **options)
    schema = m.schema_
    sprites = schema.decode(m.data_.test.take(slice(0, 2000)).x)
    codes = m.encode(sprites)
    widest = np.argsort(-codes.std(0))[: int((codes.std(0) > 0.2).sum())][:7]
    middle = codes[np.linalg.norm(codes[:, widest], axis=1).argmin()]
    rows = []
    for latent in widest:
        moved = np.repeat(middle[None], ACROSS, 0)
        moved[:, latent] = np.linspace(-2, 2, ACROSS)
        rows.append((f"z{latent + 1}", np.asarray(m.decode(moved)).reshape(ACROSS, *sprites.shape[1:])))
    strips(rows, f"{model}-traversals")


def codes() -> None:
    """The codes of digits in the plane: a VAE's, a WAE's, and the circle that holds 95% of the prior."""
    data = load_digits()
    images = data.images / 16
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.4))
    circle = np.linspace(0, 2 * np.pi, 200)
    for axis, model in zip(axes, ("vae", "wae"), strict=True):
        m = sfumato.fit(images, model=model, latent_dim=2, steps=3000, seed=0, progress=True)
        z = m.encode(images)
        axis.scatter(*z.T, c=data.target, cmap="tab10", s=6, alpha=0.7, linewidths=0)
        axis.plot(2.45 * np.cos(circle), 2.45 * np.sin(circle), color=QUIET, linewidth=0.8)
        axis.set_title(model, loc="left", fontsize=10)
        axis.set_aspect("equal")
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=7, colors=QUIET)
    keep(figure, "info_vae-codes")


def labels() -> None:
    """Two moons with six labels: what m2 predicts, and what nearest neighbours predict from the six alone."""
    x, y = make_moons(1000, noise=0.08, random_state=0)
    partly = np.full(len(y), -1)
    random = np.random.default_rng(1)
    known = np.concatenate([random.choice(np.flatnonzero(y == label), 3, replace=False) for label in (0, 1)])
    partly[known] = y[known]
    m = sfumato.Autoencoder("m2", steps=3000, lead=600, random_state=0, verbose=True).fit(x, partly)
    neighbour = KNeighborsClassifier(1).fit(x[known], y[known])
    panels = (("six labels", partly), ("m2", m.predict(x)), ("nearest of the six", neighbour.predict(x)))
    figure, axes = plt.subplots(1, 3, figsize=(9, 2.6))
    for axis, (title, found) in zip(axes, panels, strict=True):
        colour = np.array([BLUE, AMBER, "#d5d9de"])[np.asarray(found, dtype=int)]
        axis.scatter(*x.T, c=colour, s=5, linewidths=0)
        axis.scatter(*x[known].T, c=colour[known] if title == "six labels" else "none", s=36, edgecolors="#1c2128")
        share = "" if title == "six labels" else f", {(np.asarray(found) == y).mean():.0%} right"
        axis.set_title(title + share, loc="left", fontsize=9)
        axis.set_axis_off()
    keep(figure, "m2-labels")


def report(folder: Path) -> None:
    """The beginning of the report of a cvae on penguins, as a browser shows it."""
    from playwright.sync_api import sync_playwright

    places = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    browser_path = next(filter(None, map(shutil.which, places)))
    with tempfile.TemporaryDirectory() as run, sync_playwright() as started:
        table = [
            "fit",
            str(folder / "penguins.csv"),
            "--model",
            "cvae",
            "--given",
            "species",
            "--run",
            f"{run}/penguins",
        ]
        command_line(table)
        browser = started.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 1400})
        page.goto(Path(run, "penguins", "report.html").as_uri())
        page.screenshot(path=DOCS / "report.png", animations="disabled")
        browser.close()
    with Image.open(DOCS / "report.png") as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(DOCS / "report.png", optimize=True)
    print(DOCS / "report.png")


IMAGES = {
    "vq_vae": lambda _: digits("vq_vae", lr=2e-3, steps=1200),
    "vae_gan": lambda _: digits("vae_gan", steps=1500),
    "factor_vae": lambda _: traversals("factor_vae", gamma=20.0, steps=4000),
    "beta_tcvae": lambda _: traversals("beta_tcvae", steps=1000, batch_size=256),
    "info_vae": lambda _: codes(),
    "m2": lambda _: labels(),
    "report": report,
}


def main() -> None:
    """Draw the ones that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(IMAGES)}")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of data sets")
    options = parser.parse_args()
    if unknown := set(options.names) - set(IMAGES):
        parser.error(f"no image is called {', '.join(unknown)}; choose of {', '.join(IMAGES)}")
    DOCS.mkdir(parents=True, exist_ok=True)
    for name in options.names or IMAGES:
        IMAGES[name](options.data)


if __name__ == "__main__":
    main()
