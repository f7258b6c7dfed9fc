"""β-VAE on sprites with known factors: less rate and more order at β = 4; a capacity that is kept."""

from __future__ import annotations

from factors import BETA, CAPACITY, VAE, encoded, told
from registry import Measure, Setting, system


@system(
    "beta-vae",
    Measure("rate at β = 1 (nats)"),
    Measure("rate at β = 4 (nats)"),
    Measure("rate at 1 less rate at 4 (nats)", "lower rate at 4", low=0.0),
    Measure("Higgins score at β = 1"),
    Measure("Higgins score at β = 4", "Higgins et al. .9923 on dSprites"),
    Measure("Higgins score at 4 less at 1", "higher at 4", low=1e-9),
    Measure("distance of the rate from C = 15 (nats)", high=1.0),
)
def beta_vae(setting: Setting) -> dict[str, float]:
    """The VAE and the β-VAE of `factors.py`, and one held to a capacity of 15 nats."""
    plain, ordered = told(setting, VAE), told(setting, BETA)
    return {
        "rate at β = 1 (nats)": plain["rate (nats)"],
        "rate at β = 4 (nats)": ordered["rate (nats)"],
        "rate at 1 less rate at 4 (nats)": plain["rate (nats)"] - ordered["rate (nats)"],
        "Higgins score at β = 1": plain["BetaVAE score"],
        "Higgins score at β = 4": ordered["BetaVAE score"],
        "Higgins score at 4 less at 1": ordered["BetaVAE score"] - plain["BetaVAE score"],
        "distance of the rate from C = 15 (nats)": abs(encoded(setting, "capacity 15 nats").rate - CAPACITY),
    }
