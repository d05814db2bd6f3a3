"""The table of faults and operations: which fault meets a flow at which moment, and what for.

``python -m tests.replication.faults.matrix`` prints it as docs/faults.md has it.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import pytest

Test = Callable[..., None]


class Fault(StrEnum):
    """What goes wrong."""

    SIGKILL = "SIGKILL"
    SIGSTOP = "SIGSTOP past the lease, then SIGCONT"
    SIGTERM = "SIGTERM"
    TWO_SLICES = "two slices by hand"
    CUT_BEFORE = "connection cut before the server has the command"
    CUT_AFTER = "connection cut before the client has the answer"
    CODE_91 = "91 ShutdownInProgress"
    CODE_189 = "189 PrimarySteppedDown"
    CODE_11600 = "11600 InterruptedAtShutdown"
    CODE_112 = "112 WriteConflict"
    CODE_16500 = "16500 TooManyRequests"
    CODE_18 = "18 AuthenticationFailed"
    CODE_13 = "13 Unauthorized"
    CODE_391 = "391 ReauthenticationRequired"
    TOKEN_OUTAGE = "token outage"
    SOURCE_RESTARTED = "source restarted"
    DESTINATION_RESTARTED = "destination restarted"
    HISTORY_TRIMMED = "history trimmed"
    DROPPED = "collection dropped"
    RENAMED = "collection renamed"
    BROKER_RESTARTED = "broker restarted"
    DUPLICATED_MESSAGES = "duplicated messages"

    @property
    def code(self) -> int:
        """The server's error code, for the faults that are one."""
        return int(self.value.split()[0])


class Operation(StrEnum):
    """What the flow is doing when it goes wrong."""

    AFTER_READ = "after read"
    BEFORE_COMMIT = "between writes and commit"
    DURING_COMMIT = "during commit"
    SNAPSHOT_PART = "in a snapshot part"
    SUPERVISOR = "in the supervisor"
    GET_MORE = "getMore"
    AGGREGATE = "aggregate"
    UPDATE = "update"
    COMMIT = "commit"
    SNAPSHOT_READ = "find of the snapshot"
    SNAPSHOT_WRITE = "insert of the snapshot"
    SNAPSHOT = "snapshot"
    STREAM = "stream"


_MOMENTS = (
    Operation.AFTER_READ,
    Operation.BEFORE_COMMIT,
    Operation.DURING_COMMIT,
    Operation.SNAPSHOT_PART,
)
_COMMANDS = (
    Operation.GET_MORE,
    Operation.AGGREGATE,
    Operation.UPDATE,
    Operation.COMMIT,
    Operation.SNAPSHOT_READ,
    Operation.SNAPSHOT_WRITE,
)
_PHASES = (Operation.SNAPSHOT, Operation.STREAM)
ANSWERS = (
    *(Fault.CUT_BEFORE, Fault.CUT_AFTER, Fault.CODE_91, Fault.CODE_189, Fault.CODE_11600),
    *(Fault.CODE_112, Fault.CODE_16500, Fault.CODE_18, Fault.CODE_13, Fault.CODE_391),
)
OUTAGES = (
    *(Fault.TOKEN_OUTAGE, Fault.SOURCE_RESTARTED, Fault.DESTINATION_RESTARTED),
    *(Fault.HISTORY_TRIMMED, Fault.DROPPED, Fault.RENAMED),
)
# Every fault, and the operations that it can meet. What is not here has no meaning: a broker
# carries no snapshot part's commit, and a supervisor that freezes holds nothing.
REQUIRED: Mapping[Fault, Sequence[Operation]] = {
    Fault.SIGKILL: (*_MOMENTS, Operation.SUPERVISOR),
    Fault.SIGSTOP: _MOMENTS,
    Fault.SIGTERM: _MOMENTS,
    Fault.TWO_SLICES: _PHASES,
    **dict.fromkeys(ANSWERS, _COMMANDS),
    **dict.fromkeys(OUTAGES, _PHASES),
    Fault.BROKER_RESTARTED: _PHASES,
    Fault.DUPLICATED_MESSAGES: _PHASES,
}


@dataclass(frozen=True)
class Pair:
    """One cell of the table."""

    fault: Fault
    operation: Operation

    def __str__(self) -> str:
        return f"{self.fault} / {self.operation}"

    @property
    def seed(self) -> int:
        """What a run of this pair draws its chances from: the same in every run."""
        return zlib.crc32(str(self).encode())


def required() -> Iterator[Pair]:
    """Every pair that there must be a test of."""
    for fault, operations in REQUIRED.items():
        for operation in operations:
            yield Pair(fault, operation)


def covers(faults: Sequence[Fault], operations: Sequence[Operation]) -> Callable[[Test], Test]:
    """Run a test for each of these pairs, and note that it does."""
    pairs = [Pair(fault, operation) for fault in faults for operation in operations]

    def decorate(test: Test) -> Test:
        run: Test = pytest.mark.parametrize("pair", pairs, ids=str)(pytest.mark.faults(test))
        return run

    return decorate


def table() -> str:
    """The required pairs as Markdown tables, one for each set of operations."""
    groups: dict[Sequence[Operation], list[Fault]] = {
        (*_MOMENTS, Operation.SUPERVISOR): [],
        _COMMANDS: [],
        _PHASES: [],
    }
    for fault, operations in REQUIRED.items():
        columns = next(group for group in groups if set(operations) <= set(group))
        groups[columns].append(fault)
    return "\n\n".join(_table(columns, faults) for columns, faults in groups.items())


def _table(columns: Sequence[Operation], faults: Sequence[Fault]) -> str:
    lines = [["fault", *columns], ["---"] * (len(columns) + 1)]
    lines += [
        [fault, *("✓" if column in REQUIRED[fault] else "–" for column in columns)]
        for fault in faults
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    print(table())
