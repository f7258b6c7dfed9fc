"""The partial encoder: codes of examples of which only a part is known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from sfumato.batch import Batch, Loss
from sfumato.distributions import OwnMixture, noise
from sfumato.models.base import Model
from sfumato.models.protocols import Classifies, LatentSpace
from sfumato.networks import MLP, MLP_UP_TO, ConvEncoder
from sfumato.networks.features import GivenFeatures, LevelFeatures, for_fields
from sfumato.networks.gaussian import bounded, full
from sfumato.spec import DataSpec

LEAST_LOG_SCALE = -6.0
CONV_WIDTH = 16
"""Channels of the largest feature maps for images of more than `MLP_UP_TO` values."""
MEANS_SPREAD = 0.5
"""Standard deviation of the means of a mixture's components at the start."""


class PartialEncoder(Model):
    """Strauss and Oliva 2022, Posterior matching for arbitrary conditioning.

        q(z | x_o, b, c) = Σ_k π_k N(z; m_k, s_k²)        x_o the entries that a mask b says are known
        loss(x, c) = −log q(z | x_o, b, c)                z ~ q(z | x, c) of the first stage, b at random

    The minimiser is the mean of the first stage's q(z | x, c) over all x that agree with x_o. It covers all of them, as
    a density to draw proposals from should. The masks: each example has a share of known entries of its own, uniform
    from 0 to 1, and entries are known at random; of half the images and arrays a block is hidden or shown instead. What
    is missing in the data is never known.

    Args:
        spec: of the data.
        latent_dim: numbers of a code L.
        width, depth: of the network.
        components: K.

    >>> from sfumato.models import build
    >>> from sfumato.spec import Field
    >>> spec = DataSpec((3,), (Field("real"),))
    >>> model, encoder = build("vae", spec), PartialEncoder(spec, 2)
    >>> with encoder.matching(model):
    ...     loss = encoder.losses(Batch(torch.zeros(5, 3)), step=0)["model"]
    >>> loss.per_example.shape
    torch.Size([5])
    """

    def __init__(
        self, spec: DataSpec, latent_dim: int, *, width: int = 256, depth: int = 2, components: int = 8
    ) -> None:
        super().__init__()
        self.spec = spec
        self.sizes = {"width": width, "depth": depth, "components": components}
        self.latent_dim, self.components = latent_dim, components
        self.features = for_fields(replace(spec, fields=tuple(replace(field, missing=True) for field in spec.fields)))
        self.given = GivenFeatures(spec.given) if spec.given else None
        if spec.is_image and spec.entries > MLP_UP_TO:
            body: ConvEncoder | MLP = ConvEncoder((2 * spec.shape[0], *spec.shape[1:]), CONV_WIDTH, 1)
            self.body: nn.Module = body
        else:
            features = self.features
            seen = 2 * spec.entries if isinstance(features, LevelFeatures) else features.outputs
            body = MLP(seen, width, depth)
            self.body = nn.Sequential(nn.Flatten(), body)
        inputs = body.outputs + (self.given.outputs if self.given else 0)
        last = nn.Linear(width, components * (1 + 2 * latent_dim))
        self.head = nn.Sequential(nn.Linear(inputs, width), nn.LeakyReLU(), last)
        with torch.no_grad():
            means = last.bias[components : components * (1 + latent_dim)]
            means.add_(torch.empty_like(means).normal_(std=MEANS_SPREAD))
        self._first_stage: tuple[LatentSpace, ...] = ()

    def forward(self, x: Tensor, given: Tensor | None = None, mask: Tensor | None = None) -> OwnMixture:
        """q(z | x_o, b, c) of entries (B, *shape), of which those count where `mask` is True."""
        mask = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
        x = x if x.is_floating_point() else x.float()
        h: Tensor = self.features(x.masked_fill(~mask, 0.0), mask)
        if isinstance(self.features, LevelFeatures):
            h = torch.cat([h, mask.to(h.dtype)], 1)
        h = self.body(h)
        if self.given is not None:
            h = torch.cat([h, self.given(given, h)], 1)
        sizes = [self.components, self.components * self.latent_dim, self.components * self.latent_dim]
        logits, means, log_scales = full(self.head(h)).split(sizes, 1)
        shape = (len(x), self.components, self.latent_dim)
        return OwnMixture(logits, means.view(shape), bounded(log_scales).clamp(min=LEAST_LOG_SCALE).view(shape))

    @contextmanager
    def matching(self, model: LatentSpace) -> Iterator[None]:
        """Within this block codes are those of `model`, which is not a part of this one."""
        self._first_stage = (model,)
        try:
            yield
        finally:
            self._first_stage = ()

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        (model,) = self._first_stage
        with torch.no_grad():
            whole = model.labelled(batch) if isinstance(model, Classifies) else batch
            z = model.encode(whole).sample()
            mask = random_mask(batch.x, self.spec, batch.mask)
        return {"model": Loss({"match": -self(batch.x, whole.given, mask).log_prob(z)})}


def random_mask(x: Tensor, spec: DataSpec, observed: Tensor | None = None) -> Tensor:
    """Which entries of examples are known, at random, the shape of x; see `PartialEncoder`.

    Args:
        x: (B, *shape).
        spec: of the data.
        observed: which of them are not missing in the data; None if all are.

    >>> from sfumato.spec import Field
    >>> random_mask(torch.zeros(5, 1, 8, 8), DataSpec((1, 8, 8), (Field("level", 256),))).shape
    torch.Size([5, 1, 8, 8])
    """
    like = x if x.is_floating_point() else x.float()
    # All channels of a pixel are known, or none.
    shape = (len(x), *([1, *x.shape[2:]] if spec.is_image else x.shape[1:]))
    share = noise.uniform(like, len(x)).view(-1, *[1] * (len(shape) - 1))
    mask = noise.uniform(like, *shape) < share
    if len(spec.fields) == 1:
        inside = torch.ones_like(mask)
        for axis in range(2 if spec.is_image else 1, len(shape)):
            inside &= _interval(like, shape, axis)
        shown, blocks = (noise.uniform(like, 2 * len(x)).view(2, -1) < 0.5).view(2, -1, *[1] * (len(shape) - 1))
        mask = torch.where(blocks, inside == shown, mask)
    mask = mask.expand(x.shape)
    return mask if observed is None else mask & observed


def _interval(like: Tensor, shape: tuple[int, ...], axis: int) -> Tensor:
    """Places along one axis between two random ones, a mask that expands to `shape`."""
    size = shape[axis]
    ends = (noise.uniform(like, shape[0], 2) * (size + 1)).floor().sort(1).values
    flat = [shape[0], *[1] * (len(shape) - 1)]
    places = torch.arange(size, device=like.device).view([size if at == axis else 1 for at in range(len(shape))])
    return (places >= ends[:, 0].view(flat)) & (places < ends[:, 1].view(flat))
