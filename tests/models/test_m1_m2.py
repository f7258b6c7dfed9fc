"""M1+M2: its bound is that of the two-layer model, training goes from two models to one, and a class can be changed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sfumato import Autoencoder
from sfumato.batch import Batch
from sfumato.errors import SfumatoError
from sfumato.models import build
from sfumato.spec import DataSpec, Field

SPEC = DataSpec((2,), (Field("real"),), (Field("category", 3),), examples=1000)


def _model(**options):
    torch.manual_seed(0)
    model = build("m1_m2", SPEC, latent_dim=2, top_dim=1, width=8, alpha=0.1, **{"smoothness": 0.0, **options})
    model.class_prior.logits.data = torch.tensor([0.5, -0.2, 0.1])
    return model.eval()


def test_the_loss_of_the_whole_is_the_mean_of_the_bound_with_and_without_labels():
    """Distortion, rate and label rate add up to −E log weight, less log p(y) where the label is given."""
    model, x = _model(), torch.randn(2, 2)
    label = torch.tensor([[1.0], [torch.nan]])
    many, labels = x.repeat_interleave(5_000, 0), label.repeat_interleave(5_000, 0)
    with torch.no_grad():
        loss = model.losses(Batch(many, labels), model.lead)["model"]
        total = sum(loss.terms[name] for name in ("distortion", "rate", "label_rate")).view(2, -1).mean(1)
        bound = model.log_weight(Batch(x, label), 5_000).mean(1)
    expected = -bound - torch.tensor([1.0, 0.0]) * model.class_prior.log_prob[1]
    torch.testing.assert_close(total, expected, atol=0.15, rtol=0)


def test_the_bound_without_a_label_is_under_the_log_of_the_sum_over_classes():
    model, x = _model(), torch.randn(3, 2)
    with torch.no_grad():
        whole = torch.logsumexp(model.log_weight(Batch(x), 40_000), 1) - math.log(40_000)
        parts = []
        for y in range(3):
            log_weight = model.log_weight(Batch(x, torch.full((3, 1), float(y))), 40_000)
            parts.append(torch.logsumexp(log_weight, 1) - math.log(40_000))
        summed = torch.logsumexp(torch.stack(parts, 1) + model.class_prior.log_prob, 1)
    torch.testing.assert_close(whole, summed, atol=0.05, rtol=0)


def test_the_prior_without_a_label_is_the_mixture_over_classes():
    model, z = _model(), torch.randn(5, 3)
    with torch.no_grad():
        each = torch.stack([model.prior(5, torch.full((5, 1), float(y))).log_prob(z) for y in range(3)], 1)
        mixed = torch.logsumexp(each + model.class_prior.log_prob, 1)
        torch.testing.assert_close(model.prior(5).log_prob(z), mixed)
        some = torch.tensor([[0.0], [torch.nan], [2.0], [torch.nan], [1.0]])
        expected = torch.stack([each[0, 0], mixed[1], each[2, 2], mixed[3], each[4, 1]])
        torch.testing.assert_close(model.prior(5, some).log_prob(z), expected)


def test_before_the_lead_is_over_m2_moves_neither_encoder_nor_decoder():
    model, x = _model(lead=7).train(), torch.randn(40, 2)
    given = torch.full((40, 1), torch.nan)
    given[:4, 0] = torch.tensor([0.0, 1.0, 2.0, 0.0])
    lower = [*model.encoder.parameters(), *model.decoder.parameters()]

    def moved(step: int) -> bool:
        torch.manual_seed(1)
        loss = model.losses(Batch(x, given), step)["model"]
        m1 = (loss.terms["distortion"] + loss.terms["m1_rate"]).mean()
        pairs = zip(
            torch.autograd.grad(loss.total, lower, retain_graph=True), torch.autograd.grad(m1, lower), strict=True
        )
        return not all(torch.allclose(one, other, atol=1e-6) for one, other in pairs)

    assert not moved(6)
    assert moved(7)
    assert (model.schedules_done(6), model.schedules_done(7)) == (False, True)


def test_few_labels_serve_for_all_rows_and_a_class_can_be_changed(tmp_path):
    from sklearn.datasets import make_moons

    X, y = make_moons(600, noise=0.06, random_state=0)
    labels = np.full(len(y), np.nan)
    for k in (0, 1):
        labels[np.flatnonzero(y == k)[:10]] = k
    auto = Autoencoder("m1_m2", steps=450, lr=5e-3, seed=0, split=(1, 0, 0)).fit(X, labels)
    new, truth = make_moons(300, noise=0.06, random_state=1)
    assert (auto.predict(new) == truth).mean() > 0.9
    drawn = auto.sample(100, given={"label": 1}, seed=0)
    assert (auto.predict(drawn) == 1).mean() > 0.8
    changed = auto.transfer(new, {"label": 0})
    assert (auto.predict(changed) == 0).mean() > 0.9
    auto.save(tmp_path / "run")
    again = Autoencoder.load(tmp_path / "run")
    np.testing.assert_array_equal(again.predict_proba(new), auto.predict_proba(new))


def test_a_label_that_is_a_number_is_refused():
    with pytest.raises(SfumatoError, match="m1_m2 needs a label that is a category"):
        build("m1_m2", DataSpec((2,), (Field("real"),), (Field("real"),)))
