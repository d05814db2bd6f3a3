"""A worker of a guarded flow as a process of its own, which tests kill."""

import sys
import threading
from datetime import timedelta
from uuid import UUID

from pymongo import MongoClient

from replication.spec import WriteMode
from replication.worker import Timing
from tests.replication.running import Document, Flow


def main(flow_id: str, uri: str) -> None:
    timing = Timing(lease=timedelta(seconds=1))
    with MongoClient[Document](uri, serverSelectionTimeoutMS=2000) as client:
        flow = Flow(
            client,
            client,
            flow_id=UUID(flow_id),
            partition_fields=("Day",),
            write_mode=WriteMode.GUARDED,
        )
        while True:
            flow.run(lambda: True, timing)
            threading.Event().wait(0.05)


if __name__ == "__main__":
    main(*sys.argv[1:])
