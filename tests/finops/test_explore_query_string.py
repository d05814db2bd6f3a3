"""Every state of the explorer has an address, and no address breaks it."""

from datetime import date
from typing import get_args

import pytest
from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st

from finops.costs.buckets import Grain
from finops.costs.dimensions import DIMENSIONS, dimension_named
from finops.costs.metrics import Metric
from finops.costs.periods import DAY, Period
from finops.costs.question import TOPS, Basis, Comparison, Filter, Order, Preset, Question
from finops.explore.query_string import MOST_VALUES, parse, render

characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
tag_keys = st.text(characters, min_size=1, max_size=20)
dimensions = st.sampled_from(list(DIMENSIONS.values())) | tag_keys.map(
    lambda key: dimension_named(f"tag:{key}")
)
values = st.none() | st.text(characters, min_size=1, max_size=30)
filters = st.builds(Filter, dimensions, st.frozensets(values, max_size=5))
periods = st.builds(
    lambda start, days: Period(start, start + DAY * days),
    st.dates(date(2000, 1, 1), date(2100, 1, 1)),
    st.integers(1, 3660),
)
questions = st.builds(
    Question,
    metric=st.sampled_from(Metric),
    when=st.sampled_from(Preset) | periods,
    basis=st.sampled_from(Basis),
    grain=st.sampled_from([None, *get_args(Grain)]),
    groups=st.lists(dimensions, max_size=2, unique=True).map(tuple),
    filters=st.lists(filters, max_size=4, unique_by=lambda one: one.dimension).map(
        lambda found: tuple(sorted(found, key=lambda one: one.dimension.key))
    ),
    comparison=st.sampled_from(Comparison),
    cumulative=st.booleans(),
    top=st.sampled_from(TOPS),
    currency=st.sampled_from([None, "EUR", "XXX"]),
    order=st.sampled_from(Order),
    ascending=st.booleans(),
)


@given(questions)
def test_a_question_comes_back_from_its_address(question: Question) -> None:
    asked = parse(QueryDict(render(question)))
    assert asked.question == question
    assert asked.problems == ()


names = st.sampled_from(
    [
        "metric", "period", "from", "to", "basis", "grain", "group", "compare", "cumulative", "top",
        "currency", "sort", "nothing", "filter.service_name", "filter.tag:", "filter.", "other",
    ]
)  # fmt: skip


@given(st.lists(st.tuples(names, st.text(max_size=40)), max_size=8))
def test_no_address_breaks_it(pairs: list[tuple[str, str]]) -> None:
    query = QueryDict(mutable=True)
    for name, text in pairs:
        query.appendlist(name, text)
    asked = parse(query)
    assert parse(QueryDict(render(asked.question))).question == asked.question


def test_an_empty_address_asks_for_the_usual() -> None:
    assert parse(QueryDict("")).question == Question()
    assert render(Question()) == "metric=effective&period=30-days"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("metric=net", "“metric” in this address was left out: it is one of: billed, effective"),
        ("period=yesterday", "“period” in this address was left out: it is one of: this-month"),
        ("period=custom&from=2026-10-01", "from and to are days such as 2026-10-01"),
        ("period=custom&from=2026-10-02&to=2026-10-01", "its last day comes before its first"),
        ("period=custom&from=1700-01-01&to=1700-01-02", "or is out of range"),
        ("period=custom&from=2000-01-01&to=2020-01-01", "it has more than 3,660 days"),
        ("grain=hour", "“grain” in this address was left out: it is one of: day, month"),
        ("group=charge_day", "a known column, such as service_name, or by a tag, such as"),
        ("group=service_name&group=region_name&group=sku_id", "at most 2 are shown together"),
        ("filter.password=x", "“filter” in this address was left out"),
        ("nothing=password", "“filter” in this address was left out"),
        ("filter.service_name=%00", "a value has at most 1,000 characters"),
        ("top=7", "it is one of: 5, 10, 20, 50, 100, 500"),
        ("currency=EUR%0A+EUR", "it is a code such as EUR"),
        ("sort=-rows", "it is one of: cost, name, previous, difference, change"),
    ],
)
def test_what_has_no_meaning_is_said_and_left_out(query: str, said: str) -> None:
    asked = parse(QueryDict(query))
    assert len(asked.problems) == 1
    assert said in asked.problems[0]
    assert asked.question.metric is Metric.EFFECTIVE


def test_the_last_day_of_an_address_belongs_to_its_period() -> None:
    when = parse(QueryDict("from=2026-10-01&to=2026-10-31")).question.when
    assert when == Period(date(2026, 10, 1), date(2026, 11, 1))


def test_days_beside_a_preset_are_left_alone() -> None:
    asked = parse(QueryDict("period=this-month&from=x&to=y"))
    assert (asked.question.when, asked.problems) == (Preset.THIS_MONTH, ())


def test_an_empty_value_stands_for_none() -> None:
    found = parse(QueryDict("filter.region_name=&filter.region_name=North")).question.filters
    assert found == (Filter(DIMENSIONS["region_name"], frozenset({None, "North"})),)


def test_more_values_than_an_address_holds_are_said() -> None:
    query = "&".join(f"filter.sku_id={n}" for n in range(MOST_VALUES + 1))
    asked = parse(QueryDict(query))
    assert len(asked.question.filters[0].values) == MOST_VALUES
    assert "at most 100 values" in asked.problems[0]
