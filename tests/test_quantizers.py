"""Quantizers against their equations, against vector-quantize-pytorch, and in the cases others got wrong."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor

from sfumato.networks.codes.quantizers import (
    DEAD,
    Codebook,
    FiniteScalar,
    nearest,
    perplexity_and_usage,
    smoothed,
    steps_for,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    peers = pytest.importorskip("vector_quantize_pytorch")


def started(dim: int, size: int, levels: int = 1, decay: float = 0.9) -> Codebook:
    """A codebook whose start is behind it, with all entries in use."""
    book = Codebook(dim, size, levels, decay=decay)
    book.counts.copy_(5 + torch.rand(levels, size))
    book.sums.copy_(book.entries * torch.stack([smoothed(counts) for counts in book.counts])[..., None])
    book.ready.fill_(1.0)
    return book


def test_codes_are_those_of_the_nearest_entries_and_values_are_the_entries() -> None:
    torch.manual_seed(0)
    book = started(3, 7).eval()
    z = torch.randn(4, 5, 3)
    found = book(z)
    assert torch.equal(found.codes[..., 0], torch.cdist(z, book.entries[0]).argmin(-1))
    torch.testing.assert_close(found.values, book.look_up(found.codes))
    torch.testing.assert_close(found.commitment, (z - found.values).square().sum((1, 2)))


def test_one_update_is_that_of_the_equations() -> None:
    torch.manual_seed(1)
    book = started(2, 4, decay=0.8)
    entries, counts, sums = (value[0].double().numpy().copy() for value in (book.entries, book.counts, book.sums))
    z = torch.randn(6, 5, 2)
    found = book(z)

    points = z.flatten(0, 1).double().numpy()
    codes = ((points[:, None] - entries) ** 2).sum(2).argmin(1)
    n = np.bincount(codes, minlength=4)
    counts = 0.8 * counts + 0.2 * n
    for code in range(4):
        sums[code] = 0.8 * sums[code] + 0.2 * points[codes == code].sum(0)
    weights = (counts + 1e-5) / (counts.sum() + 4e-5) * counts.sum()
    np.testing.assert_allclose(book.counts[0], counts, rtol=1e-5)
    np.testing.assert_allclose(book.sums[0], sums, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(book.entries[0], sums / weights[:, None], rtol=1e-4, atol=1e-5)
    assert np.array_equal(found.codes.flatten(), codes)
    np.testing.assert_allclose(found.values.flatten(0, 1), entries[codes], rtol=1e-5, atol=1e-6)


def test_many_updates_are_those_of_vector_quantize_pytorch() -> None:
    torch.manual_seed(2)
    book = started(4, 6, decay=0.9)
    peer = peers.VectorQuantize(4, codebook_size=6, decay=0.9, eps=1e-5, commitment_weight=1.0, rotation_trick=False)
    theirs = peer._codebook
    theirs.embed.data.copy_(book.entries)
    theirs.embed_avg.data.copy_(book.sums)
    theirs.cluster_size.data.copy_(book.counts)
    for _ in range(10):
        z = torch.randn(8, 12, 4)
        found, (values, codes, loss) = book(z), peer(z)
        assert torch.equal(found.codes[..., 0], codes)
        torch.testing.assert_close(found.values, values)
        torch.testing.assert_close(found.commitment.sum() / z.numel(), loss.squeeze())
    torch.testing.assert_close(book.entries, theirs.embed.data)
    torch.testing.assert_close(book.counts, theirs.cluster_size.data)


def test_finite_scalars_are_those_of_vector_quantize_pytorch() -> None:
    torch.manual_seed(3)
    for steps in ((8, 6, 5), (4, 4), (7, 5, 5, 5, 5)):
        ours, theirs = FiniteScalar(len(steps), steps), peers.FSQ(list(steps))
        for linear in (ours.inward, ours.outward):
            torch.nn.init.eye_(linear.weight)
            torch.nn.init.zeros_(linear.bias)
        z = 2 * torch.randn(5, 9, len(steps))
        values, codes = theirs(z)
        found = ours(z)
        assert torch.equal(found.codes[..., 0], codes.long())
        torch.testing.assert_close(found.values, values)
        torch.testing.assert_close(ours.look_up(found.codes), values)


def test_finite_scalars_have_as_many_codes_as_they_say_and_each_comes_back() -> None:
    grid = FiniteScalar(2, (4, 5))
    for linear in (grid.inward, grid.outward):
        torch.nn.init.eye_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
    z = torch.cartesian_prod(torch.linspace(-4, 4, 60), torch.linspace(-4, 4, 60))[None]
    codes = grid(z).codes
    assert codes.unique().tolist() == list(range(20))
    assert grid.size == 20
    assert grid.look_up(torch.arange(20)[None, :, None]).unique(dim=1).shape == (1, 20, 2)
    assert [np.prod(steps_for(size)) for size in (16, 64, 256, 1024)] == [16, 64, 240, 1000]


@pytest.mark.parametrize("training", [True, False])
def test_the_gradient_of_the_values_is_handed_to_the_vectors(training: bool) -> None:
    book = started(3, 5, levels=2).train(training)
    z = torch.randn(2, 4, 3, requires_grad=True)
    weight = torch.randn(2, 4, 3)
    (gradient,) = torch.autograd.grad((book(z).values * weight).sum(), z)
    torch.testing.assert_close(gradient, weight)


def test_the_commitment_moves_vectors_towards_their_entries() -> None:
    book = started(3, 5).eval()
    z = torch.randn(2, 4, 3, requires_grad=True)
    found = book(z)
    (gradient,) = torch.autograd.grad(found.commitment.sum(), z)
    torch.testing.assert_close(gradient, 2 * (z - book.look_up(found.codes)).detach())


def test_each_level_quantises_what_is_left_over() -> None:
    torch.manual_seed(4)
    book = started(3, 8, levels=3).eval()
    z = torch.randn(5, 6, 3)
    found = book(z)
    rest = z.clone()
    for level in range(3):
        code = nearest(rest, book.entries[level])
        assert torch.equal(found.codes[..., level], code)
        rest = rest - book.entries[level][code]
    torch.testing.assert_close(found.values, z - rest)


def clusters(rows: int) -> tuple[Tensor, Tensor]:
    """Points close to 8 corners of a cube."""
    corners = 4.0 * torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3)
    return corners, (corners[torch.arange(rows) % 8] + 0.1 * torch.randn(rows, 3)).view(-1, 4, 3)


def test_the_first_batch_starts_entries_and_running_sums_by_k_means() -> None:
    torch.manual_seed(5)
    book = Codebook(3, 16, decay=0.99)
    _, z = clusters(512)
    found = book(z)
    spread = (z - found.values).square().mean()
    assert spread < 0.02
    torch.testing.assert_close(book.entries[0] * smoothed(book.counts[0])[:, None], book.sums[0])
    assert book.counts.sum() == pytest.approx(512, rel=0.1)
    before = book.entries.clone()
    book(z)
    assert (book.entries - before).abs().max() < 0.1


def test_more_entries_than_points_are_no_trouble() -> None:
    torch.manual_seed(6)
    book = Codebook(2, 64)
    for _ in range(50):
        found = book(torch.randn(3, 2, 2))
        assert found.values.isfinite().all()
    assert book.entries.isfinite().all()
    assert book.entries.abs().max() < 10


def test_a_dead_entry_is_moved_to_a_point_and_lives() -> None:
    torch.manual_seed(7)
    corners, z = clusters(512)
    book = started(3, 16, decay=0.9)
    book.entries[0, 8:] = 100.0
    book.sums[0] = book.entries[0] * smoothed(book.counts[0])[:, None]
    for _ in range(200):
        book(z)
    assert torch.cdist(book.entries[0], corners).min(1).values.max() < 1.0
    assert (book.counts[0] >= DEAD * book.counts[0].mean()).all()
    assert len(book.eval()(z).codes.unique()) == 16


def test_an_entry_that_nothing_takes_keeps_a_sensible_place() -> None:
    book = started(2, 3, decay=0.5)
    book.entries[0] = torch.tensor([[0.0, 0.0], [5.0, 5.0], [-5.0, 5.0]])
    book.sums[0] = book.entries[0] * smoothed(book.counts[0])[:, None]
    for _ in range(100):
        book(0.1 * torch.randn(8, 4, 2))
        assert book.entries.abs().max() < 7


def test_evaluation_changes_nothing() -> None:
    book = Codebook(3, 5).eval()
    before = {name: value.clone() for name, value in book.state_dict().items()}
    book(torch.randn(4, 5, 3))
    assert all(torch.equal(value, book.state_dict()[name]) for name, value in before.items())


def test_perplexity_is_that_of_the_frequencies() -> None:
    codes = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3]).view(2, 4, 1)
    perplexity, usage = perplexity_and_usage(codes, 8)
    torch.testing.assert_close(perplexity, torch.full((2,), 4.0))
    torch.testing.assert_close(usage, torch.full((2,), 0.5))
    two, _ = perplexity_and_usage(torch.cat([codes, torch.zeros_like(codes)], 2), 8)
    torch.testing.assert_close(two, torch.full((2,), 2.5))


def test_mixed_precision_does_not_reach_the_distances() -> None:
    torch.manual_seed(8)
    book = started(8, 64).eval()
    z = torch.randn(20, 10, 8)
    expected = book(z).codes
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(book(z).codes, expected)
