"""What a reader is told of the data's way to the page, and that it never fails a page."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest
from django.core.cache import cache

from accounts.scopes import Scope
from finops.freshness import Condition, Freshness, age, dataset_freshness, freshness_of
from finops.models import Dataset
from replication.status import FlowState, FlowStatus
from tests.finops.cost_documents import build_all, charge
from tests.finops.flows import FakeFlow, status
from tests.finops.imports import imported

DAY = date(2026, 10, 20)
LATE = timedelta(minutes=7)


def judged(found: FlowStatus, latest_day: date | None = DAY) -> Freshness:
    return freshness_of(found, latest_day=latest_day, now=datetime.now(UTC))


@pytest.mark.parametrize(
    ("found", "condition"),
    [
        (partial(status), Condition.CURRENT),
        (partial(status, waiting=timedelta(seconds=2)), Condition.CURRENT),
        (partial(status, waiting=LATE), Condition.PUBLISHING),
        (partial(status, behind=LATE, waiting=LATE), Condition.LAGGING),
        (partial(status, behind=LATE), Condition.LAGGING),
        (partial(status, behind=None), Condition.LAGGING),
        (partial(status, error="the worker retries"), Condition.CURRENT),
        (partial(status, FlowState.WAITING), Condition.CURRENT),
        (partial(status, FlowState.WAITING, behind=LATE), Condition.WAITING),
        (partial(status, FlowState.WAITING, behind=None, error="no answer"), Condition.UNKNOWN),
        (partial(status, FlowState.SNAPSHOT, behind=None, copied=12_000), Condition.COPYING),
        (partial(status, FlowState.FAILED, error="history lost"), Condition.STOPPED),
        (partial(status, FlowState.DISABLED), Condition.OFF),
    ],
)
def test_conditions(found: Callable[[], FlowStatus], condition: Condition) -> None:
    assert judged(found()).condition is condition


def test_fresh_data_needs_no_notice() -> None:
    fresh = judged(status())
    assert fresh.notice is None
    assert (fresh.data, fresh.replication) == ("Data to 20 Oct 2026", "replicated 3 s ago")


@pytest.mark.parametrize(
    "found",
    [
        partial(status, behind=LATE),
        partial(status, waiting=LATE),
        partial(status, FlowState.WAITING, behind=None),
        partial(status, FlowState.WAITING, behind=None, error="no answer"),
        partial(status, FlowState.SNAPSHOT, behind=None),
        partial(status, FlowState.FAILED),
        partial(status, FlowState.DISABLED),
    ],
)
def test_everything_else_gets_one(found: Callable[[], FlowStatus]) -> None:
    notice = judged(found()).notice
    assert notice is not None
    assert notice.title


def test_charges_that_are_not_shown_yet_are_told_with_their_age() -> None:
    notice = judged(status(waiting=LATE)).notice
    assert notice is not None
    assert "arrived 7 min ago" in notice.detail


def test_an_import_that_is_arriving_is_told_unless_there_is_worse() -> None:
    months = ("Oct 2026", "Sep 2026")
    now = datetime.now(UTC)
    told = freshness_of(status(waiting=LATE), latest_day=DAY, now=now, importing=months)
    assert told.notice is not None
    assert "Its months (Oct 2026, Sep 2026) change here at once" in told.notice.detail
    stopped = freshness_of(status(FlowState.FAILED), latest_day=DAY, now=now, importing=months)
    assert stopped.condition is Condition.STOPPED


def test_a_copy_shows_its_progress() -> None:
    notice = judged(status(FlowState.SNAPSHOT, behind=None, copied=12_000)).notice
    assert notice is not None
    assert notice.progress == "12,000 of 50,000 rows are here."


def test_a_copy_of_unknown_length_shows_none() -> None:
    notice = judged(status(FlowState.SNAPSHOT, behind=None, copied=None)).notice
    assert notice is not None
    assert notice.progress == ""


def test_a_lag_is_named() -> None:
    notice = judged(status(behind=LATE)).notice
    assert notice is not None
    assert notice.detail == "The copy is 7 min old."


def test_before_the_first_day_there_is_no_data() -> None:
    assert judged(status(), latest_day=None).data == "No data yet"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (3.9, "3 s"), (60, "1 min"), (7200, "2 h"), (86400 * 3, "3 days")],
)
def test_ages(seconds: float, text: str) -> None:
    assert age(timedelta(seconds=seconds)) == text


@pytest.fixture
def flow(monkeypatch: pytest.MonkeyPatch) -> FakeFlow:
    fake = FakeFlow(status())
    monkeypatch.setattr("finops.freshness.flow_status", fake)
    cache.clear()
    return fake


@pytest.mark.django_db
def test_the_latest_charge_day_comes_from_the_segments(flow: FakeFlow) -> None:
    dataset = build_all([charge(DAY), charge(date(2026, 9, 3))])
    assert dataset_freshness(dataset).latest_day == DAY


@pytest.mark.django_db
def test_pages_of_one_second_share_an_answer(flow: FakeFlow) -> None:
    dataset = Dataset.objects.create(name="costs", flow="flow")
    assert dataset_freshness(dataset) == dataset_freshness(dataset)
    assert flow.asked == 1


@pytest.mark.django_db
@pytest.mark.parametrize("failure", [None, RuntimeError("driver"), OSError("network")])
def test_no_failure_reaches_the_page(flow: FakeFlow, failure: Exception | None) -> None:
    flow.answer = failure
    fresh = dataset_freshness(Dataset.objects.create(name="costs", flow="flow"))
    assert fresh.condition is Condition.UNKNOWN
    assert fresh.notice is not None
    assert fresh.notice.error


@pytest.mark.django_db
def test_months_that_are_arriving_are_named_to_those_who_see_all_rows(flow: FakeFlow) -> None:
    dataset = build_all([charge(DAY, SubAccountId="a")])
    imported(dataset, run="new", settled_run="old")
    assert dataset_freshness(dataset).importing == ("Sep 2026",)
    scoped = dataset_freshness(dataset, Scope.of(["a"]))
    assert (scoped.condition, scoped.importing) == (Condition.IMPORTING, ())
    assert scoped.notice is not None
    assert "Its months change here" in scoped.notice.detail
