"""Codes moved for a reason, one latent across its values or an attribute put on, and the codes nearest to one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sfumato.errors import SfumatoError

REACH = 2.0
"""Deviations of a normal latent from its middle that the outermost quantiles are at: 2.3% and 97.7%."""
DISTANCES_AT_A_TIME = 1 << 22


def usual_values(draws: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """The values that latents take, from low to high: quantiles of their aggregated posteriors.

    q(z_j) = (1/N) Σ_n q(z_j | x_n) is where the decoder has been; a prior's ticks may lie where it has not. The
    quantiles are Φ(−2) … Φ(2), evenly spaced on the scale of a normal.

    Args:
        draws: one code z ~ q(z | x_n) of each of N examples, (N, L).
        steps: how many, 2 at least.

    Returns:
        The quantiles from 0 to 1, (steps,), and the values, (steps, L).

    >>> levels, values = usual_values(torch.linspace(0, 1, 1001)[:, None], 3)
    >>> values[:, 0].round(decimals=2)
    tensor([0.0200, 0.5000, 0.9800])
    """
    levels = torch.special.ndtr(torch.linspace(-REACH, REACH, steps, dtype=draws.dtype, device=draws.device))
    # torch.quantile takes 16 million values at most, so a latent at a time.
    return levels, torch.stack([torch.quantile(latent, levels) for latent in draws.T.contiguous()], 1)


def with_latent_at(code: Tensor, latents: Sequence[int], values: Tensor) -> Tensor:
    """One code with one latent at a time at each of its values, all others as they are.

    Args:
        code: (L,).
        latents: which are moved, counted from 0.
        values: of each latent, (steps, L).

    Returns:
        Codes, (len(latents) · steps, L), those of one latent in a row.

    >>> with_latent_at(torch.zeros(2), [1], torch.tensor([[9.0, 1.0], [9.0, 2.0]]))
    tensor([[0., 1.],
            [0., 2.]])
    """
    moved = code.repeat(len(latents), len(values), 1)
    for row, latent in enumerate(latents):
        moved[row, :, latent] = values[:, latent]
    return moved.flatten(0, 1)


def attribute_direction(codes: Tensor, has: Tensor) -> Tensor:
    """The mean code of the examples with an attribute minus the mean of those without, (L,).

    Larsen et al. 2016, Autoencoding beyond pixels using a learned similarity metric, section 4.2.

    Args:
        codes: of N examples, (N, L).
        has: whether each has the attribute, (N,) of booleans.

    Raises:
        SfumatoError: if all have it, or none.

    >>> attribute_direction(torch.tensor([[1.0], [3.0], [0.0]]), torch.tensor([True, True, False]))
    tensor([2.])
    """
    count = int(has.sum())
    if not 0 < count < len(has):
        who = "all examples have" if count else "no example has"
        raise SfumatoError(f"{who} the attribute; give some with it and some without")
    return codes[has].mean(0) - codes[~has].mean(0)


def nearest_codes(codes: Tensor, among: Tensor, k: int, *, own: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The k codes of `among` nearest to each of `codes`, by ‖z − z′‖, the nearest first.

    Latents that carry nothing have the prior's mean for every example, so they do not count.

    Args:
        codes: (N, L).
        among: (M, L).
        k: how many, M at most, or M − 1 with `own`.
        own: which of `among` each code itself is, (N,), and is left out.

    Returns:
        Distances (N, k) and rows of `among` (N, k).

    >>> nearest_codes(torch.tensor([[0.2]]), torch.tensor([[1.0], [0.0]]), k=1)
    (tensor([[0.2000]]), tensor([[1]]))
    """
    distances, rows = [], []
    size = max(DISTANCES_AT_A_TIME // max(len(among), 1), 1)
    for start in range(0, len(codes), size):
        # Differences, not products: two codes that are the same are 0 apart.
        table = torch.cdist(codes[start : start + size], among, compute_mode="donot_use_mm_for_euclid_dist")
        if own is not None:
            table.scatter_(1, own[start : start + size, None], torch.inf)
        order = table.sort(dim=1, stable=True)
        distances.append(order.values[:, :k])
        rows.append(order.indices[:, :k])
    return torch.cat(distances), torch.cat(rows)
