"""Changes of cost rows, encoded before a benchmark begins."""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import bson
from bson import Decimal128, Int64, ObjectId, Timestamp

EVENTS_PER_SECOND = 1_000  # of the source's time
FIRST_SECOND = 1_790_000_000
UNITS = 24  # different ones, served over and over
# Stand in encoded events for what differs whenever they are served: a part of the keys, the time.
_ROUND, _SECOND = b"\xa7\xd3\x91\xe5", b"\xc9\xb7\x8d\x7b"
_NEEDED = ("_id", "operationType", "clusterTime", "fullDocument", "documentKey")


def document(number: int, size: int) -> dict[str, Any]:
    """A cost row of about ``size`` bytes."""
    row = {
        "_id": ObjectId(_ROUND + number.to_bytes(8, "big")),
        "BilledCost": Decimal128(Decimal(number % 10_000) / 100),
        "ChargePeriodStart": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number % 90),
        "ServiceName": f"Service {number % 40}",
        "ResourceId": f"/subscriptions/{number % 12}/resource/{number % 5_000}",
        "Quantity": Int64(number % 24),
        "Tags": {"env": "production", "team": f"team-{number % 9}"},
        "Text": "",
    }
    row["Text"] = "x" * max(0, size - len(bson.encode(row)))
    return row


def event(number: int, size: int) -> dict[str, Any]:
    """A change: three in ten are updates of an earlier document."""
    updated = number % 10 < 3
    row = document(number * 7 // 10 if updated else number, size)
    return {
        "_id": {"_data": f"8265{number:08X}2B042C0100296E5A1004{'5' * 70}"},
        "operationType": "update" if updated else "insert",
        "clusterTime": Timestamp(int.from_bytes(_SECOND, "little"), number % EVENTS_PER_SECOND + 1),
        "wallTime": datetime(2026, 9, 1, tzinfo=UTC) + timedelta(milliseconds=number),
        "ns": {"db": "source", "coll": "rows"},
        "documentKey": {"_id": row["_id"]},
        "fullDocument": row,
    }


@dataclass(frozen=True)
class Units:
    """Encoded events: each unit is a part of a BSON array."""

    encoded: tuple[bytes, ...]
    events: int  # in each

    @classmethod
    def of(cls, size: int, *, projected: bool) -> "Units":
        """Encode events of documents of ``size`` bytes."""
        per_unit = EVENTS_PER_SECOND if size < 10_000 else 1
        units = []
        for unit in range(UNITS):
            events = [event(unit * per_unit + each + 1, size) for each in range(per_unit)]
            if projected:
                events = [{name: each[name] for name in _NEEDED} for each in events]
            units.append(bson.encode({"": events})[10:-2])
        return cls(tuple(units), per_unit)

    def served(self, number: int) -> bytes:
        """Return the unit of that number, whose inserted keys no other one has."""
        turn, place = divmod(number, UNITS)
        second = struct.pack("<I", FIRST_SECOND + number)
        unit = self.encoded[place].replace(_ROUND, struct.pack(">I", turn))
        return unit.replace(_SECOND, second)
