"""Differences between groups of counts: against true changes, with decoders that are exact and that are off."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

import sfumato
from sfumato.batch import Batch
from sfumato.distributions import Counts, NegativeBinomial
from sfumato.errors import SfumatoError
from sfumato.tasks import called, differences, shrunken
from sfumato.tasks.differential import corrections

GENES, CELLS, SIZE = 60, 400, 2.0


def groups(off: Tensor | None = None) -> tuple[list[list[Batch]], Tensor, Tensor]:
    """Two groups of counts, the log shares their cells really have, and what a decoder that is `off` says."""
    generator = torch.Generator().manual_seed(0)
    log_base = torch.randn(GENES, generator=generator, dtype=torch.float64)
    change = torch.zeros(GENES, dtype=torch.float64)
    change[:6] = torch.tensor([1.0, -1, 1.5, -1.5, 2, -0.75])
    random, made, truth = np.random.default_rng(0), [], []
    for side in (0, 1):
        log_share = torch.log_softmax(log_base + (1 - side) * change * math.log(2), 0)
        truth.append(log_share)
        mean = 2000 * log_share.exp().numpy() * np.ones((CELLS, 1))
        x = random.poisson(random.gamma(SIZE, 1 / SIZE, mean.shape) * mean)
        made.append([Batch(torch.from_numpy(part).double()) for part in np.array_split(x, 3)])
    shares = torch.stack(truth)
    return made, shares, shares if off is None else torch.log_softmax(shares + off, 1)


def made_of(log_share: Tensor, batch: Batch) -> Counts:
    size = torch.tensor(math.log(SIZE)).double()
    return NegativeBinomial(log_share.expand(len(batch), -1), lambda: torch.empty(0), torch.tensor(1.0), size)


def test_changes_are_found_with_intervals_that_hold_also_where_the_decoder_is_off() -> None:
    for off in (None, 0.3 * torch.randn(2, GENES, generator=torch.Generator().manual_seed(1)).double()):
        made, truth, stated = groups(off)

        def decoded(batch: Batch, draw: bool, given: Tensor | None, made: list = made, by: Tensor = stated) -> Counts:
            side = 0 if any(batch is each for each in made[0]) else 1
            return made_of(by[side], batch)

        torch.manual_seed(0)
        found = differences(decoded, made, [None] * 200, 200)
        lfc = (truth[0] - truth[1]) / math.log(2)
        z = (found.draws.mean(0) - lfc) / found.draws.std(0)
        assert z.std() == pytest.approx(1, abs=0.3)
        assert found.spread == pytest.approx(0.05 if off is None else 0.3, abs=0.06)
        posterior = found.shrunken()
        inside = (posterior.quantile(0.025) <= lfc) & (lfc <= posterior.quantile(0.975))
        assert inside.double().mean() > 0.9
        chosen, _ = called(posterior.beyond(0.25), 0.05)
        assert chosen.nonzero().flatten().tolist() == [0, 1, 2, 3, 4, 5]


def test_corrections_are_the_logarithm_of_what_the_decoder_leaves_out() -> None:
    made, truth, _ = groups()
    off = torch.zeros(GENES, dtype=torch.float64)
    off[10] = -2.0

    def decoded(batch: Batch, draw: bool, given: Tensor | None) -> Counts:
        return made_of(truth[0] + off, batch)  # Not normalised, so that the others stay as they are.

    (first, *_), _ = corrections(decoded, [made[0], made[0]])
    assert first.mean[10] == pytest.approx(2.0, abs=0.3)
    assert first.mean[20:].abs().max() < 0.3


def test_shrinkage_is_the_exact_posterior_of_the_prior_it_learns() -> None:
    random = np.random.default_rng(0)
    true = np.where(random.random(4000) < 0.8, 0.0, random.normal(0, 2, 4000))
    errors = random.uniform(0.2, 0.6, 4000)
    seen = true + errors * random.normal(size=4000)
    posterior = shrunken(torch.from_numpy(seen), torch.from_numpy(errors), 0.05)
    chance = posterior.beyond(0.25).numpy()
    for low, high in ((0.0, 0.3), (0.3, 0.7), (0.7, 1.01)):
        at = (chance >= low) & (chance < high)
        assert (np.abs(true[at]) > 0.25).mean() == pytest.approx(chance[at].mean(), abs=0.06)
    big = int(np.argmax(np.abs(seen)))
    kept = 4 / (4 + errors[big] ** 2)
    assert posterior.mean[big] == pytest.approx(kept * seen[big], rel=0.1)
    middle = posterior.quantile(0.5)
    assert posterior.below(middle).sub(0.5).abs().max() < 1e-6
    known = shrunken(torch.tensor([1.0]).double(), torch.tensor([0.5]).double(), 0.05)
    assert known.below(torch.tensor([1.0]).double()).item() == pytest.approx(stats.norm.cdf(0), abs=1e-6)


def test_as_many_are_called_as_the_expected_share_of_false_ones_allows() -> None:
    probability = torch.tensor([0.99, 0.5, 0.97, 0.93, 0.9, 0.0])
    chosen, expected = called(probability, 0.05)
    assert chosen.tolist() == [True, False, True, True, False, False]
    torch.testing.assert_close(expected[3], torch.tensor((0.01 + 0.03 + 0.07) / 3))


@pytest.fixture(scope="module")
def fitted() -> sfumato.Autoencoder:
    x = torch.cat([batch.x for side in groups()[0] for batch in side])[::8].numpy().astype(int)
    y = np.repeat(["a", "b"], CELLS)[::8]
    return sfumato.fit((x, y), counts=True, model="cvae", given=["label"], steps=5, width=8, latent_dim=2)


def test_an_estimator_compares_groups(fitted: sfumato.Autoencoder) -> None:
    x = torch.cat([batch.x for side in groups()[0] for batch in side])[::8].numpy().astype(int)
    y = np.repeat(["a", "b"], CELLS)[::8]
    found = fitted.differential_expression((x, y), "label", draws=20)
    assert (found.first, found.second, found.sizes) == ("a", "b", (50, 50))
    assert found.lfc[4] > 1, "the counts say so, whatever a decoder of five steps says"
    table = found.to_table()
    assert table["probability"].to_pylist() == sorted(found.probability.tolist(), reverse=True)
    again = fitted.differential_expression((x, y), "label", draws=20)
    np.testing.assert_array_equal(found.lfc, again.lfc)
    turned = fitted.differential_expression((x, y), y.tolist(), "b", draws=20)
    assert turned.second == "all others"
    assert turned.lfc[4] < -1


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"groups": ["a", "b", "c", "c"] * 25}, "there are 3 groups; name the first"),
        ({"groups": "label", "first": "z"}, "no example is of group 'z'"),
        ({"groups": "label", "first": "a", "second": "a"}, "both groups are 'a'"),
        ({"groups": ["a"] * 100, "first": "a"}, "all examples are of group 'a'"),
        ({"groups": "cell"}, "column 'cell' is not there"),
        ({"groups": ["a"] * 3, "first": "a"}, "3 values for 100 examples"),
        ({"groups": "label", "fdp": 0.0}, "an fdp between 0 and 1"),
    ],
)
def test_groups_that_are_not_there_are_refused(fitted: sfumato.Autoencoder, how: dict, message: str) -> None:
    x = torch.cat([batch.x for side in groups()[0] for batch in side])[::8].numpy().astype(int)
    with pytest.raises(SfumatoError, match=message):
        fitted.differential_expression((x, np.repeat(["a", "b"], CELLS)[::8]), **how)


def test_models_of_other_data_have_no_counts_to_compare() -> None:
    other = sfumato.fit(np.random.default_rng(0).normal(size=(20, 2)), steps=1)
    with pytest.raises(SfumatoError, match="is for counts"):
        other.differential_expression(np.zeros((4, 2)), ["a", "a", "b", "b"])
