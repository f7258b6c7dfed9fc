"""The rival of `fit`: the same VAE and the same mathematics in a hand-written loop over resident tensors.

Nothing of sfumato is used here. It does what a careful person would write for speed: data in memory as whole
tensors (pixels as uint8), a batch is an index, one backward pass, fused Adam, and no number read back in the loop.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def hidden(inputs: int, width: int, depth: int) -> nn.Sequential:
    """Linear layers of one width, a leaky ReLU after each."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(inputs, width), nn.LeakyReLU()]
        inputs = width
    return nn.Sequential(*layers)


class HandVAE(nn.Module):
    """A Gaussian VAE: σ = 1 on pixels brought to [0, 1], or one learned σ a column for real-valued vectors."""

    def __init__(self, entries: int, width: int, depth: int, latent: int, *, pixels: bool) -> None:
        super().__init__()
        self.pixels = pixels
        self.encoder = hidden(entries, width, depth)
        self.mean, self.log_scale = nn.Linear(width, latent), nn.Linear(width, latent)
        self.decoder = nn.Sequential(hidden(latent, width, depth), nn.Linear(width, entries))
        if not pixels:
            self.noise = nn.Parameter(torch.zeros(entries))

    def forward(self, x: Tensor) -> Tensor:
        """The negative ELBO, averaged over the batch."""
        h = self.encoder(x * (2 / 255) - 1 if self.pixels else x)
        mean, log_scale = self.mean(h), 10 * torch.tanh(self.log_scale(h) / 10)
        scale = log_scale.exp()
        rate = (0.5 * (mean.square() + scale.square() - 1) - log_scale).sum(1)
        raw = self.decoder(mean + scale * torch.randn_like(mean))
        if self.pixels:
            distortion = (0.5 * (x / 255 - torch.sigmoid(raw)).square() + HALF_LOG_2PI).sum(1)
        else:
            noise = -6 + F.softplus(self.noise + 6)
            distortion = (0.5 * ((x - raw) * torch.exp(-noise)).square() + noise + HALF_LOG_2PI).sum(1)
        return (distortion + rate).mean()


def train(model: HandVAE, x: Tensor, *, steps: int, batch: int, lr: float = 1e-3, seed: int = 0) -> None:
    """`steps` steps of Adam on (N, entries) resident data, reshuffled at every pass."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    generator = torch.Generator().manual_seed(seed)
    step = 0
    while step < steps:
        for index in torch.randperm(len(x), generator=generator).split(batch):
            if step == steps:
                return
            model(x[index]).backward()
            optimizer.step()
            optimizer.zero_grad()
            step += 1
