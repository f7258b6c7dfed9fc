"""Private training: each example moves the weights by no more than it may, and the account is that of opacus."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from sfumato import models
from sfumato.batch import Batch, Loss
from sfumato.data.core.batching.batches import Resident
from sfumato.distributions import noise
from sfumato.errors import SfumatoError
from sfumato.models.base import Model
from sfumato.privacy_budget import Budget, gaussian_delta, release_threshold
from sfumato.spec import DataSpec, Field
from sfumato.training import Settings, fit
from sfumato.training.private import accounting, clipping
from sfumato.training.private.accounting import Mechanism
from sfumato.training.private.clipping import ClippedGradients
from sfumato.training.private.sampling import PoissonBatches
from sfumato.training.private.step import PrivateStep

FIELDS = (Field("category", 3), Field("real", missing=True), Field("cells", 4))


def table(rows: int) -> Batch:
    """Rows of a category, a number with holes and a cell."""
    draw = np.random.default_rng(0)
    x = np.stack([draw.integers(3, size=rows), draw.normal(size=rows), draw.uniform(0, 4, rows)], 1)
    mask = np.ones_like(x, bool)
    mask[::3, 1] = False
    return Batch(torch.from_numpy(x), mask=torch.from_numpy(mask))


class TwoRows(Model):
    """A linear layer that sees each example as two rows, a plain parameter, and a layer without a bias."""

    separable = True

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.out = nn.Linear(2, 3), nn.Linear(3, 1, bias=False)
        self.scale = nn.Parameter(torch.ones(3))

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        both = torch.stack([batch.x[:, :2], batch.x[:, 1:]], 1)
        outputs = self.out(torch.tanh(self.rows(both)) * self.scale)
        return {"model": Loss({"square": (outputs.sum((1, 2)) - batch.x[:, 0]).square()})}


def vae() -> Model:
    return models.build("vae", DataSpec((3,), FIELDS, likelihood="cells"), latent_dim=2, width=8, depth=1)


def vamp() -> Model:
    """A model whose encoder is used twice in a pass."""
    options = {"latent_dim": 2, "width": 8, "depth": 1, "prior": "vamp", "components": 3}
    return models.build("vae", DataSpec((3,), FIELDS, likelihood="cells"), **options)


@pytest.mark.parametrize(("build", "floats"), [(vae, 500), (vae, 10**6), (TwoRows, 1), (vamp, 10**6)])
def test_clipped_gradients_are_those_of_single_rows(build, floats, monkeypatch) -> None:
    """The sum is that of a loop over single rows, each cut, in double precision."""
    monkeypatch.setattr(noise, "_draw", lambda sampler, like, shape: like.new_zeros(shape or like.shape))
    monkeypatch.setattr(clipping, "FLOATS_AT_ONCE", floats)  # few examples at a time, or all
    torch.manual_seed(0)
    model, batch, norm = build().double(), table(7), 0.5
    parameters = list(model.parameters())
    clipped = ClippedGradients(model, parameters, norm)
    expected = [torch.zeros_like(parameter) for parameter in parameters]
    lengths = []
    for row in range(len(batch)):
        own = Batch(batch.x[row : row + 1], mask=batch.mask[row : row + 1])
        gradients = torch.autograd.grad(model.losses(own, 0)["model"].total, parameters, materialize_grads=True)
        lengths.append(torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt())
        for total, gradient in zip(expected, gradients, strict=True):
            total += gradient * (norm / lengths[-1]).clamp(max=1.0)
    assert max(lengths) > norm  # some are cut
    for total, sums in zip(expected, clipped(batch, 0), strict=True):
        torch.testing.assert_close(sums, total, rtol=1e-9, atol=1e-12)
    assert all(not sums.any() for sums in clipped(Batch(batch.x[:0], mask=batch.mask[:0]), 0))


def test_gradient_that_is_not_finite_counts_as_nothing() -> None:
    """A row with an infinite loss leaves the sum as that of the others."""
    model, x = TwoRows(), torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    clipped = ClippedGradients(model, list(model.parameters()), 1.0)
    others = clipped(Batch(x), 0)
    for sums, own in zip(clipped(Batch(torch.cat([x, torch.full((1, 3), torch.inf)])), 0), others, strict=True):
        torch.testing.assert_close(sums, own)


def test_noise_has_the_deviation_that_is_accounted_for() -> None:
    """The step of an empty batch is noise alone: σ C / (q N), and another at each step."""
    model = nn.Linear(100, 200)
    drawn = []
    state = SimpleNamespace(
        model=model,
        players={"model": list(model.parameters())},
        step=0,
        plan=Settings(schedule="constant"),
        optimizers={"model": torch.optim.SGD(model.parameters())},
        highest={"model": [0.1]},
        steppers={"model": lambda: drawn.append(torch.cat([p.grad.flatten() for p in model.parameters()]))},
        average=SimpleNamespace(update=lambda step: None),
        redirected=lambda: torch.no_grad(),
    )
    step = PrivateStep(state, noise_multiplier=3.0, max_norm=0.5, expected=10.0)
    for _ in range(2):
        step(state, Batch(torch.zeros(0, 100)), 0, 10)
    values = torch.stack(drawn)
    count = values.numel()
    assert values.std() == pytest.approx(0.15, rel=5 / (2 * count) ** 0.5)
    assert abs(values.mean()) < 5 * 0.15 / count**0.5
    assert abs(torch.corrcoef(values)[0, 1]) < 5 / len(values[0]) ** 0.5


def test_rows_are_sampled_by_themselves() -> None:
    """Sizes of batches are binomial, and two rows are together as often as chance has it."""
    x, size, passes = torch.arange(200.0)[:, None], 20, 40
    batches = PoissonBatches(Resident(x))
    drawn = [batch.x[:, 0].long() for _ in range(passes) for batch in batches.epoch(size)]
    taken = torch.stack([torch.zeros(200).index_fill(0, rows, 1.0) for rows in drawn])
    assert taken.shape == (400, 200)
    assert taken.mean() == pytest.approx(0.1, abs=5 * (0.09 / taken.numel()) ** 0.5)
    sizes = taken.sum(1)
    assert sizes.var() == pytest.approx(200 * 0.09, rel=5 * (2 / 400) ** 0.5)
    assert abs((taken[:, 0::2] * taken[:, 1::2]).mean() - 0.01) < 5 * (0.01 / 40_000) ** 0.5


def test_release_threshold_hides_values_of_single_rows() -> None:
    """One row is above the threshold with a probability of δ over all columns, by draws of a large δ."""
    threshold = release_threshold(2.0, 4, 0.04)
    draws = np.random.default_rng(0).normal(1.0, 2.0, (20_000, 4))
    assert (draws >= threshold).any(1).mean() == pytest.approx(0.04, rel=0.15)


class TestAccount:
    """Beside opacus."""

    @pytest.fixture(autouse=True)
    def _opacus(self) -> None:
        pytest.importorskip("opacus", reason="opacus is not installed (the extra privacy)")

    def test_costs_what_opacus_says(self) -> None:
        """The same schedule, step by step through an accountant of opacus."""
        from opacus.accountants import PRVAccountant

        account = PRVAccountant()
        for _ in range(30):
            account.step(noise_multiplier=1.1, sample_rate=0.05)
        ours = accounting.epsilon_of([Mechanism(1.1, 0.05, 30)], 1e-5)
        assert ours == account.get_epsilon(delta=1e-5)

    def test_whole_table_is_a_gaussian_mechanism(self) -> None:
        """Counts of all rows cost what the closed form says, within the error that the accountant allows itself."""
        spent = accounting.epsilon_of([Mechanism(5.0, 1.0, 1)], 1e-5)
        assert gaussian_delta(spent, 1 / 5.0) <= 1e-5 <= gaussian_delta(spent - 0.03, 1 / 5.0)

    def test_noise_is_just_enough(self) -> None:
        """What is solved for costs the budget at most, and little less; other mechanisms are paid for."""
        others = [Mechanism(6.0, 1.0, 1)]
        multiplier = accounting.solve_multiplier(2.0, 1e-5, 0.1, 50, others)
        assert 1.98 <= accounting.epsilon_of([*others, Mechanism(multiplier, 0.1, 50)], 1e-5) <= 2.0
        assert accounting.epsilon_of([Mechanism(multiplier, 0.1, 50)], 1e-5) < 1.9

    def test_ledger_of_a_training(self, monkeypatch, tmp_path) -> None:
        """It says what was done, costs no more than was asked, and no state is left from which noise follows."""
        monkeypatch.setattr(accounting, "ACCOUNTANT", "rdp")
        plan = Settings(epsilon=4.0, steps=6, batch_size=10, device="cpu")
        history = fit(vae(), Resident(table(60).x.float()), settings=plan, folder=tmp_path)
        ledger = history.privacy
        assert ledger is not None
        assert (ledger.steps, ledger.rows, ledger.sample_rate, ledger.delta) == (6, 60, 10 / 60, 1 / 600)
        spent = accounting.epsilon_of(
            [Mechanism(ledger.noise_multiplier, ledger.sample_rate, 6)], Budget(4.0, 1 / 600).noise_delta
        )
        assert ledger.epsilon == spent
        assert 3.9 < spent <= 4.0
        left = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
        assert left == ["metrics.jsonl", "model.safetensors", "privacy.json"]
        assert set(history.lines[-1]) == {"step", "epoch", "split", "seconds"}

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda model: setattr(model, "norm", nn.BatchNorm1d(2)), "batch normalisation"),
            (lambda model: setattr(type(model), "separable", False), "depends on several examples"),
        ],
    )
    def test_refused(self, change, words) -> None:
        class Own(TwoRows):
            pass

        model = Own()
        change(model)
        with pytest.raises(SfumatoError, match=words):
            fit(model, Resident(table(60).x.float()), settings=Settings(epsilon=1.0, steps=2, device="cpu"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epsilon": 1.0, "patience": 5}, "early stopping"),
        ({"epsilon": 1.0, "restarts": 2}, "chosen by validation"),
        ({"epsilon": 1.0, "sampler": "mixture"}, "use prior"),
        ({"epsilon": 1.0, "clip": 1.0}, "max_grad_norm"),
        ({"epsilon": 1.0, "skip_above": 1.0}, "left out"),
        ({"epsilon": 1.0, "precision": "bfloat16"}, "single precision"),
        ({"epsilon": 0.0}, "above 0"),
        ({"delta": 1e-5}, "give epsilon too"),
        ({"max_grad_norm": 1.0}, "give epsilon too"),
        ({"epsilon": 1.0, "delta": 1.0}, "below 1"),
    ],
)
def test_settings_for_which_it_would_not_hold(options, words) -> None:
    with pytest.raises(SfumatoError, match=words):
        Settings(**options)
