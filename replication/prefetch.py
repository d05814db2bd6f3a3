"""The next piece of work is prepared in a thread while the one before is done."""

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")

_LOOK_AROUND = 0.1  # seconds between looks at whether anybody still wants the next one
_LEAVING = 2.0  # seconds that an answer which is on its way may hold up the end


@dataclass(frozen=True)
class _Prepared(Generic[Item]):
    """Items (one, or none at the end), or what went wrong instead."""

    items: tuple[Item, ...] = ()
    error: BaseException | None = None


@contextmanager
def prepared_ahead(
    items: Generator[Item, None, None], *, waiting: Callable[[], None]
) -> Iterator[Iterator[Item]]:
    """Iterate over ``items``, whose next one is made meanwhile; never more than two wait.

    What ``items`` raises is raised where the item would have come. They are closed at the end, or
    by their thread where that waits for an answer. ``waiting`` is called again and again while
    there is no next one; it raises when the caller should not wait any longer.
    """
    ready: queue.Queue[_Prepared[Item]] = queue.Queue(maxsize=1)
    unwanted = threading.Event()
    thread = threading.Thread(
        target=copy_context().run,
        args=(_prepare, items, ready, unwanted.is_set),
        name="prefetch",
        daemon=True,  # a source that never answers must not keep a process alive
    )
    thread.start()
    try:
        yield _taken(ready, waiting)
    finally:
        unwanted.set()
        thread.join(_LEAVING)


def _prepare(
    items: Generator[Item, None, None],
    ready: "queue.Queue[_Prepared[Item]]",
    unwanted: Callable[[], bool],
) -> None:
    def put(prepared: _Prepared[Item]) -> bool:
        while not unwanted():
            try:
                ready.put(prepared, timeout=_LOOK_AROUND)
            except queue.Full:
                continue
            return True
        return False

    try:
        for item in items:
            if not put(_Prepared((item,))):
                return
        put(_Prepared())
    except BaseException as error:  # noqa: BLE001 - raised again in the thread that asks
        put(_Prepared(error=error))
    finally:
        items.close()


def _taken(ready: "queue.Queue[_Prepared[Item]]", waiting: Callable[[], None]) -> Iterator[Item]:
    while True:
        try:
            prepared = ready.get(timeout=_LOOK_AROUND)
        except queue.Empty:
            waiting()
            continue
        if prepared.error is not None:
            raise prepared.error
        if not prepared.items:
            return
        yield from prepared.items
