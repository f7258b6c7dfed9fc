"""The sparse decoder on columns with two known causes: does it find which of them drives which column?"""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import entropy
from sklearn.ensemble import GradientBoostingRegressor

from registry import Measure, Setting, system
from sfumato.batch import Batch
from sfumato.data.core.batching.batches import Resident
from sfumato.models import build
from sfumato.models.latent import LatentModel
from sfumato.models.sparse.sparse_decoder_vae import SparseDecoderVAE
from sfumato.spec import DataSpec, Field
from sfumato.training import Settings, fit

LATENTS, RESTARTS, ROWS, SIGMA = 5, 5, 1000, 0.5
TRUE = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [0, 1], [0, 1], [1, 1]], dtype=bool)
"""Which of the seven columns each of the two causes drives."""


def synthetic(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Standardised columns (z₁, 2z₁, 3z₁², 4z₂, 5z₂, 6 sin z₂, 7z₁z₂) + 0.5 ε, shape (N, 7), and the causes (N, 2)."""
    noise = np.random.default_rng(seed)
    z = noise.normal(size=(2 * ROWS, 2))
    a, b = z.T
    x = np.stack([a, 2 * a, 3 * a**2, 4 * b, 5 * b, 6 * np.sin(b), 7 * a * b], 1)
    x = x + SIGMA * noise.normal(size=x.shape)
    mean, scale = x[:ROWS].mean(0), x[:ROWS].std(0)
    return (x - mean) / scale, z


def support_f1(driven: np.ndarray, true: np.ndarray = TRUE) -> float:
    """F1 of (columns, latents) pairs under the best matching of latents to causes; a latent left over has no cause."""
    hits = true.T.astype(int) @ driven.astype(int)
    found = hits[linear_sum_assignment(-hits)].sum()
    return float(2 * found / (driven.sum() + true.sum()))


def disentanglement(codes: np.ndarray, causes: np.ndarray) -> float:
    """D of DCI (Eastwood and Williams 2018): 1 − the entropy, over causes, of what each latent is used for.

    How much a latent is used for a cause is its importance in boosted trees that predict the cause from the codes
    (N, L); latents weigh by their share of all importance.
    """
    judges = [GradientBoostingRegressor(random_state=0).fit(codes, cause) for cause in causes.T]
    used = np.stack([judge.feature_importances_ for judge in judges], 1)
    each = 1 - entropy(used.T + 1e-11, base=causes.shape[1])
    return float(each @ used.sum(1) / used.sum())


def trained(name: str, x: np.ndarray, setting: Setting, **options: object) -> LatentModel:
    """The best of five trainings, by the loss on the validation rows."""
    train, valid = (Resident(torch.tensor(part, dtype=torch.float32)) for part in np.split(x, 2))
    spec = DataSpec((x.shape[1],), (Field("real"),), examples=len(train))
    best, kept = np.inf, None
    for seed in range(RESTARTS * setting.seed, RESTARTS * (setting.seed + 1)):
        torch.manual_seed(seed)
        model = build(name, spec, latent_dim=LATENTS, width=50, depth=2, **options)
        settings = Settings(epochs=200, batch_size=100, lr=1e-2, validate_every=200, device=setting.device, seed=seed)
        history = fit(model, train, valid, settings=settings)
        if history.best is not None and history.best < best:
            best, kept = history.best, model
    assert isinstance(kept, LatentModel)
    return kept.eval().cpu()


@system(
    "sparse-decoder",
    Measure("F1 of which latent drives which column", low=0.95),
    Measure("DCI of the sparse decoder", "pilot .98 on four of five starts", low=0.95),
    Measure("DCI of the VAE"),
    Measure("DCI gained over the VAE", low=0.2),
    Measure("DCI of the VAE with the rate divided by L, as in the released code"),
    Measure("DCI gained over that"),
)
def sparse_decoder(setting: Setting) -> dict[str, float]:
    """Moran et al.'s seven columns of two causes, 1,000 rows, 5 latents, 50-50, 200 passes, one-cycle 1e-2, 5 starts.

    The sparse decoder minimises the bound with the prior of W to the tenth power, its rate warmed up over half of the
    2,000 steps. The first VAE minimises the bound. In the released code the VAE's rate is a mean over latents, as the
    sparse decoder's is there, so the VAE of the paper's figures is the second one.
    """
    x, causes = synthetic(setting.seed)
    unseen = Batch(torch.tensor(x[ROWS:], dtype=torch.float32))

    def score(model: LatentModel) -> float:
        with torch.no_grad():
            return disentanglement(model.encode(unseen).mode().numpy(), causes[ROWS:])

    sparse = trained("sparse_decoder_vae", x, setting, scaling="elbo", sparsity=10.0, warmup=1000)
    assert isinstance(sparse, SparseDecoderVAE)
    ours, plain = score(sparse), score(trained("vae", x, setting))
    released = score(trained("beta_vae", x, setting, beta=1 / LATENTS))
    return {
        "F1 of which latent drives which column": support_f1(sparse.drives().numpy() > 0),
        "DCI of the sparse decoder": ours,
        "DCI of the VAE": plain,
        "DCI gained over the VAE": ours - plain,
        "DCI of the VAE with the rate divided by L, as in the released code": released,
        "DCI gained over that": ours - released,
    }
