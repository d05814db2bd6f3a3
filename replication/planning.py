"""Where a collection is cut into parts, so that several workers can copy it at once."""

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pymongo
import structlog
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.errors import ExecutionTimeout, NetworkTimeout, OperationFailure

from replication.errors import describe
from replication.spans import BRACKETS, EVERY_BRACKET, Span, bracket_of, is_nan

log = structlog.get_logger(__name__)

_SAMPLES_PER_PART = 10
_SAMPLE_SECONDS = 30.0
_COPIED_PER_SECOND = 50_000  # about; for a guess at what a copy takes
_ONLY_ID = {"_id": 1}


@dataclass(frozen=True)
class Splitting:
    """How many parts a collection is worth.

    A server that does not plan ranges of ``_id`` reads everything to open each of them, so
    ``opening`` bounds which share of the copy's time that may take.
    """

    documents: int = 200_000  # in each, about
    most: int = 256
    opening: float = 0.1


def plan_spans(
    source: Collection[RawBSONDocument], total: int, splitting: Splitting
) -> Sequence[Span]:
    """Return spans that together hold every document that is in ``source`` now, about ``total``.

    They need not hold what comes later: the stream has begun before. Where the source does not
    help to find limits there is one span of everything.

    Raises:
        PyMongoError: the source does not answer at all.
    """
    count = min(splitting.most, total // splitting.documents)
    if count <= 1:
        return [Span()]
    began = time.monotonic()
    first, last = _end(source, {}, 1), _end(source, {}, -1)
    if first is None or last is None:
        return [Span()]
    look = (time.monotonic() - began) / 2
    affordable = splitting.opening * total / _COPIED_PER_SECOND / max(look, 1e-6)
    count = min(count, int(affordable) + 1)
    if count <= 1:
        log.info("snapshot_in_one_part", seconds_to_open_a_range=round(look, 3))
        return [Span()]
    try:
        with pymongo.timeout(_SAMPLE_SECONDS):
            limits = _limits(source, count)
            brackets = _brackets(source, first, last)
    except (OperationFailure, ExecutionTimeout, NetworkTimeout) as error:
        log.warning("snapshot_in_one_part", error=describe(error))
        return [Span()]
    edges = [None, *limits, None]
    return [Span(lower, upper, brackets) for lower, upper in itertools.pairwise(edges)]


def beyond_brackets(span: Span) -> Span:
    """Return the span with keys of every type in it, those that the source lacks too."""
    return replace(span, brackets=EVERY_BRACKET)


def _limits(source: Collection[RawBSONDocument], count: int) -> list[bytes]:
    """Return at most ``count - 1`` keys, about as many documents apart from one another."""
    # The server sorts them, as only it knows the collection's order for certain.
    samples = source.aggregate(
        [
            {"$sample": {"size": count * _SAMPLES_PER_PART}},
            {"$project": _ONLY_ID},
            {"$sort": {"_id": 1}},
        ]
    )
    keys = [bytes(sample.raw) for sample in samples]
    keys = [key for key in dict.fromkeys(keys) if not is_nan(key)]
    chosen = [keys[len(keys) * number // count] for number in range(1, count) if keys]
    return list(dict.fromkeys(chosen))


def _brackets(source: Collection[RawBSONDocument], first: bytes, last: bytes) -> tuple[int, ...]:
    """Return which brackets of types there are: almost always one, which costs nothing."""
    found = [bracket_of(first)]
    while found[-1] < bracket_of(last):
        higher = [name for names in BRACKETS[found[-1] + 1 :] for name in names]
        key = _end(source, {"_id": {"$type": higher}}, 1)
        if key is None:  # it was removed meanwhile
            break
        found.append(bracket_of(key))
    return tuple(found)


def _end(
    source: Collection[RawBSONDocument], chosen: Mapping[str, Any], direction: int
) -> bytes | None:
    """Return the first or last key among the documents that match."""
    with source.find(chosen, _ONLY_ID).sort("_id", direction).limit(1) as cursor:
        return next((bytes(document.raw) for document in cursor), None)
