"""DuckDB in the process is bounded in time, in memory and in what it can reach."""

import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from django.core.files.storage import FileSystemStorage
from pytest_django.fixtures import Settings

from finops.costs.engine import CostQueryFailed, Engine, QueryTooLarge, QueryTooLong
from finops.segments.store import SegmentFileMissing, SegmentStore
from tests.waiting import wait_until

ENDLESS = "SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b"


@pytest.fixture
def store(tmp_path: Path) -> SegmentStore:
    return SegmentStore(FileSystemStorage(tmp_path / "segments"))


@pytest.fixture
def engine(store: SegmentStore) -> Iterator[Engine]:
    engine = Engine(store, timeout=0.2)
    yield engine
    engine.close()


def test_a_query_that_takes_too_long_is_stopped_and_the_next_one_runs(engine: Engine) -> None:
    with pytest.raises(QueryTooLong, match=r"longer than 0\.2 s"):
        engine.fetch(ENDLESS, {})
    assert engine.fetch("SELECT 1 + $one", {"one": 1}) == [(2,)]


def test_each_thread_has_its_own_limit(engine: Engine) -> None:
    failures: list[Exception] = []

    def run_long() -> None:
        try:
            engine.fetch(ENDLESS, {})
        except QueryTooLong as error:
            failures.append(error)

    thread = threading.Thread(target=run_long)
    thread.start()
    while thread.is_alive():
        assert engine.fetch("SELECT 1", {}) == [(1,)]
    thread.join()
    assert len(failures) == 1


def test_a_query_that_needs_too_much_memory_is_refused(
    store: SegmentStore, settings: Settings
) -> None:
    settings.DUCKDB_MEMORY_LIMIT = "50MB"
    engine = Engine(store, timeout=60)
    with pytest.raises(QueryTooLarge, match="DUCKDB_MEMORY_LIMIT"):
        engine.fetch("SELECT list(range) FROM range(100000000)", {})
    engine.close()


def test_amounts_come_back_exact(store: SegmentStore, engine: Engine) -> None:
    exact = Decimal("12345678901234567890.123456789012345678")
    store.write("one.parquet", pa.table({"cost": pa.array([exact], pa.decimal128(38, 18))}))
    paths = store.read(["one.parquet"])
    found = engine.fetch("SELECT sum(cost) FROM read_parquet($paths)", {"paths": paths})
    assert found == [(exact,)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM read_parquet('https://example.com/a.parquet')",
        "COPY (SELECT 1) TO '/tmp/out.csv'",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "INSTALL httpfs",
    ],
)
def test_nothing_but_segments_is_within_reach(engine: Engine, sql: str) -> None:
    with pytest.raises(CostQueryFailed):
        engine.fetch(sql, {})


def test_a_file_that_is_lost_is_named_to_whoever_asks_next(
    store: SegmentStore, engine: Engine
) -> None:
    store.write("one.parquet", pa.table({"cost": [1]}))
    (path,) = store.read(["one.parquet"])
    Path(path).unlink()
    with pytest.raises(CostQueryFailed):
        engine.fetch("SELECT * FROM read_parquet($paths)", {"paths": store.read(["one.parquet"])})
    with pytest.raises(SegmentFileMissing, match=r"one\.parquet"):
        store.read(["one.parquet"])


def test_the_watch_stays_on_time_and_ends_when_nobody_asks(engine: Engine) -> None:
    before = set(threading.enumerate())

    def watches() -> int:
        return len([one for one in set(threading.enumerate()) - before if "watch" in one.name])

    engine.fetch("SELECT 1", {})
    assert watches() == 1
    # It sleeps for as long as the first query might have taken; this one begins meanwhile.
    with pytest.raises(QueryTooLong):
        engine.fetch(ENDLESS, {})
    engine.fetch("SELECT 1", {})
    assert watches() == 1
    wait_until(lambda: watches() == 0, what="it has ended")
    with pytest.raises(QueryTooLong):
        engine.fetch(ENDLESS, {})
