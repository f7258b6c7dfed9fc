"""The doctor on runs made sick on purpose, on healthy ones of every model, and its cures: larger than the tests.

python benchmarks/doctor.py sick healthy --data DIR        (all of them)
python benchmarks/doctor.py penguins-beta-4 --data DIR     (one)
python benchmarks/doctor.py cures --data DIR               (fitted again, before and after)
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import sfumato
from machine import describe
from sfumato.cli.commands.doctor import text
from sfumato.studies import Cured, cure

Source = Callable[[Path], Any]


@dataclass(frozen=True)
class Case:
    """A run, and what the doctor should say first: "healthy", or the name of the sickness."""

    name: str
    source: Source
    expected: str
    options: dict[str, Any] = field(default_factory=dict)


def built_in(name: str) -> Source:
    return lambda data: name


def file(name: str) -> Source:
    return lambda data: str(data / name)


def mnist(count: int, test: int = 1000) -> Source:
    """The first of the training and of the test pictures."""

    def made(data: Path) -> str:
        with np.load(data / "mnist.npz") as found:
            names = list(found.files)
            x, other = (found[next(name for name in names if name in kinds)] for kinds in KINDS)
        path = Path(tempfile.mkdtemp()) / f"mnist-{count}.npz"
        np.savez(path, x=x[:count], x_test=other[:test])
        return str(path)

    return made


KINDS = (("x", "x_train", "train_x", "images"), ("x_test", "test_x", "test_images"))
PENGUINS, DIGITS, MOONS, MARKOV, RING = (
    file("penguins.csv"),
    *(built_in(name) for name in ("digits", "moons", "markov", "ring")),
)

SICK = (
    Case("penguins-beta-4", PENGUINS, "posterior_collapse", {"model": "beta_vae", "beta": 4.0}),
    Case("digits-beta-50", DIGITS, "posterior_collapse", {"model": "beta_vae", "beta": 50.0}),
    Case("markov-plain", MARKOV, "posterior_collapse", {"model": "vae"}),
    Case("digits-beta-0.001", DIGITS, "under_regularised", {"model": "beta_vae", "beta": 0.001}),
    Case("penguins-beta-0.01", PENGUINS, "under_regularised", {"model": "beta_vae", "beta": 0.01}),
    Case("digits-squared-error", DIGITS, "scale_mismatched", {"likelihood": "mse"}),
    Case("digits-grey-bernoulli", DIGITS, "not_binary", {"likelihood": "bernoulli", "binarise": "no"}),
    Case("digits-lr-1", DIGITS, "exploding_steps", {"lr": 1.0, "steps": 1000}),
    Case("digits-200-steps", DIGITS, "too_short", {"steps": 200}),
    Case(
        "cancer-strong-adversary",
        built_in("breast_cancer"),
        "adversary_wins",
        {"model": "vae_gan", "equilibrium": False, "steps": 600, "lr": 3e-3},
    ),
    Case("moons-deaf", MOONS, "conditions_ignored", {"model": "cvae", "condition_dropout": 0.999, "steps": 400}),
    Case("moons-512-codes", MOONS, "dead_codes", {"model": "vq_vae", "codebook": 512, "steps": 200}),
    # 1,437 pictures are few for a transformer over codes, and for half the price on what a code says.
    Case("digits-vq_vae", DIGITS, "memorising", {"model": "vq_vae"}),
    Case("digits-info_vae", DIGITS, "memorising", {"model": "info_vae"}),
    Case("mnist-200", mnist(200), "memorising", {"split": (1.0, 0.0, 0.0), "epochs": 400, "latent_dim": 32}),
)
HEALTHY = (
    *(
        Case(f"digits-{model}", DIGITS, "healthy", {"model": model})
        for model in ("vae", "hierarchical_vae", "sparse_vae", "wae", "factor_vae")
    ),
    *(
        Case(f"moons-{model}", MOONS, "healthy", {"model": model})
        for model in ("vae", "cvae", "vae_gan", "vq_vae", "sparse_decoder_vae", "beta_tcvae")
    ),
    Case("moons-beta_vae", MOONS, "healthy", {"model": "beta_vae", "beta": 0.5}),
    Case("penguins-vae", PENGUINS, "healthy", {"model": "vae"}),
    Case("penguins-cvae", PENGUINS, "healthy", {"model": "cvae", "given": ["species"]}),
    Case("penguins-info_vae", PENGUINS, "healthy", {"model": "info_vae"}),
    Case("penguins-m2", PENGUINS, "healthy", {"model": "m2", "given": ["species"]}),
    Case("ring-td_vae", RING, "healthy", {"model": "td_vae", "rows": 2000}),
    Case("mnist-vae-50", mnist(10_000), "healthy", {"likelihood": "bernoulli", "latent_dim": 50, "width": 200}),
)
CURED = ("markov-plain", "digits-beta-50", "penguins-beta-4", "digits-squared-error", "moons-deaf")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["sick", "healthy"], help="sick, healthy, cures, or names of runs")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    print(describe(), f"seed {told.seed}", sep="\n", flush=True)
    every = {case.name: case for case in (*SICK, *HEALTHY)}
    if told.names[0] == "cures":
        for name in told.names[1:] or CURED:
            _cure(every[name], told.data, told.seed)
        return
    wanted = [case for case in every.values() if {case.name, "healthy" if case in HEALTHY else "sick"} & {*told.names}]
    rows = [_look(case, told.data, told.seed) for case in wanted]
    print(
        "\n| run | expected | found | | seconds: fit, quick look, whole look |",
        "|---|---|---|---|---|",
        *rows,
        sep="\n",
    )


def _look(case: Case, data: Path, seed: int) -> str:
    """Fit, diagnose and print what was found; to a row of the table."""
    begun = time.process_time()
    auto = sfumato.fit(case.source(data), seed=seed, **case.options)
    fitted = time.process_time()
    quick = auto.diagnose(quick=True)
    looked = time.process_time()
    found = auto.diagnose()
    names = [one.name for one in found]
    first = "as expected" if names[0] == case.expected else f"named after {names[0]}"
    verdict = first if case.expected in names else f"NOT {case.expected}"
    also = "" if [one.name for one in quick] == names else f"; quick: {', '.join(one.name for one in quick)}"
    seconds = f"{fitted - begun:.0f}, {looked - fitted:.1f}, {time.process_time() - looked:.1f}"
    row = f"| {case.name} | {case.expected} | {', '.join(names)} | {verdict}{also} | {seconds} |"
    print(f"\n{row}\n{text(case.name, found)}", flush=True)
    return row


def _cure(case: Case, data: Path, seed: int) -> None:
    auto = sfumato.fit(case.source(data), seed=seed, **case.options)
    cured: Cured = cure(auto, case.source(data), seed=seed)
    first, second = (", ".join(one.name for one in side) for side in cured.findings)
    print(f"\n### {case.name}: {cured.changed}\n\n| measure | before | after |\n|---|---|---|")
    print(f"| doctor | {first} | {second} |")
    for change in cured.changes:
        before, after = (
            f"{one.value:.4g}" + ("" if one.error is None else f" ± {one.error:.2g}")
            for one in (change.before, change.after)
        )
        print(f"| {change.after.name} | {before} | {after} |")
    print(f"\n{cured.words}", flush=True)


if __name__ == "__main__":
    main()
