"""Whether a copy is what its source is: every document, byte by byte, or a sample of them.

Both sides are read once, in order of ``_id``, a batch at a time. Ranges whose digests differ are
looked into, and what they name is looked at again until it is certain (see ``settling``), so a
running flow raises no false alarm. A document that changes after its range was read is the
flow's business: verification speaks of the documents as it met them.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from pymongo.read_concern import ReadConcern

from replication.errors import ReplicationError
from replication.keys import id_of
from replication.mongo import Client
from replication.position import MongoTracker, control_database
from replication.progress import snapshot_progress
from replication.ranges import Kind, RangeDigest, differences, ranges
from replication.repairs import Repaired, Repairs
from replication.settling import FlowWatch, Pace, settle
from replication.sides import sides
from replication.spec import StreamSpec
from replication.streams import raw_collection

log = structlog.get_logger(__name__)

DOCUMENTS_PER_RANGE = 1_000
_SUSPECTS_AT_ONCE = 20_000  # _ids kept in memory before they are looked at again
_LISTED = 100
_TRIES = 6


class CopyNotWhole(ReplicationError):
    """The first copy, or a new one, is not finished: it would differ in all that is to come."""


@dataclass
class Verification:
    """What was found. ``listed`` holds the first differences, with the ``_id`` as the server's."""

    flow: str
    sample: bool = False
    running: bool = False  # somebody worked on the flow at the beginning
    source: RangeDigest = field(default_factory=RangeDigest)
    destination: RangeDigest = field(default_factory=RangeDigest)
    ranges: int = 0
    ranges_looked_into: int = 0
    rechecked: int = 0  # documents that were looked at again
    counts: Counter[Kind] = field(default_factory=Counter)
    listed: list[tuple[Kind, Any]] = field(default_factory=list)
    unsettled: int = 0  # documents that changed whenever they were looked at
    repaired: int = 0
    refused: int = 0  # by the destination, e.g. for a unique index
    seconds: float = 0.0

    @property
    def differences(self) -> int:
        """Certain differences, repaired ones included."""
        return self.counts.total()

    @property
    def remaining(self) -> int:
        """Certain differences that are still there."""
        return self.differences - self.repaired


class Verifier:
    """Compares the two sides of one flow, and repairs what differs if told to.

    ``on_progress`` is called with the number of the source's documents read so far.
    """

    def __init__(
        self,
        spec: StreamSpec,
        source: Client,
        destination: Client,
        *,
        repair: bool = False,
        pace: Pace | None = None,
        on_progress: Callable[[int], None] = lambda _read: None,
    ) -> None:
        self._pace = pace or Pace()
        majority = ReadConcern("majority")
        self._source = raw_collection(source, spec.source).with_options(read_concern=majority)
        self._copy = raw_collection(destination, spec.destination).with_options(
            read_concern=majority
        )
        self._sides = sides(spec, self._source, self._copy, "")
        self._spec = spec
        self._watch = FlowWatch(destination, spec, self._pace)
        self._control = control_database(destination)
        self._repairs = Repairs(self._source, destination, spec) if repair else None
        self._on_progress = on_progress
        self._result = Verification(spec.flow_name)

    def total(self) -> int:
        """Return about how many documents the source has."""
        return self._source.estimated_document_count()

    def verify_all(self) -> Verification:
        """Compare every document of both sides.

        Raises:
            CopyNotWhole: a snapshot is under way.
            CannotRepair: the flow gave no chance to.
            PyMongoError: a side does not answer.
        """
        began = self._begin(sample=False)
        result = self._result
        suspects: list[bytes] = []
        source, copy = self._sides
        for found in ranges(source.batches(), copy.batches()):
            left = RangeDigest.of(found.source)
            same = found.source == found.destination  # hashing costs more than comparing
            right = left if same else RangeDigest.of(found.destination)
            result.source += left
            result.destination += right
            result.ranges += 1
            if left != right:
                result.ranges_looked_into += 1
                suspects += (key for _kind, key in differences(found))
                if len(suspects) >= _SUSPECTS_AT_ONCE:
                    self._judge(suspects)
                    suspects = []
            self._on_progress(result.source.count)
        self._judge(suspects)
        result.seconds = time.monotonic() - began
        return result

    def verify_sample(self, size: int) -> Verification:
        """Compare ``size`` documents that the source chooses at random; raises as above.

        It cannot find what only the destination has.
        """
        began = self._begin(sample=True)
        keys = self._sides[0].sample(size)
        self._judge(list(keys))
        self._result.source = RangeDigest(count=len(keys))
        self._on_progress(len(keys))
        self._result.seconds = time.monotonic() - began
        return self._result

    def _begin(self, *, sample: bool) -> float:
        progress = snapshot_progress(self._control, self._spec.key)
        if progress is not None:
            raise CopyNotWhole(
                f"The flow {self._spec.flow_name!r} is taking a snapshot"
                f" ({progress.copied:,} of about {progress.total:,}): verify when it is finished."
            )
        position = MongoTracker(self._control).load(self._spec.key)
        guarantee = position.guarantee if position else ""
        self._sides = sides(self._spec, self._source, self._copy, guarantee)
        self._result = Verification(
            self._spec.flow_name, sample=sample, running=self._watch.running()
        )
        return time.monotonic()

    def _judge(self, suspects: Sequence[bytes]) -> None:
        if not suspects:
            return
        result = self._result
        settled = settle(
            suspects,
            *self._sides,
            self._watch.wait_until_passed,
            tries=self._pace.tries,
        )
        result.rechecked += len(suspects)
        result.unsettled += len(settled.unsettled)
        result.counts.update(each.kind for each in settled.differences)
        room = max(0, _LISTED - len(result.listed))
        result.listed += ((each.kind, id_of(each.key)) for each in settled.differences[:room])
        if self._repairs is not None and settled.differences:
            outcome: Repaired = self._repairs.repair(settled.differences)
            result.repaired += outcome.repaired
            result.refused += outcome.refused
