"""From the entries of an example, or its conditions, to numbers a network can take."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sfumato.distributions import noise
from sfumato.spec import DataSpec, Field

CATEGORY_EMBEDDING = 16


def normal_scores(share: Tensor) -> Tensor:
    """Φ⁻¹ of shares of a line, within ±3.1: about what the numbers would be, were they normal.

    >>> normal_scores(torch.tensor([0.0, 0.5]))
    tensor([-3.0902,  0.0000])
    """
    return torch.special.ndtri(share.clamp(0.001, 0.999))


class ColumnFeatures(nn.Module):
    """Columns of a table as features: real numbers as they are, all others through an embedding.

    A cell number adds its rank along the line, from −1 to 1, to its embedding. A missing entry is marked: a real one
    is 0 and raises a flag of its own, any other takes an embedding row that means *missing*.

    Shapes: x (B, D) and mask (B, D) to (B, `outputs`).
    """

    real: Tensor
    flagged: Tensor
    coded: Tensor
    ranked: Tensor
    starts: Tensor
    absent: Tensor
    rank_scale: Tensor

    def __init__(self, fields: Sequence[Field], embedding: int = CATEGORY_EMBEDDING) -> None:
        super().__init__()
        real = [i for i, field in enumerate(fields) if field.kind == "real"]
        flagged = [i for i in real if fields[i].missing]
        coded = [i for i, field in enumerate(fields) if field.kind != "real"]
        ranked = [i for i in coded if fields[i].kind in ("cells", "level")]
        rows = [fields[i].size + 1 for i in coded]
        for name, positions in (("real", real), ("flagged", flagged), ("coded", coded), ("ranked", ranked)):
            self.register_buffer(name, torch.tensor(positions, dtype=torch.long), persistent=False)
        starts = torch.tensor([0, *rows], dtype=torch.long).cumsum(0)[:-1]
        self.register_buffer("starts", starts, persistent=False)
        self.register_buffer("absent", torch.tensor(rows, dtype=torch.long) - 1, persistent=False)
        sizes = torch.tensor([fields[i].size for i in ranked], dtype=torch.float32)
        self.register_buffer("rank_scale", 2.0 / sizes, persistent=False)
        self.embedding = nn.Embedding(sum(rows), embedding) if coded else None
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight, std=embedding**-0.5)
        self.outputs = len(real) + len(flagged) + len(coded) * embedding + 2 * len(ranked)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        parts: list[Tensor] = []
        if len(self.real):
            parts.append(x[:, self.real])
        if len(self.flagged):
            flags = x.new_zeros(len(x), len(self.flagged)) if mask is None else (~mask[:, self.flagged]).to(x.dtype)
            parts.append(flags)
        if self.embedding is not None:
            index = x[:, self.coded].long()
            if mask is not None:
                index = torch.where(mask[:, self.coded], index, self.absent)
            parts.append(self.embedding(index + self.starts).flatten(1))
        if len(self.ranked):
            ranks = x[:, self.ranked] * self.rank_scale - 1.0
            parts.append(ranks if mask is None else ranks.where(mask[:, self.ranked], 0.0))
            ranks = normal_scores(x[:, self.ranked] * self.rank_scale * 0.5)
            parts.append(ranks if mask is None else ranks.where(mask[:, self.ranked], 0.0))
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


class VectorFeatures(nn.Module):
    """Entries that are real, or 0 to 1, as they are, flat; then flags of missing entries if there may be any.

    Shapes: (B, *shape) to (B, `outputs`).
    """

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.missing = any(field.missing for field in spec.fields)
        self.outputs = spec.entries * (2 if self.missing else 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        flat = x.flatten(1)
        if not self.missing:
            return flat
        absent = torch.zeros_like(flat) if mask is None else (~mask).flatten(1).to(flat.dtype)
        return torch.cat([flat, absent], 1)


class CountFeatures(VectorFeatures):
    """Counts as log(1 + x), so that the few large ones do not drown all else; then flags as `VectorFeatures` has."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return super().forward(torch.log1p(x), mask)


class LevelFeatures(nn.Module):
    """Intensities 0 … levels − 1 brought to [−1, 1], in the shape of the image; a missing pixel is 0 (mid grey).

    Shapes: (B, *shape) to (B, *shape).
    """

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.scale = 2.0 / (levels - 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        scaled = x * self.scale - 1.0
        return scaled if mask is None else scaled.where(mask, 0.0)


class GivenFeatures(nn.Module):
    """Conditions as features; one that is left out (NaN) is marked as such.

    Shapes: (B, G), or None when all are left out, to (B, `outputs`).

    Args:
        fields: of the conditions.
        hidden: places of conditions that count as left out in every example.
    """

    shown: Tensor

    def __init__(self, fields: Sequence[Field], hidden: Sequence[int] = ()) -> None:
        super().__init__()
        shown = torch.tensor([place not in hidden for place in range(len(fields))])
        self.register_buffer("shown", shown, persistent=False)
        self.count = len(fields)
        self.columns = ColumnFeatures([Field(field.kind, field.size, missing=True) for field in fields])
        self.outputs = self.columns.outputs

    def forward(self, given: Tensor | None, like: Tensor) -> Tensor:
        """Features of `given`; `like` gives batch size, device and dtype when there are no conditions."""
        if given is None:
            given = like.new_full((len(like), self.count), float("nan"))
        present = ~torch.isnan(given) & self.shown
        return self.columns(torch.nan_to_num(given), present)


def pseudo_inputs(features: nn.Module, shape: Sequence[int], count: int) -> nn.Parameter:
    """Learned inputs of an encoder, `count` of them, as what its `features` make of an example of `shape`.

    So they need not be examples that could exist (pixels from −1 to 1, standardised numbers, embedded categories).
    They start at random: 0.5·N(0, 1) in the units of features, which are about 1.

    >>> pseudo_inputs(LevelFeatures(256), (1, 28, 28), 10).shape
    torch.Size([10, 1, 28, 28])
    """
    with torch.no_grad():
        seen = features(torch.zeros(1, *shape))
    return nn.Parameter(0.5 * torch.randn(count, *seen.shape[1:]))


def leave_out(given: Tensor, probability: float) -> Tensor:
    """`given` with each entry replaced by NaN with this probability; shape (B, G)."""
    return given.masked_fill(noise.uniform(given) < probability, torch.nan)


def for_fields(spec: DataSpec) -> ColumnFeatures | VectorFeatures | LevelFeatures:
    """The features of one example that suit its fields."""
    if len(spec.fields) == 1 and spec.fields[0].kind == "level":
        return LevelFeatures(spec.fields[0].size)
    kinds = {(field.kind, field.size) for field in spec.fields}
    if kinds == {("count", 1)}:
        return CountFeatures(spec)
    if kinds == {("level", 2)} or (kinds == {("real", 1)} and len(set(spec.fields)) == 1):
        return VectorFeatures(spec)
    return ColumnFeatures(spec.columns)
