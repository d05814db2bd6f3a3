"""Waiting until two sides are equal, and telling how they differ where they never are."""

import time
from collections.abc import Callable, Mapping

from pymongo.errors import PyMongoError

from tests.waiting import wait_until

_SETTLED = 90.0  # seconds for everything to be applied once changes have ended


def difference(original: Mapping[bytes, bytes], copy: Mapping[bytes, bytes]) -> str:
    """Count the documents that differ."""
    both = original.keys() & copy.keys()
    kinds = {
        "missing": len(original.keys() - copy.keys()),
        "extra": len(copy.keys() - original.keys()),
        "changed": sum(original[key] != copy[key] for key in both),
    }
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items())


def wait_for_settled(done: Callable[[], bool], what: Callable[[], str]) -> None:
    """As ``wait_until``, with a text that is made when it is needed."""
    deadline = time.monotonic() + _SETTLED
    while True:
        try:
            wait_until(done, timeout=5, what="")
            return
        except PyMongoError:
            pass  # a server of a test's own may be away
        except AssertionError as error:
            if not str(error).startswith("not within"):
                raise
        assert time.monotonic() < deadline, f"not within {_SETTLED:g} s: {what()}"
