"""What the codes say of the examples, and how well they match the prior."""

from __future__ import annotations

from sfumato.evaluation.how import How
from sfumato.evaluation.measure import Measure
from sfumato.evaluation.subject import Subject

ACTIVE = 0.01


def measures(subject: Subject, how: How) -> list[Measure]:
    """Active units; none where codes are discrete.

    A unit is active if the variance over examples of its posterior mean exceeds 0.01 (Burda, Grosse and Salakhutdinov
    2016, importance weighted autoencoders, section 5.2). Where conditions move the prior, what counts is the distance
    of that mean from the prior's, in the prior's deviations: what the condition says already is not the work of the
    code.
    """
    if subject.space is None:
        return []
    spread = subject.shifts().var(0)
    return [
        Measure(
            "active units",
            int((spread > ACTIVE).sum()),
            f"of {len(spread)} latents",
            "Latents whose mean differs between examples (variance above 0.01); the others carry next to nothing.",
            "representation",
            parts={f"z{index}": float(value) for index, value in enumerate(spread, 1)},
        )
    ]
