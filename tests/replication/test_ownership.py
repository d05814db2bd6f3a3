"""A lease has one owner at a time, and a position only takes what its owner commits in order."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from bson import Binary
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import AutoReconnect, OperationFailure

from replication.errors import Fenced, PoisonEvent
from replication.lease import LeaseKeeper, Leases
from replication.position import MongoTracker, Phase, Position, control_database
from replication.transactions import FencedTransactions, end_sessions, sliced
from tests.replication.running import Document
from tests.waiting import wait_until

FLOW = uuid4()
ONE, TWO, THREE = (Binary(bytes([number]) * 16, 4) for number in (1, 2, 3))


@pytest.fixture
def control(mongo: MongoClient[Document]) -> Database[dict[str, Any]]:
    return control_database(mongo)


@pytest.fixture
def key() -> str:
    return f"test/{uuid4()}"


@pytest.fixture
def leases(control: Database[dict[str, Any]]) -> Leases:
    return Leases(control, lifetime=timedelta(seconds=30))


def never(_attempt: int, error: BaseException) -> None:
    raise AssertionError(f"no second attempt was expected after {error!r}")


def test_only_one_takes_a_lease_until_it_is_released(leases: Leases, key: str) -> None:
    first = leases.acquire(key, FLOW, session=ONE, seed=4)
    assert first is not None
    assert (first.number, first.predecessors) == (5, ())
    assert leases.acquire(key, FLOW, session=TWO, seed=4) is None
    leases.release(first, error=None)
    second = leases.acquire(key, FLOW, session=TWO, seed=0)
    assert second is not None
    assert (second.number, second.predecessors) == (6, ())
    assert leases.states([key, "other"])[key].live


def test_who_leaves_in_trouble_names_a_session_that_may_have_something_open(
    leases: Leases, key: str
) -> None:
    first = leases.acquire(key, FLOW, session=ONE, seed=0)
    assert first is not None
    leases.release(first, error="why")
    assert leases.states([key])[key].error == "why"
    second = leases.acquire(key, FLOW, session=TWO, seed=0)
    assert second is not None
    assert second.predecessors == (ONE,)


def test_a_lease_that_expires_names_its_owners_sessions(
    control: Database[dict[str, Any]], key: str
) -> None:
    short = Leases(control, lifetime=timedelta(milliseconds=1))
    short.acquire(key, FLOW, session=ONE, seed=0)
    wait_until(lambda: not short.states([key])[key].live)
    short.acquire(key, FLOW, session=TWO, seed=0)
    wait_until(lambda: not short.states([key])[key].live)
    third = short.acquire(key, FLOW, session=THREE, seed=0)
    assert third is not None
    assert third.predecessors == (ONE, TWO)


def test_a_keeper_notices_that_it_was_succeeded_and_releases_nothing(
    control: Database[dict[str, Any]], leases: Leases, key: str
) -> None:
    quick = Leases(control, lifetime=timedelta(seconds=0.4))
    grant = quick.acquire(key, FLOW, session=ONE, seed=0)
    assert grant is not None
    with LeaseKeeper(quick, grant) as keeper:
        control["leases"].update_one({"_id": key}, {"$inc": {"number": 1}})
        wait_until(lambda: keeper.lost, what="the keeper knows")
        leases.renew(replace(grant, number=2), {})
    assert leases.states([key])[key].live


def test_a_position_moves_only_for_its_owner_and_in_order(
    control: Database[dict[str, Any]], key: str
) -> None:
    tracker = MongoTracker(control)
    tracker.ensure(key, FLOW)
    mine = tracker.take_over(key, 3)
    assert tracker.advance(mine, {"events": 7, "phase": Phase.STREAM})
    assert not tracker.advance(mine, {"events": 9})
    now = tracker.after_refusal(mine)
    assert (now.batch, now.events, now.phase) == (1, 7, Phase.STREAM)
    tracker.take_over(key, 4)
    assert not tracker.advance(now, {"events": 9})
    with pytest.raises(Fenced):
        tracker.after_refusal(now)
    with pytest.raises(Fenced):
        tracker.take_over(key, 3)


@pytest.fixture
def new_transactions(
    mongo: MongoClient[Document], control: Database[dict[str, Any]], key: str
) -> Callable[[int], FencedTransactions[Position]]:
    tracker = MongoTracker(control)
    tracker.ensure(key, FLOW)
    return lambda epoch: FencedTransactions(
        mongo.start_session(), tracker, tracker.take_over(key, epoch), pause=never
    )


def test_who_was_succeeded_commits_nothing(
    mongo: MongoClient[Document],
    new_transactions: Callable[[int], FencedTransactions[Position]],
    key: str,
) -> None:
    rows = mongo["ownership"]["rows"]
    old = new_transactions(1)
    new = new_transactions(2)
    with pytest.raises(Fenced):
        old.run(lambda session: _insert(rows, {"_id": key}, session), {"events": 1})
    assert rows.find_one({"_id": key}) is None
    new.run(lambda session: _insert(rows, {"_id": key}, session), {"events": 1})
    assert rows.find_one({"_id": key})
    assert (new.position.batch, new.position.events) == (1, 1)


def test_a_poison_document_aborts_everything(
    mongo: MongoClient[Document],
    new_transactions: Callable[[int], FencedTransactions[Position]],
    key: str,
) -> None:
    rows = mongo["ownership"]["rows"]
    transactions = new_transactions(1)

    def work(session: object) -> None:
        _insert(rows, {"_id": key}, session)
        raise OperationFailure("duplicate of {secret}", 11000)

    with pytest.raises(PoisonEvent) as error:
        transactions.run(work, {})
    assert error.value.code == 11000
    assert "secret" not in str(error.value)
    assert rows.find_one({"_id": key}) is None
    assert transactions.position.batch == 0


def _insert(rows: Any, document: Document, session: Any) -> None:
    rows.insert_one(document, session=session)


def test_a_dead_owners_open_transaction_is_ended(mongo: MongoClient[Document], key: str) -> None:
    rows = mongo["ownership"]["rows"]
    rows.insert_one({"_id": key, "v": 1})
    with mongo.start_session() as dead:
        dead.start_transaction()
        rows.update_one({"_id": key}, {"$set": {"v": 2}}, session=dead)
        end_sessions(mongo, [dead.session_id["id"]])
        rows.update_one({"_id": key}, {"$set": {"v": 3}})
        with pytest.raises(OperationFailure):
            dead.commit_transaction()
    assert rows.find_one({"_id": key}) == {"_id": key, "v": 3}


class LosesAnswers(MongoTracker):
    """Its first update is done, and its answer is lost."""

    lost = False

    def advance(self, *arguments: Any, **options: Any) -> bool:
        done = super().advance(*arguments, **options)
        if not self.lost:
            self.lost = True
            raise AutoReconnect("the answer was lost")
        return done


def test_a_commit_after_a_save_whose_answer_was_lost_is_not_taken_for_done(
    mongo: MongoClient[Document], control: Database[dict[str, Any]], key: str
) -> None:
    rows, tracker = mongo["ownership"]["rows"], LosesAnswers(control)
    tracker.ensure(key, FLOW)
    pauses: list[int] = []
    with mongo.start_session() as session:
        transactions = FencedTransactions(
            session,
            tracker,
            tracker.take_over(key, 1),
            pause=lambda attempt, _error: pauses.append(attempt),
        )
        transactions.save({"position_at": None})
        transactions.run(lambda session: _insert(rows, {"_id": key}, session), {"events": 1})
    assert pauses == [1]
    assert rows.find_one({"_id": key})
    assert (transactions.position.batch, transactions.position.events) == (2, 1)


def test_statements_are_cut_by_count_and_by_size() -> None:
    assert [len(part) for part in sliced((1, n) for n in range(2500))] == [1000, 1000, 500]
    assert [len(part) for part in sliced((6_000_000, n) for n in range(5))] == [2, 2, 1]
    assert list(sliced(())) == []
    counts = iter([1, 3, 2])
    assert [len(part) for part in sliced(((1, n) for n in range(5)), lambda: next(counts))] == [
        1,
        3,
        1,
    ]
