"""The decoder that spells is a distribution: its probabilities sum to one, and its draws occur as often as they say."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.distributions import noise
from sfumato.errors import SfumatoError
from sfumato.models import build
from sfumato.networks import SymbolDecoder, decoder_for, encoder_for, sizes_for
from sfumato.networks.symbols.places import SymbolFeatures
from sfumato.networks.symbols.spelled import Spelled
from sfumato.spec import DataSpec, Field, Size

WORDS = DataSpec((4, 1), (Field("category", 3),), likelihood="categorical", ends=True)
"""Words of up to three letters a, b, ended by 2; what has no end at the fourth place goes on beyond it."""
FIXED = DataSpec((4, 1), (Field("category", 3),), likelihood="categorical")
GIVEN = (Field("category", 2),)


@pytest.fixture(autouse=True, params=["recurrent", "transformer"])
def network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each network, as that of `decoder` and `encoder`."""
    monkeypatch.setitem(NETWORK, "name", request.param)
    return str(request.param)


NETWORK = {"name": "recurrent"}


def decoder(spec: DataSpec, *, conditional: bool = False, dropout: float = 0.0) -> SymbolDecoder:
    torch.manual_seed(0)
    size = Size(latent_dim=2, width=8, depth=2, network=NETWORK["name"], word_dropout=dropout)  # type: ignore[arg-type]
    made = decoder_for(spec, sizes_for(spec, size), conditional=conditional)
    assert isinstance(made, SymbolDecoder)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(3.0)
    return made.double().eval()


def every(spec: DataSpec, length: int = 4) -> Tensor:
    """All sequences of that length; after an end there are only ends."""
    rows = torch.tensor(list(itertools.product(range(3), repeat=length))).double()
    if spec.ends:
        ended = (rows == 2).cummax(1).values
        rows = rows[(rows == 2)[:, 1:].eq(ended[:, 1:]).all(1)]
    return rows.unsqueeze(2)


def latents(n: int) -> Tensor:
    return torch.tensor([[0.7, -1.3]]).double().expand(n, -1)


@pytest.mark.parametrize("spec", [WORDS, FIXED])
@pytest.mark.parametrize("length", [1, 2, 4])
def test_the_probabilities_of_all_sequences_and_of_all_beginnings_sum_to_one(spec: DataSpec, length: int) -> None:
    x = every(spec, length)
    total = decoder(spec)(latents(len(x))).log_prob(x).exp().sum()
    torch.testing.assert_close(total, torch.tensor(1.0).double())


def test_with_conditions_they_sum_to_one_for_each_condition_and_differ() -> None:
    spec = DataSpec(WORDS.shape, WORDS.fields, GIVEN, WORDS.likelihood, ends=True)
    made, x = decoder(spec, conditional=True), every(spec)
    said = [made(latents(len(x)), torch.full((len(x), 1), c).double()).log_prob(x) for c in (0.0, 1.0, torch.nan)]
    for one in said:
        torch.testing.assert_close(one.exp().sum(), torch.tensor(1.0).double())
    assert (said[0] - said[1]).abs().max() > 1e-3
    assert (said[0] - said[2]).abs().max() > 1e-3


@pytest.mark.parametrize("spec", [WORDS, FIXED])
def test_sequences_are_drawn_as_often_as_they_are_probable(spec: DataSpec) -> None:
    made, x, n = decoder(spec), every(spec), 8000
    torch.manual_seed(1)
    drawn = made(latents(n)).sample()
    assert drawn.shape == (n, 4, 1)
    codes = torch.tensor([27.0, 9, 3, 1]).double()
    counts = torch.bincount((drawn[:, :, 0] @ codes).long(), minlength=81)[(x[:, :, 0] @ codes).long()]
    assert counts.sum() == n, "only sequences that are possible are drawn"
    expected = n * made(latents(len(x))).log_prob(x).exp()
    often = expected > 5
    z = (counts - expected) / (expected * (1 - expected / n)).sqrt()
    assert z[often].abs().max() < 4.5
    assert z[often].square().mean() < 1.8


def test_the_point_takes_the_likeliest_symbol_at_every_place() -> None:
    made = decoder(FIXED)
    point = made(latents(1)).mode()[0, :, 0]
    for place in range(4):
        begun = torch.stack([torch.cat([point[:place], torch.tensor([k]).double()]) for k in range(3)])
        assert made(latents(3)).log_prob(begun.unsqueeze(2)).argmax() == point[place]


class Listening:
    """A decoder's `read` whose inputs are embeddings that gradients can be asked of."""

    def __init__(self, made: SymbolDecoder) -> None:
        self.made = made
        self.heard: Tensor | None = None
        made.embedding.register_forward_hook(self.hear)

    def hear(self, module: object, inputs: object, output: Tensor) -> Tensor:
        self.heard = output.detach().requires_grad_()
        return self.heard


def test_no_symbol_is_told_itself_or_what_follows_it() -> None:
    made = decoder(FIXED)
    listening = Listening(made)
    x = torch.tensor([[0.0, 1, 2, 1]]).double().unsqueeze(2)
    for place in range(4):
        p = made(latents(1))
        logits, _ = p._read(torch.tensor([[4, 0, 1, 2]]), p._state)
        assert listening.heard is not None
        (gradient,) = torch.autograd.grad(torch.log_softmax(logits[0, place], 0)[int(x[0, place])], listening.heard)
        reached = gradient[0].abs().sum(1)
        # the input at place t is the symbol of place t − 1
        assert (reached[: place + 1] > 0).all()
        assert (reached[place + 1 :] == 0).all()


def test_what_log_prob_says_of_a_symbol_depends_on_those_before_alone() -> None:
    made, x = decoder(FIXED), every(FIXED)

    def conditional(rows: Tensor, place: int) -> Tensor:
        p = made(latents(len(rows)))
        longer = p.log_prob(rows[:, : place + 1])
        return longer - (p.log_prob(rows[:, :place]) if place else 0.0)

    total = sum(conditional(x, place) for place in range(4))
    torch.testing.assert_close(made(latents(len(x))).log_prob(x), total)
    changed = x.clone()
    changed[:, 2:] = 2 - changed[:, 2:]
    torch.testing.assert_close(conditional(changed, 1), conditional(x, 1))


def test_missing_symbols_add_nothing_and_what_stands_there_does_not_matter() -> None:
    made, x = decoder(WORDS), torch.tensor([[0.0, 1, 0, 2], [1, 0, 2, 2]]).double().unsqueeze(2)
    mask = torch.ones(2, 4, 1, dtype=torch.bool)
    mask[:, 1] = False
    other = x.clone()
    other[:, 1] = 2.0
    p = made(latents(2))
    torch.testing.assert_close(p.log_prob(x, mask), p.log_prob(other, mask), rtol=0, atol=0)
    torch.testing.assert_close(p.log_prob(x, torch.zeros_like(mask)), torch.zeros(2).double())
    # over what is observed it is a distribution still
    rows = torch.cat([every(FIXED, 3)[:, :1], torch.zeros(27, 1, 1), every(FIXED, 3)[:, 1:]], 1)
    hidden = torch.tensor([True, False, True, True])[None, :, None].expand(27, -1, -1)
    total = decoder(FIXED)(latents(27)).log_prob(rows, hidden).exp().sum()
    torch.testing.assert_close(total, torch.tensor(1.0).double())


def test_beginnings_and_masked_ends_are_alike() -> None:
    made, x = decoder(WORDS), every(WORDS)
    mask = torch.ones_like(x, dtype=torch.bool)
    mask[:, 2:] = False
    p = made(latents(len(x)))
    torch.testing.assert_close(p.log_prob(x, mask), p.log_prob(x[:, :2]))


def encoder(spec: DataSpec):  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    return encoder_for(spec, sizes_for(spec, Size(latent_dim=2, width=8, network=NETWORK["name"]))).double()  # type: ignore[arg-type]


def test_the_encoder_hears_every_symbol_but_no_missing_one_and_no_length_of_padding() -> None:
    made = encoder(WORDS)
    x = torch.tensor([[0.0, 1, 2, 2]]).double().unsqueeze(2)
    means = {place: made(_with(x, place)).mean for place in range(3)}
    assert all((mean - made(x).mean).abs().max() > 1e-4 for mean in means.values())
    mask = torch.ones(1, 4, 1, dtype=torch.bool)
    mask[:, 1] = False
    torch.testing.assert_close(made(x, None, mask).mean, made(_with(x, 1), None, mask).mean, rtol=0, atol=0)
    assert not torch.equal(made(x, None, mask).mean, made(x).mean)
    features = SymbolFeatures(WORDS).double()
    found = features(torch.tensor([[0.0, 1, 2, 2], [1, 0, 1, 2]]).double().unsqueeze(2))
    rows, zeros = features.embedding.weight, torch.zeros(32).double()
    torch.testing.assert_close(found[0], torch.stack([rows[0], rows[1], rows[2], zeros]))
    torch.testing.assert_close(found[1], rows[torch.tensor([1, 0, 1, 2])])
    torch.testing.assert_close(features(x[:, :2])[0], torch.stack([rows[0], rows[1], zeros, zeros]))


def _with(x: Tensor, place: int) -> Tensor:
    changed = x.clone()
    changed[:, place] = 1 - changed[:, place] if place < 2 else 0.0
    return changed


def test_word_dropout_hides_symbols_in_training_alone_and_as_often_as_asked() -> None:
    spec = DataSpec((60, 1), (Field("category", 3),), likelihood="categorical")
    made = decoder(spec, dropout=0.3)
    x = torch.zeros(20, 60, 1).double()
    torch.testing.assert_close(made(latents(20)).log_prob(x), decoder(spec)(latents(20)).log_prob(x))
    made.train()
    p = made(latents(20))
    assert p.dropout == 0.3
    entered: list[Tensor] = []
    Spelled(lambda s, state: (entered.append(s), p._read(s, state))[1], p._state, p._like, 60, 3, None, 0.3).log_prob(x)
    hidden = entered[0] == 3
    assert not hidden[:, 0].any()
    assert hidden[:, 1:].double().mean().item() == pytest.approx(0.3, abs=0.06)
    assert (entered[0][:, 0] == 4).all()


def test_two_processes_hide_and_draw_what_one_would() -> None:
    made = decoder(FIXED, dropout=0.5).train()
    x, z = torch.zeros(6, 4, 1).double(), torch.randn(6, 2).double()

    def at(rows: slice) -> tuple[Tensor, Tensor]:
        torch.manual_seed(3)
        with noise.rows(rows.start, rows.stop - rows.start, 6):
            return made(z[rows]).log_prob(x[rows]), made(z[rows]).sample()

    whole = at(slice(0, 6))
    parts = zip(at(slice(0, 2)), at(slice(2, 6)), strict=True)
    for together, apart in zip(whole, parts, strict=True):
        torch.testing.assert_close(together, torch.cat(apart))


def test_mixed_precision_reads_and_spells_in_single_precision() -> None:
    model = build("vae", WORDS, latent_dim=2, width=8, network=NETWORK["name"])
    x = torch.tensor([[0.0, 1, 2, 2], [1, 0, 1, 0]]).unsqueeze(2)
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.losses(Batch(x), 0)["model"]
        drawn = model.sample(3)  # type: ignore[attr-defined]
    loss.total.backward()
    assert loss.total.dtype == torch.float32
    assert drawn.dtype == torch.float32
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("name", ["vae", "beta_vae", "info_vae", "wae", "beta_tcvae", "factor_vae", "sparse_vae"])
def test_a_missing_symbol_changes_no_loss(name: str) -> None:
    torch.manual_seed(0)
    model = build(name, WORDS, latent_dim=2, width=8).eval()
    mask = torch.ones(8, 4, 1, dtype=torch.bool)
    mask[:, 1] = False
    x = torch.randint(0, 2, (8, 4, 1)).float()
    found = []
    for filled in (0.0, 1.0):
        torch.manual_seed(1)
        found.append(model.monitor(Batch(x.where(mask, filled), None, mask)))
    torch.testing.assert_close(*found, rtol=0, atol=0)


def test_networks_and_options_that_are_not_for_symbols_or_only_for_them_are_refused() -> None:
    plain = DataSpec((3,), (Field("real"),))
    for spec, size, said in (
        (FIXED, Size(network="mlp"), "are recurrent and transformer"),
        (FIXED, Size(network="transformer", width=10), "give a multiple of 4"),
        (plain, Size(network="recurrent"), "for sequences of symbols"),
        (plain, Size(word_dropout=0.1), "word_dropout"),
    ):
        with pytest.raises(SfumatoError, match=said):
            sizes_for(spec, size)
    with pytest.raises(SfumatoError, match="word_dropout is 1: give a number from 0 up to below 1"):
        build("vae", FIXED, word_dropout=1.0)
    with pytest.raises(SfumatoError, match="td_vae is not for sequences of symbols; choose beta_tcvae"):
        build("td_vae", FIXED)
    with pytest.raises(SfumatoError, match="vae is not for sequences; choose td_vae"):
        build("vae", DataSpec((4, 1), (Field("real"),)))


def test_drawing_from_the_likeliest_symbols_leaves_their_proportions(network: str) -> None:
    p = decoder(FIXED)(latents(4000))
    first = p.log_prob(torch.arange(3).double()[:, None, None].repeat(4000, 1, 1)[:4000])[:3].exp()
    for sharpness, top_p in ((1.0, 0.01), (0.5, 1.0)):
        torch.manual_seed(0)
        drawn = p.tempered(sharpness, top_p).sample()[:, 0, 0].long()
        expected = first ** (1 / sharpness)
        if top_p < 1:
            expected = expected * (expected == expected.max())
        expected = expected / expected.sum()
        found = torch.bincount(drawn, minlength=3) / 4000
        assert (found - expected).abs().max() < 0.03
    assert torch.equal(p.tempered(0.0).sample(), p.mode())
