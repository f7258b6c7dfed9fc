"""Checks of samples: too little variety, missing classes, ignored conditions, copies of training examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from torch import Tensor

from sfumato.diagnostics.case import SURE, Case
from sfumato.diagnostics.code_checks import stronger_code
from sfumato.diagnostics.finding import Finding, Passed
from sfumato.evaluation.subject import array, classes, labels_at, some
from sfumato.formatting import count, percent

LABEL_TREES = 50
MIN_EXPECTED_SAMPLES = 10.0
"""A class expected this often in samples that never occurs is missing: by chance with probability e⁻¹⁰."""


def low_variety(case: Case) -> Finding | Passed | None:
    """Samples reach less than half of the coverage, and of the recall, of as many real examples.

    Coverage alone is low for samples that scatter too widely, recall alone for blurred samples; both are low for
    samples of too few kinds.
    """
    real, samples, reconstructions = (case.coverage[name] for name in ("real", "samples", "reconstructions"))
    if samples.coverage >= real.coverage / 2 or samples.recall >= real.recall / 2:
        words = f"samples cover {percent(samples.coverage)} of the data (real examples {percent(real.coverage)})"
        return Passed(words, {"samples": samples.coverage})
    decoder = reconstructions.coverage < real.coverage / 2 and reconstructions.recall < real.recall / 2
    where = (
        "reconstructions are no more varied"
        if decoder
        else f"reconstructions cover {percent(reconstructions.coverage)}"
    )
    return Finding(
        "low_variety",
        "serious",
        f"Too little variety: samples cover {percent(samples.coverage)} of the data, and as many real examples cover "
        f"{percent(real.coverage)}; {where}.",
        {
            "samples": samples.coverage,
            "real": real.coverage,
            "reconstructions": reconstructions.coverage,
            "recall": samples.recall,
            "recall_of_real": real.recall,
        },
        number="samples",
        cure=_varied(case, decoder),
    )


def classes_missing(case: Case) -> Finding | Passed | None:
    """A class expected ten times in samples never occurs, according to trees trained on real examples."""
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
    # A class that trees miss on reconstructions too is lost by the decoder.
    on_reconstructions = np.bincount(trees.predict(case.vectors.of(case.reconstructed)), minlength=len(names))
    on_samples = np.bincount(trees.predict(case.vectors.of(case.samples)), minlength=len(names))
    missing = [
        place
        for place in range(len(names))
        if share[place] * len(case.samples) >= MIN_EXPECTED_SAMPLES and not on_samples[place]
    ]
    if not missing:
        return Passed(f"all {int((share > 0).sum())} classes occur in samples", {"missing": 0.0})
    listed = f"class{'es' if len(missing) > 1 else ''} " + ", ".join(names[place] for place in missing)
    return Finding(
        "classes_missing",
        "serious",
        f"Among {count(len(case.samples), 'sample')} there is none of {listed}; the data would give "
        f"{share[missing].sum() * len(case.samples):.0f}.",
        {"missing": len(missing), "on_reconstructions": float(on_reconstructions[missing].sum())},
        number="missing",
        better="lower",
        cure=_varied(case, not on_reconstructions[missing].all()),
    )


def conditions_ignored(case: Case) -> Finding | Passed | None:
    """Samples do not follow their conditions: trees score less than half of what they score on real examples.

    Trees are trained to predict a condition from an example. Their score above guessing on real examples is compared
    with the score on samples drawn under the condition.
    """
    spec, names = case.spec.given, case.subject.schema.given_names
    if not spec:
        return None
    train, test = case.halves
    targets = test.given
    x, held_out = case.vectors.of(train.x, train.mask), case.vectors.of(test.x, test.mask)
    samples = case.vectors.of(case.samples)
    followed: list[str] = []
    ignored: list[str] = []
    numbers = {}
    for place, (field, name) in enumerate(zip(spec, names, strict=True)):
        real, noise = tree_score(field.kind == "category", x, train.given, held_out, targets, place, case.subject.seed)
        if real <= SURE * noise:
            continue
        kept = (
            tree_score(field.kind == "category", x, train.given, samples, targets, place, case.subject.seed)[0] / real
        )
        numbers[name] = kept
        (followed if kept >= 0.5 else ignored).append(f"{name} {percent(max(kept, 0.0))}")
    if not numbers:
        return None
    if not ignored:
        return Passed(f"samples follow their conditions ({', '.join(followed)} of real examples)", numbers)
    return Finding(
        "conditions_ignored",
        "serious",
        f"Conditions are ignored: samples show this much of a condition, compared with real examples: "
        f"{', '.join(ignored)}.",
        numbers,
        number=min(numbers, key=numbers.__getitem__),
        cure=case.first(
            case.remedy(condition_dropout=0.1) if case.setting("condition_dropout", 0.0) > 0.3 else {},
            *(case.less_condition_in_code if case.remedy(standard_prior="standard") else [_lighter(case)]),
            case.remedy(condition_dropout=0.1),
            {"lr": (case.options["lr"] or 1e-3) / 2},
        ),
    )


def _lighter(case: Case) -> dict[str, Any]:
    return case.remedy(rate_weight=1.0) if case.setting("rate_weight", 1.0) > 1 else {}


def tree_score(
    category: bool,
    x: np.ndarray,
    given: Tensor | None,
    other: np.ndarray,
    targets: Tensor | None,
    place: int,
    seed: int,
) -> tuple[float, float]:
    """The score above guessing of trees trained on (x, given) that predict `targets` from `other`, and its noise."""
    assert given is not None
    assert targets is not None
    y, want = array(given[:, place]), array(targets[:, place])
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


def copies(case: Case) -> Finding | Passed | None:
    """A quarter of the samples are closer to a single training example than 95% of held-out examples are.

    Closeness is the distance to the nearest training example over that to the second nearest: a copy is near one only.
    Skipped in a quick diagnosis, and where the data contain duplicates.
    """
    if case.quick or case.subject.part == "training split" or len(case.held_out) < 40:
        return None
    data = case.subject.data.train
    batch = data.take(some(len(data), 20_000, case.subject.seed))
    train = case.vectors.of(batch.x, batch.mask)
    real = _isolation(case.vectors.of(case.held_out.x, case.held_out.mask), train)
    samples = _isolation(
        case.vectors.of(case.subject.draw(case.held_out.given, len(case.held_out), noise=case.noisy)), train
    )
    bar = float(np.quantile(real, 0.05))
    share = float((samples < bar).mean())
    if share <= 0.25 or bar == 0:
        return Passed("samples are not copies of training examples", {"share": share})
    return Finding(
        "copies",
        "serious",
        f"Samples copy training examples: {percent(share)} of them are closer to a single one than 95% of held-out "
        "examples are.",
        {"share": share, "chance": 0.05},
        number="share",
        better="lower",
        cure=case.first(case.smaller_network),
    )


def _isolation(vectors: np.ndarray, train: np.ndarray) -> np.ndarray:
    apart = torch.cdist(torch.as_tensor(vectors), torch.as_tensor(train)).topk(2, largest=False).values
    return array(apart[:, 0] / apart[:, 1].clamp(min=1e-12))


def _varied(case: Case, decoder: bool) -> dict[str, object]:
    """Options for more variety: in the decoder if it has too little, else in the prior."""
    prior = case.first(case.remedy(mixture_prior="mixture"))
    return stronger_code(case) if decoder or not prior else prior
