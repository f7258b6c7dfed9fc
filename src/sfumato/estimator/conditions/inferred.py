"""Missing conditions of an example, inferred from the example by the model itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from sfumato.batch import Batch
from sfumato.models.protocols import Bounds, Classifies
from sfumato.spec import Field

MOST_VALUES = 128
"""Values of a condition that are tried, each with a pass through the model."""
IMPORTANCE_DRAWS = 4


def most_likely(model: Bounds, batch: Batch, fields: Sequence[Field], places: Sequence[int]) -> Batch:
    """The batch with each missing category replaced by the value under which x is most likely.

    A model that was trained with a condition keeps it out of its codes. Encoded without the condition, the code carries
    it, and the decoder then ignores the condition it is given. So the encoder gets the c with the highest bound on
    log p(x | c), each condition by itself with the others unchanged. Numbers, categories of more than 128 values and
    models that predict classes themselves are left unchanged.

    Args:
        model: whose bound is taken, by 4 draws that all values share.
        batch: the examples.
        fields: of the conditions.
        places: indices of the conditions to infer.
    """
    if isinstance(model, Classifies):
        return batch
    own = batch.x.new_full((len(batch), len(fields)), torch.nan) if batch.given is None else batch.given
    given = own.clone()
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(IMPORTANCE_DRAWS, model.noise_size, generator=generator, dtype=torch.float64).to(given)
    for place in places:
        missing = own[:, place].isnan()
        if fields[place].kind != "category" or fields[place].size > MOST_VALUES or not bool(missing.any()):
            continue
        bounds = []
        for value in range(fields[place].size):
            tried = own.clone()
            tried[missing, place] = value
            bounds.append(model.log_weight(replace(batch, given=tried), IMPORTANCE_DRAWS, noise).mean(1))
        best = torch.stack(bounds, 1).argmax(1).to(given)
        given[:, place] = torch.where(missing, best, given[:, place])
    return replace(batch, given=given)
