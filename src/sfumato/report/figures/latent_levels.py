"""What each level of a hierarchy of latents holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sfumato.data.images.schema import ImageSchema
from sfumato.evaluation.subject import Subject, rows
from sfumato.models.protocols import Layered
from sfumato.report.figures.image_grids import sheet_of
from sfumato.report.figures.style import Picture, save

LEVEL_EXAMPLES = 8
LEVEL_SAMPLES = 9


def draw(shown: Subject, folder: Path) -> list[Picture]:
    """Examples rebuilt from ever more layers; nothing for a model of one layer, or for what is not pictures."""
    model, schema = shown.model, shown.schema
    if not isinstance(schema, ImageSchema) or not isinstance(model, Layered) or model.latent_layers < 2:
        return []
    batch = rows(shown.batch, np.unique(np.linspace(0, len(shown) - 1, min(LEVEL_EXAMPLES, len(shown))).astype(int)))
    total = model.latent_layers
    taken = [int(count) for count in np.unique(np.linspace(0, total, min(LEVEL_SAMPLES, total + 1)).round())]
    columns = [batch.x, *(model.reconstruct(batch, layers=count) for count in taken)]
    cells = [list(row) for row in zip(*map(schema.shown, columns), strict=True)]
    return [
        save(
            folder,
            "levels",
            lambda look: sheet_of(cells, look, columns=["data", *map(str, taken)]),
            title="What each level holds",
            alt=f"{len(cells)} rows of pictures: one of the {shown.part}, then the model's reconstructions of it from "
            f"none of its {total} layers of latents, from the top ones, and from all.",
            caption="Each picture at the left; then what is left of it when only so many layers, counted from the top, "
            "are taken from it and the others from the prior alone. With 0 all are alike; what a column adds to the "
            "one before is what those layers hold. Two columns that agree: a layer that is not used.",
            exact=schema.spec.shape[0] > 1,
        )
    ]
