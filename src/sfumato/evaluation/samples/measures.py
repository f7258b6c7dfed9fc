"""The measures of the family "samples": how realistic, varied and new samples are."""

from __future__ import annotations

import numpy as np

from sfumato.evaluation.measure import Measure
from sfumato.evaluation.metrics.set_distances import frechet, frechet_error, kernel_distance, neighbourhoods
from sfumato.evaluation.samples import conditional_accuracy, counts, privacy, sequences, symbols, tables
from sfumato.evaluation.samples.features import Features, features, mean_images
from sfumato.evaluation.samples.sample_sets import Drawn
from sfumato.evaluation.settings import EvaluationSettings
from sfumato.evaluation.subject import Subject

MIN_SET_EXAMPLES = 10
"""Least number of examples of each set for neighbourhoods and covariances."""
NEIGHBOURS = {
    "precision": "Share of samples near real examples; if low, many samples are unrealistic.",
    "recall": "Share of real examples near samples; if low, the model misses some kinds of example.",
    "density": "Density of real examples around samples; 1 is typical, and outliers among real examples count little.",
    "coverage": "Share of real examples with a sample nearby; if low, the model misses some kinds of example.",
}


def measures(subject: Subject, how: EvaluationSettings) -> list[Measure]:
    """All that applies to the kind of data; `how.quick` leaves out what trains a classifier or scores examples.

    Samples are compared with held-out examples. The reference compares as many training examples with these.
    """
    if how.quick and subject.schema.spec.is_image and how.extractor is None:
        return []
    return of(Drawn.of(subject, how))


def of(drawn: Drawn) -> list[Measure]:
    """The same for samples that are already drawn."""
    features_of_sets = features(drawn) if drawn.size >= MIN_SET_EXAMPLES else None
    return [
        *tables.measures(drawn),
        *(likeness(features_of_sets, drawn.how.seed) if features_of_sets is not None else []),
        *(of_means(drawn, features_of_sets) if features_of_sets is not None else []),
        *sequences.measures(drawn),
        *symbols.measures(drawn),
        *counts.measures(drawn),
        *conditional_accuracy.measures(drawn, features_of_sets),
        *privacy.measures(drawn, features_of_sets),
    ]


def likeness(features_of_sets: Features, seed: int = 0) -> list[Measure]:
    """Precision, recall, density, coverage, Fréchet and kernel distance, of samples and of training examples.

    Neighbourhoods shrink as points grow many: the first four are of as many examples of each set.
    """
    size = min(map(len, features_of_sets.sets))
    train, test, samples = (x[:size] for x in features_of_sets.sets)
    values, errors = neighbourhoods(test, samples, seed=seed)
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
    kernel, kernel_error = kernel_distance(features_of_sets.test, features_of_sets.samples, seed=seed)
    return [
        *measured,
        _frechet(
            "Fréchet distance",
            "Distance of the samples from real examples as a whole, in",
            features_of_sets,
            features_of_sets.samples,
            seed,
        ),
        Measure(
            "kernel distance",
            float(kernel[0]),
            "",
            "Distance of the samples from real examples as a whole, unbiased for small sets, in "
            f"{features_of_sets.space}; 0 means equal.",
            "samples",
            error=kernel_error[0],
            reference=float(
                kernel_distance(features_of_sets.test, features_of_sets.train, seed=seed, error=False)[0][0]
            ),
            reference_is="real data",
            better="lower",
        ),
    ]


def of_means(drawn: Drawn, features_of_sets: Features) -> list[Measure]:
    """The Fréchet distance of images without pixel noise, if a decoder's draws have noise."""
    means = mean_images(drawn)
    if means is None:
        return []
    meaning = "The same for samples without pixel noise, as images are usually shown, in"
    return [_frechet("Fréchet distance of means", meaning, features_of_sets, means, drawn.how.seed)]


def _frechet(name: str, meaning: str, features_of_sets: Features, samples: np.ndarray, seed: int) -> Measure:
    return Measure(
        name,
        frechet(features_of_sets.test, samples),
        "",
        f"{meaning} {features_of_sets.space}; 0 means equal, and the scale depends on these features.",
        "samples",
        error=frechet_error(features_of_sets.test, samples, seed),
        reference=frechet(features_of_sets.test, features_of_sets.train),
        reference_is="real data",
        better="lower",
    )
