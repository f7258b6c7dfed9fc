"""Which pictures a run gets, by the kind of its data, and their words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sfumato.data.core.dataset import Dataset
from sfumato.data.registry import kind_of
from sfumato.estimator import Autoencoder
from sfumato.evaluation.subject import Subject, frozen_eval
from sfumato.isolation import isolated
from sfumato.report.figures import codebooks, planes
from sfumato.report.figures.curves import curves, terms
from sfumato.report.figures.style import Picture, save
from sfumato.report.kinds import figures_of
from sfumato.training.saving.history import TOTAL, judged_by, words

Metrics = Sequence[Mapping[str, Any]]


@isolated
def pictures(auto: Autoencoder, data: Dataset, folder: Path, *, seed: int = 0) -> list[Picture]:
    """Draw what there is to see of a fitted model into `folder`, and its twins on dark paper into `folder/dark`.

    Two numeric columns: data, reconstructions and samples side by side, and the decoder's map. Pictures: pairs,
    samples, traversals, interpolations. Sequences: what may come after their first half. Symbols: sequences, their
    reconstructions, samples. Other tables and vectors: marginals, associations, distances. Always the latent space or,
    where codes are discrete, the use of the codebooks, and the curves of training. What walks between codes is left out
    where they are discrete.

    Args:
        auto: fitted; it is left as it was.
        data: the data it was fitted on; the test part is shown.
        folder: made if it is not there.
        seed: of the choice of examples and of all noise.

    Raises:
        SfumatoError: if the folder cannot be written.
    """
    folder = Path(folder)
    with frozen_eval(auto.model_, seed):
        shown = Subject.of(auto.model_, auto.schema_, data, seed)
        figures = figures_of(kind_of(auto.schema_))
        found = [] if figures is None else figures.draw(shown, folder)
        if shown.space is not None:
            found.append(planes.latent_space(shown, folder))
        found += codebooks.draw(shown, folder)
    lines = auto.history_.lines
    best = None if auto.history_.best is None else auto.history_.best_step
    if terms(lines):
        found.append(_curves(lines, _warmup(auto.config_.options), best, folder))
    return found


def _warmup(options: Mapping[str, Any]) -> list[tuple[int, int]]:
    """The steps over which the weight of the rate rises, once for each cycle (see `objectives.Ramp`)."""
    steps = options.get("warmup") or 0
    starts = [2 * steps * cycle for cycle in range(options.get("cycles") or 1)] if steps else []
    return [(start, start + steps) for start in starts]


def _curves(metrics: Metrics, warmup: Sequence[tuple[int, int]], best: int | None, folder: Path) -> Picture:
    last = metrics[-1]["step"]
    shaded = (
        " The shaded part is the warm-up: the rate's weight grows there, so the total of training may rise."
        if warmup
        else ""
    )
    final = [row for row in metrics if row.get("split") == "valid" and row.get("total") is not None]
    ended = f" The validation total ends at {final[-1]['total']:.4g} nats." if final else ""
    if not final:
        held_out = " Nothing was held out to validate on, so the last weights were kept."
    elif judged_by(final) == TOTAL:
        held_out = (
            " Validation (blue) should level off: where it climbs while training still falls, the model learns its "
            "training examples by heart, and the weights kept are those from before."
        )
    else:
        held_out = (
            f" The weights kept are those of the lowest {words(judged_by(final))}: samples and validation examples "
            "were nearest then. Against an adversary the total says little of how good samples are."
        )
    return save(
        folder,
        "curves",
        lambda look: curves(metrics, look, warmup=warmup, best=best),
        title="How training went",
        alt=f"Line charts of {', '.join(terms(metrics))} over {last} steps.{ended}",
        caption="Distortion is what reconstructions miss, rate is what the code carries; lower is better for their "
        "total." + held_out + shaded,
    )
