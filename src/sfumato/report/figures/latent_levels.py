"""Figure of a hierarchy of latents: what each level contributes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sfumato.data.images.schema import ImageSchema
from sfumato.evaluation.subject import Subject, rows
from sfumato.models.protocols import Layered
from sfumato.report.figures.image_grids import sheet_of
from sfumato.report.figures.style import ReportFigure, save

LEVEL_EXAMPLES = 8
LEVEL_SAMPLES = 9


def draw(shown: Subject, folder: Path) -> list[ReportFigure]:
    """Examples reconstructed from more and more layers; only for hierarchical models of images."""
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
            lambda theme: sheet_of(cells, theme, columns=["data", *map(str, taken)]),
            title="Reconstruction by latent level",
            alt=f"{len(cells)} rows of images: one of the {shown.part}, then the model's reconstructions of it from "
            f"none of its {total} layers of latents, from the top ones, and from all.",
            caption="The original at the left; then its reconstruction from as many layers as the column says, counted "
            "from the top, with the other layers drawn from the prior. Each column shows what its layers add to the "
            "previous one. If two columns agree, the layers between them are unused.",
            exact=schema.spec.shape[0] > 1,
        )
    ]
