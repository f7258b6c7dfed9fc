"""The docs' pictures of what the acceptance runs of codes, hierarchies and the VAE-GAN trained, seed 0.

python benchmarks/plates.py codes levels sharp        # trains what they show first; any of the three
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

import codes
import gans
import ladders
import sources
from registry import Setting
from sfumato.report.figures.image_grids import sheet_of
from sfumato.report.figures.style import FIGURE_WIDTH, Theme, figure, place, save, tidy
from sfumato.training import Settings

DOCS = Path(__file__).resolve().parents[1] / "docs" / "images"
ACROSS = 14
SHORT = Settings(steps=900, batch_size=128, lr=1e-3, schedule="cosine")
"""A minute of training is enough to see what the levels of a ladder hold."""


def grey(x: Tensor) -> list[np.ndarray]:
    """Pictures (N, 1, H, W) of levels 0 … 255, one array (H, W) each."""
    return list(x.detach().squeeze(1).round().clamp(0, 255).to(torch.uint8).numpy())


def halves(cells: list[np.ndarray]) -> list[list[np.ndarray]]:
    """One row of pictures as two."""
    return [cells[: len(cells) // 2], cells[len(cells) // 2 :]]


def keep(name: str, draw: Callable[[Theme], Figure]) -> None:
    """Draw into the docs' folder, on light paper alone."""
    with tempfile.TemporaryDirectory() as folder:
        picture = save(Path(folder), name, draw, title="", alt="", caption="")
        shutil.copyfile(picture.path, DOCS / picture.path.name)
    print(DOCS / f"{name}.png")


def bars(panels: Sequence[tuple[str, np.ndarray]], theme: Theme) -> Figure:
    """For each panel, the share of each code, the most frequent first; dashed, the share if all were equal."""
    height = 1.5
    sheet = figure(FIGURE_WIDTH, height + 0.95, theme)
    width = (FIGURE_WIDTH - 0.4) / len(panels)
    for at, (title, share) in enumerate(panels):
        axes = place(sheet, 0.55 + at * width, 0.4, width - 0.6, height)
        falling = np.sort(share)[::-1]
        axes.fill_between(
            np.arange(len(share) + 1), [*falling, falling[-1]], step="post", color=theme.model, linewidth=0
        )
        axes.axhline(1 / len(share), color=theme.quiet, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set_xlim(0, len(share))
        perplexity = float(np.exp(-(share[share > 0] * np.log(share[share > 0])).sum()))
        used = int((share > 0).sum())
        tidy(
            axes, theme, title=f"{title}: {used} of {len(share)} used, perplexity {perplexity:.0f}", x="code", y="share"
        )
    return sheet


def of_codes(setting: Setting) -> None:
    """How often each code is used on the test split; and samples through the prior beside codes drawn without it."""
    names = {"codebook": "EMA codebook", "fsq": "finite scalars"}
    models = {name: codes.trained(setting.data, setting.device, setting.seed, name) for name in names}
    test = sources.grey(setting.data / "mnist.npz")[2]
    share = {name: codes.shares(model, test) for name, model in models.items()}
    keep("vq_vae-codebook", lambda theme: bars([(names[name], share[name].double().numpy()) for name in names], theme))
    torch.manual_seed(setting.seed)
    batch = test.take(slice(0, ACROSS))
    with torch.no_grad():
        cells = [grey(batch.x), *(grey(model.reconstruct(batch)) for model in models.values())]
        titles = ["test", "EMA", "FSQ"]
        for name, short in (("codebook", "EMA"), ("fsq", "FSQ")):
            cells += halves(grey(models[name].sample(2 * ACROSS, noise=False)))
            titles += [f"{short} samples", ""]
        loose = share["codebook"].multinomial(ACROSS * 49, replacement=True).view(ACROSS, 49)
        cells.append(grey(models["codebook"].decode(loose).mode()))
    titles.append("no prior")
    keep("vq_vae-samples", lambda theme: sheet_of(cells, theme, rows=titles, breaks=[1, 3, 5, 7]))


def of_levels(setting: Setting) -> None:
    """Digits rebuilt from ever more of the five layers of a ladder, counted from the top."""
    model = ladders.ladder_net(setting.data, setting.device, setting.seed, True, SHORT, 300).cpu()
    batch = sources.binary(setting.data / "mnist.npz")[1].take(slice(0, ACROSS))
    counts = range(model.latent_layers + 1)
    with torch.no_grad():
        columns = [batch.x, *(model.reconstruct(batch, layers=count) for count in counts)]
    cells = [grey(255 * column) for column in columns]
    keep("hierarchical_vae-levels", lambda theme: sheet_of(cells, theme, rows=["data", *map(str, counts)]))


def of_sharpness(setting: Setting) -> None:
    """Clothes of the test split, their reconstructions by both models, and samples of both."""
    plain, sharp = (gans.trained(name, setting) for name in ("vae", "vae_gan"))
    batch = sources.grey(setting.data / "fashion_mnist.npz")[2].take(slice(0, ACROSS))
    torch.manual_seed(setting.seed)
    with torch.no_grad():
        cells = [grey(batch.x), grey(plain.reconstruct(batch)), grey(sharp.reconstruct(batch))]
        titles = ["test", "VAE", "VAE-GAN"]
        for name, model in (("VAE", plain), ("VAE-GAN", sharp)):
            cells += halves(grey(model.sample(2 * ACROSS, noise=False)))
            titles += [f"{name}, drawn", ""]
    keep("vae_gan-sharp", lambda theme: sheet_of(cells, theme, rows=titles, breaks=[1, 3, 5]))


PLATES = {"codes": of_codes, "levels": of_levels, "sharp": of_sharpness}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *PLATES], metavar="NAME", help=f"any of {', '.join(PLATES)}")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps (default cpu)")
    parser.add_argument("--data", type=Path, help="folder of data sets (default $SFUMATO_DATA or ../shared/data)")
    options = parser.parse_args()
    DOCS.mkdir(parents=True, exist_ok=True)
    for name in options.names or PLATES:
        PLATES[name](Setting(0, options.device, sources.folder(options.data), None, Path.home()))


if __name__ == "__main__":
    main()
