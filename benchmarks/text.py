"""Posterior collapse on sequences of symbols: a decoder that reads its own symbols, and what brings the code back."""

from __future__ import annotations

import torch

from registry import Measure, Setting, system
from scores import active_units, importance_nll
from sfumato import data
from sfumato.data.builtin import markov
from sfumato.data.core.batching.batches import Resident
from sfumato.data.core.options import DataOptions
from sfumato.distributions import Normal
from sfumato.evaluation.representation.information import densities
from sfumato.models import build
from sfumato.models.vae import VAE
from sfumato.spec import DataSpec
from sfumato.training import Settings, fit

ROWS, HELD_OUT, SCORED = 10_000, 2000, 1000
LATENTS, WIDTH, BATCH, EPOCHS = 8, 100, 128, 12
STEPS = -(-ROWS // BATCH) * EPOCHS
ARMS: dict[str, dict[str, float]] = {
    "plain": {"free_bits": 0.0},
    "annealed": {"free_bits": 0.0, "warmup": STEPS * 10 // EPOCHS},
    "free bits": {"free_bits": 0.25},
    "cyclical": {"free_bits": 0.0, "warmup": STEPS // 8, "cycles": 4},
}
"""Annealed as He et al.: the weight of the rate rises for 10 epochs. Cyclical as Fu et al.: M = 4, R = 0.5."""


def trained(spec: DataSpec, train: Resident, options: dict[str, float], setting: Setting) -> VAE:
    """An LSTM of 100 on either side, 8 latents, 12 epochs of batches of 128, one-cycle to 2e-3; the last weights."""
    torch.manual_seed(setting.seed)
    model = build("vae", spec, latent_dim=LATENTS, width=WIDTH, **options)
    assert isinstance(model, VAE)
    told = Settings(epochs=EPOCHS, batch_size=BATCH, lr=2e-3, seed=setting.seed, device=setting.device)
    fit(model, train, settings=told)
    return model.eval().cpu()


@torch.no_grad()
def collapse(model: VAE, test: Resident, name: str, seed: int) -> dict[str, float]:
    """What the code says, how many latents say it, what that costs, and the likelihood."""
    torch.manual_seed(seed)
    q = model.encode(test.take(slice(None)))
    assert isinstance(q, Normal)
    scored = Resident(test.take(slice(SCORED)).x).epoch(100)
    return {
        f"{name}: mutual information (nats)": float(densities(q, q.sample()).at_least.mean()),
        f"{name}: active units": active_units(q.mean),
        f"{name}: rate (nats)": float(q.kl(model.prior(len(test))).sum(1).mean()),
        f"{name}: NLL₁₀₀ (nats)": importance_nll(model.log_weight, scored, 100),
    }


def told(name: str, information: Measure, units: Measure) -> tuple[Measure, ...]:
    """The measures of one arm."""
    return information, units, Measure(f"{name}: rate (nats)"), Measure(f"{name}: NLL₁₀₀ (nats)")


@system(
    "text",
    *told(
        "plain",
        Measure("plain: mutual information (nats)", "pilot .01", high=0.1),
        Measure("plain: active units", "pilot 0"),
    ),
    *told("annealed", Measure("annealed: mutual information (nats)", "pilot .34"), Measure("annealed: active units")),
    *told(
        "free bits",
        Measure("free bits: mutual information (nats)", "pilot 1.68", low=1.0),
        Measure("free bits: active units", "all", low=LATENTS),
    ),
    Measure("free bits: NLL₁₀₀ above plain (nats)", "no worse", high=0.3),
    *told("cyclical", Measure("cyclical: mutual information (nats)", "pilot .76"), Measure("cyclical: active units")),
    Measure("the chains' own NLL (nats)"),
)
def text(setting: Setting) -> dict[str, float]:
    """10,000 sequences of the built-in set `markov`, a VAE: plain, annealed, with free bits 0.25, cyclical."""
    opened = data.open("markov", options=DataOptions(rows=ROWS, seed=setting.seed, split=(1.0, 0.0, 0.0)))
    raw, _ = markov.draw(HELD_OUT, seed=1000 + setting.seed)
    test = Resident(opened.schema.encode(opened.schema.read(raw)).x)
    assert isinstance(opened.train, Resident)
    found: dict[str, float] = {"the chains' own NLL (nats)": -float(markov.log_prob(raw[:SCORED]).mean())}
    for name, options in ARMS.items():
        model = trained(opened.schema.spec, opened.train, options, setting)
        found |= collapse(model, test, name, setting.seed)
    plain, free = (found[f"{name}: NLL₁₀₀ (nats)"] for name in ("plain", "free bits"))
    return found | {"free bits: NLL₁₀₀ above plain (nats)": free - plain}
