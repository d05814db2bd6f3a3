"""A worker as a process, which tests kill: slices of a flow, or one part of its snapshot."""

import sys
import threading
from datetime import timedelta
from typing import Any
from uuid import UUID

from pymongo import MongoClient

from replication.worker import Timing
from tests.replication.running import Document, Flow


def main(flow_id: str, source: str, destination: str, lease: str, part: str = "") -> None:
    options: dict[str, Any] = {
        "serverSelectionTimeoutMS": 2000,
        "connectTimeoutMS": 2000,
        "socketTimeoutMS": 10000,
    }
    with (
        MongoClient[Document](source, **options) as first,
        MongoClient[Document](destination, **options) as second,
    ):
        flow = Flow(first, second, flow_id=UUID(flow_id), partition_fields=("Day",))
        timing = Timing(lease=timedelta(seconds=float(lease)))
        while True:
            if part:
                flow.part_worker(timing).copy(part, wanted=lambda: True)
            else:
                flow.run(lambda: True, timing)
            threading.Event().wait(0.05)


if __name__ == "__main__":
    main(*sys.argv[1:])
