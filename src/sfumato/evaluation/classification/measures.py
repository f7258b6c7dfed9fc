"""Accuracy, log loss and calibration of predicted classes, on examples with a label."""

from __future__ import annotations

import numpy as np
import torch

from sfumato.evaluation.measure import Measure, mean_and_error
from sfumato.evaluation.metrics.calibration import calibration_error, chance_error
from sfumato.evaluation.settings import EvaluationSettings
from sfumato.evaluation.subject import Subject, array, rows
from sfumato.models.protocols import Classifies

LEAST_PROBABILITY = 1e-12


def measures(subject: Subject, how: EvaluationSettings) -> list[Measure]:
    """Of examples whose class is known; none where the model predicts no classes, or no example has one."""
    model, given = subject.model, subject.batch.given
    if not isinstance(model, Classifies) or given is None:
        return []
    known = np.flatnonzero(array(~given[:, 0].isnan()))
    if not len(known):
        return []
    labels = array(given[:, 0])[known].astype(int)
    with torch.no_grad():
        parts = np.array_split(known, -(-len(known) // 500))
        probability = np.concatenate([array(model.classify(rows(subject.batch, part))) for part in parts])
    probability = probability.astype(np.float64)
    right = probability.argmax(1) == labels
    own = probability[np.arange(len(labels)), labels]
    shares = np.bincount(labels, minlength=probability.shape[1]) / len(labels)
    names = subject.schema.classes()
    return [
        Measure(
            "accuracy",
            **mean_and_error(right),
            unit="",
            meaning=f"Share of the {len(labels)} examples of the {subject.part} with a label whose class is predicted.",
            family="classification",
            reference=float(shares.max()),
            reference_is="the most frequent class",
            better="higher",
            parts={str(names[k]): float(right[labels == k].mean()) for k in np.unique(labels)},
        ),
        Measure(
            "log loss",
            **mean_and_error(-np.log(np.maximum(own, LEAST_PROBABILITY))),
            unit="nats per example",
            meaning="−log of the probability that is predicted for the right class.",
            family="classification",
            reference=float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum()),
            reference_is="their shares for every example",
            better="lower",
        ),
        Measure(
            "calibration error",
            calibration_error(probability, labels),
            "",
            "How far the probability of the predicted class is from how often that class is right, over bins of it.",
            "classification",
            reference=chance_error(probability, how.seed),
            reference_is="calibrated, by chance",
            better="lower",
        ),
    ]
