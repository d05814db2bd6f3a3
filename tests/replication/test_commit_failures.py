"""A commit is repeated until it is certain that it happened, once."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from bson import Binary
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import OperationFailure, PyMongoError

from replication.errors import NoTransactions, TooMuchAtOnce
from replication.position import MongoTracker, Position, control_database
from replication.transactions import FencedTransactions
from tests.replication.running import Document, Flow, raw, running

UNKNOWN = "UnknownTransactionCommitResult"
TRANSIENT = "TransientTransactionError"


@pytest.fixture
def rows(mongo: MongoClient[Document]) -> Collection[Document]:
    return mongo["commits"][uuid4().hex]


@pytest.fixture
def session(mongo: MongoClient[Document]) -> Iterator[ClientSession]:
    with mongo.start_session() as session:
        yield session


@pytest.fixture
def failures() -> list[int | None]:
    """The codes of what was tried again."""
    return []


@pytest.fixture
def transactions(
    mongo: MongoClient[Document], session: ClientSession, failures: list[int | None]
) -> Callable[..., FencedTransactions[Position]]:
    def build(predecessors: tuple[Binary, ...] = ()) -> FencedTransactions[Position]:
        tracker, key = MongoTracker(control_database(mongo)), str(uuid4())
        tracker.ensure(key, uuid4())
        return FencedTransactions(
            session,
            tracker,
            tracker.take_over(key, 1),
            predecessors=predecessors,
            pause=lambda _attempt, error: failures.append(getattr(error, "code", None)),
        )

    return build


@pytest.fixture
def fail(mongo: MongoClient[Document]) -> Iterator[Callable[..., None]]:
    """Let the server fail commands."""

    def set_failure(command: str, code: int, *labels: str, times: int = 1) -> None:
        mongo.admin.command(
            {
                "configureFailPoint": "failCommand",
                "mode": {"times": times},
                "data": {
                    "failCommands": [command],
                    "errorCode": code,
                    "errorLabels": list(labels),
                },
            }
        )

    yield set_failure
    mongo.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


def answer_lost(session: ClientSession, error: PyMongoError) -> None:
    """Let the session's next commit happen, and fail."""
    commit: Any = session.commit_transaction

    def lose() -> None:
        setattr(session, "commit_transaction", commit)  # noqa: B010 - mypy forbids to assign it
        commit()
        raise error

    setattr(session, "commit_transaction", lose)  # noqa: B010


def add(rows: Collection[Document]) -> Callable[[ClientSession | None], None]:
    """Work that leaves a trace each time that it counts."""

    def work(session: ClientSession | None) -> None:
        rows.update_one({"_id": 1}, {"$inc": {"times": 1}}, upsert=True, session=session)

    return work


@pytest.mark.parametrize("code", [50, 64, 91, 11602])
def test_a_commit_of_unknown_result_that_happened_is_not_repeated(
    transactions: Callable[..., FencedTransactions[Position]],
    session: ClientSession,
    rows: Collection[Document],
    failures: list[int | None],
    code: int,
) -> None:
    commits = transactions()
    answer_lost(session, OperationFailure("x", code, {"errorLabels": [UNKNOWN]}))
    commits.run(add(rows), {"events": 1})
    assert rows.find_one() == {"_id": 1, "times": 1}
    assert (commits.position.batch, commits.position.events) == (1, 1)
    assert failures == [code]
    commits.run(add(rows), {"events": 2})
    assert rows.find_one() == {"_id": 1, "times": 2}


def test_a_commit_of_unknown_result_that_did_not_happen_is_repeated(
    transactions: Callable[..., FencedTransactions[Position]],
    rows: Collection[Document],
    fail: Callable[..., None],
    failures: list[int | None],
) -> None:
    commits = transactions()
    fail("commitTransaction", 50, UNKNOWN, times=4)
    commits.run(add(rows), {"events": 1})
    assert rows.find_one() == {"_id": 1, "times": 1}
    assert commits.position.batch == 1
    # Never in smaller pieces, however busy the server is: the commit may still happen.
    assert set(failures) == {50}


def test_work_whose_session_is_ended_is_done_again(
    transactions: Callable[..., FencedTransactions[Position]],
    mongo: MongoClient[Document],
    rows: Collection[Document],
    failures: list[int | None],
) -> None:
    commits = transactions()

    def work(session: ClientSession | None) -> None:
        assert session is not None
        add(rows)(session)
        if not failures:
            mongo.admin.command({"killSessions": [{"id": session.session_id["id"]}]})

    commits.run(work, {"events": 1})
    assert rows.find_one() == {"_id": 1, "times": 1}
    assert failures == [251]


def test_what_a_dead_owner_left_open_is_ended_at_the_conflict_with_it(
    transactions: Callable[..., FencedTransactions[Position]],
    mongo: MongoClient[Document],
    rows: Collection[Document],
    failures: list[int | None],
) -> None:
    rows.insert_one({"_id": 1, "times": 0})
    with mongo.start_session() as dead:
        dead.start_transaction()
        rows.update_one({"_id": 1}, {"$set": {"times": 70}}, session=dead)
        commits = transactions(predecessors=(dead.session_id["id"],))
        commits.run(add(rows), {"events": 1})
        with pytest.raises(OperationFailure):
            dead.commit_transaction()
    assert rows.find_one() == {"_id": 1, "times": 1}
    assert failures == [112]


@pytest.mark.parametrize(
    ("command", "code", "times"),
    [("commitTransaction", 388, 1), ("commitTransaction", 257, 1), ("update", 16500, 3)],
)
def test_what_is_too_much_is_told_apart_and_undone(
    transactions: Callable[..., FencedTransactions[Position]],
    rows: Collection[Document],
    fail: Callable[..., None],
    command: str,
    code: int,
    times: int,
) -> None:
    commits = transactions()
    fail(command, code, times=times)
    with pytest.raises(TooMuchAtOnce):
        commits.run(add(rows), {"events": 1})
    assert rows.find_one() is None
    assert commits.position.batch == 0
    commits.run(add(rows), {"events": 1})
    assert rows.find_one() == {"_id": 1, "times": 1}


def test_a_flow_goes_on_in_halves_where_a_transaction_is_too_large(
    flow: Flow, fail: Callable[..., None]
) -> None:
    with running(flow):
        flow.wait_until_consistent()
        fail("commitTransaction", 388, times=2)
        flow.source.insert_many([{"_id": n} for n in range(20)])
        flow.wait_for_events(20)
    assert raw(flow.copy) == raw(flow.source)
    assert flow.events() == 20


def test_a_destination_without_transactions_is_told_what_to_do(
    transactions: Callable[..., FencedTransactions[Position]],
    rows: Collection[Document],
    fail: Callable[..., None],
) -> None:
    commits = transactions()
    fail("update", 20)
    with pytest.raises(NoTransactions, match="write mode 'Guarded'"):
        commits.run(add(rows), {"events": 1})
