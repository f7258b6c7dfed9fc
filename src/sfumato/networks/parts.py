"""Networks of mixed records: an encoder and a decoder for each part, of the kind that suits it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sfumato.distributions import Experts, PartDistribution, Posterior, RecordDistribution
from sfumato.spec import DataSpec


class PartsEncoder(nn.Module):
    """q(z | x) of the parts of a record that are there, each an expert on the code.

    A part is there where any entry of it is.

    Args:
        spec: of the records.
        encoders: encoder(x_m, given, mask) → `Normal` of each part.
        mixture: q is the mixture of the experts instead of their product.

    Shapes: x (B, D), given None, mask (B, D) or None; to `Normal`, or `ExpertMixture`, over (B, L).
    """

    def __init__(self, spec: DataSpec, encoders: Sequence[nn.Module], *, mixture: bool = False) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.mixture = mixture
        self.places, self.shapes = spec.places, [part.spec.shape for part in spec.parts]

    def forward(self, x: Tensor, given: Tensor | None = None, mask: Tensor | None = None) -> Posterior:
        experts = self.experts(x, given, mask)
        return experts.mixture() if self.mixture else experts.product()

    def experts(self, x: Tensor, given: Tensor | None = None, mask: Tensor | None = None) -> Experts:
        """The expert of each part, and which parts are there."""
        experts, present = [], self.present(x, mask)
        for encoder, place, shape in zip(self.encoders, self.places, self.shapes, strict=True):
            known = None if mask is None else mask[:, place].reshape(-1, *shape)
            experts.append(encoder(x[:, place].reshape(-1, *shape), given, known))
        means = torch.stack([expert.mean for expert in experts], 1)
        return Experts(means, torch.stack([expert.log_scale for expert in experts], 1), present)

    def present(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Which parts of each record are there, (B, M)."""
        if mask is None:
            return torch.ones(len(x), len(self.places), dtype=torch.bool, device=x.device)
        return torch.stack([mask[:, place].any(1) for place in self.places], 1)


class PartsDecoder(nn.Module):
    """p(x | z) = Π_m p(x_m | z), each part by a decoder of its own.

    Args:
        spec: of the records.
        decoders: decoder(z, given) → the distribution of each part.

    Shapes: z (B, L) to `RecordDistribution` over (B, D).
    """

    def __init__(self, spec: DataSpec, decoders: Sequence[nn.Module]) -> None:
        super().__init__()
        self.decoders = nn.ModuleList(decoders)
        self.kinds = [(part.spec.shape, part.spec.is_image) for part in spec.parts]

    def forward(self, z: Tensor, given: Tensor | None = None) -> RecordDistribution:
        pairs = zip(self.decoders, self.kinds, strict=True)
        return RecordDistribution(
            [PartDistribution(decoder(z, given), shape, image) for decoder, (shape, image) in pairs]
        )
