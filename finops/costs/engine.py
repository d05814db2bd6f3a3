"""DuckDB in the process: bounded memory, bounded threads, a time limit for every query."""

import atexit
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import duckdb
from django.conf import settings

from finops.segments.store import SegmentStore


class CostQueryFailed(Exception):
    """A query over segments gave no answer. ``heading`` and ``advice`` are for the page of it."""

    heading = "There is no answer at the moment"
    advice = "It is usually back within a minute. If not, tell an administrator."


class QueryTooLong(CostQueryFailed):
    """It reached the time limit."""

    heading = "This question takes too long"
    advice = (
        "Choose a shorter period, fewer groups, or a filter. When many people ask at once, the same"
        " question may be answered a minute later. An administrator can raise DUCKDB_QUERY_TIMEOUT."
    )


class QueryTooLarge(CostQueryFailed):
    """It needed more memory than DuckDB may have."""

    heading = "This question needs too much memory"
    advice = (
        "Group by something with fewer values, or choose a shorter period or a filter. An"
        " administrator can raise DUCKDB_MEMORY_LIMIT."
    )


class Watch:
    """Interrupts what takes longer than ``timeout`` (seconds), by one thread for all queries.

    Each query has the same time, so a thread that sleeps no longer than that need not be woken for
    one that begins meanwhile: a query costs two entries in a dictionary, and no thread of its own.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._deadlines: dict[object, tuple[float, duckdb.DuckDBPyConnection]] = {}
        self._wanted = threading.Condition()
        self._awake = False

    @contextmanager
    def over(self, cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Interrupt ``cursor`` if the block takes too long, and never afterwards."""
        key = object()
        with self._wanted:
            self._deadlines[key] = (time.monotonic() + self._timeout, cursor)
            if not self._awake:
                self._awake = True
                threading.Thread(target=self._work, name="query-watch", daemon=True).start()
        try:
            yield
        finally:
            with self._wanted:
                del self._deadlines[key]

    def _work(self) -> None:
        """Look when the next query's time is up; end after a time without any."""
        with self._wanted:
            while self._deadlines:
                now = time.monotonic()
                for deadline, cursor in self._deadlines.values():
                    if deadline <= now:
                        cursor.interrupt()
                ahead = [at - now for at, _ in self._deadlines.values() if at > now]
                # One that was interrupted and goes on is interrupted again.
                self._wanted.wait(min(ahead, default=min(self._timeout, 0.1)))
                if not self._deadlines:
                    self._wanted.wait(self._timeout)
            self._awake = False


class Engine:
    """One in-memory database for a process; each thread has a cursor of its own."""

    def __init__(self, store: SegmentStore, *, timeout: float) -> None:
        """``timeout`` is the limit for one query, in seconds."""
        self.store = store
        self._timeout = timeout
        self._watch = Watch(timeout)
        self._local = threading.local()
        self._connection = _connect(store)

    def fetch(self, sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All rows of a query. Raises CostQueryFailed or its subclasses."""
        cursor = self._cursor()
        try:
            with self._watch.over(cursor):
                return cursor.execute(sql, dict(parameters)).fetchall()
        except duckdb.InterruptException as error:
            raise QueryTooLong(
                f"The query took longer than {self._timeout:g} s and was stopped."
            ) from error
        except duckdb.OutOfMemoryException as error:
            raise QueryTooLarge(
                f"The query needs more memory than DUCKDB_MEMORY_LIMIT"
                f" ({settings.DUCKDB_MEMORY_LIMIT}) allows."
            ) from error
        except duckdb.Error as error:
            if isinstance(error, duckdb.IOException):
                self.store.look_again()  # whoever asks next is told which file is missing
            # DuckDB's own words may quote cost data: they stay with the cause.
            raise CostQueryFailed(f"DuckDB refused the query: {type(error).__name__}.") from error

    def close(self) -> None:
        """Give the memory back. Cursors of other threads end with it."""
        self._connection.close()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        cursor: duckdb.DuckDBPyConnection | None = getattr(self._local, "cursor", None)
        if cursor is None:
            cursor = self._local.cursor = self._connection.cursor()
        return cursor


def _connect(store: SegmentStore) -> duckdb.DuckDBPyConnection:
    spill = settings.SEGMENT_CACHE_DIR / "spill" / str(os.getpid())
    spill.parent.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": settings.DUCKDB_MEMORY_LIMIT,
            "threads": settings.DUCKDB_THREADS,
            "temp_directory": str(spill),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
        },
    )
    folders = ", ".join(f"'{_quoted(str(folder))}'" for folder in store.folders)
    # No SQL, whatever slips into it, reads another file, reaches a network or undoes this.
    connection.execute(f"SET allowed_directories = [{folders}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _quoted(text: str) -> str:
    return text.replace("'", "''")


_lock = threading.Lock()
_engines: dict[int, Engine] = {}


def engine() -> Engine:
    """The process's engine. A forked child gets its own: threads do not survive a fork.

    The parent's stays referred to in the child, for its destructor would wait for those threads.
    """
    pid = os.getpid()
    with _lock:
        found = _engines.get(pid)
        if found is None:
            found = Engine(SegmentStore(), timeout=settings.DUCKDB_QUERY_TIMEOUT)
            _engines[pid] = found
            atexit.register(_close, pid)
    return found


def _close(pid: int) -> None:
    """At the process's end, and not in its children's: DuckDB's spilled files go with it."""
    if pid == os.getpid():
        _engines.pop(pid).close()
