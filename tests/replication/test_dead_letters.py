"""A document that the destination refuses for good is set aside, and nothing else waits for it."""

from collections.abc import Callable
from typing import Any

import bson
import pytest
from pymongo import MongoClient
from structlog.testing import capture_logs

from replication.dead_letters import DeadLetters
from replication.position import control_database
from tests.replication.running import Document, Flow, raw, running
from tests.waiting import wait_until


@pytest.fixture
def letters(mongo: MongoClient[Document]) -> DeadLetters:
    return DeadLetters(control_database(mongo))


@pytest.fixture
def strict(flow: Flow) -> Flow:
    """A flow whose copy takes documents with different names only."""
    flow.copy.create_index("Name", unique=True)
    flow.source.insert_many([{"_id": n, "Name": f"name-{n}"} for n in range(10)])
    return flow


def refused(flow: Flow) -> set[Any]:
    letters = DeadLetters(control_database(flow.clients["destination"]))
    return {letter.document_id for letter in letters.of_flow(flow.id, 100)}


def test_a_refused_document_becomes_a_letter_and_the_others_are_copied(
    strict: Flow, letters: DeadLetters
) -> None:
    with capture_logs() as logs, running(strict):
        strict.wait_until_consistent()
        strict.source.insert_many([{"_id": n, "Name": "canary-77aa"} for n in (50, 51, 52)])
        strict.source.insert_one({"_id": 60, "Name": "fine"})
        strict.wait_for_events(4)
        wait_until(lambda: letters.count(strict.id) == 2, what="both letters are there")
    (first, second) = letters.of_flow(strict.id, 100)
    assert {first.document_id, second.document_id} < {50, 51, 52}
    assert (first.code, first.operation, first.attempts) == (11000, "write", 1)
    assert first.reason == "Another document of the copy has the same Name."
    assert len(raw(strict.copy)) == 12
    assert "dead_letters_written" in [entry["event"] for entry in logs]
    assert "canary" not in repr((logs, first))


def test_a_later_good_write_removes_the_letter(strict: Flow, letters: DeadLetters) -> None:
    with running(strict):
        strict.wait_until_consistent()
        strict.source.insert_many([{"_id": 50, "Name": "name-1"}, {"_id": 51, "Name": "name-2"}])
        wait_until(lambda: letters.count(strict.id) == 2, what="the letters are there")
        strict.source.update_one({"_id": 50}, {"$set": {"Name": "mine"}})
        strict.source.delete_one({"_id": 51})
        strict.wait_for_equal_sides()
        wait_until(lambda: letters.count(strict.id) == 0, what="the letters are gone")


def test_what_a_snapshot_cannot_copy_becomes_a_letter(strict: Flow, letters: DeadLetters) -> None:
    strict.source.insert_one({"_id": 50, "Name": "name-1"})
    with running(strict):
        strict.wait_until_consistent()
    (letter,) = letters.of_flow(strict.id, 100)
    assert letter.document_id in (1, 50)
    assert len(raw(strict.copy)) == 10


def test_letters_are_counted_asked_for_again_and_discarded(
    strict: Flow, letters: DeadLetters
) -> None:
    strict.source.insert_one({"_id": 50, "Name": "name-1"})
    with running(strict):
        strict.wait_until_consistent()
    (letter,) = letters.of_flow(strict.id, 100)
    assert letters.retry([letter.id]) == 1
    assert letters.of_flow(strict.id, 100)[0].retry
    assert letters.discard([letter.id]) == 1
    assert letters.count(strict.id) == 0


def test_values_that_change_places_at_once_are_no_reason_for_a_letter(
    strict: Flow, letters: DeadLetters
) -> None:
    with running(strict):
        strict.wait_until_consistent()
        client = strict.clients["source"]
        with client.start_session() as session, session.start_transaction():
            for key, name in ((1, "x"), (2, "name-1"), (1, "name-2")):
                strict.source.update_one({"_id": key}, {"$set": {"Name": name}}, session=session)
        strict.wait_for_events(3)
        strict.wait_for_equal_sides()
    assert letters.count(strict.id) == 0


def test_a_field_whose_name_begins_with_a_dollar_sign_is_copied_and_replaced(
    new_flow: Callable[..., Flow], letters: DeadLetters
) -> None:
    flow = new_flow()
    flow.source.insert_one({"_id": 1, "v": 1})
    with running(flow):
        flow.wait_until_consistent()
        dollar = {"_id": 1, "$set": 5}
        flow.source.delete_one({"_id": 1})
        flow.clients["source"][flow.source.database.name].command(
            {"insert": "rows", "documents": [dollar]}
        )
        flow.wait_for_events(2)
        flow.wait_for_equal_sides()
        assert list(raw(flow.copy).values()) == [bson.encode(dollar)]
    assert letters.count(flow.id) == 0


def test_another_attempt_that_was_asked_for_brings_the_document_as_it_is_now(
    strict: Flow, letters: DeadLetters
) -> None:
    strict.source.insert_one({"_id": 50, "Name": "name-1"})
    with running(strict):
        strict.wait_until_consistent()
        (letter,) = letters.of_flow(strict.id, 100)
        strict.copy.drop_index("Name_1")
        letters.retry([letter.id])
        strict.wait_for_equal_sides()
        wait_until(lambda: letters.count(strict.id) == 0, what="the letter is gone")
