"""Counts of single cells: held-out counts against Poisson PCA, cell types, batches, differences, and odd cells."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import torch
from scipy import sparse, stats
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

import sfumato
from registry import Measure, Setting, system
from sfumato.data.io.count_files import h5ad
from sfumato.errors import SfumatoError

STEPS, NEIGHBOURS = 1500, 30
SIZES, RIDGES = (5, 10, 32), (1.0, 10.0, 100.0)
"""Numbers of components and penalties of Poisson PCA; the best on validation cells is taken."""


@cache
def cells(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Counts (700, 765) and the type of each cell."""
    path = folder / "pbmc700.h5ad"
    if not path.is_file():
        raise SystemExit(f"{path} is missing: put pbmc700.h5ad there, or name the folder above with --data")
    matrix = h5ad.read(path)
    return matrix.to_dense(), np.array(matrix.obs["cell_type"].to_pylist())


def fitted(x: np.ndarray, setting: Setting, **options: object) -> sfumato.Autoencoder:
    """A model of counts with the defaults."""
    how = {"steps": STEPS, "seed": setting.seed, "device": setting.device, **options}
    return sfumato.Autoencoder(**how).fit(sparse.csr_array(x))


def poisson_pca(
    x: np.ndarray, size: int, ridge: float, seed: int, loadings: tuple[torch.Tensor, torch.Tensor] | None = None
) -> tuple[np.ndarray, tuple[torch.Tensor, torch.Tensor]]:
    """Shares of cells by log π = b + UV up to Σ π = 1, fitted by L-BFGS on counts with a ridge on U and V.

    With `loadings` (V, b) only the scores U are fitted.
    """
    generator = torch.Generator().manual_seed(seed)
    counts = torch.from_numpy(x).double()
    scores = (0.1 * torch.randn(len(x), size, generator=generator)).double().requires_grad_()
    v, b = loadings or (
        (0.1 * torch.randn(size, x.shape[1], generator=generator)).double(),
        ((counts.sum(0) + 0.5) / (counts.sum() + 0.5 * x.shape[1])).log(),
    )
    free = [scores] if loadings else [scores, v.requires_grad_(), b.requires_grad_()]
    optimizer = torch.optim.LBFGS(free, max_iter=150, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        log_share = torch.log_softmax(b + scores @ v, 1)
        penalty = 0.5 * ridge * ((scores**2).sum() + (0 if loadings else (v**2).sum()))
        loss = -(counts * log_share).sum() + penalty
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        return torch.softmax(b + scores @ v, 1).numpy(), (v.detach(), b.detach())


def poisson_nll(x: np.ndarray, share: np.ndarray) -> float:
    """Nats per cell of counts whose rates are these shares of their total."""
    return float(-stats.poisson.logpmf(x, x.sum(1, keepdims=True) * share).sum(1).mean())


@system(
    "counts-heldout",
    Measure("nats per cell of the held-out half of the counts of test cells, Poisson, vae"),
    Measure("the same, best Poisson PCA"),
    Measure("the same, frequencies of all cells"),
    Measure("vae minus Poisson PCA", high=0.0),
)
def heldout(setting: Setting) -> dict[str, float]:
    """Each count thinned into halves: codes of test cells from one half, the other half predicted by shares.

    Poisson PCA is the best on validation cells of 5, 10 and 32 components (what the vae has) and three penalties.
    """
    x, _ = cells(setting.data)
    random = np.random.default_rng(setting.seed)
    seen = random.binomial(x, 0.5)
    hidden = x - seen
    order = random.permutation(len(x))
    train, valid, test = order[:560], order[560:630], order[630:]
    auto = fitted(seen[np.concatenate([train, valid])], setting, split=(560 / 630, 70 / 630, 0.0))
    expected = np.asarray(auto.reconstruct(sparse.csr_array(seen[test])))
    share = expected / expected.sum(1, keepdims=True)
    scored = []
    for size in SIZES:
        for ridge in RIDGES:
            _, loadings = poisson_pca(seen[train], size, ridge, setting.seed)
            parts = [poisson_pca(seen[rows], size, ridge, setting.seed, loadings)[0] for rows in (valid, test)]
            scored.append((poisson_nll(hidden[valid], parts[0]), poisson_nll(hidden[test], parts[1])))
    frequency = (seen[train].sum(0) + 0.5) / (seen[train].sum() + 0.5 * x.shape[1])
    mine, theirs = poisson_nll(hidden[test], share), min(scored)[1]
    null = poisson_nll(hidden[test], np.tile(frequency, (len(test), 1)))
    return heldout.named((mine, theirs, null, mine - theirs))


def probe(codes: np.ndarray, labels: np.ndarray) -> float:
    """Balanced accuracy of logistic regression, in five folds."""
    scaled = StandardScaler().fit_transform(codes)
    return float(cross_val_score(LogisticRegression(max_iter=2000), scaled, labels, scoring="balanced_accuracy").mean())


def log_pca(x: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Principal components of log(1 + counts per 10,000)."""
    y = np.log1p(1e4 * x / np.maximum(x.sum(1, keepdims=True), 1))
    return PCA(size, random_state=seed).fit_transform(y)


@system(
    "counts-types",
    Measure("balanced accuracy of cell types from the means of codes, five folds"),
    Measure("the same from log-PCA of as many components"),
)
def types(setting: Setting) -> dict[str, float]:
    """The default vae fitted without labels on pbmc700; a linear probe of its codes."""
    x, labels = cells(setting.data)
    codes = fitted(x, setting).encode(sparse.csr_array(x))
    return types.named((probe(codes, labels), probe(log_pca(x, codes.shape[1], setting.seed), labels)))


def mixing(codes: np.ndarray, batch: np.ndarray) -> float:
    """Inverse Simpson index of batches among the 30 nearest neighbours, mean over cells: 1 apart, 2 mixed evenly."""
    near = NearestNeighbors(n_neighbors=NEIGHBOURS + 1).fit(codes).kneighbors(codes, return_distance=False)[:, 1:]
    share = batch[near].mean(1)
    return float((1 / (share**2 + (1 - share) ** 2)).mean())


@system(
    "counts-batches",
    Measure("iLISI of codes of a cvae given the batch (1 apart, 2 mixed)", low=1.5),
    Measure("iLISI of codes of a vae"),
    Measure("iLISI of log-PCA"),
    Measure("balanced accuracy of cell types from codes of the cvae"),
    Measure("balanced accuracy of cell types from codes of the vae"),
)
def batches(setting: Setting) -> dict[str, float]:
    """Half of the cells as a second batch: thinned by 0.6 and by a factor of each gene of its own, log-normal 0.5."""
    x, labels = cells(setting.data)
    random = np.random.default_rng(setting.seed)
    second = random.permutation(len(x)) < len(x) // 2
    kept = np.minimum(0.6 * np.exp(random.normal(0, 0.5, x.shape[1])), 1.0)
    mixed = np.where(second[:, None], random.binomial(x, kept), x)
    batch = second.astype(int)
    how = {"steps": STEPS, "seed": setting.seed, "device": setting.device}
    given = sfumato.fit((sparse.csr_array(mixed), batch), model="cvae", given=["label"], **how)
    codes = given.encode((sparse.csr_array(mixed), batch))
    plain = fitted(mixed, setting).encode(sparse.csr_array(mixed))
    pca = log_pca(mixed, codes.shape[1], setting.seed)
    mixes = [mixing(each, batch) for each in (codes, plain, pca)]
    return batches.named((*mixes, probe(codes, labels), probe(plain, labels)))


def made_groups(seed: int, each: int, genes: int = 500) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts of two groups of cells, of which a tenth of the genes differ by 0.75 to 2 in log₂; and all true changes.

    Both groups vary along three factors that have nothing to do with the difference. What is true is taken from the
    shares of 4,000 cells without counting.
    """
    random = np.random.default_rng(seed)
    base = np.exp(random.normal(0, 1.5, genes))
    loadings, change = random.normal(0, 0.3, (3, genes)), np.zeros(genes)
    which = random.choice(genes, genes // 10, replace=False)
    change[which] = random.choice([-1, 1], len(which)) * random.uniform(0.75, 2, len(which))

    def shares(rows: int, group: np.ndarray) -> np.ndarray:
        rates = base * np.exp(random.normal(size=(rows, 3)) @ loadings) * 2.0 ** (change * group[:, None])
        return rates / rates.sum(1, keepdims=True)

    group = np.repeat([0, 1], each)
    share = shares(2 * each, group)
    totals = np.exp(random.normal(np.log(1500), 0.4, (2 * each, 1)))
    x = random.poisson(random.gamma(2.0, 0.5, share.shape) * share * totals)
    many = [shares(4000, np.full(4000, side)).mean(0) for side in (0, 1)]
    return x, group, np.log2(many[1] / many[0])


@system(
    "counts-differences",
    Measure("share of false ones among genes called with 5% expected (|log₂ change| ≤ 0.25)", high=0.05),
    Measure("share of the genes that differ that are called"),
    Measure("share of true changes inside the 95% interval"),
    Measure("Mann–Whitney on log(1 + counts per 10,000), Benjamini–Hochberg at 5%: share of false ones"),
    Measure("the same: share of the genes that differ that are called"),
)
def differ(setting: Setting) -> dict[str, float]:
    """Two groups of 150 made cells and 500 genes, see `made_groups`; the default vae, 500 steps."""
    x, group, truth = made_groups(setting.seed, 150)
    found = fitted(x, setting, steps=500).differential_expression(sparse.csr_array(x), group.tolist(), 1, 0)
    true = np.abs(truth) > 0.25
    y = np.log1p(1e4 * x / x.sum(1, keepdims=True))
    tested = stats.false_discovery_control(stats.mannwhitneyu(y[group == 1], y[group == 0]).pvalue) < 0.05
    inside = ((found.low <= truth) & (truth <= found.high)).mean()
    rates = [
        ((each & ~true).sum() / max(each.sum(), 1), (each & true).sum() / true.sum()) for each in (found.called, tested)
    ]
    return differ.named((*rates[0], inside, *rates[1]))


def odd(random: np.random.Generator, x: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Random parts of the cells, some made odd."""
    while True:
        rows = random.choice(len(x), random.integers(3, 60), replace=False)
        columns = random.choice(x.shape[1], random.integers(1, 40), replace=False)
        part = x[np.ix_(rows, columns)].astype(np.int64)
        kind = ("plain", "empty cells", "no counts", "one gene", "two cells", "huge", "one huge count")[
            random.integers(7)
        ]
        if kind == "empty cells":
            part[random.random(len(part)) < 0.5] = 0
        elif kind == "no counts":
            part[:] = 0
        elif kind == "one gene":
            part = part[:, :1]
        elif kind == "two cells":
            part = part[:2]
        elif kind == "huge":
            part = part * 10 ** int(random.integers(1, 9))
        elif kind == "one huge count":
            part[0, 0] = 10**9
        yield kind, part


@system(
    "counts-odd",
    Measure("fits of 1,000 with a number that is not finite", high=0.0),
    Measure("fits that were refused with one line"),
)
def oddities(setting: Setting) -> dict[str, float]:
    """Fits of 20 steps on random parts of pbmc700, odd ones among them: losses, codes, scores, samples."""
    x, _ = cells(setting.data)
    random = np.random.default_rng(setting.seed)
    broken = refused = 0
    names = ("negative_binomial", "zero_inflated_negative_binomial", "poisson")
    parts = odd(random, x)
    for number in range(1000):
        kind, part = next(parts)
        how = {"steps": 20, "width": 16, "depth": 1, "latent_dim": 2, "seed": number, "counts": True}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                auto = sfumato.Autoencoder(likelihood=names[number % 3], device=setting.device, **how).fit(part)
                numbers = [auto.encode(part), auto.score_samples(part), auto.sample(5, seed=0), auto.reconstruct(part)]
        except SfumatoError as error:
            refused += "\n" not in str(error)
            continue
        losses = [value for line in auto.history_.lines for value in line.values() if isinstance(value, float)]
        finite = all(np.isfinite(each).all() for each in (*numbers, losses))
        if not finite or auto.history_.skipped:
            broken += 1
            print("not finite:", kind, part.shape, names[number % 3], flush=True)
    return oddities.named((broken, refused))
