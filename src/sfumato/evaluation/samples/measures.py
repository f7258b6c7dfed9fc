"""Whether samples are as good, as varied and as new as real examples: the measures of the family "samples"."""

from __future__ import annotations

import numpy as np

from sfumato.evaluation.measure import Measure
from sfumato.evaluation.metrics.set_distances import frechet, frechet_error, kernel_distance, neighbourhoods
from sfumato.evaluation.samples import conditional_accuracy, privacy, sequences, symbols, tables
from sfumato.evaluation.samples.features import Features, features, mean_pictures
from sfumato.evaluation.samples.sample_sets import Drawn
from sfumato.evaluation.settings import EvaluationSettings
from sfumato.evaluation.subject import Subject

MIN_SET_EXAMPLES = 10
"""Examples of each set below which neighbourhoods and covariances say nothing."""
NEIGHBOURS = {
    "precision": "Share of samples that lie among real examples; low, many are unlike anything real.",
    "recall": "Share of real examples that lie among samples; low, there are kinds of example the model does not make.",
    "density": "How thickly real examples lie around samples; 1 is usual, and stray real examples weigh little.",
    "coverage": "Share of real examples with a sample near; low, there are kinds of example the model does not make.",
}


def measures(subject: Subject, how: EvaluationSettings) -> list[Measure]:
    """All that applies to the kind of data; `how.quick` leaves out what trains a judge or scores examples.

    Samples are set against held-out examples. The reference is what as many training examples score against those.
    """
    if how.quick and subject.schema.spec.is_image and how.extractor is None:
        return []
    return of(Drawn.of(subject, how))


def of(drawn: Drawn) -> list[Measure]:
    """The same of samples that are there already."""
    found = features(drawn) if drawn.size >= MIN_SET_EXAMPLES else None
    return [
        *(likeness(found, drawn.how.seed) if found is not None else []),
        *(of_means(drawn, found) if found is not None else []),
        *tables.measures(drawn),
        *sequences.measures(drawn),
        *symbols.measures(drawn),
        *conditional_accuracy.measures(drawn, found),
        *privacy.measures(drawn, found),
    ]


def likeness(found: Features, seed: int = 0) -> list[Measure]:
    """Precision, recall, density, coverage, Fréchet and kernel distance, of samples and of training examples.

    Neighbourhoods shrink as points grow many: the first four are of as many examples of each set.
    """
    size = min(map(len, found.sets))
    train, test, made = (x[:size] for x in found.sets)
    values, errors = neighbourhoods(test, made, seed=seed)
    real, _ = neighbourhoods(test, train, error=False)
    measured = [
        Measure(
            name,
            float(value),
            "",
            meaning,
            "samples",
            error=error,
            reference=float(reference),
            reference_is="real data",
            better="higher",
        )
        for (name, meaning), value, error, reference in zip(NEIGHBOURS.items(), values, errors, real, strict=True)
    ]
    kernel, kernel_error = kernel_distance(found.test, found.made, seed=seed)
    return [
        *measured,
        _frechet("Fréchet distance", "How far samples as a whole are from real examples, in", found, found.made, seed),
        Measure(
            "kernel distance",
            float(kernel[0]),
            "",
            "How far samples as a whole are from real examples, without bias where they are few, in "
            f"{found.space}; 0 is the same.",
            "samples",
            error=kernel_error[0],
            reference=float(kernel_distance(found.test, found.train, seed=seed, error=False)[0][0]),
            reference_is="real data",
            better="lower",
        ),
    ]


def of_means(drawn: Drawn, found: Features) -> list[Measure]:
    """The Fréchet distance of pictures without pixel noise, where a decoder's draws have noise."""
    means = mean_pictures(drawn)
    if means is None:
        return []
    said = "The same for samples without pixel noise, as pictures are usually shown, in"
    return [_frechet("Fréchet distance of means", said, found, means, drawn.how.seed)]


def _frechet(name: str, said: str, found: Features, made: np.ndarray, seed: int) -> Measure:
    return Measure(
        name,
        frechet(found.test, made),
        "",
        f"{said} {found.space}; 0 is the same, and its scale is that of these features alone.",
        "samples",
        error=frechet_error(found.test, made, seed),
        reference=frechet(found.test, found.train),
        reference_is="real data",
        better="lower",
    )
