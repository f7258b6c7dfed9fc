"""Discriminators, and the common form in which they see data and decoder distributions."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from sfumato import likelihoods
from sfumato.distributions import Bernoulli, Columns, Distribution, Layout, Normal, Scaled
from sfumato.distributions.discrete import draw
from sfumato.errors import SfumatoError
from sfumato.networks import Sizes
from sfumato.networks.features import GivenFeatures
from sfumato.networks.gaussian import full
from sfumato.networks.mlp import MLP
from sfumato.spec import DataSpec

FIRST_CHANNELS, MIN_VIEW_SIDE = 32, 8
"""Channels of the first convolution over images, and the sides down to which they are halved."""


class View(nn.Module):
    """Data and a decoder's distribution in one differentiable form, shape (B, *`shape`).

    Intensities are brought to [−1, 1] and keep the shape of the image; of a distribution over them the mean is seen.
    A row of a table becomes its real columns (of a distribution: their means) and then one block for each other
    column: 1 at its category or cell and 0 elsewhere. Of a distribution the block is a draw, whose gradient is that
    of the probabilities (straight-through): the discriminator would separate plain probabilities from data at once.

    Raises:
        SfumatoError: if the likelihood has no mean to differentiate.
    """

    real: Tensor
    discrete: Tensor
    starts: Tensor
    owner: Tensor

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.levels = spec.fields[0].size if spec.fields[0].kind == "level" else 0
        if not likelihoods.named(spec.likelihood).passes_gradients:
            what, kind = ("images", "image") if self.levels else ("rows", "table")
            fitting = (name for name in likelihoods.for_kind(kind) if likelihoods.named(name).passes_gradients)
            raise SfumatoError(
                f"likelihood {spec.likelihood!r} gives {what} that an adversary cannot pass gradients through; "
                f"choose one of {', '.join(fitting)}"
            )
        layout = Layout.of(spec.columns)
        self.sizes = layout.sizes
        self.given = Layout.of(spec.given)
        self.shape = spec.shape if self.levels else (len(layout.real) + sum(layout.sizes),)
        owner = [*layout.real.tolist()]
        for column, size in zip(layout.discrete.tolist(), layout.sizes, strict=True):
            owner += [column] * size
        for name in ("real", "discrete", "starts"):
            self.register_buffer(name, getattr(layout, name), persistent=False)
        self.register_buffer("owner", torch.tensor(owner, dtype=torch.long), persistent=False)

    def of_data(self, x: Tensor) -> Tensor:
        """Data as they stand in `Batch.x`."""
        if self.levels:
            return x * (2 / (self.levels - 1)) - 1
        return x if not self.sizes else one_hot(x, self.real, self.discrete, self.starts, sum(self.sizes))

    def of_given(self, given: Tensor) -> Tensor:
        """Conditions (B, G) in the same form; one that is left out counts as 0."""
        known = self.given
        real, discrete, starts = (tensor.to(given.device) for tensor in (known.real, known.discrete, known.starts))
        return one_hot(torch.nan_to_num(given), real, discrete, starts, sum(known.sizes))

    def of(self, p: Distribution) -> Tensor:
        """What the decoder says, differentiable in all of it."""
        if isinstance(p, Columns):
            blocks = [straight_through(part) for part in p.logits.split(self.sizes, 1)]
            return torch.cat([p.normal.mean, *blocks], 1)
        if self.levels and isinstance(p, Scaled | Bernoulli):
            return p.mode() * (2 / (self.levels - 1)) - 1
        if isinstance(p, Normal):
            return p.mean
        raise TypeError(f"{type(p).__name__}: no differentiable view of this distribution")

    def observed(self, mask: Tensor) -> Tensor:
        """Which entries of a view were observed, from a mask in the shape of x."""
        return mask if self.levels else mask[:, self.owner]


def one_hot(x: Tensor, real: Tensor, discrete: Tensor, starts: Tensor, width: int) -> Tensor:
    """The columns `real` of rows x (B, D), then a block of 0s and a 1 for each of `discrete`, (B, R + `width`)."""
    blocks = x.new_zeros(len(x), width)
    blocks.scatter_(1, x[:, discrete].long() + starts, 1.0)
    return torch.cat([x[:, real], blocks], 1)


def straight_through(logits: Tensor) -> Tensor:
    """A draw from softmax(logits) as 0s and a 1, with the gradient of the probabilities; shape (B, K)."""
    probability = torch.softmax(logits, 1)
    drawn = F.one_hot(draw(logits.detach()), logits.shape[1]).to(probability.dtype)
    return drawn + probability - probability.detach()


class Discriminator(nn.Module):
    """Dis(x, c): the log-odds that x is real, and Dis_l(x), the features of a middle layer l.

    The features of each example are brought to mean 0 and variance 1, as the batch normalisation of the paper does
    for each feature: without that their scale, and with it the likelihood, would be the discriminator's to choose.
    The conditions join above layer l, so that the features are of x alone. `features` is their number F.

    Shapes: x (B, *view.shape), given (B, G) or None; to log-odds (B,) and features (B, F).
    """

    def __init__(self, spec: DataSpec, sizes: Sizes, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.given = GivenFeatures(spec.given) if spec.given else None
        lower = MLP(math.prod(shape), sizes.width, sizes.depth)
        self.features = lower.outputs
        self.lower = nn.Sequential(nn.Flatten(), lower, nn.LayerNorm(lower.outputs, elementwise_affine=False))
        self.upper = MLP(lower.outputs + (self.given.outputs if self.given else 0), sizes.width, 1)
        self.last = nn.Linear(sizes.width, 1)

    def forward(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        features = self.lower(x)
        h = features
        if self.given is not None:
            h = torch.cat([h, self.given(given, h)], 1)
        return full(self.last(self.upper(h))).squeeze(1), full(features)


class ImageDiscriminator(nn.Module):
    """The same for images: 4×4 convolutions, each halving the sides, down to 8 pixels or fewer.

        h = lower(x)      log-odds = w·h + h·V c      Dis_l(x) = (h − mean h) / std h

    Largest singular values of all weights are held at 1, so that it cannot become sure of itself by steepness alone
    (Miyato et al. 2018, Spectral normalization for generative adversarial networks), and conditions ask along
    directions of their own (Miyato & Koyama 2018, cGANs with projection discriminator). A fully connected
    discriminator won against the decoder on Fashion-MNIST, and samples were grains in the shape of clothes. `features`
    is the number F of the features.

    Shapes: x (B, C, H, W), given (B, G) or None; to log-odds (B,) and features (B, F).
    """

    def __init__(self, spec: DataSpec, shape: tuple[int, ...]) -> None:
        super().__init__()
        channels, height, across = shape
        layers: list[nn.Module] = []
        for stage in range(max(2, math.ceil(math.log2(min(height, across) / MIN_VIEW_SIDE)))):
            outputs = FIRST_CHANNELS * min(2**stage, 4)
            convolution = spectral_norm(nn.Conv2d(channels, outputs, 4, stride=2))
            layers += [nn.ZeroPad2d((1, 2, 1, 2)), convolution, nn.LeakyReLU(0.2)]
            channels, height, across = outputs, -(-height // 2), -(-across // 2)
        self.lower = nn.Sequential(*layers, nn.Flatten())
        self.features = channels * height * across
        self.last = spectral_norm(nn.Linear(self.features, 1))
        self.given = GivenFeatures(spec.given) if spec.given else None
        self.condition_weights = None
        if self.given is not None:
            self.condition_weights = spectral_norm(nn.Linear(self.given.outputs, self.features, bias=False))

    def forward(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        h = full(self.lower(x))
        log_odds = full(self.last(h)).squeeze(1)
        if self.given is not None and self.condition_weights is not None:
            log_odds = log_odds + (h * full(self.condition_weights(self.given(given, h)))).sum(1)
        return log_odds, F.layer_norm(h, h.shape[1:])
