"""Running steps one after the other: each with its time, and none beyond its limit."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum

from replication.auth.diagnosis.findings import Cause, Finding, StepFailed

Work = Callable[[], Finding]


class Check(StrEnum):
    """What a step looks at, of a connection."""

    CONFIGURATION = "configuration"
    DNS = "dns"
    TLS = "tls"
    TOKEN = "token"  # noqa: S105 - the name of a step
    SIGN_IN = "sign-in"
    PING = "ping"
    READ = "read"
    WATCH = "change stream"
    WRITE = "write"


@dataclass(frozen=True)
class Step:
    """Something to look at."""

    check: StrEnum
    work: Work


@dataclass(frozen=True)
class StepResult:
    """What came of a step. ``cause`` and ``remedy`` are None where it succeeded."""

    check: StrEnum
    milliseconds: float
    detail: str
    facts: Mapping[str, object] = field(default_factory=dict)
    cause: Cause | None = None
    remedy: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.cause is None


def run(steps: Sequence[Step], *, timeout: float) -> Iterator[StepResult]:
    """Yield each step's result as it ends; the first failure is the last.

    No step takes longer than ``timeout`` seconds, whatever it waits for.
    """
    for step in steps:
        result = _run(step, timeout)
        yield result
        if not result.ok:
            return


def _run(step: Step, timeout: float) -> StepResult:
    began = time.perf_counter()
    try:
        finding = _within(timeout, step)
    except StepFailed as failure:
        taken = (time.perf_counter() - began) * 1000
        return StepResult(
            step.check, taken, str(failure), cause=failure.cause, remedy=failure.remedy
        )
    taken = (time.perf_counter() - began) * 1000
    return StepResult(step.check, taken, finding.detail, finding.facts)


def _within(timeout: float, step: Step) -> Finding:
    """Run in a thread that is left behind if need be: a name look-up knows no timeout."""
    outcome: Future[Finding] = Future()

    def work() -> None:
        try:
            outcome.set_result(step.work())
        except BaseException as error:  # noqa: BLE001 - raised again where the result is awaited
            outcome.set_exception(error)

    threading.Thread(target=work, name=f"step-{step.check}", daemon=True).start()
    try:
        return outcome.result(timeout)
    except TimeoutError:
        if outcome.done():
            raise
        raise StepFailed(
            Cause.TIMED_OUT,
            f"No end after {timeout:g} s.",
            "Something on the way drops what is sent, as a firewall does; --timeout gives more"
            " time.",
        ) from None
