"""Sicknesses of what is made: too little variety, classes that are missing, conditions that are ignored, copies."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from torch import Tensor

from sfumato.diagnostics.case import SURE, Case
from sfumato.diagnostics.code_checks import louder
from sfumato.diagnostics.finding import Finding, Well
from sfumato.evaluation.subject import array, classes, labels_at, some
from sfumato.formatting import count, percent

LABEL_TREES = 50
MIN_EXPECTED_SAMPLES = 10.0
"""A class that samples should hold this often, and hold never, is missing: chance leaves one out e⁻¹⁰ of the time."""


def low_variety(case: Case) -> Finding | Well | None:
    """Samples reach less than half of what as many real examples reach, by coverage and by recall.

    One alone may be low of samples that are scattered too wide, the other of samples that are blurred; both are if
    they are of too few kinds.
    """
    real, made, again = (case.met[name] for name in ("real", "samples", "reconstructions"))
    if made.coverage >= real.coverage / 2 or made.recall >= real.recall / 2:
        words = f"samples cover {percent(made.coverage)} of the data (real ones {percent(real.coverage)})"
        return Well(words, {"samples": made.coverage})
    decoder = again.coverage < real.coverage / 2 and again.recall < real.recall / 2
    where = "what it reconstructs is no more varied" if decoder else f"reconstructions near {percent(again.coverage)}"
    return Finding(
        "low_variety",
        "serious",
        f"Too little variety: samples come near {percent(made.coverage)} of the data, and as many real examples near "
        f"{percent(real.coverage)}; {where}.",
        {
            "samples": made.coverage,
            "real": real.coverage,
            "reconstructions": again.coverage,
            "recall": made.recall,
            "recall_of_real": real.recall,
        },
        number="samples",
        cure=_varied(case, decoder),
    )


def classes_missing(case: Case) -> Finding | Well | None:
    """A class that samples should hold ten times is among them never, as told by trees grown on real examples."""
    data = case.subject.data.train
    index = some(len(data), case.most, case.subject.seed)
    labels = labels_at(data, index)
    if labels is None or classes(case.subject):
        return None
    batch = data.take(index)
    known = labels >= 0
    trees = ExtraTreesClassifier(LABEL_TREES, random_state=case.subject.seed)
    trees.fit(case.vectors.of(batch.x, batch.mask)[known], labels[known])
    names = case.subject.schema.label_names
    share = np.bincount(labels[known], minlength=len(names)) / known.sum()
    # Trees that cannot tell a class on reconstructions say nothing of samples.
    told = np.bincount(trees.predict(case.vectors.of(case.again)), minlength=len(names))
    found = np.bincount(trees.predict(case.vectors.of(case.samples)), minlength=len(names))
    missing = [
        place
        for place in range(len(names))
        if share[place] * len(case.samples) >= MIN_EXPECTED_SAMPLES and not found[place]
    ]
    if not missing:
        return Well(f"all {int((share > 0).sum())} classes come up in samples", {"missing": 0.0})
    listed = f"class{'es' if len(missing) > 1 else ''} " + ", ".join(names[place] for place in missing)
    return Finding(
        "classes_missing",
        "serious",
        f"Among {count(len(case.samples), 'sample')} there is none of {listed}, where the data would have "
        f"{share[missing].sum() * len(case.samples):.0f}.",
        {"missing": len(missing), "told_on_reconstructions": float(told[missing].sum())},
        number="missing",
        better="lower",
        cure=_varied(case, not told[missing].all()),
    )


def conditions_ignored(case: Case) -> Finding | Well | None:
    """What was asked for is not what comes: less than half of what trees tell of a condition on real examples.

    Trees are grown to tell a condition from an example. Above guessing they are right by so much on real examples,
    and by so much on samples that were asked for.
    """
    spec, names = case.spec.given, case.subject.schema.given_names
    if not spec:
        return None
    train, test = case.halves
    asked = test.given
    x, again = case.vectors.of(train.x, train.mask), case.vectors.of(test.x, test.mask)
    made = case.vectors.of(case.samples)
    said: list[str] = []
    ignored: list[str] = []
    numbers = {}
    for place, (field, name) in enumerate(zip(spec, names, strict=True)):
        real, noise = told_by_trees(field.kind == "category", x, train.given, again, asked, place, case.subject.seed)
        if real <= SURE * noise:
            continue
        kept = told_by_trees(field.kind == "category", x, train.given, made, asked, place, case.subject.seed)[0] / real
        numbers[name] = kept
        (said if kept >= 0.5 else ignored).append(f"{name} {percent(max(kept, 0.0))}")
    if not numbers:
        return None
    if not ignored:
        return Well(f"samples show what was asked for ({', '.join(said)} of what real ones show)", numbers)
    return Finding(
        "conditions_ignored",
        "serious",
        f"Conditions are ignored: of what real examples show of a condition, samples show {', '.join(ignored)}.",
        numbers,
        number=min(numbers, key=numbers.__getitem__),
        cure=case.first(
            case.remedy(condition_dropout=0.1) if case.setting("condition_dropout", 0.0) > 0.3 else {},
            *(case.freed if case.remedy(standard_prior="standard") else [_lighter(case)]),
            case.remedy(condition_dropout=0.1),
            {"lr": (case.options["lr"] or 1e-3) / 2},
        ),
    )


def _lighter(case: Case) -> dict[str, Any]:
    return case.remedy(rate_weight=1.0) if case.setting("rate_weight", 1.0) > 1 else {}


def told_by_trees(
    category: bool, x: np.ndarray, given: Tensor | None, other: np.ndarray, asked: Tensor | None, place: int, seed: int
) -> tuple[float, float]:
    """How much better than guessing trees grown on (x, given) tell what was asked of `other`, and the noise of it."""
    assert given is not None
    assert asked is not None
    y, want = array(given[:, place]), array(asked[:, place])
    known, wanted = ~np.isnan(y), ~np.isnan(want)
    if known.sum() < 2 or wanted.sum() < 2:
        return 0.0, 1.0
    kind = ExtraTreesClassifier if category else ExtraTreesRegressor
    guess = kind(LABEL_TREES, random_state=seed).fit(x[known], y[known]).predict(other[wanted])
    n = wanted.sum()
    if category:
        chance = np.bincount(want[wanted].astype(int)).max() / n
        return float((guess == want[wanted]).mean() - chance), float(np.sqrt(chance * (1 - chance) / n))
    if not np.ptp(guess) or not np.ptp(want[wanted]):
        return 0.0, 1.0
    return float(np.corrcoef(guess, want[wanted])[0, 1]), float(1 / np.sqrt(n))


def copies(case: Case) -> Finding | Well | None:
    """A quarter of the samples lie closer to one training example than 95% of held-out examples do.

    Close is the distance to the nearest training example over that to the second nearest: a copy is near one alone
    (as in Naeem's and others' tests of privacy). Looked at when there is time, and not where the data hold repeats.
    """
    if case.quick or case.subject.part == "training part" or len(case.held_out) < 40:
        return None
    data = case.subject.data.train
    batch = data.take(some(len(data), 20_000, case.subject.seed))
    train = case.vectors.of(batch.x, batch.mask)
    real = _alone(case.vectors.of(case.held_out.x, case.held_out.mask), train)
    made = _alone(case.vectors.of(case.subject.draw(case.held_out.given, len(case.held_out), noise=case.noisy)), train)
    bar = float(np.quantile(real, 0.05))
    share = float((made < bar).mean())
    if share <= 0.25 or bar == 0:
        return Well("samples are no copies", {"share": share})
    return Finding(
        "copies",
        "serious",
        f"Samples copy training examples: {percent(share)} of them lie closer to a single one than 95% of held-out "
        "examples do.",
        {"share": share, "chance": 0.05},
        number="share",
        better="lower",
        cure=case.first(case.smaller),
    )


def _alone(one: np.ndarray, train: np.ndarray) -> np.ndarray:
    apart = torch.cdist(torch.as_tensor(one), torch.as_tensor(train)).topk(2, largest=False).values
    return array(apart[:, 0] / apart[:, 1].clamp(min=1e-12))


def _varied(case: Case, decoder: bool) -> dict[str, object]:
    """More variety: of the decoder if it has too little, else of where codes are drawn."""
    prior = case.first(case.remedy(mixture_prior="mixture"))
    return louder(case) if decoder or not prior else prior
