"""The figures of a run, by the kind of its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sfumato.data.core.dataset import Dataset
from sfumato.data.registry import kind_of
from sfumato.estimator import Autoencoder
from sfumato.evaluation.subject import frozen_eval
from sfumato.isolation import isolated
from sfumato.report.figures import codebooks, planes
from sfumato.report.figures.curves import curves, terms
from sfumato.report.figures.style import ReportFigure, save
from sfumato.report.kinds import figures_of
from sfumato.training.saving.history import TOTAL, judged_by, words

Metrics = Sequence[Mapping[str, Any]]


@isolated
def draw_figures(auto: Autoencoder, data: Dataset, folder: Path, *, seed: int = 0) -> list[ReportFigure]:
    """Draw the figures of a fitted model into `folder`, and their dark versions into `folder/dark`.

    Two numeric columns: data, reconstructions and samples side by side, and the decoder's map. Images: pairs, samples,
    traversals, interpolations. Sequences: forecasts after their first half. Symbols: sequences, their reconstructions,
    samples. Other tables and vectors: marginals, associations, distances. Always the training curves and the latent
    space or, for discrete codes, the use of the codebooks. Discrete codes have no traversals and interpolations.

    Args:
        auto: a fitted estimator; it does not change.
        data: the data it was fitted on; the figures use the test split.
        folder: created if it is missing.
        seed: of the choice of examples and of all noise.

    Raises:
        SfumatoError: if the folder cannot be written.
    """
    folder = Path(folder)
    subject = auto.subject(data, seed)
    with frozen_eval(auto.model_, seed):
        figures = figures_of(kind_of(auto.schema_))
        drawn = [] if figures is None else figures.draw(subject, folder)
        if subject.space is not None:
            drawn.append(planes.latent_space(subject, folder))
        drawn += codebooks.draw(subject, folder)
    lines = auto.history_.lines
    best = None if auto.history_.best is None else auto.history_.best_step
    if terms(lines):
        drawn.append(_curves(lines, _warmup(auto.config_.options), best, folder))
    return drawn


def _warmup(options: Mapping[str, Any]) -> list[tuple[int, int]]:
    """The steps over which the weight of the rate rises, once for each cycle (see `objectives.Ramp`)."""
    steps = options.get("warmup") or 0
    starts = [2 * steps * cycle for cycle in range(options.get("cycles") or 1)] if steps else []
    return [(start, start + steps) for start in starts]


def _curves(metrics: Metrics, warmup: Sequence[tuple[int, int]], best: int | None, folder: Path) -> ReportFigure:
    last = metrics[-1]["step"]
    shaded = (
        " The shaded range is the warm-up, during which the weight of the rate grows, so the training total may rise."
        if warmup
        else ""
    )
    final = [row for row in metrics if row.get("split") == "valid" and row.get("total") is not None]
    ended = f" The validation total ends at {final[-1]['total']:.4g} nats." if final else ""
    if not final:
        held_out = " Without a validation split, the last weights were kept."
    elif judged_by(final) == TOTAL:
        held_out = (
            " Validation (blue) should level off: if it rises while training still falls, the model memorises its "
            "training examples, and the weights from before that are kept."
        )
    else:
        held_out = (
            f" The weights with the lowest {words(judged_by(final))} were kept: samples and validation examples were "
            "closest there. In adversarial training the total says little about the quality of samples."
        )
    return save(
        folder,
        "curves",
        lambda theme: curves(metrics, theme, warmup=warmup, best=best),
        title="Training curves",
        alt=f"Line charts of {', '.join(terms(metrics))} over {last} steps.{ended}",
        caption="Distortion is the reconstruction error, rate the information in the code; their total should be low."
        + held_out
        + shaded,
    )
