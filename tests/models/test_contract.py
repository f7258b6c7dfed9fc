"""The contract every model keeps, whatever it minimises: run over the folder."""

from __future__ import annotations

import inspect
from dataclasses import fields, replace

import pytest
import torch

from sfumato import models
from sfumato.batch import Batch
from sfumato.errors import SfumatoError
from sfumato.models import build, registry
from sfumato.models.base import END, Model
from sfumato.spec import DataSpec, Field, Part, Size

COLUMNS = (Field("real", missing=True), Field("category", 3), Field("cells", 6), Field("real"))
SPECS = {
    "vector": DataSpec((3,), (Field("real"),), examples=1000),
    "table": DataSpec((4,), COLUMNS, likelihood="autoregressive", examples=1000),
    "table of cells": DataSpec((4,), COLUMNS, likelihood="cells", examples=1000),
    "image": DataSpec((1, 8, 8), (Field("level", 17),), examples=5000),
    "sequence": DataSpec((6, 2), (Field("real", missing=True), Field("real")), examples=1000),
    "symbols": DataSpec((6, 1), (Field("category", 4),), likelihood="categorical", examples=1000, ends=True),
}
SPECS["record"] = DataSpec.of_parts(
    [Part("columns", SPECS["table of cells"]), Part("word", SPECS["symbols"]), Part("image", SPECS["image"])], 1000
)
GIVEN = (Field("category", 3), Field("real"))


def make(name: str, kind: str) -> tuple[Model, Batch]:
    torch.manual_seed(0)
    spec = SPECS[kind]
    conditional = models.describe(name).takes_conditions
    conditions = GIVEN[:1] if models.describe(name).classifies else GIVEN
    spec = replace(spec, given=conditions if conditional else ())
    if kind == "record":
        return _records(build(name, spec))
    x = {
        "vector": torch.randn(16, 3),
        "table": torch.stack(
            [torch.randn(16), torch.randint(0, 3, (16,)).float(), 6 * torch.rand(16), torch.randn(16)], 1
        ),
        "image": torch.randint(0, 17, (16, 1, 8, 8), dtype=torch.uint8),
        "sequence": torch.randn(16, 1, 2) + 0.3 * torch.randn(16, 6, 2),
        "symbols": torch.randint(0, 4, (16, 6, 1)).cummax(1).values.float(),
    }[kind.removesuffix(" of cells")]
    given = torch.stack([torch.randint(0, 3, (16,)).float(), torch.randn(16)], 1) if conditional else None
    if given is not None:
        given = given[:, : len(conditions)]
        given[0] = torch.nan
    mask = None
    if kind in ("table", "table of cells"):
        mask = torch.ones(16, 4, dtype=torch.bool)
        mask[:4, 0] = False
        x[:4, 0] = 0.0
    if kind == "symbols":
        mask = torch.ones(16, 6, 1, dtype=torch.bool)
        mask[:4, 2] = False
    time = None
    if kind == "sequence":
        mask = torch.ones(16, 6, 2, dtype=torch.bool)
        mask[:4, 2], mask[4:8, 4:], mask[8:12, 1, 0] = False, False, False
        x = x * mask
        time = (0.5 + torch.rand(16, 6)).cumsum(1)
    return build(name, spec), Batch(x, given, mask, time)


def _records(model: Model) -> tuple[Model, Batch]:
    """Rows of columns, words and images, of some of which the words or the images are missing."""
    columns = torch.stack([torch.randn(16), torch.randint(0, 3, (16,)).float(), 6 * torch.rand(16), torch.randn(16)], 1)
    words, pixels = torch.randint(0, 4, (16, 6)).cummax(1).values.float(), torch.randint(0, 17, (16, 64)).float()
    mask = torch.ones(16, 74, dtype=torch.bool)
    mask[:4, 4:10], mask[4:8, 10:] = False, False
    return model, Batch(torch.cat([columns, words, pixels], 1) * mask, None, mask)


def suited(name: str) -> list[str]:
    apart = models.describe(name).independent_columns
    return [
        kind
        for kind, spec in SPECS.items()
        if models.suits(name, spec) and not (apart and spec.likelihood == "autoregressive")
    ]


each_model = pytest.mark.parametrize(("name", "kind"), [(name, suited(name)[0]) for name in models.names()])
each_pair = pytest.mark.parametrize(("name", "kind"), [(name, k) for name in models.names() for k in suited(name)])


@each_model
def test_players_partition_the_parameters(name: str, kind: str) -> None:
    model, _ = make(name, kind)
    claimed = [id(p) for parameters in model.players().values() for p in parameters]
    assert sorted(claimed) == sorted(id(p) for p in model.parameters())


@each_pair
def test_every_player_reaches_all_of_its_parameters_with_finite_gradients(name: str, kind: str) -> None:
    model, batch = make(name, kind)
    losses, players = model.losses(batch, END), model.players()
    assert list(losses) == list(players)
    for player, loss in losses.items():
        trained = [p for p in players[player] if p.requires_grad]
        gradients = torch.autograd.grad(loss.total, trained, retain_graph=True, allow_unused=True)
        assert all(g is not None and g.isfinite().all() for g in gradients)


@each_pair
def test_terms_are_one_number_for_each_example(name: str, kind: str) -> None:
    model, batch = make(name, kind)
    for loss in model.losses(batch, 0).values():
        assert {value.shape for value in [*loss.terms.values(), *loss.metrics.values()]} == {(16,)}
        expected = sum(loss.weights.get(k, 1.0) * v for k, v in loss.terms.items())
        torch.testing.assert_close(loss.total, torch.as_tensor(expected).mean())


@each_model
def test_looking_at_a_model_changes_nothing_in_it(name: str, kind: str) -> None:
    model, batch = make(name, kind)
    model.eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.no_grad():
        model.monitor(batch)
        model.losses(batch, 3)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@each_pair
def test_a_second_model_with_the_same_weights_says_the_same(name: str, kind: str) -> None:
    model, batch = make(name, kind)
    torch.manual_seed(1)
    twin, _ = make(name, kind)
    twin.load_state_dict(model.state_dict())
    values = []
    for each in (model.eval(), twin.eval()):
        torch.manual_seed(5)
        values.append(each.monitor(batch))
    assert torch.equal(*values)


@each_pair
def test_the_loss_falls(name: str, kind: str) -> None:
    model, batch = make(name, kind)
    optimizers = {k: model.optimizer(k, v, 6e-3, 0.0) for k, v in model.players().items()}
    first = _monitor(model, batch)
    for step in range(30):
        losses, players = model.losses(batch, step), model.players()
        for player, loss in losses.items():
            loss.total.backward(inputs=players[player], retain_graph=True)
        for optimizer in optimizers.values():
            optimizer.step()
            optimizer.zero_grad()
    assert _monitor(model, batch) < first - 0.1


def _monitor(model: Model, batch: Batch) -> float:
    torch.manual_seed(7)
    with torch.no_grad():
        return model.monitor(batch).mean().item()


@pytest.mark.parametrize("name", models.names())
def test_options_are_those_of_build(name: str) -> None:
    parameters = inspect.signature(registry.resolve(name).build).parameters
    read = {option.name: option.default for option in models.options(name)[len(fields(Size)) :]}
    assert read == {key: p.default for key, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    assert all(option.help for option in models.options(name))
    assert models.summary(name)


def test_a_misspelt_model_or_option_is_answered_with_the_right_one() -> None:
    with pytest.raises(SfumatoError, match="did you mean beta_vae"):
        build("betavae", SPECS["vector"])
    with pytest.raises(SfumatoError, match="did you mean beta"):
        build("beta_vae", SPECS["vector"], bta=4)
    with pytest.raises(SfumatoError, match="prior is 'vampp': did you mean vamp"):
        build("vae", SPECS["vector"], prior="vampp")
    assert build("vae", SPECS["vector"], prior=None)
    with pytest.raises(SfumatoError, match="latent_dim is '3', which is text: give a number"):
        build("vae", SPECS["vector"], latent_dim="3")


@pytest.mark.parametrize("name", [name for name in models.names() if models.describe(name).independent_columns])
def test_models_that_take_columns_apart_say_so(name: str) -> None:
    with pytest.raises(SfumatoError, match=r"choose (one of )?cells"):
        build(name, SPECS["table"])
