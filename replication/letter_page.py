"""Dead letters as administrators see them: which document and why, and nothing of what is in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pymongo
from bson import ObjectId, json_util
from bson.errors import InvalidId
from pymongo.errors import PyMongoError

from replication.dead_letters import DeadLetter, DeadLetters
from replication.errors import ReplicationError, describe
from replication.models import Flow
from replication.mongo import client_for
from replication.position import control_database

SHOWN = 200
_LOOK = 3.0  # seconds
_LONGEST = 120  # characters of an _id


class NotAsked(ReplicationError):
    """Nothing was done, and the message says why."""


@dataclass(frozen=True)
class Line:
    """One dead letter. ``at`` is aware (UTC)."""

    id: str
    collection: str
    document_id: str
    operation: str
    code: int
    reason: str
    attempts: int
    at: datetime
    retry: bool


@dataclass(frozen=True)
class LetterPage:
    """The oldest letters of a flow; ``problem`` where they could not be read."""

    lines: tuple[Line, ...] = ()
    total: int = 0
    problem: str = ""


def letters_of(flow: Flow) -> LetterPage:
    """Read the oldest letters of a flow, within 3 seconds."""
    try:
        with pymongo.timeout(_LOOK):
            letters = _letters(flow)
            found = letters.of_flow(flow.id, SHOWN)
            total = letters.count(flow.id) if len(found) == SHOWN else len(found)
    except (PyMongoError, ReplicationError) as error:
        return LetterPage(problem=f"The destination does not answer: {describe(error)}")
    return LetterPage(tuple(map(_line, found)), total)


def act_on(flow: Flow, action: str, ids: Sequence[str]) -> str:
    """Do what was asked with letters of a flow, and return what to tell.

    Raises:
        NotAsked: nothing was chosen, or the destination does not answer.
    """
    try:
        chosen = [ObjectId(each) for each in ids]
    except InvalidId:
        raise NotAsked("The list has changed meanwhile: choose again.") from None
    if not chosen:
        raise NotAsked("Choose at least one document.")
    try:
        with pymongo.timeout(_LOOK):
            letters = _letters(flow)
            own = {letter.id for letter in letters.of_flow(flow.id, SHOWN)}
            mine = [each for each in chosen if each in own]
            if action == "retry":
                return f"{letters.retry(mine)} will be tried again within seconds."
            if action == "discard":
                return f"{letters.discard(mine)} discarded: those copies stay as they are."
    except (PyMongoError, ReplicationError) as error:
        raise NotAsked(f"The destination does not answer: {describe(error)}") from None
    raise NotAsked("Choose what to do: try again, or discard.")


def _letters(flow: Flow) -> DeadLetters:
    return DeadLetters(control_database(client_for(flow.destination.name)))


def _line(letter: DeadLetter) -> Line:
    shown = json_util.dumps(letter.document_id, json_options=json_util.RELAXED_JSON_OPTIONS)
    return Line(
        id=str(letter.id),
        collection=letter.stream.rpartition("/")[2],
        document_id=shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…",
        operation=letter.operation,
        code=letter.code,
        reason=letter.reason,
        attempts=letter.attempts,
        at=letter.at,
        retry=letter.retry,
    )
