"""How much of each column follows from each latent, as the decoder has it."""

from __future__ import annotations

import torch
from torch import Tensor

from sfumato.distributions import Layout
from sfumato.errors import SfumatoError
from sfumato.models.protocols import LatentSpace
from sfumato.spec import DataSpec

CODES_AT_A_TIME = 4096


def latent_effects(space: LatentSpace, codes: Tensor, given: Tensor | None, values: Tensor, spec: DataSpec) -> Tensor:
    """The share of each entry's variance that moves with each latent alone, (L, D), from 0 to 1.

    With f = E[φ(x) | z] (`Distribution.features`) and φ_d the features of entry d,

        effect_jd = E_z Σ_{f ∈ φ_d} Var(f | z without z_j) / Var(φ_d(x)),

    the total-effect index of Sobol (2001, Global sensitivity indices) of what the decoder makes of codes. z is the code
    of an example, and z_j takes the values that the latent has over the data. It is exactly 0 where a latent is not
    used. Effects need not sum to 1: what the decoder draws as noise belongs to no latent, and what two latents do
    together counts for both. Var(φ_d(x)) is 1 of standardised numbers and 1 − Σ π² of categories; of other entries, as
    pixels, it is the variance of f over examples, so that theirs are shares of what the decoder varies.

    Args:
        space: the model.
        codes: of N examples, (N, L).
        given: their conditions, (N, G), or None.
        values: of each latent, S quantiles with even spaces of probability, (S, L).
        spec: of the data.

    Raises:
        SfumatoError: if the decoder spells symbols, which have no smooth mean.
    """
    if spec.is_record:
        raise SfumatoError("records have parts of several kinds, on no one scale; look at sfumato traverse instead")
    if spec.is_symbols:
        raise SfumatoError("a decoder of symbols has no columns that latents drive; look at sfumato traverse instead")
    base = _features(space, codes, given)
    owners = feature_owners(spec, base.shape[1]).to(codes.device)
    spreads = _spreads(spec, base, owners)
    repeated = None if given is None else given.repeat(len(values), 1)
    effects = []
    for latent in range(codes.shape[1]):
        moved = codes.repeat(len(values), 1)
        moved[:, latent] = values[:, latent].repeat_interleave(len(codes))
        features = _features(space, moved, repeated).unflatten(0, (len(values), len(codes)))
        moving = features.var(0, correction=0).mean(0)
        effects.append(moving.new_zeros(spec.entries).index_add_(0, owners, moving) / spreads)
    return torch.stack(effects).clamp(0, 1)


def feature_owners(spec: DataSpec, count: int) -> Tensor:
    """The entry that each of `count` features belongs to, (F,).

    >>> from sfumato.spec import Field
    >>> feature_owners(DataSpec((3,), (Field("category", 2), Field("real"), Field("cells", 8))), 4)
    tensor([1, 0, 0, 2])
    """
    if spec.is_image:
        return torch.arange(spec.entries).repeat_interleave(count // spec.entries)
    layout = Layout.of(spec.columns)
    sizes = [size if kind == "category" else 1 for kind, size in zip(layout.kinds, layout.sizes, strict=True)]
    return torch.cat([layout.real, layout.discrete.repeat_interleave(torch.tensor(sizes, dtype=torch.long))])


def _spreads(spec: DataSpec, features: Tensor, owners: Tensor) -> Tensor:
    """The variance of each entry that effects are shares of, (D,), above 0."""

    def summed(values: Tensor) -> Tensor:
        return values.new_zeros(spec.entries).index_add_(0, owners, values)

    if spec.is_image or all(field.kind == "level" for field in spec.columns):
        spreads = summed(features.var(0, correction=0))
        # A pixel that hardly varies says little of a latent, whatever its share.
        return spreads.clamp_min(0.01 * float(spreads.max())).clamp_min(1e-12)
    categories = torch.tensor([field.kind == "category" for field in spec.columns], device=features.device)
    gini = 1 - summed(features.mean(0).square())
    return torch.where(categories, gini, torch.ones_like(gini)).clamp_min(1e-6)


def _features(space: LatentSpace, codes: Tensor, given: Tensor | None) -> Tensor:
    parts = []
    with torch.no_grad():
        for at in range(0, len(codes), CODES_AT_A_TIME):
            c = None if given is None else given[at : at + CODES_AT_A_TIME]
            parts.append(space.decode(codes[at : at + CODES_AT_A_TIME], c).features())
    return torch.cat(parts)
