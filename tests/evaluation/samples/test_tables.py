"""Measures of tables at tables whose scores are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from sfumato import data
from sfumato.data.core.options import DataOptions
from sfumato.errors import SfumatoError
from sfumato.evaluation import EvaluationSettings, Measure
from sfumato.evaluation.metrics.classifiers import auc, explained, inputs, predict, ranked, two_sample_auc
from sfumato.evaluation.metrics.columns import Aligned, ColumnPair, aligned, columns, schema_columns, trends
from sfumato.evaluation.samples import tables
from sfumato.evaluation.samples.features import encoded, narrowed, normal_scores
from sfumato.evaluation.samples.measures import measures


def by_name(found: list[Measure]) -> dict[str, Measure]:
    return {measure.name: measure for measure in found}


def fresh(source):
    """Samples that are other rows of the same source, in the units of a schema."""

    def draw_of(dataset):
        x = dataset.schema.encode(dataset.schema.read(source)).x
        return lambda n, given: x[torch.randint(len(x), (n,))]

    return draw_of


def test_the_two_sample_test_comes_first_and_names_what_it_goes_by(drawn, people):
    dataset = data.open(people(700, 0), options=DataOptions(label="kind"))
    x = dataset.schema.encode(dataset.schema.read(people(1500, 1))).x.clone()
    column = dataset.schema.names.index("weight")
    x[:, column] = x[torch.randperm(len(x)), column]
    found = tables.measures(drawn(dataset, lambda n, given: x[torch.randint(len(x), (n,))]))
    assert [one.name for one in found[:2]] == ["two-sample score", "classifier two-sample test"]
    assert "They go by weight" in found[1].meaning or "They go by height" in found[1].meaning


def test_samples_like_real_rows_score_as_real_rows_do(drawn, people):
    dataset = data.open(people(700, 0), options=DataOptions(label="kind"))
    found = by_name(tables.measures(drawn(dataset, fresh(people(1500, 1))(dataset))))
    assert set(found) == {
        "column shapes",
        "pair trends",
        "train on samples, test on real",
        "classifier two-sample test",
        "two-sample score",
    }
    for name in ("column shapes", "pair trends", "train on samples, test on real"):
        assert found[name].value == pytest.approx(found[name].reference, abs=0.05), name
        assert found[name].error is not None
        assert 0 < found[name].error < 0.05
    assert abs(found["classifier two-sample test"].value - 0.5) < 3 * found["classifier two-sample test"].error + 0.02
    assert found["train on samples, test on real"].unit == "AUC of kind, the label"
    judged = found["classifier two-sample test"]
    assert found["two-sample score"].value == pytest.approx(1 - (2 * max(judged.value, 0.5) - 1))
    assert found["two-sample score"].reference == pytest.approx(1 - (2 * max(judged.reference, 0.5) - 1))


def test_shuffled_columns_keep_their_shapes_and_lose_everything_else(drawn, people):
    dataset = data.open(people(700, 0), options=DataOptions(label="kind"))
    x = dataset.schema.encode(dataset.schema.read(people(1500, 1))).x
    apart = torch.stack([column[torch.randperm(len(x))] for column in x.T], 1)
    found = by_name(tables.measures(drawn(dataset, lambda n, given: apart[torch.randint(len(apart), (n,))])))
    assert found["column shapes"].value > found["column shapes"].reference - 0.06
    assert found["pair trends"].parts["height × weight"] < 0.6, "a correlation of almost 1 that is 0"
    assert found["train on samples, test on real"].value < 0.6
    assert found["train on samples, test on real"].reference > 0.9
    test = found["classifier two-sample test"]
    assert test.value > 0.85
    assert set(sorted(test.parts, key=test.parts.get)[-2:]) == {"height", "weight"}
    assert "They go by" in test.meaning


def test_learning_from_the_real_rows_themselves_is_the_reference_itself(drawn, people):
    found = drawn(people(300, 0), label="kind")
    found.samples = found.train
    fit = tables.Fit(found, 0)
    assert fit.score(2) == fit.score(0) > 0.8


def test_haste_leaves_out_what_trains_a_judge(drawn, people):
    found = by_name(tables.measures(drawn(people(200, 0), how=EvaluationSettings(quick=True))))
    assert set(found) == {"column shapes", "pair trends"}


def test_everything_is_a_function_of_the_seed(drawn, people):
    once, twice, other = (drawn(people(60, 0), how=EvaluationSettings(seed=seed, quick=True)) for seed in (0, 0, 1))
    assert tables.measures(once) == tables.measures(twice)
    assert not torch.equal(once.train.x, other.train.x)


def test_the_target_is_asked_for_or_the_label_a_condition_the_last_category_the_last_column(drawn, people):
    rows = people(300, 0)
    cases = [
        (rows, {"label": "kind"}, None, ("kind", "the label")),
        (rows, {"given": ("kind",)}, None, ("kind", "a condition")),
        (rows, {}, None, ("town", "the last category column")),
        (rows[["height", "weight"]], {}, None, ("weight", "the last column")),
        (rows, {"label": "kind"}, "height", ("height", "as requested")),
    ]
    for table, options, asked, expected in cases:
        one = drawn(table, how=EvaluationSettings(target=asked), **options)
        place, why = tables.target(one)
        assert (one.columns[place].name, why) == expected
    for asked, words in (("hight", "did you mean height"), ("flat", "same value")):
        table = rows.assign(flat=np.r_[1.0, np.zeros(299)]) if asked == "flat" else rows
        with pytest.raises(SfumatoError, match=words):
            tables.target(drawn(table, how=EvaluationSettings(target=asked)))


def with_holes(rows: pd.DataFrame) -> pd.DataFrame:
    rows.loc[np.random.default_rng(0).random(len(rows)) < 0.4, "weight"] = np.nan
    rows.loc[np.random.default_rng(1).random(len(rows)) < 0.4, "town"] = None
    return rows


def test_missing_cells_are_data(drawn, people):
    dataset = data.open(with_holes(people(700, 0)), options=DataOptions(label="kind"))
    alike, full = (drawn(dataset, fresh(source)(dataset)) for source in (with_holes(people(1500, 1)), people(1500, 1)))
    good, bad = (by_name(tables.measures(found)) for found in (alike, full))
    shapes = [found["column shapes"].parts for found in (good, bad)]
    assert min(shapes[0].values()) > 0.85
    assert shapes[1]["weight"] == pytest.approx(0.6, abs=0.08)
    assert shapes[1]["town"] == pytest.approx(0.6, abs=0.08)
    assert bad["pair trends"].parts["height × weight"] < good["pair trends"].parts["height × weight"] - 0.2
    assert bad["pair trends"].parts["height × town"] < good["pair trends"].parts["height × town"] - 0.1
    assert good["classifier two-sample test"].value < 0.56
    assert bad["classifier two-sample test"].value > 0.75


def test_missing_values_are_no_difference_to_a_model_that_knows_of_none(drawn, people):
    dataset = data.open(with_holes(people(700, 0)), options=DataOptions(label="kind", missing_cells=False))
    found = drawn(dataset, fresh(people(1500, 1))(dataset))
    assert np.isnan(found.columns[2].values[2]).mean() == pytest.approx(0.4, abs=0.05), "samples got the same holes"
    rows = inputs(found.columns, [0, 1, 2])
    assert two_sample_auc(rows.sets[0], rows.sets[2], categories=rows.categories)[0] < 0.56


def test_columns_that_the_model_was_given_are_not_counted_as_its_own(drawn, people):
    found = by_name(tables.measures(drawn(people(300, 0), given=("kind", "town"), how=EvaluationSettings(quick=True))))
    assert list(found["column shapes"].parts) == ["height", "weight"]
    assert "kind × town" not in found["pair trends"].parts
    assert "kind × height" in found["pair trends"].parts


def test_vectors_are_tables_without_names_and_their_label_counts_as_a_column(drawn):
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 500)
    x = random.normal(size=(500, 3)) + 3.0 * labels[:, None]
    found = drawn((x[:200], labels[:200]), given=("label",))
    assert [found.columns[place].name for place in found.judged] == ["0", "1", "2"]
    assert tables.target(found) == (3, "a condition")
    assert tables.Fit(found, 3).score(2) > 0.99


def test_a_judge_cannot_tell_the_same_and_is_sure_of_what_lies_apart():
    a, b = np.random.default_rng(0).normal(size=(2, 200, 3))
    value, error, rows, _ = two_sample_auc(a, b)
    assert rows == 160
    assert abs(value - 0.5) < 4 * error < 0.3
    assert two_sample_auc(a, b + 10.0).value > 0.99
    assert two_sample_auc(a[:30], b[:40] + 3.0).value > 0.9, "few rows are told apart too"


def test_how_well_samples_are_told_apart_does_not_hang_on_the_size_of_the_test_part():
    random = np.random.default_rng(0)
    mixed = random.normal(size=(4000, 4)) @ (np.eye(4) + 0.7)
    apart = np.stack([random.permutation(column) for column in mixed[:1500].T], 1)
    train, test = mixed[1500:2700], mixed[2700:]
    alone = [two_sample_auc(test[:size], apart).value for size in (100, 1000)]
    assert alone[0] < alone[1] - 0.05, "as it would be without rows of the training split"
    found = [tables.two_sample(test[:size], apart, train, "rows")[1] for size in (100, 1000)]
    assert found[0].value == pytest.approx(found[1].value, abs=2.5 * found[0].error)
    for one in found:
        assert one.value > 0.85
        assert one.reference == pytest.approx(0.5, abs=4 * one.error)
        assert "95% interval" in one.meaning


def test_the_area_under_the_curve_is_that_of_scikit_learn():
    from sklearn.metrics import r2_score, roc_auc_score

    random = np.random.default_rng(0)
    answers, said = random.integers(0, 3, 200), random.dirichlet(np.ones(3), 200).round(1)
    said[:, 0] += 1 - said.sum(1)
    assert auc(answers, said) == pytest.approx(roc_auc_score(answers, said, multi_class="ovr"))
    two = answers % 2
    assert auc(two, said[:, :2]) == pytest.approx(roc_auc_score(two, said[:, 1]))
    assert np.isnan(auc(np.zeros(3), np.ones((3, 2))))
    assert ranked(said[two == 1, 0], said[two == 0, 0]) == pytest.approx(roc_auc_score(two, said[:, 0]))
    assert explained(said[:, 0], said[:, 1]) == pytest.approx(r2_score(said[:, 0], said[:, 1]))


def test_a_learner_of_one_class_knows_that_class_alone():
    said = predict(np.ones((5, 1)), np.ones(5), np.ones((2, 1)), 3)
    assert said.tolist() == [[0, 1, 0], [0, 1, 0]]


def test_categories_that_real_rows_never_have_are_unknown_to_the_judge():
    column = Aligned("c", (np.array([0.0, 1.0, np.nan]), np.array([1.0, 0.0]), np.array([2.0, 1.0])), ("z", "a", "new"))
    coded = inputs([column], [1]).sets
    assert coded[1][:, 0].tolist() == [0.0, 1.0], "by name: a, z"
    assert np.isnan(coded[2][0, 0])
    assert np.isnan(coded[0][2, 0])


def test_a_lost_category_costs_its_share_and_a_shift_what_it_moves():
    lost = ColumnPair("word", np.repeat([0.0, 1.0], [75, 25]), np.zeros(100), ("a", "b"))
    assert lost.distance == pytest.approx(0.25)
    grid = np.arange(1000) / 1000
    assert ColumnPair("u", grid, grid + 0.2).distance == pytest.approx(0.2, abs=2e-3)


def test_distances_of_numbers_are_those_of_kolmogorov_and_smirnov():
    from scipy.stats import ks_2samp

    random = np.random.default_rng(0)
    real, made = random.normal(size=300).round(1), random.normal(size=200).round(1) + 0.3
    assert ColumnPair("x", real, made).distance == pytest.approx(ks_2samp(real, made, method="asymp").statistic)


def test_trends_follow_their_definitions():
    grid = np.linspace(0, 1, 1000)
    half = (grid > 0.5).astype(float)
    number, word = ColumnPair("n", grid, grid), ColumnPair("w", half, 1 - half, ("a", "b"))
    found = trends([number, word])
    assert found["n", "w"] == pytest.approx(0.0, abs=0.01), "every number lost its word"
    flat = ColumnPair("f", np.ones(1000), np.ones(1000))
    assert np.isnan(trends([number, flat])["n", "f"])


def test_features_put_a_change_of_category_on_the_scale_of_a_change_of_number():
    random = np.random.default_rng(0)
    number, code = random.normal(5.0, 3.0, 4000), random.integers(0, 2, 4000).astype(float)
    table = [Aligned("n", (number,) * 3), Aligned("c", (code,) * 3, ("a", "b"))]
    x = encoded(table)[0]
    gaps = np.square(x[:2000] - x[2000:]).mean(0)
    assert gaps[0] == pytest.approx(2.0, rel=0.1)
    assert gaps[1:].sum() == pytest.approx(1.0, rel=0.1)


def test_very_wide_features_keep_the_axes_that_vary():
    random = np.random.default_rng(0)
    wide = random.normal(size=(50, 300)) * np.where(np.arange(300) < 10, 5.0, 0.01)
    narrow = narrowed([wide, wide[:7]])
    assert [x.shape for x in narrow] == [(50, 50), (7, 50)]  # as many axes as rows
    assert np.square(narrow[0]).sum() == pytest.approx(np.square(wide - wide.mean(0)).sum(), rel=1e-6)


def test_tables_of_unlike_libraries_are_made_comparable(people):
    import polars as pl

    rows = people(50, 0)
    for column in columns(rows, pl.from_pandas(rows)):
        assert column.distance == 0.0


def test_missing_values_of_every_frame_are_missing() -> None:
    """pandas' NA of whole numbers, booleans and strings is neither None nor NaN."""
    rows = {"n": [1, None, 3], "b": [True, None, False], "s": ["a", None, "b"]}
    kinds = {"n": "Int64", "b": "boolean", "s": "string"}
    found = aligned([pd.DataFrame({name: pd.array(values, dtype=kinds[name]) for name, values in rows.items()})])
    for column in found:
        assert np.isnan(column.values[0]).tolist() == [False, True, False], column.name


def test_a_column_that_collapsed_hangs_together_with_nothing():
    random = np.random.default_rng(0)
    a, c = random.normal(size=(2, 500))
    real = [("a", a), ("b", a + 0.01 * c), ("c", c)]
    alone = dict(real) | {"b": random.permutation(a)}
    flat = dict(real) | {"b": np.full(500, 0.1)}
    lost, collapsed = (trends([ColumnPair(name, x, made[name]) for name, x in real]) for made in (alone, flat))
    assert collapsed["a", "b"] == pytest.approx(0.5, abs=0.001)
    assert collapsed["a", "b"] == pytest.approx(lost["a", "b"], abs=0.1)


def test_a_column_that_is_constant_among_the_training_rows_sets_nothing_apart_but_what_differs():
    rare = np.r_[np.full(999, 0.1), 0.2]
    column = Aligned("a", (np.full(1000, 0.1), rare, np.full(1000, np.nan)))
    train, test, gone = encoded([column])
    assert not train[:, 0].any()
    assert np.flatnonzero(test[:, 0]).tolist() == [999]
    assert not gone[:, 0].any()


def test_normal_scores_are_those_of_ranks_whatever_the_unit():
    from scipy.stats import norm, rankdata

    random = np.random.default_rng(0)
    known, values = random.lognormal(sigma=3.0, size=400), random.lognormal(sigma=3.0, size=200)
    scores = normal_scores(known, known)
    assert scores == pytest.approx(norm.ppf((rankdata(known) - 0.5) / 400))
    assert normal_scores(np.log(values), np.log(known)) == pytest.approx(normal_scores(values, known))
    assert normal_scores(np.array([known.max(), 1e300]), known).tolist() == [scores.max()] * 2


def test_one_amount_far_out_does_not_decide_how_far_samples_are_from_real_rows(drawn):
    """Heavy tails: samples of the same distribution stay near, shuffled and shifted ones are told from them."""
    random = np.random.default_rng(0)

    def amounts(count):
        size = random.normal(size=count)
        wide = np.exp(3.0 * size + random.standard_t(2, count))
        return pd.DataFrame({"a": np.exp(3.0 * size), "b": wide, "c": random.normal(size=count) + size})

    dataset = data.open(amounts(1200), options=DataOptions(likelihood="gaussian"))
    same = dataset.schema.encode(dataset.schema.read(amounts(2000))).x
    shuffled = torch.stack([column[torch.randperm(len(column))] for column in same.T], 1)
    shifted = dataset.schema.encode(dataset.schema.read(amounts(2000) * 1.5)).x
    found = [
        {
            one.name: one
            for one in measures(drawn(dataset, lambda n, given, x=x: x[:n]).subject, EvaluationSettings(quick=True))
        }
        for x in (same, shuffled, shifted)
    ]
    for name in ("Fréchet distance", "kernel distance"):
        well, others = found[0][name], [one[name] for one in found[1:]]
        assert abs(well.value - well.reference) < 4 * well.error, name
        assert min(one.value for one in others) > well.value + 4 * well.error, name


DATES = pd.date_range("1969-12-30", periods=40, freq="37D")


@pytest.mark.parametrize(
    "when",
    [
        DATES,
        DATES.astype("datetime64[ms]"),
        DATES.strftime("%Y-%m-%d"),
        DATES.strftime("%d.%m.%Y"),
        DATES.strftime("%Y-%m-%d %H:%M:%S"),
        pd.Series(DATES.date),
        DATES.tz_localize("UTC"),
    ],
)
def test_dates_are_numbers_in_days_however_they_are_spelt(when):
    table = pd.DataFrame({"when": when, "x": np.arange(40.0)})
    table.loc[3, "when"] = None
    schema = data.open(table, options=DataOptions(kinds={"when": "datetime"})).schema
    late = table.tail(5).reset_index(drop=True)
    column = schema_columns(schema, [table, late])[0]
    days = np.r_[-2.0 + 37 * np.arange(40)]
    days[3] = np.nan
    assert column.dated
    assert not column.levels
    np.testing.assert_allclose(column.values[0], days)
    np.testing.assert_allclose(column.values[1], days[-5:])


def test_times_of_day_are_numbers_but_no_dates():
    import pyarrow as pa

    seconds = np.arange(0, 80_000, 1000)
    table = pa.table({"clock": pa.array(seconds, pa.int32()).cast(pa.time32("s"))})
    column = schema_columns(data.open(table).schema, [table, table.slice(0, 10)])[0]
    assert not column.dated
    assert not column.levels
    np.testing.assert_allclose(column.values[1], seconds[:10])


def test_the_error_of_telling_apart_is_that_of_fresh_rows_not_of_folds_that_share_theirs():
    random = np.random.default_rng(0)
    found = np.array([two_sample_auc(*random.normal(size=(2, 100, 2)), seed=seed)[:2] for seed in range(12)])
    assert 0.6 < np.sqrt((found[:, 1] ** 2).mean()) / found[:, 0].std(ddof=1) < 1.8
