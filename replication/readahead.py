"""The next batch is read while the one before is written.

A batch is what has come while its predecessor was committed, so it grows with the backlog: the
round trip of a commit, not the processor, is what limits a flow.
"""

import threading
import time
from contextvars import copy_context

from replication.changes import Batch
from replication.collecting import Collecting

_NAME = "read-ahead"
# Twenty commits a second are enough: a trickle of changes is not worth one for each.
_LEAST_APART = 0.05  # seconds
_LEAVING = 1.0  # seconds that an answer which is on its way may hold up the end
_LOOK_AROUND = 0.1  # seconds between looks at a budget that is used up


class Budget:
    """How many bytes all streams of this process may hold together in unwritten batches.

    A stream that holds nothing may always read on; then it can be exceeded by one answer each.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._used = 0
        self._lock = threading.Lock()

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left."""
        return self._used >= self._size

    def change(self, difference: int) -> None:
        """Note that a stream holds so many bytes more, or less."""
        with self._lock:
            self._used += difference


READ_AHEAD = Budget(64 * 1024 * 1024)


class ReadAhead:
    """Polls a stream in a thread, and hands out what it has collected.

    The stream is closed by ``close``, or by its thread where that waits for an answer.
    """

    def __init__(self, stream: Collecting, *, budget: Budget = READ_AHEAD) -> None:
        self._stream = stream
        self._budget = budget
        self._held = 0  # bytes of the budget
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._error: BaseException | None = None
        self._taken_at = 0.0

    def take(self, timeout: float) -> Batch | None:
        """Return what has come, at the latest when the source has nothing more.

        None says that nothing has come within ``timeout`` seconds. Raises as the stream does, once
        everything before has been handed out; the next call goes on where it was.
        """
        with self._changed:
            if self._thread is None:
                self._start()
            if not self._changed.wait_for(self._due, timeout) and not self._stream.events:
                return None
            self._wait_until_worthwhile()
            error = self._error
            if error is not None and not self._stream.events:
                self._error = self._thread = None
                raise error
        batch = self._stream.take()
        with self._changed:
            self._taken_at = time.monotonic()
            self._account()
            self._changed.notify_all()
        return batch

    def close(self) -> None:
        """End the thread, and close the stream."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(_LEAVING)
        if thread is None or not thread.is_alive():
            self._stream.close()
        with self._changed:
            self._budget.change(-self._held)
            self._held = 0

    def _start(self) -> None:
        self._thread = threading.Thread(
            # In the context of the slice, so that the log lines of both have one id.
            target=copy_context().run,
            args=(self._read,),
            name=_NAME,
            daemon=True,  # a source that never answers must not keep a process alive
        )
        self._thread.start()

    def _due(self) -> bool:
        return bool(self._stream.events or self._stream.caught_up or self._error)

    def _ready(self) -> bool:
        return self._stream.full or self._stream.caught_up or self._error is not None

    def _wait_until_worthwhile(self) -> None:
        left = self._taken_at + _LEAST_APART - time.monotonic()
        if left > 0:
            self._changed.wait_for(self._ready, left)

    def _read(self) -> None:
        error: BaseException | None = None
        try:
            while self._may_go_on():
                self._stream.poll()
                with self._changed:
                    self._account()
                    self._changed.notify_all()
        except BaseException as failure:  # noqa: BLE001 - raised again in the thread that takes
            error = failure
        with self._changed:
            self._error = error
            self._changed.notify_all()
            closed = self._closed
        if closed:
            self._stream.close()

    def _may_go_on(self) -> bool:
        """Wait while there is enough; False at the end."""
        with self._changed:
            while not self._closed and (
                self._stream.full or (self._stream.events and self._budget.exhausted)
            ):
                self._changed.wait(_LOOK_AROUND)
            return not self._closed

    def _account(self) -> None:
        if self._closed:
            return
        held = self._stream.size
        self._budget.change(held - self._held)
        self._held = held
