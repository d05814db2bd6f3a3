"""The overview's figures against the oracle, to the last digit."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from functools import cache

import pytest
from pytest_django import DjangoDbBlocker

from accounts.scopes import ALL
from finops.costs import overview as overview_module
from finops.costs.metrics import Metric
from finops.costs.overview import (
    OTHER_COLOUR,
    NoCostData,
    Overview,
    UnknownCurrency,
    load_overview,
)
from finops.costs.periods import DAY, Period
from finops.models import Dataset
from tests.finops import oracle
from tests.finops.cost_documents import MemorySource, build_all, builder, charge, generated
from tests.finops.focus_rows import SAMPLE
from tests.finops.oracle import Row

pytestmark = pytest.mark.django_db
ANCHOR = date(2026, 10, 20)
BY_SERVICE = oracle.column("ServiceName")


@cache
def sample_rows() -> list[Row]:
    return oracle.rows(SAMPLE)


@cache
def generated_rows() -> list[Row]:
    return generated(start=ANCHOR - timedelta(days=449), days=450, rows=4_000)


@pytest.fixture(scope="module")
def stored(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[dict[str, Dataset]]:
    """Both sets, built once: the tests only read them."""
    with django_db_blocker.unblock():
        made = {
            "sample": build_all(sample_rows(), "sample"),
            "generated": build_all(generated_rows(), "generated"),
        }
        yield made
        for dataset in made.values():
            dataset.delete()


def shown(
    dataset: Dataset, metric: Metric = Metric.BILLED, currency: str | None = None
) -> Overview:
    return load_overview(dataset=dataset, scope=ALL, currency=currency, metric=metric)


def figures_by_bucket(overview: Overview) -> dict[tuple[date, str | None], Decimal]:
    return {
        (bucket.start, row.service): amount
        for row in overview.services
        for bucket, amount in zip(overview.buckets, row.trend, strict=True)
        if amount
    }


def expected_by_bucket(
    rows: list[Row], overview: Overview
) -> dict[tuple[date, str | None], Decimal]:
    """The oracle's sums of every bucket, summed from its days."""
    days = oracle.group(
        rows, overview.metric.focus_column, dimension=BY_SERVICE, bucket=oracle.by_charge_day
    )
    found: dict[tuple[date, str | None], Decimal] = defaultdict(Decimal)
    for (currency, text, service), amount in days.items():
        for bucket in overview.buckets:
            if currency == overview.currency and bucket.start.isoformat() <= text < str(bucket.end):
                key = (bucket.start, service)
                found[key] = oracle.EXACT.add(found[key], amount)
    return {key: amount for key, amount in found.items() if amount}


def within(rows: list[Row], period: Period) -> list[Row]:
    return [row for row in rows if str(period.start) <= oracle.by_charge_day(row) < str(period.end)]


def test_the_official_samples_totals(stored: dict[str, Dataset]) -> None:
    overview = shown(stored["sample"])
    totals = {total.metric: (total.current, total.missing_rows) for total in overview.totals}
    assert totals == {
        Metric.BILLED: (Decimal("20.52022672899"), 0),
        Metric.EFFECTIVE: (Decimal("14.97651418586"), 0),
        Metric.LIST: (Decimal("20.39090575119"), 0),
        Metric.CONTRACTED: (Decimal("14.97626039326"), 7),
    }
    assert (overview.currency, overview.rows, overview.anchor) == ("USD", 1000, date(2024, 9, 30))
    assert [total.previous for total in overview.totals] == [None] * 4


def test_the_samples_net_negative_day_is_negative(stored: dict[str, Dataset]) -> None:
    overview = shown(stored["sample"])
    day = next(n for n, b in enumerate(overview.buckets) if b.start == date(2024, 9, 3))
    assert sum(row.trend[day] for row in overview.services) == Decimal("-0.08746750847")


@pytest.mark.parametrize("metric", Metric)
def test_every_service_and_day_of_the_sample(stored: dict[str, Dataset], metric: Metric) -> None:
    overview = shown(stored["sample"], metric)
    assert overview.grain == "day"
    assert len(overview.buckets) == 30
    assert figures_by_bucket(overview) == expected_by_bucket(sample_rows(), overview)


@pytest.mark.parametrize("currency", ["EUR", "USD"])
@pytest.mark.parametrize("metric", Metric)
def test_every_service_and_month_of_a_generated_set(
    stored: dict[str, Dataset], metric: Metric, currency: str
) -> None:
    overview = shown(stored["generated"], metric, currency)
    assert overview.grain == "month"
    assert [overview.buckets[0].start, overview.buckets[-1].end] == [
        date(2025, 10, 1),
        date(2026, 11, 1),
    ]
    assert figures_by_bucket(overview) == expected_by_bucket(generated_rows(), overview)
    for total in overview.totals:
        name = total.metric.focus_column
        current = oracle.total(within(generated_rows(), overview.current), name, currency)
        previous = oracle.total(within(generated_rows(), overview.previous), name, currency)
        assert (total.current, total.missing_rows) == (current.amount, current.missing)
        assert total.previous == previous.amount


@pytest.mark.parametrize("metric", Metric)
@pytest.mark.parametrize("name", ["sample", "generated"])
def test_services_add_up_to_the_totals_and_series_to_the_services(
    stored: dict[str, Dataset], name: str, metric: Metric
) -> None:
    overview = shown(stored[name], metric)
    total = next(one for one in overview.totals if one.metric is metric)
    add = oracle.EXACT.add
    current = Decimal(0)
    for row in overview.services:
        current = add(current, row.current)
    assert current == total.current
    for place in range(len(overview.buckets)):
        drawn = listed = Decimal(0)
        for series in overview.series:
            drawn = add(drawn, series.values[place])
        for row in overview.services:
            listed = add(listed, row.trend[place])
        assert drawn == listed


def test_the_largest_seven_services_have_a_series_and_the_rest_is_other(
    stored: dict[str, Dataset],
) -> None:
    overview = shown(stored["generated"])
    assert [series.other for series in overview.series] == [False] * 7 + [True]
    largest = [row.service for row in overview.services[:7]]
    assert [series.name for series in overview.series[:7]] == largest
    assert [row.colour for row in overview.services] == [*range(7), *[OTHER_COLOUR] * 3]
    totals = [row.total for row in overview.services]
    assert totals == sorted(totals, reverse=True)


def test_rows_without_a_service_are_a_service_without_a_name() -> None:
    dataset = build_all([charge(ANCHOR, "2", ServiceName=None), charge(ANCHOR, "3")])
    overview = shown(dataset)
    assert [(row.service, row.current) for row in overview.services] == [
        ("Compute", Decimal(3)),
        (None, Decimal(2)),
    ]


def test_month_to_date_is_compared_with_the_same_days_of_the_month_before() -> None:
    days = [date(2026, 9, 20), date(2026, 9, 21), date(2026, 10, 1), ANCHOR]
    dataset = build_all(charge(day, str(10**n)) for n, day in enumerate(days))
    overview = shown(dataset)
    billed = overview.totals[0]
    assert (billed.current, billed.previous) == (Decimal(1100), Decimal(1))
    assert billed.change == Decimal(1099)
    assert overview.services[0].change == Decimal(1099)


def test_all_of_march_is_compared_with_all_of_february() -> None:
    days = [
        date(2026, 1, 31),
        date(2026, 2, 1),
        date(2026, 2, 28),
        date(2026, 3, 1),
        date(2026, 3, 31),
    ]
    overview = shown(build_all(charge(day, str(10**n)) for n, day in enumerate(days)))
    assert overview.previous == Period(date(2026, 2, 1), date(2026, 3, 1))
    assert overview.totals[0].previous == Decimal(110)
    assert overview.totals[0].current == Decimal(11000)


def test_nothing_before_is_not_zero_before() -> None:
    new = shown(build_all([charge(ANCHOR)], "new")).totals[0]
    assert (new.previous, new.change) == (None, None)
    long_gap = [charge(ANCHOR), charge(date(2026, 1, 1))]
    paused = shown(build_all(long_gap, "paused")).totals[0]
    assert (paused.previous, paused.change) == (Decimal(0), None)


def test_more_cost_than_a_net_credit_is_a_rise() -> None:
    rows = [charge(ANCHOR, "1"), charge(date(2026, 9, 1), "-2")]
    assert shown(build_all(rows)).totals[0].change == Decimal("1.5")


def test_by_day_up_to_62_days_then_by_month() -> None:
    for days, grain, buckets in ((62, "day", 62), (63, "month", 3)):
        rows = [charge(ANCHOR), charge(ANCHOR - DAY * (days - 1))]
        overview = shown(build_all(rows, f"span-{days}"))
        assert (overview.grain, len(overview.buckets)) == (grain, buckets)


def test_currencies_are_never_added_and_the_one_with_most_rows_comes_first() -> None:
    rows = [
        charge(ANCHOR, "5", BillingCurrency="USD"),
        charge(ANCHOR, "1"),
        charge(ANCHOR, "2"),
        charge(ANCHOR, "7", BillingCurrency=None),
    ]
    dataset = build_all(rows)
    overview = shown(dataset)
    assert overview.currencies == ("EUR", "USD", "XXX")
    assert {c: shown(dataset, currency=c).totals[0].current for c in overview.currencies} == {
        "EUR": Decimal(3),
        "USD": Decimal(5),
        "XXX": Decimal(7),
    }
    assert {c: shown(dataset, currency=c).rows for c in overview.currencies} == {
        "EUR": 2, "USD": 1, "XXX": 1,
    }  # fmt: skip


def test_an_unknown_currency_and_an_empty_data_set_are_told_apart() -> None:
    with pytest.raises(UnknownCurrency, match=r"you see: EUR\."):
        shown(build_all([charge(ANCHOR)]), currency="GBP")
    with pytest.raises(NoCostData, match="no charges yet"):
        shown(Dataset.objects.create(name="empty", flow="empty"))


def test_a_day_published_again_counts_once_though_its_months_file_still_holds_it() -> None:
    dataset = Dataset.objects.create(name="costs", flow="flow")
    source = MemorySource([charge(ANCHOR - DAY, "1"), charge(ANCHOR, "2")])
    builder(dataset, source).build(source.days())
    source.rows[0] = charge(ANCHOR - DAY, "10", ServiceName="New")
    builder(dataset, source).build([ANCHOR - DAY])
    dataset.refresh_from_db()
    overview = shown(dataset)
    assert {row.service: row.trend for row in overview.services} == {
        "New": (Decimal(10), Decimal(0)),
        "Compute": (Decimal(0), Decimal(2)),
    }


def test_a_new_version_shows_at_once_and_an_old_one_is_not_computed_again() -> None:
    dataset = Dataset.objects.create(name="costs", flow="flow")
    source = MemorySource([charge(ANCHOR, "1")])
    builder(dataset, source).build([ANCHOR])
    dataset.refresh_from_db()
    first = shown(dataset)
    assert shown(dataset) is first
    source.rows.append(charge(ANCHOR, "2"))
    builder(dataset, source).build([ANCHOR])
    dataset.refresh_from_db()
    second = shown(dataset)
    assert (second.totals[0].current, second.version) == (Decimal(3), first.version + 1)


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview_module, "_CACHED", 2)
    dataset = build_all([charge(ANCHOR)])
    first = shown(dataset, Metric.BILLED)
    for metric in (Metric.EFFECTIVE, Metric.LIST):
        shown(dataset, metric)
    assert shown(dataset, Metric.BILLED) is not first
