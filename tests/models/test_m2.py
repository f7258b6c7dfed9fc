"""M2: the sum over classes is exact, what is hidden is told apart, and labels for a few serve for all."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch

from sfumato import Autoencoder
from sfumato.batch import Batch
from sfumato.errors import SfumatoError
from sfumato.models import build
from sfumato.spec import DataSpec, Field

SPEC = DataSpec((2,), (Field("real"),), (Field("category", 3),), examples=1000)


def _model():
    torch.manual_seed(0)
    model = build("m2", SPEC, latent_dim=2, width=8, alpha=0.1, smoothness=0.0)
    model.class_prior.logits.data = torch.tensor([0.5, -0.2, 0.1])
    return model.eval()


def test_without_a_label_the_loss_is_the_sum_over_classes_less_the_entropy():
    model, x = _model(), torch.randn(5, 2)
    torch.manual_seed(1)
    unknown = model.losses(Batch(x, torch.full((5, 1), torch.nan)), 0)["model"].per_example
    known = []
    for y in range(3):
        torch.manual_seed(1)
        loss = model.losses(Batch(x, torch.full((5, 1), float(y))), 0)["model"]
        known.append(sum(loss.terms[name] for name in ("distortion", "rate", "label_rate")))
    q = model.classify(Batch(x))
    expected = (q * torch.stack(known, 1)).sum(1) + (q * q.log()).sum(1)
    torch.testing.assert_close(unknown, expected)


def test_the_bound_without_a_label_is_under_the_log_of_the_sum_over_classes():
    """p(x) = Σ_y p(y) p(x | y): the importance-weighted bounds must agree on it."""
    model, x = _model(), torch.randn(4, 2)
    with torch.no_grad():
        whole = torch.logsumexp(model.log_weight(Batch(x), 20_000), 1) - math.log(20_000)
        parts = []
        for y in range(3):
            log_weight = model.log_weight(Batch(x, torch.full((4, 1), float(y))), 20_000)
            parts.append(torch.logsumexp(log_weight, 1) - math.log(20_000))
        summed = torch.logsumexp(torch.stack(parts, 1) + model.class_prior.log_prob, 1)
    torch.testing.assert_close(whole, summed, atol=0.02, rtol=0)


def test_the_classifier_learns_from_its_own_loss_as_often_as_labels_are_rare():
    model, x = _model().train(), torch.randn(40, 2)
    given = torch.full((40, 1), torch.nan)
    given[:4, 0] = torch.tensor([0.0, 1.0, 2.0, 0.0])
    loss = model.losses(Batch(x, given), 0)["model"]
    assert float(loss.weights["classification"]) == pytest.approx(0.1 * 10)
    assert (loss.terms["classification"][4:] == 0).all()
    torch.testing.assert_close(
        loss.terms["classification"][:4], -model.classify(Batch(x[:4])).gather(1, given[:4].long())[:, 0].log()
    )
    assert loss.metrics["labelled"].mean() == pytest.approx(0.1)
    right = model.classify(Batch(x[:4])).argmax(1) == given[:4, 0]
    assert (loss.metrics["correct"].sum() / loss.metrics["labelled"].sum()).item() == pytest.approx(
        right.float().mean().item()
    )


def test_until_the_lead_is_over_only_labels_move_the_classifier():
    model, x = _model().train(), torch.randn(40, 2)
    model.lead = 7
    given = torch.full((40, 1), torch.nan)
    given[:4, 0] = torch.tensor([0.0, 1.0, 2.0, 0.0])
    parameters = list(model.classifier.parameters())

    def moved(step):
        torch.manual_seed(1)
        loss = model.losses(Batch(x, given), step)["model"]
        own = (loss.weights["classification"] * loss.terms["classification"]).mean()
        grads = zip(
            torch.autograd.grad(loss.total, parameters, retain_graph=True),
            torch.autograd.grad(own, parameters),
            strict=True,
        )
        return all(torch.allclose(one, other, atol=1e-7) for one, other in grads)

    assert moved(6)
    assert not moved(7)
    assert not model.schedules_done(6)
    assert model.schedules_done(7)


def test_a_tenth_of_a_pass_has_a_label_however_few_there_are():
    model, given = _model(), torch.full((200, 1), torch.nan)
    given[[3, 50], 0] = 1.0
    rows = model.resample_indices(given)
    assert rows.bincount(minlength=200).tolist() == [11 if row in (3, 50) else 1 for row in range(200)]
    given[:40, 0] = 0.0
    assert model.resample_indices(given) is None
    assert model.resample_indices(torch.full((5, 1), torch.nan)) is None
    a_tenth = torch.full((70, 1), torch.nan)
    a_tenth[:7] = 0.0
    assert model.resample_indices(a_tenth) is None


def _clusters(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two half rings, which a straight line does not part: the few labels are at their ends."""
    from sklearn.datasets import make_moons

    return make_moons(n, noise=0.06, random_state=seed)


def test_a_few_labels_serve_for_all_rows_and_classes_can_be_asked_for():
    X, y = _clusters(600, 0)
    labels = np.full(len(y), np.nan)
    for k in (0, 1):
        labels[np.flatnonzero(y == k)[:20]] = k
    auto = Autoencoder("m2", steps=450, lr=5e-3, seed=0).fit(X, labels)
    new, truth = _clusters(300, 1)
    assert (auto.predict(new) == truth).mean() > 0.96
    probability = auto.predict_proba(new)
    assert probability.shape == (300, 2)
    np.testing.assert_allclose(probability.sum(1), 1)
    made = auto.sample(100, given={"label": 1}, seed=0)
    assert (auto.predict(made) == 1).mean() > 0.9
    assert auto.sample(7, marginal=True, seed=0).shape == (7, 2)


def test_samples_say_which_class_was_drawn_for_them():
    X, y = _clusters(80, 0)
    frame = pd.DataFrame(
        {"a": X[:, 0], "b": X[:, 1], "y": np.where(np.arange(80) < 20, np.where(y, "in", "out"), None)}
    )
    made = Autoencoder("m2", given=["y"], steps=5).fit(frame).sample(40)
    assert set(made["y"]) == {"in", "out"}


def test_what_m2_cannot_use_is_told_in_one_line():
    with pytest.raises(SfumatoError, match="needs a label that is a category"):
        build("m2", DataSpec((2,), (Field("real"),), (Field("real"),)))
    X, _ = _clusters(40, 0)
    with pytest.raises(AttributeError, match="no attribute 'predict_proba'"):
        Autoencoder(steps=2).fit(X).predict_proba(X)


def test_a_label_does_not_move_the_score_unless_it_is_asked_for():
    X, y = _clusters(90, 2)
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": [str(one) if at % 3 else None for at, one in enumerate(y)]})
    auto = Autoencoder("m2", given=["y"], steps=30, likelihood="gaussian").fit(frame)
    blank = frame.assign(y=None)
    np.testing.assert_allclose(auto.score_samples(frame), auto.score_samples(blank))
    np.testing.assert_allclose(auto.log_density(frame), auto.log_density(blank))
    known = frame[frame.y.notna()]
    under = auto.score_samples(known, given={"y": known.y.tolist()})
    np.testing.assert_allclose(under, auto.score_samples(known.assign(y=None), given={"y": known.y.tolist()}))
    assert not np.allclose(under, auto.score_samples(known))
