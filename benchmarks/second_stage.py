"""What codes of samples are drawn from, on several data sets: a table on the standard output.

    python benchmarks/second_stage.py adult_train.csv magic.csv shoppers.csv mnist.npz digits --rows 8000

Tables are CSV files, and `digits` or an .npz with `x_train` are images. Rows are shuffled; `--rows` of them are fitted
(a tenth of which validates and a tenth tests), and as many as half of that, which the model never saw, judge samples.

Codes AUC is of the classifier by which `auto` chooses, between held-out codes and draws of each sampler. Of tables,
C2ST AUC is of gradient boosting that tells samples from held-out rows (`dependence.py`), and column and pair overlaps
stand beside it. Of images, Fréchet distance and coverage are of the classifier's features that `evaluate` uses. The row
`codes of examples` decodes codes of training examples: no sampler of codes could be much better. Seconds are of the
fit, on one thread, but for the row `codes of examples`, where they are of the model's own training.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits
from torch import Tensor

import sfumato
from dependence import overlaps, told_apart
from sfumato import Autoencoder
from sfumato.batch import Batch
from sfumato.evaluation import EvaluationSettings
from sfumato.evaluation.metrics.classifiers import two_sample_auc
from sfumato.evaluation.samples.features import features
from sfumato.evaluation.samples.measures import likeness
from sfumato.evaluation.samples.sample_sets import Drawn
from sfumato.evaluation.subject import frozen_eval
from sfumato.latents.codes import Codes, absolute, relative
from sfumato.randomness.generators import seeded

SAMPLERS = ("prior", "mixture", "flow-matching", "codes of examples")
IMAGES = 2000


def opened(name: str, rows: int, seed: int) -> tuple[object, pd.DataFrame | None]:
    """What is fitted, and the held-out rows of a table."""
    if name.endswith(".csv"):
        table = pd.read_csv(name).sample(frac=1, random_state=seed).reset_index(drop=True)
        rows = min(rows, len(table) * 2 // 3)
        return table[:rows], table[rows : rows + rows // 2].reset_index(drop=True)
    images = load_digits().images.astype("uint8") if name == "digits" else np.load(name)["x_train"]
    return images[np.random.default_rng(seed).permutation(len(images))[:rows]], None


def codes_of(auto: Autoencoder, name: str, held: Codes, train: Codes, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """n codes of a sampler in the coordinates of samplers, and as many as there are held-out ones to be judged."""
    model = auto.model_
    if name == "codes of examples":
        return train.draw(seed).x[:n], train.draw(seed + 1).x[: len(held)]
    sampler = auto.sampler(name)
    drawn = []
    with seeded(torch.device("cpu"), seed), torch.no_grad():
        for count in (n, len(held)):
            if sampler is None:
                prior = model.prior(count)
                drawn.append(relative(prior, prior.sample()))
            else:
                drawn.append(sampler.sample(count))
    return drawn[0], drawn[1]


def decoded(auto: Autoencoder, codes: Tensor, seed: int, *, noise: bool) -> Tensor:
    """Examples in the units of the spec."""
    model, parts = auto.model_, []
    with seeded(torch.device("cpu"), seed), torch.no_grad():
        for part in codes.split(500):
            p = model.decode(absolute(model.prior(len(part)), part))
            parts.append(p.sample() if noise else p.mode())
    return torch.cat(parts)


def lines(name: str, seed: int, asked: argparse.Namespace) -> None:
    """Fit one set, then a row of the table for each sampler."""
    data, table = opened(name, asked.rows, seed)
    begun = time.perf_counter()
    options = {"model": asked.model, "seed": seed, "epochs": asked.epochs, "likelihood": asked.likelihood}
    auto = sfumato.fit(data, **{key: value for key, value in options.items() if value is not None})
    trained = time.perf_counter() - begun
    begun = time.perf_counter()
    stage = auto.second_stage()
    chosen = time.perf_counter() - begun
    train, held = (Codes.of(auto.model_, part) for part in (auto.data_.train, auto.data_.test))
    drawn = None
    if table is None:
        with frozen_eval(auto.model_, seed):
            drawn = Drawn.of(auto.subject(auto.data_, seed, sampler="prior"), EvaluationSettings(samples=IMAGES))
    for sampler in SAMPLERS:
        begun = time.perf_counter()
        if sampler in ("mixture", "flow-matching"):
            auto.fit_sampler(sampler)
        seconds = trained if sampler == "codes of examples" else time.perf_counter() - begun
        count = IMAGES if table is None else len(table)
        codes, judged = codes_of(auto, sampler, held, train, count, seed)
        apart = two_sample_auc(held.draw(seed).x.numpy(), judged.numpy(), seed=seed)
        mark = " (auto)" if sampler == stage.chosen else ""
        row = f"| {Path(name).name} | {seed} | {sampler}{mark} | {apart.value:.3f} ± {apart.error:.3f} "
        if table is not None:
            made = auto.schema_.decode(decoded(auto, codes, seed, noise=True), None)
            shape, pairs = overlaps(table, made)
            row += f"| {told_apart(table, made):.3f} | {shape:.3f} | {pairs:.3f} | | "
        else:
            images = replace(drawn, made=Batch(decoded(auto, codes, seed, noise=False)))
            values = {one.name: one.value for one in likeness(features(images), seed)}
            row += f"| | | | {values['Fréchet distance']:.2f}, {values['coverage']:.3f} "
        print(f"{row}| {seconds:.0f} |", flush=True)
    print(f"<!-- trained in {trained:.0f} s, chosen in {chosen:.0f} s: {stage} -->", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--model", default="vae")
    parser.add_argument("--likelihood")
    parser.add_argument("--rows", type=int, default=8000)
    parser.add_argument("--epochs", type=int)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print("| set | seed | codes from | codes AUC | C2ST AUC | columns | pairs | Fréchet, coverage | s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in asked.sets:
        for seed in asked.seeds:
            lines(name, seed, asked)


if __name__ == "__main__":
    main()
