"""The codes of examples, and paths between two of them by name, under the prior, decoder and conditions of a model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.distributions import Distribution, StandardNormal
from sfumato.errors import SfumatoError
from sfumato.models.protocols import Classifies, LatentSpace
from sfumato.tasks.geodesics import geodesic
from sfumato.tasks.paths import spherical, straight

PathKind = Literal["straight", "spherical", "geodesic"]


def known_codes(space: LatentSpace, batches: Iterable[Batch]) -> tuple[Tensor, Tensor | None]:
    """The codes that stand for examples, and their conditions, the likeliest class where it is missing.

    Args:
        space: the model.
        batches: the examples.

    Returns:
        Modes of q(z | x, c), (N, L), and c, (N, G), None where there is none.
    """
    codes, conditions = [], []
    with torch.no_grad():
        for batch in batches:
            known = space.labelled(batch) if isinstance(space, Classifies) else batch
            codes.append(space.encode(known).mode())
            if known.given is not None:
                conditions.append(known.given)
    return torch.cat(codes), torch.cat(conditions) if conditions else None


def path_between(
    space: LatentSpace,
    kind: PathKind,
    start: Tensor,
    end: Tensor,
    conditions: Tensor | None,
    steps: int,
    near: Tensor | None = None,
) -> Tensor:
    """Codes on a path of a model, see `straight`, `spherical` and `geodesic`.

    Args:
        space: the model.
        kind: of the path.
        start, end: codes, (L,).
        conditions: of the steps, (steps, G), as `mixed_conditions` gives them; None where there are none.
        steps: how many, 2 at least, both ends among them.
        near: codes that a geodesic keeps near to, (M, L).

    Returns:
        Codes, (steps, L).

    Raises:
        SfumatoError: if the path is spherical and the prior no standard normal, or geodesic and the conditions are not
            the same from end to end or p(x | z, c) does not move smoothly with z.
    """
    if kind == "straight":
        return straight(start, end, steps)
    c = None if conditions is None else conditions[:1]
    if kind == "spherical":
        if not isinstance(space.prior(1, c), StandardNormal):
            raise SfumatoError(
                "a spherical path goes around the middle of a standard normal prior, which this model has not; "
                "choose the path straight or geodesic"
            )
        return spherical(start, end, steps)
    if conditions is not None and not torch.equal(*conditions[[0, -1]].nan_to_num(torch.inf)):
        raise SfumatoError(
            "a geodesic needs one decoder from end to end, but the two have different conditions; "
            "set them with given, or choose the path straight or spherical"
        )

    def decode(z: Tensor) -> Distribution:
        return space.decode(z, None if c is None else c.expand(len(z), -1))

    return geodesic(decode, start, end, steps, near=near)
