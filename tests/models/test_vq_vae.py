"""The VQ-VAE: routing, the prior, exact description lengths, and every door."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import sfumato
from sfumato import report
from sfumato.batch import Batch
from sfumato.data.core.batching.batches import Resident
from sfumato.errors import SfumatoError
from sfumato.models import build
from sfumato.models.base import END
from sfumato.models.protocols import Autoencoding, Codebooks, LatentSpace
from sfumato.models.vq_vae import VQVAE
from sfumato.networks.codes.code_prior import CodePrior
from sfumato.networks.codes.conv_codes import GridDecoder, GridEncoder, grid
from sfumato.networks.features import GivenFeatures
from sfumato.spec import DataSpec, Field
from sfumato.training import Settings, fit

VECTOR = DataSpec((3,), (Field("real"),), examples=1000)
SMALL = {"width": 16, "depth": 1, "prior_width": 16, "prior_depth": 1, "codebook": 8}
QUICK = SMALL | {"steps": 30, "batch_size": 64, "device": "cpu", "patience": 0}


def make(**options: object) -> VQVAE:
    torch.manual_seed(0)
    model = build("vq_vae", VECTOR, **(SMALL | options))
    assert isinstance(model, VQVAE)
    return model


def prior(places: int = 2, levels: int = 2, size: int = 3, given: GivenFeatures | None = None) -> CodePrior:
    torch.manual_seed(1)
    made = CodePrior(places, levels, size, 5, given, row=2, width=8, depth=2).eval()
    made.follow(torch.randn(levels, size, 5))
    for head in made.heads:
        torch.nn.init.normal_(head.weight)
        torch.nn.init.normal_(head.bias)
    return made


def test_it_is_an_autoencoder_of_codes_and_not_of_a_latent_space() -> None:
    model = make()
    assert isinstance(model, Autoencoding)
    assert isinstance(model, Codebooks)
    assert not isinstance(model, LatentSpace)
    assert isinstance(build("vae", VECTOR), LatentSpace)
    assert not isinstance(build("vae", VECTOR), Codebooks)


def test_the_prior_gives_the_model_no_gradient_and_the_model_none_to_the_prior() -> None:
    model = make()
    losses, players = model.losses(Batch(torch.randn(16, 3)), 0), model.players()
    for player, other in itertools.permutations(players):
        gradients = torch.autograd.grad(losses[player].total, players[other], retain_graph=True, allow_unused=True)
        assert all(gradient is None for gradient in gradients)


@pytest.mark.parametrize("quantizer", ["codebook", "fsq"])
def test_from_a_step_on_the_prior_alone_learns(quantizer: str) -> None:
    rows = Resident(torch.randn(100, 3))
    models = {steps: make(quantizer=quantizer, still_after=10) for steps in (10, 20)}
    for steps, model in models.items():
        fit(model, rows, settings=Settings(steps=steps, batch_size=20, schedule="constant", seed=0, device="cpu"))
    first, second = (model.state_dict() for model in models.values())
    moved = {name for name, value in first.items() if not torch.equal(value, second[name])}
    assert {name.partition(".")[0] for name in moved} == {"code_prior"}
    assert "code_prior.vectors" not in moved
    assert list(models[20].losses(rows.take(slice(None)), END)) == ["model", "prior"]
    assert list(models[20].train().losses(rows.take(slice(None)), 10)) == ["prior"]


def test_the_prior_sums_to_one_over_all_lists_of_codes() -> None:
    made = prior()
    lists = torch.cartesian_prod(*[torch.arange(3)] * 4)
    assert made.log_prob(lists).exp().sum().item() == pytest.approx(1.0, abs=1e-5)


def test_a_code_does_not_know_those_after_it() -> None:
    made = prior(places=5, levels=1)
    one = torch.randint(0, 3, (1, 5))
    differing = one.repeat(3, 1)
    differing[:, 4] = torch.arange(3)
    joint = made.log_prob(differing).exp().sum()
    marginal = prior(places=4, levels=1)
    marginal.load_state_dict(made.state_dict() | {"place": made.place[:4]})
    torch.testing.assert_close(marginal.log_prob(one[:, :4]).exp().squeeze(), joint)


@pytest.mark.parametrize(("places", "levels"), [(2, 1), (4, 1), (2, 2)])
def test_drawn_lists_are_as_frequent_as_the_prior_says(places: int, levels: int) -> None:
    made = prior(places, levels)
    drawn = made.sample(20_000)
    count = places * levels
    lists = torch.cartesian_prod(*[torch.arange(3)] * count)
    counts = torch.bincount(drawn @ 3 ** torch.arange(count).flip(0), minlength=3**count) / len(drawn)
    torch.testing.assert_close(counts, made.log_prob(lists).exp(), atol=0.015, rtol=0)


def test_the_prior_knows_codes_by_their_vectors_which_it_keeps_up_with_in_training() -> None:
    model, batch = make(), Batch(torch.randn(16, 3))
    model.losses(batch, 0)
    entries = model.quantizer.vectors
    torch.testing.assert_close(model.code_prior.vectors, entries / entries.square().mean().sqrt())
    made = prior(places=4, levels=1)
    lists = torch.tensor([[0, 2, 1, 2], [1, 2, 1, 2], [2, 2, 2, 0]])
    before = made.log_prob(lists)
    made.vectors[0, 0] += 1.0
    # The last code is seen by nothing, and the third list has no other 0.
    assert (made.log_prob(lists) != before).tolist() == [True, False, False]


def test_temperature_zero_takes_the_likeliest_codes_one_after_the_other() -> None:
    made = prior(places=3, levels=2)
    drawn = made.sample(4, temperature=0.0)
    assert (drawn == drawn[0]).all()
    first = torch.cartesian_prod(*[torch.arange(3)] * 2)
    tail = drawn[:1, 2:].expand(9, -1)
    assert made.log_prob(drawn[:1]).item() >= made.log_prob(torch.cat([first, tail], 1)).median().item()


def test_conditions_move_the_prior_and_may_be_left_out() -> None:
    made = prior(given=GivenFeatures([Field("category", 2)]))
    codes = torch.zeros(3, 4, dtype=torch.long)
    scores = made.log_prob(codes, torch.tensor([[0.0], [1.0], [torch.nan]]))
    assert len(scores.unique()) == 3
    torch.testing.assert_close(scores[2:], made.log_prob(codes[:1], None))
    assert made.sample(3, torch.tensor([[0.0], [1.0], [torch.nan]])).shape == (3, 4)


@pytest.mark.parametrize("options", [{}, {"quantizer": "fsq"}, {"levels": 2}])
def test_monitor_is_the_description_length_that_its_parts_add_up_to(options: dict[str, object]) -> None:
    model = make(**options)
    batch = Batch(torch.randn(20, 3))
    for step in range(3):
        model.losses(batch, step)
    model.eval()
    with torch.no_grad():
        losses = model.losses(batch, END)
        codes = model.encode(batch).mode()
        expected = losses["model"].terms["distortion"] + losses["prior"].terms["rate"]
        torch.testing.assert_close(model.monitor(batch), expected)
        by_hand = -model.decode(codes).log_prob(batch.x) - model.code_prior.log_prob(codes)
        torch.testing.assert_close(model.monitor(batch), by_hand)
        assert torch.equal(model.log_weight(batch, 3), model.log_weight(batch, 1).expand(-1, 3))
        torch.testing.assert_close(model.reconstruct(batch), model.decode(codes).mode())
    assert codes.shape == (20, model.code_size)
    assert (codes < torch.tensor(model.code_sizes)).all()


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 12), (1, 28, 28), (2, 5, 40)])
def test_images_of_any_size_have_a_grid_and_come_back_in_their_shape(shape: tuple[int, ...]) -> None:
    spec = DataSpec(shape, (Field("level", 256),))
    x = torch.randint(0, 256, (2, *shape), dtype=torch.uint8)
    z = GridEncoder(spec, 3, 4, 1)(x)
    assert z.shape == (2, int(np.prod(grid(*shape[1:]))), 3)
    p = GridDecoder(spec, 3, 4, 1)(z)
    assert p.log_prob(x).shape == (2,)
    assert p.mode().shape == x.shape
    model = build("vq_vae", spec, **SMALL)
    assert isinstance(model, VQVAE)
    assert model.code_size == z.shape[1]


def test_a_decoder_of_images_cannot_run_away_to_where_a_sigmoid_is_flat() -> None:
    """Without its norms, digits ended as black images: means of −45 before the sigmoid, and no gradient left."""
    torch.manual_seed(0)
    decoder = GridDecoder(DataSpec((1, 28, 28), (Field("level", 256),)), 4, 8, 1)
    raw: list[torch.Tensor] = []
    decoder.layers.register_forward_hook(lambda *seen: raw.append(seen[2]))
    for size in (1.0, 1e4):
        decoder(size * torch.randn(20, 49, 4))
    assert all(found.abs().max() < 5 for found in raw)


def test_what_cannot_be_built_is_said() -> None:
    with pytest.raises(SfumatoError, match="levels is for the quantizer codebook"):
        make(quantizer="fsq", levels=2)
    with pytest.raises(SfumatoError, match="prior_width is 10: give a multiple of 4"):
        make(prior_width=10)
    with pytest.raises(SfumatoError, match="codebook is 1"):
        make(codebook=1)
    with pytest.raises(SfumatoError, match="codes is for network mlp"):
        build("vq_vae", DataSpec((1, 8, 8), (Field("level", 17),)), codes=3)
    with pytest.raises(SfumatoError, match="a code is a whole number from 0 to 7"):
        make().eval().decode(torch.tensor([[0, 8]]))


def test_every_door_of_a_table_with_conditions(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kind = rng.choice(["ant", "bee"], 300)
    size = np.where(kind == "bee", 3.0, 1.0) + 0.05 * rng.normal(size=300)
    frame = pd.DataFrame({"size": size, "legs": rng.integers(4, 7, 300), "kind": kind})
    auto = sfumato.fit(frame, model="vq_vae", given=["kind"], **(QUICK | {"steps": 120, "lr": 1e-2}))
    drawn = auto.sample(200, {"kind": "bee"}, seed=1)
    assert list(drawn.columns) == ["size", "legs", "kind"]
    assert drawn["size"].median() > 2 > auto.sample(200, {"kind": "ant"}, seed=1)["size"].median()
    codes = auto.encode(frame)
    assert codes.dtype == np.int64
    assert codes.shape == (300, auto.model_.code_size)
    pd.testing.assert_frame_equal(auto.decode(codes, {"kind": kind}), auto.reconstruct(frame))
    scores = auto.score_samples(frame, samples=1)
    np.testing.assert_allclose(scores, auto.score_samples(frame, samples=5, seed=3), rtol=1e-12)
    auto.save(tmp_path / "run")
    again = sfumato.load(tmp_path / "run", device="cpu")
    assert np.array_equal(again.encode(frame), codes)
    np.testing.assert_allclose(again.score_samples(frame), scores, rtol=1e-12)
    pd.testing.assert_frame_equal(again.sample(20, seed=4), auto.sample(20, seed=4))


def test_a_score_does_not_depend_on_the_neighbours() -> None:
    rows = np.random.default_rng(0).normal(size=(100, 3))
    auto = sfumato.fit(rows, model="vq_vae", **QUICK)
    np.testing.assert_array_equal(auto.score_samples(rows)[:7], auto.score_samples(rows[:7]))


def test_a_resumed_run_ends_as_the_unbroken_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stop(sfumato.training.Callback):
        def on_validation(self, model: object, line: dict[str, float]) -> bool:
            return line["step"] >= 10

    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", np.random.default_rng(0).normal(size=(200, 3)))
    told = QUICK | {"model": "vq_vae", "validate_every": 5}
    whole = sfumato.fit("rows.npy", **told)
    stopped = sfumato.fit("rows.npy", run="p", callbacks=[Stop()], **told)
    assert stopped.history_.lines[-1]["step"] < 30
    resumed = sfumato.fit(resume="p")
    for name, value in whole.model_.state_dict().items():
        assert torch.equal(value, resumed.model_.state_dict()[name]), name


def test_images_get_a_grid_and_a_report_of_their_codebook(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 255, (80, 8, 8), dtype=np.uint8)
    auto = sfumato.fit(x, model="vq_vae", **QUICK)
    assert auto.config_.options["network"] == "conv"
    assert auto.encode(x[:3]).shape == (3, 16)
    assert auto.sample(3).shape == (3, 8, 8)
    found = [image.path.stem for image in report.draw_figures(auto, auto.data_, tmp_path)]
    assert found == ["reconstructions", "samples", "codebook", "curves"]
    measured = {measure.name: measure for measure in auto.evaluate(quick=True)}
    assert list(measured) == ["distortion", "rate", "−ELBO", "codes in use", "perplexity", "bits a code"]
    assert 1 <= measured["perplexity"].value <= measured["codes in use"].value <= 8


def test_from_the_command_line(cli, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    told = ["--width", 16, "--prior-width", 16, "--codebook", 8, "--levels", 2, "--steps", 20, "--rows", 200]
    assert cli("fit", "moons", "--model", "vq_vae", "--run", "m", *told, "--no-report").code == 0
    assert cli("sample", "m", "-n", 5, "-o", "s.csv").code == 0
    encoded = cli("encode", "m", "s.csv")
    assert encoded.out.splitlines()[0] == "z1,z2,z3,z4"
    assert all(part.isdigit() for part in encoded.out.splitlines()[1].split(","))
    for command in ("reconstruct", "score"):
        assert cli(command, "m", "s.csv").code == 0
    assert cli("report", "m").code == 0
    assert cli("show", "m").code == 0


def test_patience_waits_until_the_codes_stand_still() -> None:
    assert make().schedules_done(0)
    assert [make(still_after=5).schedules_done(step) for step in (4, 5)] == [False, True]
