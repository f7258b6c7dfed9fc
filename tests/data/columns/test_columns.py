from __future__ import annotations

import datetime
import json
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.data import columns
from sfumato.data.columns.category import Category
from sfumato.data.columns.cells import Cells
from sfumato.data.columns.scaling import Standardisation
from sfumato.errors import SfumatoError

quick = settings(max_examples=40, deadline=None)


def learned(values: pa.Array, kind: str | None = None, cells: int | None = 16) -> columns.Column:
    field = pa.field("v", values.type)
    column = columns.learn("v", kind or columns.infer("v", values), field, pa.chunked_array([values]), cells)
    again = columns.load(json.loads(json.dumps(column.to_dict(), allow_nan=False)))
    assert again.to_dict() == column.to_dict()
    return again


def back(column: columns.Column, values: pa.Array) -> pa.Array:
    return column.form.dress(column.decode(column.encode(columns.plain(values))))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pa.array([1.5, 2.0, None]), "continuous"),
        (pa.array([1.0, 2.0, math.nan]), "integer"),
        (pa.array([3, 7, 7]), "integer"),
        (pa.array([0, 1, 1]), "boolean"),
        (pa.array([0.0, 1.0, None]), "boolean"),
        (pa.array([True, False]), "boolean"),
        (pa.array(["TRUE", "FALSE", None]), "boolean"),
        (pa.array(["a", "b"]), "categorical"),
        (pa.array(["a", "b"]).dictionary_encode(), "categorical"),
        (pa.array([3, 4, 5]).dictionary_encode(), "categorical"),
        (pa.array([datetime.date(2020, 1, 1), datetime.date(2020, 1, 5)]), "datetime"),
        (pa.array([5, 5, None]), "constant"),
        (pa.array([f"name {i}" for i in range(30)]), "identifier"),
        (pa.array(range(100, 130)), "identifier"),
        (pa.array(range(0, 60, 2)), "integer"),
        (pa.array([f"name {i}" for i in range(5)]), "categorical"),
    ],
)
def test_kind_is_inferred(values: pa.Array, kind: str) -> None:
    assert columns.infer("v", values) == kind


def test_column_without_any_value_is_constant_and_comes_back_empty() -> None:
    for values in (pa.nulls(3), pa.array([math.nan, None]), pa.array([None, None], pa.string())):
        assert columns.infer("v", values) == "constant"
        column = learned(values)
        assert column.described() == ("not modelled", "no value; comes back empty")
        assert column.decode(np.zeros(2)).null_count == 2
        assert column.decode(np.zeros(2)).type == values.type


def test_column_of_lists_is_refused() -> None:
    with pytest.raises(SfumatoError, match="'v' holds list"):
        columns.infer("v", pa.array([[1], [2]]))


@quick
@given(st.lists(st.none() | st.integers(-(2**40), 2**40), min_size=2, max_size=60))
def test_whole_numbers_come_back(values: list[int | None]) -> None:
    array = pa.array(values, pa.int64())
    if array.null_count == len(array):
        return
    column = learned(array, "integer")
    found = back(column, array)
    assert found.type == pa.int64()
    for was, now in zip(values, found.to_pylist(), strict=True):
        if was is None:
            assert now is None
        else:
            assert abs(was - now) <= 1e-5 * (max(v for v in values if v is not None) - min(filter(_some, values)))


def _some(value: int | None) -> bool:
    return value is not None


@quick
@given(st.lists(st.integers(-300, 300), min_size=2, max_size=200))
def test_small_whole_numbers_come_back_exactly(values: list[int]) -> None:
    array = pa.array(values, pa.int16())
    assert back(learned(array, "integer"), array).equals(array)


@quick
@given(st.lists(st.none() | st.decimals(-1000, 1000, places=2).map(float), min_size=2, max_size=60))
def test_numbers_of_two_decimals_come_back_exactly(values: list[float | None]) -> None:
    array = pa.array(values, pa.float64())
    if array.null_count == len(array):
        return
    for cells in (16, None):
        assert back(learned(array, "continuous", cells), array).equals(array)


@quick
@given(st.lists(st.floats(-1e30, 1e30) | st.just(math.nan), min_size=2, max_size=60))
def test_numbers_come_back_within_the_resolution_of_their_cell(values: list[float]) -> None:
    array = pa.array(values, pa.float64())
    numbers = np.array([v for v in values if not math.isnan(v)])
    if not len(numbers):
        return
    column = learned(array, "continuous")
    found = back(column, array).to_pylist()
    width = numbers.max() - numbers.min()
    for was, now in zip(values, found, strict=True):
        assert now is None if math.isnan(was) else abs(now - was) <= 1e-5 * width + 1e-12 * abs(was)
        assert now is None or numbers.min() <= now <= numbers.max()


@quick
@given(st.lists(st.none() | st.text(max_size=5), min_size=1, max_size=40))
def test_labels_come_back(values: list[str | None]) -> None:
    array = pa.array(values, pa.string())
    if array.null_count == len(array):
        return
    for form in (array, array.cast(pa.large_string()), array.dictionary_encode()):
        assert back(learned(form, "categorical"), form).to_pylist() == values


@quick
@given(
    st.lists(st.none() | st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1)), min_size=2),
    st.sampled_from([None, "UTC", "Asia/Tokyo"]),
)
def test_times_come_back_with_unit_and_zone(values: list[datetime.datetime | None], zone: str | None) -> None:
    array = pa.array([None if v is None else v.replace(microsecond=0) for v in values]).cast(pa.timestamp("us"))
    if zone is not None:
        array = array.cast(pa.timestamp("us", tz=zone))
    if array.null_count == len(array):
        return
    found = back(learned(array, "datetime"), array)
    assert found.type == array.type
    both = zip(array.cast(pa.int64()).to_pylist(), found.cast(pa.int64()).to_pylist(), strict=True)
    spread = np.ptp([v for v in array.cast(pa.int64()).to_pylist() if v is not None])
    for was, now in both:
        assert now is None if was is None else abs(was - now) <= 1e-5 * spread


def test_days_come_back_as_days_and_midnights_as_midnights() -> None:
    days = pa.array([datetime.date(2020, 1, 1) + datetime.timedelta(7 * i % 90) for i in range(100)])
    assert back(learned(days), days).equals(days)
    midnights = days.cast(pa.timestamp("ns"))
    column = learned(midnights)
    assert column.ruler.step == 86_400 * 10**9
    sampled = column.decode(np.random.default_rng(0).uniform(0, column.field.size, 200))
    assert set(np.array(sampled.cast(pa.int64())) % column.ruler.step) == {0}


@pytest.mark.parametrize("spelling", ["%d/%m/%Y", "%Y-%m-%d %H:%M:%S", "%m/%d/%Y"])
def test_times_that_are_text_come_back_as_that_text(spelling: str) -> None:
    texts = [(datetime.datetime(2020, 1, 28) + datetime.timedelta(i)).strftime(spelling) for i in range(40)]
    array = pa.array([*texts, None])
    assert back(learned(array, "datetime"), array).equals(array)


def test_time_of_day_and_duration_come_back() -> None:
    for array in (
        pa.array([datetime.time(8, 30), datetime.time(9, 15), None]),
        pa.array([datetime.timedelta(hours=i) for i in range(9)]),
        pa.array([0, 86_400_000, None], pa.date64()),
    ):
        assert back(learned(array), array).equals(array)


@pytest.mark.parametrize("kind", [pa.uint8(), pa.int32(), pa.float16(), pa.float32(), pa.decimal128(8, 2), pa.bool_()])
def test_type_is_kept(kind: pa.DataType) -> None:
    array = pa.array([0, 1, 1, 0, None], pa.int8()).cast(kind)
    column = learned(array)
    assert back(column, array).equals(array)


def test_entry_of_float32_stays_in_its_cell() -> None:
    numbers = np.random.default_rng(0).lognormal(size=20_000)
    cut = Cells.learn(numbers, 200, whole=False)
    edges = np.nextafter(cut.edges[1:], 0)
    cells = np.floor(cut.encode(edges))
    assert (cells == np.arange(len(edges))).all()


def test_spikes_are_atoms_and_no_other_value_is() -> None:
    rng = np.random.default_rng(1)
    numbers = np.concatenate([np.zeros(9000), np.full(200, 99_999), rng.integers(100, 50_000, 800)])
    cut = Cells.learn(numbers, 64, whole=True)
    assert cut.atoms.tolist() == [0, 99_999]
    assert 40 < len(cut) <= 66


def test_density_of_whole_numbers_sums_to_one() -> None:
    rng = np.random.default_rng(2)
    numbers = np.concatenate([rng.poisson(40, 500), np.full(300, 40), rng.geometric(0.01, 300)])
    cut = Cells.learn(numbers, 12, whole=True)
    assert 0 < len(cut.atoms) < len(cut)
    log_p = np.log(rng.dirichlet(np.ones(len(cut))))
    seen = [*cut.atoms]
    for start, end in zip(cut.edges[:-1], cut.edges[1:], strict=True):
        seen += [v for v in range(start, end) if v not in cut.atoms]
    entries = np.floor(cut.encode(np.array(seen))).astype(int)
    assert np.exp(log_p[entries] - cut.volumes()[entries]).sum() == pytest.approx(1.0, abs=1e-9)
    assert cut.decode(cut.encode(np.array(seen))).tolist() == seen


def test_density_of_continuous_numbers_integrates_to_one_with_the_atoms() -> None:
    rng = np.random.default_rng(3)
    numbers = np.concatenate([np.zeros(500), rng.normal(size=400), rng.standard_cauchy(300)])
    cut = Cells.learn(numbers, 16, whole=False)
    log_p = np.log(rng.dirichlet(np.ones(len(cut))))
    mass = np.exp(log_p[np.floor(cut.encode(cut.atoms)).astype(int)]).sum()
    total = mass
    for low, high in zip(cut.edges[:-1], cut.edges[1:], strict=True):
        grid = low + (np.arange(2000) + 0.5) / 2000 * (high - low)
        entries = np.floor(cut.encode(grid)).astype(int)
        total += np.exp(log_p[entries] - cut.volumes()[entries]).mean() * (high - low)
    assert cut.atoms.tolist() == [0.0]
    assert total == pytest.approx(1.0, abs=1e-9)


def test_draws_by_training_shares_have_the_training_distribution() -> None:
    rng = np.random.default_rng(4)
    numbers = np.concatenate([rng.lognormal(3, 2, 8000), rng.normal(5000, 10, 2000), np.zeros(4000)])
    cut = Cells.learn(numbers, 64, whole=False)
    shares = np.bincount(np.floor(cut.encode(numbers)).astype(int), minlength=len(cut)) / len(numbers)
    drawn = cut.decode(rng.choice(len(cut), 50_000, p=shares) + rng.uniform(0, 0.999, 50_000))
    levels = [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999, 0.9995]
    assert np.quantile(drawn, levels) == pytest.approx(np.quantile(numbers, levels), rel=0.2)
    assert (drawn == 0).mean() == pytest.approx(4 / 14, abs=0.01)


def test_number_between_the_seen_ones_counts_as_the_nearest() -> None:
    cut = Cells.learn(np.repeat([0, 10, 20], 50), 16, whole=True)
    assert cut.decode(cut.encode(np.array([-7, 4, 6, 19, 2**60]))).tolist() == [0, 0, 10, 20, 20]


def test_cells_are_in_order() -> None:
    rng = np.random.default_rng(5)
    numbers = np.concatenate([rng.normal(size=1000), np.repeat([0.0, 1.0], 100)])
    cut = Cells.learn(numbers, 16, whole=False)
    middles = cut.decode(np.arange(len(cut)) + 0.5)
    assert (np.diff(middles) >= 0).all()


def test_real_entries_have_zero_mean_and_unit_variance() -> None:
    numbers = np.random.default_rng(6).normal(1e6, 3.0, 5000)
    cut = Standardisation.learn(numbers)
    entries = cut.encode(numbers)
    assert entries.mean() == pytest.approx(0, abs=1e-3)
    assert entries.std() == pytest.approx(1, abs=1e-4)
    assert cut.volumes()[0] == pytest.approx(np.log(numbers.std()))


def test_numbers_near_the_end_of_float64_do_not_overflow() -> None:
    cut = Standardisation.learn(np.array([-1e308, 1e308]))
    assert np.isfinite([cut.mean, cut.scale]).all()


def test_infinity_is_refused_with_its_row() -> None:
    with pytest.raises(SfumatoError, match="'v', row 3: the value is infinite"):
        learned(pa.array([1.5, 2.0, math.inf]))


def test_kind_that_does_not_fit_is_refused_with_row_and_value() -> None:
    with pytest.raises(SfumatoError, match="'v', row 2: 'x' stands where a number should"):
        learned(pa.array(["1", "x"]), "continuous")
    with pytest.raises(SfumatoError, match=r"'v', row 2: 1\.5 stands where a whole number should"):
        learned(pa.array([1.0, 1.5]), "integer")
    with pytest.raises(SfumatoError, match="3 values and cannot be boolean"):
        learned(pa.array([1, 2, 3]), "boolean")
    with pytest.raises(SfumatoError, match="'soon' is no time of a known spelling"):
        learned(pa.array(["soon", "later"]), "datetime")
    with pytest.raises(SfumatoError, match=r"holds date32.*not continuous"):
        learned(pa.array([datetime.date(2020, 1, 1), datetime.date(2020, 2, 1)]), "continuous")


def test_conditions_are_taken_as_the_command_line_spells_them() -> None:
    number = learned(pa.array([10, 20, 30]), cells=None)
    assert number.condition(["20", 20.0, None]).tolist()[:2] == [0.0, 0.0]
    assert np.isnan(number.condition([None])[0])
    assert learned(pa.array([True, False])).condition(["true", False, "False"]).tolist() == [1, 0, 0]
    assert learned(pa.array([3, 7]), "categorical").condition(["7", 3, 7.0]).tolist() == [1, 0, 1]
    days = learned(pa.array([datetime.date(2020, 1, 1), datetime.date(2020, 1, 3)]), cells=None)
    assert days.condition(["2020-01-02", datetime.date(2020, 1, 2)]).tolist() == [0, 0]


def test_condition_that_is_not_known_names_what_is() -> None:
    with pytest.raises(SfumatoError, match=r"no category 'Adele'; did you mean Adelie\?"):
        learned(pa.array(["Adelie", "Gentoo"])).condition(["Adele"])
    with pytest.raises(SfumatoError, match="choose one of Adelie, Gentoo"):
        learned(pa.array(["Adelie", "Gentoo"])).condition(["9"])
    with pytest.raises(SfumatoError, match="takes a number, not 'old'"):
        learned(pa.array([1.5, 2.5])).condition(["old"])


def test_category_not_seen_in_training_is_missing_and_said() -> None:
    column = learned(pa.array(["a", "b", "a"]))
    new = pa.array(["b", "zebra", None, "yak"])
    assert np.isnan(column.encode(new)).tolist() == [False, True, True, True]
    assert column.notes(new) == [
        "column 'v': 2 rows have a category never seen in training, as 'zebra'; taken as missing"
    ]


def test_number_beyond_the_range_is_said() -> None:
    column = learned(pa.array([1, 2, 9]))
    assert column.notes(pa.array([3, 100])) == [
        "column 'v': 1 value lies beyond the range seen in training (1 to 9), as 100; taken as the nearest end"
    ]


def test_rare_categories_are_kept() -> None:
    column = learned(pa.array(["common"] * 1000 + ["once"]))
    assert column.labels == ("common", "once")
    assert column.described() == ("2 categories", "common, once")


def test_constant_and_identifiers_come_back_by_rule() -> None:
    zeros = np.zeros(2)
    assert learned(pa.array(["x", "x"])).decode(zeros).to_pylist() == ["x", "x"]
    assert learned(pa.array(range(5, 45))).decode(zeros).to_pylist() == [45, 46]
    assert learned(pa.array([f"n{i}" for i in range(40)])).decode(zeros).to_pylist() == ["v 1", "v 2"]
    assert learned(pa.array([i / 7 for i in range(40)]), "identifier").decode(zeros).to_pylist() == [None, None]


def test_hundred_thousand_categories_encode_at_once() -> None:
    labels = np.random.default_rng(7).permutation(100_000)
    column = learned(pa.array([f"c{i}" for i in labels]), "categorical")
    assert column.field.size == 100_000
    entries = column.encode(pa.array([f"c{i}" for i in labels[:1000]]))
    assert column.decode(entries).to_pylist() == [f"c{i}" for i in labels[:1000]]


def test_nan_is_missing_and_no_broken_whole_number() -> None:
    column = learned(pa.array([1.0, 2.0, math.nan, 7.0]))
    assert column.kind == "integer"
    assert np.isnan(column.encode(column.fit(pa.array([2.0, math.nan])))).tolist() == [False, True]


def test_infinite_constant_is_refused() -> None:
    with pytest.raises(SfumatoError, match="'v', row 1: the value is infinite"):
        learned(pa.array([math.inf, math.inf]))


def test_text_where_numbered_categories_were_is_missing_alone() -> None:
    column = learned(pa.array([3, 7]), "categorical")
    assert np.nan_to_num(column.encode(pa.array(["7", "x", "3"])), nan=-1).tolist() == [1, -1, 0]


def test_a_fraction_where_labels_of_whole_numbers_were_is_missing_alone() -> None:
    column = learned(pa.array(["1", "2", "x"]), "categorical")
    assert np.nan_to_num(column.encode(pa.array([1.0, 2.5, 2.0])), nan=-1).tolist() == [0, -1, 1]


def test_time_spelt_otherwise_is_refused_by_row() -> None:
    column = learned(pa.array(["28/01/2020", "29/01/2020"]), "datetime")
    with pytest.raises(SfumatoError, match="'v', row 2: '2020-01-29' is not spelt as the times in training"):
        column.fit(pa.array(["28/01/2020", "2020-01-29"]))


def test_declared_categories_of_any_type_are_kept_in_order() -> None:
    for declared in (pa.array(["w", "v", "u"]), pa.array([9, 3, 1]), pa.array([0.5, 0.25])):
        values = pa.DictionaryArray.from_arrays(pa.array([1, 0, None], pa.int8()), declared, ordered=True)
        found = back(learned(values), values)
        assert found.equals(values)
        assert found.dictionary.equals(declared)
        assert found.type.ordered


def test_column_of_numbers_with_a_stray_word_is_pointed_out() -> None:
    column = learned(pa.array([str(i / 4) for i in range(100)] + ["stray", "1.0"]), "categorical")
    assert column.described()[1].startswith("all numbers but 1, as 'stray'")


def comments(own: int, shared: int) -> pa.Array:
    """As many rows with a text of their own, and with one of ten that they share."""
    return pa.array([f"call {i} back" for i in range(own)] + [f"all is well {i % 10}" for i in range(shared)])


def test_text_of_which_most_is_that_of_single_rows_is_replaced() -> None:
    assert columns.infer("v", comments(60, 40)) == "identifier"
    assert columns.infer("v", comments(30, 70)) == "categorical"
    assert columns.infer("v", comments(12, 5)) == "categorical"
    column = learned(comments(60, 40))
    assert column.field is None
    assert column.decode(np.zeros(3)).to_pylist() == ["v 1", "v 2", "v 3"]
    assert column.described() == ("not modelled", "new rows hold 'v 1', …")
    assert column.caution() == (
        "column 'v': 70 different values in 100 rows; not modelled, and new rows hold 'v 1', …; --kind v=categorical "
        "repeats values of the training rows word for word"
    )
    verbatim = learned(comments(60, 40), "categorical")
    assert verbatim.field is not None
    assert verbatim.field.size == 70
    assert "word for word; --kind v=identifier leaves them out" in verbatim.caution()
    assert learned(comments(0, 100)).caution() == ""


def grouped(values: pa.Array) -> Category:
    field = pa.field("v", pa.string())
    column = columns.learn("v", "categorical", field, pa.chunked_array([values]), 8, whole=False)
    assert isinstance(column, Category)
    return column


def test_rare_categories_among_many_share_an_entry_and_are_drawn_by_how_often_they_occur() -> None:
    words = ["often"] * 3000 + ["twice 1", "twice 2"] * 2 + [f"once {i}" for i in range(150)] + ["some"] * 5
    values = pa.array(words)
    column = grouped(values)
    assert column.labels == ("often", "some")
    assert column.field.size == 3
    new = pa.array(["often", "once 7", "never", None])
    assert column.encode(new).tolist()[:2] == [0, 2]
    assert np.isnan(column.encode(new)[2:]).all()
    assert "as 'never'" in column.notes(new)[0]
    assert column.out_of_range_penalty(new, 9).tolist() == pytest.approx([0, 0, np.log(10), 0])
    drawn = column.decode(np.full(30_000, 2.0)).to_pylist()
    assert drawn == column.decode(np.full(30_000, 2.0)).to_pylist()
    assert set(drawn) == {word for word in words if word.startswith(("once", "twice"))}
    assert drawn.count("twice 1") / 30_000 == pytest.approx(2 / 154, rel=0.2)
    assert drawn.count("once 3") / 30_000 == pytest.approx(1 / 154, rel=0.3)
    assert np.exp(column.volumes()).tolist() == pytest.approx([1, 1, 152])
    assert "152 of 154 categories are rare" in column.caution()
    again = columns.load(json.loads(json.dumps(column.to_dict())))
    assert again.decode(np.full(9, 2.0)).equals(column.decode(np.full(9, 2.0)))


def test_no_column_has_more_entries_than_a_few_hundred_unless_told_so() -> None:
    each = pa.array([f"town {i}" for i in range(2000)] * 6)
    assert grouped(each).field.size == 501
    assert len(grouped(each).others) == 1500
    assert learned(each).field.size == 2000
    few = pa.array([f"town {i}" for i in range(90)] + ["town 0"] * 900)
    assert grouped(few).field.size == 90


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ([f"${i}" if i % 9 else f"{i}" for i in range(60)], "text such as '$1': numbers, if written"),
        (
            [f"{i}/1/2020" if i % 2 else f"2020-1-{i}" for i in range(1, 29)],
            "text such as '1/1/2020': dates, if written",
        ),
        ([f"{i:05}" for i in range(30)], ""),
        ([f"A-{i},1" for i in range(30)], ""),
    ],
)
def test_numbers_and_dates_that_are_read_as_text_are_pointed_out(words: list[str], hint: str) -> None:
    column = learned(pa.array(words))
    assert column.described()[1].startswith(hint)
    assert ("text such as" in column.described()[1]) is bool(hint)


def test_values_beyond_the_cells_cost_their_distance_and_values_inside_nothing() -> None:
    numbers = np.random.default_rng(0).normal(size=2000)
    cells = Cells.learn(numbers, 16, whole=False)
    assert not cells.out_of_range_penalty(numbers, 2000).any()
    low, high = np.diff(cells.edges)[[0, -1]]
    far = np.array([numbers.min() - 2 * low, numbers.max() + 3 * high, numbers.max() + 30 * high, 1e300, -1e300])
    assert cells.out_of_range_penalty(far, 2000)[:3] == pytest.approx([2, 3, 30])
    assert np.isfinite(np.square(cells.out_of_range_penalty(far, 2000))).all()


def test_a_value_beside_atoms_is_one_in_more_values_than_were_seen() -> None:
    alone = Cells.learn(np.repeat([1, 3, 5], 50), 16, whole=True)
    assert alone.out_of_range_penalty(np.array([1, 3, 5]), 150).tolist() == [0, 0, 0]
    assert alone.out_of_range_penalty(np.array([9, 4]), 150) == pytest.approx([2 + math.log(151), 0.5 + math.log(151)])
    tenths = Cells.learn(np.repeat([0.1, 0.2, 0.3], 50), 16, whole=False)
    assert not tenths.out_of_range_penalty(np.array([0.1, 0.2, 0.3], np.float32).astype(np.float64), 150).any()


@pytest.mark.parametrize(
    ("seen", "new", "costs"),
    [
        (pa.array(["a", "b"] * 50), pa.array(["a", None, "c"]), [0, 0, math.log(101)]),
        (pa.array([1.5, 2.5, 7.5] * 20), pa.array([1.5, math.nan, None]), [0, 0, 0]),
        (pa.array(["1", "2"] * 50), pa.array([1.0, math.nan, 3.0]), [0, 0, math.log(101)]),
    ],
)
def test_missing_values_cost_nothing_and_new_labels_do(seen: pa.Array, new: pa.Array, costs: list[float]) -> None:
    assert learned(seen).out_of_range_penalty(new, 100) == pytest.approx(costs)


def test_a_slip_in_a_thousand_rows_is_no_precision() -> None:
    values = np.round(np.random.default_rng(0).uniform(0, 9, 2000), 2)
    for slips, digits in ((1, 2), (3, None)):
        values[:slips] = np.pi * (1 + np.arange(slips))
        drawn = learned(pa.array(values)).decode(np.linspace(0, 15.9, 50)).to_numpy()
        assert np.array_equal(drawn, np.round(drawn, 2)) is (digits == 2)


@pytest.mark.parametrize("spelling", ["%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y"])
def test_text_that_spells_dates_in_one_way_is_dates(spelling: str) -> None:
    days = [datetime.datetime(2024, 1, 1) + datetime.timedelta(days=i) for i in range(40)]
    words = pa.array([day.strftime(spelling) for day in days] + [None])
    assert columns.infer("v", words) == "datetime"
    assert set(back(learned(words), words).drop_null().to_pylist()) <= set(words.to_pylist())
    assert columns.infer("v", pa.array([f"2024{i:04}" for i in range(100, 140)])) == "identifier"
    mixed = pa.array([*words.to_pylist(), "soon"])
    assert columns.infer("v", mixed) == "identifier"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (pa.array([0.25, -2.3, None]), r"'v' holds numbers \(double\), where kind datetime needs .*leave its kind out"),
        (pa.array([1, 2, 3]), r"'v' holds whole numbers \(int64\).*leave its kind out"),
        (pa.array([20200103, None, 20201331]), r"'v' holds whole numbers \(int64\).*leave its kind out"),
        (pa.array([True, False]), "'v' holds booleans"),
    ],
)
def test_numbers_are_no_dates(values: pa.Array, said: str) -> None:
    with pytest.raises(SfumatoError, match=said):
        learned(values, "datetime")


def test_dates_that_were_text_are_taken_as_dates_too() -> None:
    column = learned(pa.array(["2020-01-01T10:00:00", "2020-01-03T10:00:00"]))
    found = back(column, pa.array([datetime.datetime(2020, 1, 3, 10)], pa.timestamp("us")))
    assert found.to_pylist() == ["2020-01-03T10:00:00"]


@pytest.mark.parametrize(("most", "kind"), [(200, pa.uint8()), (250, pa.int64())])
def test_identifiers_outgrow_a_narrow_type_and_never_begin_anew(most: int, kind: pa.DataType) -> None:
    column = learned(pa.array(range(most), pa.uint8()))
    found = column.form.dress(column.decode(np.zeros(20)))
    assert found.type == kind
    assert found.to_pylist() == list(range(most, most + 20))


def test_identifiers_beyond_64_bits_are_refused() -> None:
    column = learned(pa.array(range(2**63 - 30, 2**63 - 2)))
    with pytest.raises(SfumatoError, match=r"'v': identifiers after \d+ do not fit in 64 bits.*--drop v"):
        column.decode(np.zeros(20))


@pytest.mark.parametrize("spelt", ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"])
def test_iso_times_of_another_spelling_than_in_training_are_read(spelt: str) -> None:
    days = [datetime.datetime(2024, 1, 1 + day) for day in range(28)]
    column = learned(pa.array([day.strftime(spelt) for day in days]))
    assert column.kind == "datetime"
    own = column.encode(pa.array([days[4].strftime(spelt)]))
    for other in (
        "2024-01-05",
        "2024-01-05T00:00",
        "2024-01-05 00:00:00",
        "2024-01-05T00:00:00Z",
        "2024-01-05T00:00:00.0",
    ):
        np.testing.assert_array_equal(column.encode(pa.array([other])), own)
    with pytest.raises(SfumatoError, match="row 2"):
        column.encode(pa.array(["2024-01-05", "soon"]))
