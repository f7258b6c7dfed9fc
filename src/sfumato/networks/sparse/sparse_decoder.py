"""A decoder in which each entry of x sees its own few latents."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sfumato import likelihoods
from sfumato.distributions import Distribution
from sfumato.errors import SfumatoError
from sfumato.formatting import any_of
from sfumato.networks.gaussian import full
from sfumato.networks.heads import for_likelihood
from sfumato.networks.mlp import MLP
from sfumato.spec import DataSpec

MOST_ENTRIES = 2048
PLAIN = ("real", "level", "count")
"""Kinds of entries that one number describes."""


class SparseDecoder(nn.Module):
    """p(x | z) = Π_j p(x_j | f_j(w_j ⊙ z)), with one trunk for all entries and a last layer for each.

    The first layer has no bias, so an entry whose w_j is 0 is a constant. Its weights are one unit vector for each
    latent: were their lengths free, W could shrink while they grow and nothing would change but its penalty, and a
    latent that is switched off there could keep any w.

    Attributes:
        w: W, shape (D, L).

    Raises:
        SfumatoError: if x has too many entries, or a likelihood that does not take one block of numbers per entry.
    """

    order: Tensor

    def __init__(self, spec: DataSpec, latent_dim: int, width: int, depth: int) -> None:
        super().__init__()
        entries = spec.entries
        if entries > MOST_ENTRIES:
            raise SfumatoError(
                f"{entries} entries are too many for a sparse decoder, which runs once for each; "
                f"give at most {MOST_ENTRIES}, or choose sparse_vae"
            )
        self.head = for_likelihood(spec)
        kinds = spec.columns
        if likelihoods.named(spec.likelihood).joint:
            raise SfumatoError(
                f"likelihood {spec.likelihood!r} does not take columns apart; choose "
                f"{any_of(likelihoods.for_kind('table', joint=False))}"
            )
        sizes = [1 if field.kind in PLAIN else field.size for field in kinds]
        if kinds[0].kind in ("level", "count") and self.head.raw != spec.shape:
            others = "negative_binomial or poisson" if kinds[0].kind == "count" else "gaussian or mse"
            raise SfumatoError(f"likelihood {spec.likelihood!r} does not suit a sparse decoder; choose {others}")
        self.w = nn.Parameter(torch.randn(entries, latent_dim))
        self.first = nn.Linear(latent_dim, width, bias=False)
        self.trunk = nn.Sequential(nn.LeakyReLU(), MLP(width, width, max(depth - 1, 0)))
        self.last = nn.Parameter(torch.randn(entries, max(sizes), width) * width**-0.5)
        self.bias = nn.Parameter(torch.zeros(entries, max(sizes)))
        # Where each of the head's raw numbers lies among the (D, largest size) outputs: real entries come first.
        discrete = [j for j in range(entries) if kinds[j].kind not in PLAIN]
        plain = [j for j in range(entries) if kinds[j].kind in PLAIN]
        order = [j * max(sizes) + k for j in [*plain, *discrete] for k in range(sizes[j])]
        self.register_buffer("order", torch.tensor(order, dtype=torch.long), persistent=False)

    def directions(self) -> Tensor:
        """The first layer's weights, (width, L), one unit vector for each latent."""
        return F.normalize(self.first.weight, dim=0)

    def forward(self, z: Tensor, given: Tensor | None = None) -> Distribution:
        seen = z.unsqueeze(1) * self.w
        h = self.trunk(seen @ self.directions().t())
        blocks = torch.einsum("bjh,jkh->bjk", h, self.last) + self.bias
        raw = full(blocks).flatten(1)[:, self.order]
        return self.head(raw.view(len(z), *self.head.raw))
