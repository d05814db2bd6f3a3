"""Streams that one process works on at once, each in a thread."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import copy_context
from dataclasses import dataclass, field
from types import TracebackType

import structlog
from django.db import connections

from replication.errors import describe
from replication.slices import Outcome, SliceResult
from replication.spec import StreamId, StreamSpec

# Works on a stream for as long as its second argument says, and tells how that ended.
Work = Callable[[StreamSpec, Callable[[], bool]], SliceResult]


@dataclass(frozen=True)
class Member:
    """A stream at work. ``began`` is in monotonic seconds."""

    id: StreamId
    spec: StreamSpec
    began: float
    leave: threading.Event = field(default_factory=threading.Event)


class Crew:
    """Begins and ends work on streams. Leaving the ``with`` block waits until all have ended.

    ``stopping`` ends all of them at once when it becomes true.
    """

    def __init__(self, work: Work, *, stopping: Callable[[], bool]) -> None:
        self._work = work
        self._stopping = stopping
        self._members: dict[StreamId, Member] = {}
        self._threads: dict[StreamId, threading.Thread] = {}
        self._ended: queue.SimpleQueue[tuple[Member, SliceResult]] = queue.SimpleQueue()

    def __enter__(self) -> "Crew":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end_all()
        for thread in self._threads.values():
            thread.join()

    @property
    def members(self) -> Mapping[StreamId, Member]:
        """The streams at work, those that are about to leave included."""
        return self._members

    def begin(self, stream: StreamId, spec: StreamSpec) -> None:
        """Work on one more stream."""
        member = Member(stream, spec, time.monotonic())
        thread = threading.Thread(
            target=copy_context().run,  # the log lines have the ids of whoever begins
            args=(self._work_on, member),
            name=f"stream-{spec.flow_name}-{stream.collection}",
        )
        self._members[stream], self._threads[stream] = member, thread
        thread.start()

    def make_place(self, turn: float) -> None:
        """Tell the stream that began first to hand over, if it has had ``turn`` seconds."""
        staying = [member for member in self._members.values() if not member.leave.is_set()]
        first = min(staying, key=lambda member: member.began, default=None)
        if first is not None and first.began <= time.monotonic() - turn:
            first.leave.set()

    def end_all(self) -> None:
        """Tell every stream to hand over. Returns at once."""
        for member in self._members.values():
            member.leave.set()

    def ends(self, seconds: float) -> Iterator[tuple[Member, SliceResult]]:
        """Yield the streams that have ended, after waiting for one for ``seconds`` at most."""
        try:
            found = self._ended.get(timeout=seconds)
            while True:
                stream = found[0].id
                self._threads.pop(stream).join()
                del self._members[stream]
                yield found
                found = self._ended.get_nowait()
        except queue.Empty:
            return

    def _work_on(self, member: Member) -> None:
        result = SliceResult(Outcome.FAILED)
        try:
            with structlog.contextvars.bound_contextvars(
                flow=member.spec.flow_name, collection=member.id.collection
            ):
                result = self._work(
                    member.spec, lambda: not member.leave.is_set() and not self._stopping()
                )
        except Exception as error:  # noqa: BLE001 - ends this stream alone, and is reported
            result = SliceResult(Outcome.FAILED, describe(error))
        finally:
            connections.close_all()  # those of this thread
            self._ended.put((member, result))
