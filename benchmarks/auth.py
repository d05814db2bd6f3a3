"""What sign-in with Entra costs: ``python -m benchmarks.auth [--runs 200]`` (about two minutes).

The product's own client, over TLS, through the gate, in front of the embedded server; tokens come
from the fake Entra by azure-identity. Server, gate and Entra are processes of their own, so that
processor time measured here is the client's alone. It is compared with a bare driver whose callback
only returns a token: the two take turns in pairs, and the median of the pairs' ratios is printed
with its 95 % interval (order statistics). What is judged has a limit behind it.
"""

import argparse
import contextlib
import gc
import os
import platform
import ssl
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import django

_folder = tempfile.TemporaryDirectory(prefix="finops-benchmark-")
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "finops.settings",
    "FINOPS_ENV": "development",
    "SANDBOX": "true",
    "VAR_DIR": _folder.name,
    "LOG_LEVEL": "WARNING",
}
django.setup()

from pymongo import MongoClient, monitoring  # noqa: E402 - Django has to be set up first

from benchmarks.auth_sandbox import Sandbox, Trivial, sandbox  # noqa: E402
from sandbox.entra.faults import Endpoints, FaultKind  # noqa: E402

EXTRA = 0.3  # seconds that the fake Entra adds to a token request
CACHED_CALLS = 100_000
SHORT_LIFE = 2.0  # seconds
MOST_EXTRA = 1.05  # times the bare driver's processor time


def ping(client: MongoClient[dict[str, Any]]) -> None:
    client.admin.command("ping")


def milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile."""
    return sorted(values)[max(0, -(-len(values) * share // 1).__int__() - 1)]


def show(name: str, times: Sequence[float], *, limit: float) -> None:
    p95 = percentile(times, 0.95)
    print(
        f"{name:48} p50 {percentile(times, 0.5):8.2f} ms   p95 {p95:8.2f} ms   "
        f"{_verdict(p95 < limit)} (limit {limit:g} ms, {len(times)} runs)"
    )


def _verdict(held: bool) -> str:
    return "ok  " if held else "MISS"


def new_clients(here: Sandbox, runs: int) -> None:
    with contextlib.closing(here.provider()) as provider:
        provider.get_mongo_token()

        def sign_in() -> None:
            with here.client(provider) as client:
                ping(client)

        sign_in()
        show(
            "new client, TLS, sign-in, ping",
            [milliseconds(sign_in) for _ in range(runs)],
            limit=200,
        )


def token_requests(here: Sandbox, runs: int) -> None:
    here.control.fail(Endpoints.TOKEN, FaultKind.SLOW, times=None, seconds=EXTRA)
    times = []
    for _ in range(runs):
        with contextlib.closing(here.provider()) as provider:
            times.append(milliseconds(provider.get_mongo_token))
    here.control.stop_failing()
    show(f"a token, Entra ID adding {EXTRA * 1000:g} ms", times, limit=1000)


def cold_start(here: Sandbox) -> None:
    """Eight clients and a thousand threads, none of which has a token yet."""
    here.control.forget_hits()
    with contextlib.closing(here.provider()) as provider, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(here.client(provider)) for _ in range(8)]
        barrier = threading.Barrier(1000)

        def work(number: int) -> None:
            barrier.wait()
            ping(clients[number % 8])

        threads = [threading.Thread(target=work, args=(number,)) for number in range(1000)]

        def run() -> None:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        took = milliseconds(run)
    requests = here.control.hits().get("token", 0)
    print(
        f"{'1,000 threads over 8 clients, cold':48} {requests} token request(s), all done after "
        f"{took:,.0f} ms   {_verdict(requests == 1)} (limit 1)"
    )


def cached_calls(here: Sandbox) -> None:
    with contextlib.closing(here.provider()) as provider:
        call = provider.get_mongo_token
        call()
        times = [milliseconds(call) for _ in range(CACHED_CALLS)]
        p99 = percentile(times, 0.99)
        print(
            f"{f'{CACHED_CALLS:,} cached calls':48} p50 {percentile(times, 0.5):8.4f} ms   "
            f"p99 {p99:8.4f} ms   {_verdict(p99 < 0.1)} (limit 0.1 ms)"
        )
        alone, contended = _processor_time(call, threads=1), _processor_time(call, threads=16)
        ratio = contended / alone
        print(
            f"{'processor time of a call, 1 thread to 16':48} {alone * 1e6:.2f} us, "
            f"{contended * 1e6:.2f} us: ratio {ratio:.2f}   {_verdict(ratio <= 2)} (limit 2)"
        )


def _processor_time(call: Callable[[], object], *, threads: int) -> float:
    """Seconds of processor time for one call, the least of five rounds."""
    each = CACHED_CALLS // threads

    def work() -> None:
        for _ in range(each):
            call()

    def once() -> float:
        workers = [threading.Thread(target=work) for _ in range(threads)]
        began = time.process_time()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return (time.process_time() - began) / (each * threads)

    return min(once() for _ in range(5))


def against_the_bare_driver(here: Sandbox, pairs: int) -> None:
    """Processor time of this process, in turns; the first of a pair changes."""
    with contextlib.closing(here.provider()) as provider:
        token = provider.get_mongo_token().token
        with here.client(provider) as ours, here.bare(Trivial(token)) as theirs:

            def commands(client: MongoClient[dict[str, Any]]) -> None:
                for _ in range(200):
                    ping(client)

            _compare(
                "processor time of 200 commands, ours to bare",
                lambda: commands(ours),
                lambda: commands(theirs),
                pairs,
            )

        def sign_ins(build: Callable[[], MongoClient[dict[str, Any]]]) -> None:
            for _ in range(20):
                with build() as client:
                    ping(client)

        _compare(
            "processor time of 20 new clients, ours to bare",
            lambda: sign_ins(lambda: here.client(provider)),
            lambda: sign_ins(lambda: here.bare(Trivial(token))),
            pairs,
        )


def _compare(
    name: str,
    ours: Callable[[], None],
    theirs: Callable[[], None],
    pairs: int,
) -> None:
    def processor_time(work: Callable[[], None]) -> float:
        gc.collect()
        began = time.process_time()
        work()
        return time.process_time() - began

    ratios = []
    for work in (ours, theirs):
        work()
    for number in range(pairs):
        if number % 2:
            bare, own = processor_time(theirs), processor_time(ours)
        else:
            own, bare = processor_time(ours), processor_time(theirs)
        ratios.append(own / bare)
    low, high = _interval(sorted(ratios))
    middle = statistics.median(ratios)
    print(
        f"{name:48} ratio {middle:.3f} [{low:.3f}, {high:.3f}]   "
        f"{_verdict(middle <= MOST_EXTRA)} (limit {MOST_EXTRA}, {pairs} pairs)"
    )


def _interval(ordered: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the median, by order statistics (normal approximation)."""
    half = 0.98 * len(ordered) ** 0.5
    middle = len(ordered) / 2
    return ordered[max(0, int(middle - half))], ordered[min(len(ordered) - 1, int(middle + half))]


class _Expiries(monitoring.CommandListener):
    """Notes whether a command was refused with 391 before it succeeded."""

    def __init__(self) -> None:
        self.seen = False

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Nothing to note."""

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Nothing to note."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        self.seen = self.seen or event.failure.get("code") == 391


def expiries(here: Sandbox, wanted: int) -> None:
    """Run last: a listener that is registered once hears every client made after it."""
    listener = _Expiries()
    monitoring.register(listener)
    here.control.set_lifetimes(token=SHORT_LIFE)
    times: list[float] = []
    deadline = time.monotonic() + 120
    with contextlib.closing(here.provider()) as provider, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(here.client(provider)) for _ in range(16)]
        for client in clients:
            ping(client)
        while len(times) < wanted and time.monotonic() < deadline:
            for client in clients:
                listener.seen = False
                took = milliseconds(lambda client=client: ping(client))  # type: ignore[misc]
                if listener.seen:
                    times.append(took)
            time.sleep(0.02)
    here.control.set_lifetimes(token=3600)
    show("a command refused with 391", times, limit=200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=61)
    options = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    names = ("pymongo", "azure-identity", "SecantusDB")
    print(", ".join(f"{name} {version(name)}" for name in names) + f", {ssl.OPENSSL_VERSION}")
    with _folder, sandbox(Path(_folder.name)) as here:
        new_clients(here, options.runs)
        token_requests(here, max(10, options.runs // 10))
        cold_start(here)
        cached_calls(here)
        against_the_bare_driver(here, options.pairs)
        expiries(here, options.runs)


if __name__ == "__main__":
    main()
