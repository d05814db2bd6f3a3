"""Changes without end to a source collection, each of which makes exactly one event."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.collection import Collection

from tests.replication.running import Document

KEYS = 200


class Workload:
    """What has been done so far."""

    def __init__(self) -> None:
        self.events = 0


@contextmanager
def changing(collection: Collection[Document], *, seed: int, pause: float) -> Iterator[Workload]:
    """Insert, replace, update and delete beside the block, ``pause`` seconds apart."""
    done, stop, chance = Workload(), threading.Event(), random.Random(seed)

    def change() -> None:
        while not stop.wait(pause):
            key, day = chance.randrange(KEYS), chance.randrange(28)
            if chance.random() < 0.1:
                done.events += collection.delete_one({"_id": key}).deleted_count
            elif chance.random() < 0.5:
                document = {"Day": day, "seq": done.events, "pad": "x" * chance.randrange(300)}
                collection.replace_one({"_id": key}, document, upsert=True)
                done.events += 1
            else:
                update = {"$set": {"Day": day, "seq": done.events}}
                done.events += collection.update_one({"_id": key}, update).matched_count

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()
