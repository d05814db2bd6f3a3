"""Changes of several collections that follow a seed, and a count of the events that they make."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bson import Binary, Decimal128, ObjectId
from pymongo import DeleteOne, MongoClient, ReplaceOne, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import PyMongoError

from tests.replication.running import Document

ROWS, UNIQUE, LARGE, QUIET = COLLECTIONS = ("rows", "unique", "large", "quiet")
_DELETES = 0.08
_SLOTS = 400  # values of the unique index, more than there are documents
_LARGEST = 10 * 1024 * 1024  # bytes
Write = DeleteOne | ReplaceOne[Document] | UpdateOne


class Workload:
    """Makes every change itself, so it knows what there is and how many events there were.

    Every document holds ``canary``, in its fields and sometimes in its key.
    """

    def __init__(
        self,
        client: MongoClient[Document],
        database: str,
        *,
        seed: int,
        keys: int,
        padding: int,
        canary: str,
    ) -> None:
        self._client = client
        self._database: Database[Document] = client[database]
        self._chance = random.Random(seed)
        self._keys = keys
        self._padding = padding
        self._canary = canary
        self._seq: dict[int, int] = {}  # grows for ever, over deletions too
        self._alive: set[int] = set()
        self._slots: dict[int, int] = {}  # of the documents with a unique value
        self._free = list(range(_SLOTS))
        self._large = 0
        self._steps = 0
        self.events: Counter[str] = Counter()
        self.planted: list[str] = []  # keys of rows that the copy's index refuses
        self.error: Exception | None = None
        # Whether a change is made again when the source does not answer: its events are then
        # one or two.
        self.patient = False

    def fill(self) -> None:
        """Make what is there before the flow begins."""
        self._alive.update(range(self._keys))
        for start in range(0, self._keys, 500):
            keys = range(start, min(start + 500, self._keys))
            self._database[ROWS].insert_many([self._row(key) for key in keys])
        self._database[ROWS].insert_one(self._poisonous("first"))
        self._database[UNIQUE].create_index("slot", unique=True)
        for key in range(min(self._keys // 25, _SLOTS // 2)):
            self._slots[key] = self._free.pop()
            self._database[UNIQUE].insert_one(self._slotted(key))
        self._database[LARGE].insert_one(self._big(64 * 1024))
        self._database[QUIET].insert_many([{"_id": n, "canary": self._canary} for n in range(10)])

    def plant(self) -> None:
        """Make a row that a unique index of ``poison`` refuses: there is the first one's."""
        document = self._poisonous(f"refused-{len(self.planted)}")
        rows, key = self._database[ROWS], {"_id": document["_id"]}
        self._do(lambda: rows.replace_one(key, document, upsert=True))
        self.events[ROWS] += 1
        self.planted.append(document["_id"])

    def step(self) -> None:
        """Make some changes: always many of the rows, now and then one of the other kinds."""
        self._steps += 1
        self._many_rows(self._chance.randrange(20, 60))
        if self._steps % 3 == 0:
            self._in_one_transaction(self._chance.randrange(2, 8))
        if self._steps % 4 == 1:
            self._chance.choice((self._move_slot, self._hand_slot_over, self._swap_slots))()
        if self._steps % 25 == 5:
            self.grow_large(self._chance.randrange(1 << 20, _LARGEST))

    def grow_large(self, size: int) -> None:
        document = self._big(size)
        large = self._database[LARGE]
        self._do(lambda: large.replace_one({"_id": "large"}, document, upsert=True))
        self.events[LARGE] += 1

    def forget_rows(self) -> None:
        """Go on from no rows: somebody has dropped or renamed their collection."""
        self._alive.clear()

    def refill_rows(self, count: int) -> None:
        """Make rows that are not there."""
        gone = [key for key in range(self._keys) if key not in self._alive][:count]
        self._alive.update(gone)
        self._database[ROWS].insert_many([self._row(key) for key in gone])
        self.events[ROWS] += len(gone)

    def _do(self, change: Callable[[], object]) -> None:
        """Make a change that may be repeated."""
        while True:
            try:
                change()
                return
            except PyMongoError:
                if not self.patient:
                    raise

    def _many_rows(self, count: int) -> None:
        chosen = self._chance.sample(range(self._keys), min(count, self._keys))
        writes = [self._change(key) for key in chosen]
        self._do(lambda: self._database[ROWS].bulk_write(writes, ordered=False))
        self.events[ROWS] += len(writes)

    def _in_one_transaction(self, count: int) -> None:
        chosen = self._chance.sample(range(self._keys), min(count, self._keys))
        writes = [self._change(key) for key in chosen]
        key = self._chance.choice(sorted(self._slots))

        def work(session: ClientSession) -> None:
            self._database[ROWS].bulk_write(writes, session=session)
            self._database[UNIQUE].update_one(
                {"_id": key}, {"$inc": {"touched": 1}}, session=session
            )

        def transaction() -> None:
            with self._client.start_session() as session:
                session.with_transaction(work)

        self._do(transaction)
        self.events[ROWS] += len(writes)
        self.events[UNIQUE] += 1

    def _change(self, key: int) -> Write:
        """Return a change of a row that makes one event."""
        there, chance = key in self._alive, self._chance.random()
        if there and chance < _DELETES:
            self._alive.discard(key)
            return DeleteOne({"_id": identifier(key, self._canary)})
        self._alive.add(key)
        if there and chance < 0.5:
            self._seq[key] += 1
            changed = {"seq": self._seq[key], "Day": self._chance.randrange(28)}
            return UpdateOne({"_id": identifier(key, self._canary)}, {"$set": changed})
        document = self._row(key)
        return ReplaceOne({"_id": document["_id"]}, document, upsert=True)

    def _move_slot(self) -> None:
        """Give a document a value that nobody has, so that another may take its old one."""
        key = self._chance.choice(sorted(self._slots))
        self._free.insert(0, self._slots[key])
        self._slots[key] = self._free.pop()
        self._replace_slotted(key)

    def _hand_slot_over(self) -> None:
        """Delete a document, and give its value to another one at once."""
        gone, heir = self._chance.sample(sorted(self._slots), 2)
        self._do(lambda: self._database[UNIQUE].delete_one({"_id": gone}))
        self._free.insert(0, self._slots[heir])
        self._slots[heir] = self._slots[gone]
        self._replace_slotted(heir)
        self._slots[gone] = self._free.pop()
        self._replace_slotted(gone)
        self.events[UNIQUE] += 1

    def _swap_slots(self) -> None:
        """Let two documents swap their values, which takes a third one on the way."""
        one, other = self._chance.sample(sorted(self._slots), 2)
        first, second, spare = self._slots[one], self._slots[other], self._free.pop()
        for key, slot in ((one, spare), (other, first), (one, second)):
            self._slots[key] = slot
            self._replace_slotted(key)
        self._free.insert(0, spare)

    def _replace_slotted(self, key: int) -> None:
        document = self._slotted(key)
        unique = self._database[UNIQUE]
        self._do(lambda: unique.replace_one({"_id": key}, document, upsert=True))
        self.events[UNIQUE] += 1

    def _slotted(self, key: int) -> Document:
        number = -key - 1  # beside the rows' numbers
        self._seq[number] = self._seq.get(number, 0) + 1
        return {
            "_id": key,
            "seq": self._seq[number],
            "slot": self._slots[key],
            "canary": self._canary,
        }

    def _row(self, key: int) -> Document:
        self._seq[key] = self._seq.get(key, 0) + 1
        return {
            "_id": identifier(key, self._canary),
            "seq": self._seq[key],
            "Day": self._chance.randrange(28),
            "canary": self._canary,
            "Cost": Decimal128(f"{self._chance.randrange(10**6)}.5"),
            "pad": self._chance.randbytes(self._chance.randrange(self._padding)),
        }

    def _poisonous(self, name: str) -> Document:
        return {"_id": f"{self._canary}-{name}", "seq": 1, "poison": 1, "canary": self._canary}

    def _big(self, size: int) -> Document:
        self._large += 1
        return {
            "_id": "large",
            "seq": self._large,
            "canary": self._canary,
            "pad": self._chance.randbytes(size),
        }


def identifier(key: int, canary: str) -> Any:
    """The ``_id`` of a row: of four types, one of which tells the canary."""
    match key % 4:
        case 0:
            return key
        case 1:
            return f"{canary}-{key}"
        case 2:
            return ObjectId(f"{key:024x}")
        case _:
            return Binary(key.to_bytes(16), 4)  # SecantusDB finds no document by a document fast


@contextmanager
def changing(workload: Workload, *, pause: float = 0.02) -> Iterator[None]:
    """Let the workload go on beside the block, and wait for its last step afterwards."""
    stop = threading.Event()

    def work() -> None:
        try:
            while not stop.wait(pause):
                workload.step()
        except Exception as error:
            workload.error = error
            raise

    thread = threading.Thread(target=work, name="workload")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert workload.error is None
