"""The hand-written rivals minimise what the models minimise, from the same noise."""

from __future__ import annotations

import pytest
import torch

import hand_models
import speed_models
from sfumato.batch import Batch
from sfumato.models import names


def test_every_model_has_a_rival() -> None:
    assert set(names()) == set(hand_models.STEPS) == set(speed_models.SETTINGS)


@pytest.mark.parametrize("name", hand_models.STEPS)
def test_the_losses_are_the_models_own(name: str) -> None:
    model, x, given = speed_models.made(name, rows=64, width=32)
    model.train()
    batch = Batch(x[:40], None if given is None else given[:40])
    for _ in range(2):  # the first starts what starts from data
        torch.manual_seed(1)
        before = {key: value.clone() for key, value in model.state_dict().items()}
        expected = {who: loss.total for who, loss in model.losses(batch, 10**9).items()}
    after = {key: value.clone() for key, value in model.state_dict().items()}
    model.load_state_dict(before)
    torch.manual_seed(1)
    found = hand_models.STEPS[name](model)(batch.x, batch.given)
    assert found.keys() == expected.keys()
    for who, loss in expected.items():
        torch.testing.assert_close(found[who], loss, rtol=1e-4, atol=1e-4)
    for key, value in model.state_dict().items():  # running statistics, codebooks
        torch.testing.assert_close(value, after[key], rtol=1e-4, atol=1e-4, msg=key)
