"""The terms of a classifier without labels, beside what is known of a linear one; and its temperature."""

from __future__ import annotations

import math

import torch

from sfumato.objectives.calibration import fitted_temperature
from sfumato.objectives.smoothness import PERTURBATION, classifier_terms


def test_the_perturbation_of_a_linear_classifier_is_along_its_weights():
    torch.manual_seed(0)
    x, w = torch.randn(50, 3), torch.tensor([2.0, -1.0, 0.5])

    def logits(features):
        return torch.stack([features @ w, torch.zeros(len(features))], 1)

    log_q = torch.log_softmax(logits(x), 1)
    terms = classifier_terms(logits, x, log_q, torch.tensor([0.5, 0.5]).log())
    step = PERTURBATION * (x - x.mean(0)).square().sum(1).mean().sqrt() * w.norm()
    along = []
    for sign in (1, -1):
        moved = torch.log_softmax(logits(x) + torch.tensor([1.0, 0.0]) * sign * step, 1)
        along.append((log_q.exp() * (log_q - moved)).sum(1))
    # Which of the two ways depends on the probe: to second order they are the same.
    gap = torch.minimum((terms["smoothness"] - along[0]).abs(), (terms["smoothness"] - along[1]).abs())
    assert gap.max() < 1e-3


def test_the_imbalance_is_the_divergence_of_the_mean_and_so_is_its_gradient():
    torch.manual_seed(0)
    scores = torch.randn(20, 4, requires_grad=True)
    log_p = torch.log_softmax(torch.randn(4), 0)
    log_q = torch.log_softmax(scores, 1)
    ours = classifier_terms(lambda z: z, scores, log_q, log_p)["imbalance"].mean()
    mean = log_q.exp().mean(0)
    exact = (mean * (mean.log() - log_p)).sum()
    torch.testing.assert_close(ours, exact)
    gradient = torch.autograd.grad(ours, scores, retain_graph=True)[0]
    torch.testing.assert_close(gradient, torch.autograd.grad(exact, scores)[0])


def test_the_temperature_of_many_labels_is_the_one_they_were_drawn_at():
    torch.manual_seed(0)
    logits = 3 * torch.randn(20_000, 4)
    label = torch.multinomial(torch.softmax(logits / 2.5, 1), 1)[:, 0]
    assert abs(fitted_temperature(logits, label) / 2.5 - 1) < 0.05
    assert math.isfinite(fitted_temperature(logits[:1], label[:1]))
