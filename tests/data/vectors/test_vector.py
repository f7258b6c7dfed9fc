from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from sfumato import data
from sfumato.data import DataOptions
from sfumato.data.registry import load_schema
from sfumato.data.vectors.schema import VectorSchema
from sfumato.errors import SfumatoError


def rows(total: int = 200, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal([5, -1e6, 0], [2, 3, 1e-3], (total, 3))


def test_training_columns_have_zero_mean_and_unit_variance() -> None:
    learned = VectorSchema.learn(rows(), None, DataOptions())
    x = learned.encode(rows()).x
    assert x.dtype == torch.float32
    assert x.mean(0).tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    assert x.var(0, correction=0).tolist() == pytest.approx([1, 1, 1], rel=1e-4)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16, np.uint8, np.bool_])
def test_decoding_gives_the_same_kind_of_array(dtype: type) -> None:
    raw = (np.random.default_rng(1).random((50, 3)) * 200 // (100 if dtype is np.bool_ else 0.5)).clip(0, 255)
    raw = raw.astype(dtype)
    learned = VectorSchema.learn(raw, None, DataOptions())
    back = learned.decode(learned.encode(raw).x)
    assert back.dtype == raw.dtype
    np.testing.assert_allclose(back.astype(float), raw.astype(float), rtol=1e-4, atol=1e-4)


def test_integers_stay_in_the_seen_range() -> None:
    learned = VectorSchema.learn(np.array([[1], [2], [9]]), None, DataOptions())
    assert learned.decode(torch.tensor([[100.0], [-100.0]])).tolist() == [[9], [1]]


def test_statistics_by_chunks_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sfumato.data.io.arrays.ENTRIES_AT_A_TIME", 30)
    raw = rows()
    raw[::7, 1] = np.nan
    chosen = np.arange(3, 200, 2)
    learned = VectorSchema.learn(raw, None, DataOptions(), rows=chosen)
    np.testing.assert_allclose(learned.mean, np.nanmean(raw[chosen], 0), rtol=1e-12)
    np.testing.assert_allclose(learned.scale, np.nanstd(raw[chosen], 0), rtol=1e-9)
    assert [field.missing for field in learned.spec.fields] == [False, True, False]


def test_log_volume_is_the_change_of_variables() -> None:
    learned = VectorSchema.learn(rows(), None, DataOptions())
    raw = rows(5, seed=2)
    x = learned.encode(raw).x
    normal = torch.distributions.Normal(0.0, 1.0)
    model = normal.log_prob(x).sum(1)
    truth = torch.distributions.Normal(torch.tensor(learned.mean), torch.tensor(learned.scale))
    expected = truth.log_prob(torch.from_numpy(raw)).sum(1)
    assert (model - learned.log_jacobian(x)).tolist() == pytest.approx(expected.tolist(), rel=1e-4)
    x[0, 1] = math.nan
    assert learned.log_jacobian(x)[0].item() == pytest.approx(np.log(learned.scale[[0, 2]]).sum(), rel=1e-5)


def test_a_schema_survives_json() -> None:
    learned = VectorSchema.learn(rows(), np.array(["a", "b"] * 100), DataOptions(given=("label",)))
    again = load_schema(json.loads(json.dumps(learned.to_dict(), allow_nan=False)))
    assert again.to_dict() == learned.to_dict()
    assert torch.equal(again.encode((rows(), None)).x, learned.encode((rows(), None)).x)
    assert again.spec == learned.spec


def test_the_test_part_teaches_nothing() -> None:
    raw, labels = rows(), np.arange(200) % 3
    options = DataOptions(given=("label",), likelihood="mse")
    first = data.open((raw, labels), options=options)
    untouched = first.schema.to_dict()
    from sfumato.data.core.split import split

    _, valid, test = split(200, options.split, labels=labels)
    changed = raw.copy()
    changed[np.concatenate([valid, test])] *= 100
    second = data.open((changed, labels), options=options)
    assert second.schema.to_dict() == untouched
    assert not torch.equal(first.test.take(slice(None)).x, second.test.take(slice(None)).x)


def test_binary_rows_are_probabilities() -> None:
    raw = np.random.default_rng(0).random((50, 4))
    learned = VectorSchema.learn(raw, None, DataOptions(likelihood="bernoulli"))
    assert learned.spec.fields[0].kind == "level"
    np.testing.assert_allclose(learned.encode(raw).x, raw, rtol=1e-6)
    with pytest.raises(SfumatoError, match="column 2 goes from"):
        VectorSchema.learn(raw * [1, 1, 2, 1], None, DataOptions(likelihood="bernoulli"))


@pytest.mark.parametrize(
    ("place", "value", "match"),
    [((17, 2), np.inf, "row 18, column 2 is infinite"), (slice(None), np.nan, "no column has a value")],
)
def test_values_that_cannot_be_learned_are_named(place, value: float, match: str) -> None:
    raw = rows()
    raw[place] = value
    with pytest.raises(SfumatoError, match=match):
        data.open(raw)


def test_conditions_are_labels_by_name_or_value() -> None:
    opened = data.open((rows(), np.arange(200) % 3 + 4), options=DataOptions(given=("label",)))
    learned = opened.schema
    assert learned.label_names == ("4", "5", "6")
    drawn = learned.conditions({"label": "6"}, 2)
    assert drawn is not None
    assert drawn.tolist() == [[2], [2]]
    each = learned.conditions({"label": np.array([4, 6])}, 2)
    assert each is not None
    assert each.tolist() == [[0], [2]]
    with pytest.raises(SfumatoError, match="choose one of 4, 5, 6"):
        learned.conditions({"label": "x"}, 1)
    with pytest.raises(SfumatoError, match="did you mean label"):
        learned.conditions({"lable": 4}, 1)
    with pytest.raises(SfumatoError, match="3 values for 2"):
        learned.conditions({"label": [4, 5, 6]}, 2)


def test_a_label_the_training_part_lacks_is_a_missing_condition(caplog: pytest.LogCaptureFixture) -> None:
    # Sorted by label, the only m is one of the rows set aside.
    labels = np.array(["a"] * 122 + ["m"] + ["z"] * 77)
    opened = data.open((rows(), labels), options=DataOptions(given="label"))
    assert opened.schema.label_names == ("a", "z")
    parts = [part.take(slice(None)).given for part in (opened.valid, opened.test)]
    assert sum(int(given.isnan().sum()) for given in parts if given is not None) == 1
    read = opened.schema.read((rows(3), np.array(["a", "m", "z"])))
    given = opened.schema.encode(read).given
    assert given is not None
    np.testing.assert_array_equal(given[:, 0], [0, np.nan, 1])
    assert "1 example has a label never seen in training, as 'm'; taken as missing" in caplog.text


def test_conditions_not_named_follow_the_training_rows_or_are_left_out() -> None:
    labels = np.array([0] * 180 + [1] * 20)
    learned = data.open((rows(), labels), options=DataOptions(given="label")).schema
    drawn = learned.conditions({}, 5000, seed=1)
    assert drawn is not None
    assert drawn.mean().item() == pytest.approx(0.1, abs=0.02)
    same = learned.conditions({}, 5000, seed=1)
    assert same is not None
    assert torch.equal(drawn, same)
    out = learned.conditions({}, 3, marginal=True)
    assert out is not None
    assert out.isnan().all()


def test_a_label_of_real_numbers_is_a_real_condition() -> None:
    values = rows()[:, 0]
    opened = data.open((rows(), values), options=DataOptions(given="label"))
    assert opened.schema.spec.given[0].kind == "real"
    assert opened.train.labels is None
    given = opened.train.take(slice(None)).given
    assert given is not None
    assert given.mean().item() == pytest.approx(0, abs=1e-5)
    drawn = opened.schema.conditions({"label": 5.0}, 1)
    assert drawn is not None
    assert abs(drawn.item()) < 0.3


@pytest.mark.parametrize("raw", [rows(), np.random.default_rng(0).integers(0, 256, (200, 4, 4), np.uint8)])
def test_a_number_beyond_the_range_of_labels_is_said_and_taken_as_the_nearest_end(
    raw: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    schema = data.open((raw, np.linspace(0.5, 2.0, 200)), options=DataOptions(given="label")).schema
    assert schema.label is not None
    asked, end = (schema.conditions({"label": value}, 1) for value in (7, schema.label.high))
    read = schema.encode(schema.read((raw[:2], np.array([1.25, -3.0])))).given
    assert asked is not None
    assert read is not None
    assert torch.equal(asked, end)
    assert read[1].tolist() == schema.encode_condition("label", [schema.label.low]).tolist()
    said = [record.getMessage() for record in caplog.records]
    ends = f"{schema.label.low:g} to {schema.label.high:g}"
    assert said == [
        f"1 label lies beyond the range seen in training ({ends}), as {value}; taken as the nearest end"
        for value in (7, -3)
    ]


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv"])
def test_rows_are_written_and_read_again(tmp_path: Path, suffix: str) -> None:
    learned = VectorSchema.learn(rows(), None, DataOptions())
    path = tmp_path / f"out{suffix}"
    learned.write(rows(4), path)
    if suffix == ".csv":
        np.testing.assert_allclose(np.loadtxt(path, delimiter=","), rows(4), rtol=1e-6)
    else:
        assert (learned.read(path) == rows(4)).all()


def test_a_format_that_is_not_for_rows_is_refused(tmp_path: Path) -> None:
    learned = VectorSchema.learn(rows(), None, DataOptions())
    with pytest.raises(SfumatoError, match=r"\.npy or \.npz"):
        learned.write(rows(), tmp_path / "out.png")
    with pytest.raises(SfumatoError, match="trained on 3 columns"):
        learned.read(rows()[:, :2])


def test_a_condition_that_is_not_there_is_refused() -> None:
    with pytest.raises(SfumatoError, match="comes without labels"):
        data.open(rows(), options=DataOptions(given="label"))
    with pytest.raises(SfumatoError, match="only condition can be 'label'"):
        data.open(rows(), options=DataOptions(given="sex"))


def test_a_schema_from_before_labels_had_a_type_says_the_same() -> None:
    x, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 3
    learned = data.open((x, y), options=DataOptions(given=("label",))).schema
    told = learned.to_dict()
    del told["label"]["dtype"]
    assert type(learned).from_dict(told).equivalent(learned)
    assert learned.classes() == [0, 1, 2]


@pytest.mark.parametrize("held", [np.nan, 1 / 3])
def test_columns_that_never_vary_or_have_no_value_are_not_modelled_and_come_back_so(held: float) -> None:
    x = np.random.default_rng(0).normal(size=(50, 5)) + 3
    x[:, [1, 4]] = held
    opened = data.open(x)
    schema = opened.schema
    note = "no value; comes back empty" if np.isnan(held) else "always 0.333333"
    row = {"column": "1", "kind": "constant", "modelled": "not modelled", "note": note}
    assert {**schema.describe()[1], "missing": ""} == {**row, "missing": ""}
    assert schema.spec.shape == (3,)
    assert opened.notes == ("2 columns (1, 4) never vary, or have no value; not modelled, and come back as they are",)
    again = VectorSchema.from_dict(json.loads(json.dumps(schema.to_dict(), allow_nan=False)))
    encoded = again.encode(again.read(x)).x
    assert again.decode(encoded)[0, 4] == pytest.approx(held, nan_ok=True, abs=0)
    np.testing.assert_allclose(again.decode(encoded), x, rtol=1e-5)
    assert [one.column for one in again.varied(x, [0])] == ["0", "2", "3"]
    assert again.out_of_range_penalty(x).tolist() == [0.0] * 50


@pytest.mark.parametrize(("x", "match"), [(np.full((9, 2), np.nan), "has a value"), (np.ones((9, 2), int), "varies")])
def test_something_must_be_left_to_model(x: np.ndarray, match: str) -> None:
    with pytest.raises(SfumatoError, match=f"X: no column {match}"):
        VectorSchema.learn(x, None, DataOptions())


def test_other_values_in_columns_that_never_varied_are_said_and_cost(caplog: pytest.LogCaptureFixture) -> None:
    x = np.random.default_rng(0).integers(0, 9, (40, 4)).astype(np.uint8)
    x[:, [0, 3]] = 200, 7
    schema = VectorSchema.learn(x, None, DataOptions())
    new = x[:3].copy()
    new[1, [0, 3]] = 5, 8
    read = schema.read(new)
    assert caplog.messages == [
        "2 columns (0, 3): values unlike training, as 5 in row 2 where column 0 held 200 alone; not modelled, and 200 "
        "comes back"
    ]
    assert schema.out_of_range_penalty(read).tolist() == pytest.approx([0, 2 * math.log(41), 0])
    back = schema.decode(schema.encode(read).x)
    assert back.dtype == np.uint8
    assert back[:, [0, 3]].tolist() == [[200, 7]] * 3


def test_a_column_is_modelled_that_varies_outside_of_the_training_part_alone() -> None:
    x = rows()
    x[:, 1] = 4
    x[7, 1] = 5
    schema = VectorSchema.learn(x, None, DataOptions(), rows=np.arange(10, 200))
    assert schema.kept.tolist() == [0, 1, 2]
    assert schema.encode(x[7:8]).x[0, 1].item() == pytest.approx(1)
