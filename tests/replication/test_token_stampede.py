"""Many threads, a fork and a busy process: the token costs one request and next to no time."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from statistics import median

import pytest

from replication import metrics
from replication.auth.driver import EntraCallback
from replication.auth.mongo_entra import MongoEntraTokenProvider
from replication.auth.signals import authentication_event
from sandbox.entra.faults import Endpoints, FaultKind
from sandbox.entra.server import EntraServer
from tests.replication.signed_in import control_of, provider_for
from tests.replication.test_token_provider import context, exit_code, in_threads
from tests.replication.tokens import CANARY, SCOPE, Service, provider_of
from tests.waiting import wait_until


def test_a_thousand_threads_of_eight_clients_make_one_request() -> None:
    service = Service(time.time)
    provider = provider_of(service)
    clients = [EntraCallback(provider) for _ in range(8)]
    service.released.clear()
    results = in_threads(
        1000, lambda n: clients[n % 8].fetch(context()).access_token, service.released.set
    )
    assert results == [f"{CANARY}-1"] * 1000
    assert service.requests == 1


def test_a_token_that_a_server_refused_is_replaced_once_for_everybody() -> None:
    service = Service(time.time)
    provider = provider_of(service)
    clients = [EntraCallback(provider) for _ in range(8)]
    first = clients[0].fetch(context())
    service.released.clear()
    results = in_threads(
        64,
        lambda n: clients[n % 8].fetch(context(first.refresh_token)).access_token,
        service.released.set,
    )
    assert results == [f"{CANARY}-2"] * 64
    assert service.requests == 2


def test_a_cached_token_takes_less_than_a_tenth_of_a_millisecond() -> None:
    provider = cached()
    times = []
    for _ in range(20_000):
        began = time.perf_counter()
        provider.get_mongo_token()
        times.append(time.perf_counter() - began)
    assert sorted(times)[int(len(times) * 0.99)] < 0.0001


def test_a_cached_token_waits_for_no_lock() -> None:
    provider = cached()
    provider.get_mongo_token()  # the signal remembers that nobody listens
    got: list[object] = []
    with metrics._updates, authentication_event.lock, provider._cache(SCOPE)._changed:
        caller = threading.Thread(target=lambda: got.append(provider.get_mongo_token()))
        caller.start()
        wait_until(lambda: got, what="the token is there")
    caller.join()


@pytest.fixture
def quick_turns() -> Iterator[None]:
    """Threads take turns so often that some lose theirs inside of any lock there is."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0001)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("quick_turns")
def test_sixteen_threads_cost_no_more_than_twice_the_processor_time() -> None:
    provider = cached()

    def calls(threads: int) -> float:
        began = time.process_time()
        in_threads(threads, lambda _: _call(provider, 32_000 // threads), lambda: None)
        return time.process_time() - began

    assert median(calls(16) / calls(1) for _ in range(5)) <= 2


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_child_of_a_fork_amid_a_real_request_has_a_token_within_two_seconds(
    entra: EntraServer,
) -> None:
    provider = provider_for(entra)
    control_of(entra).fail(Endpoints.TOKEN, FaultKind.SLOW, seconds=2.5)
    control_of(entra).forget_hits()
    asking = threading.Thread(target=provider.get_mongo_token)
    asking.start()
    wait_until(lambda: control_of(entra).hits().get("token"), what="the request is under way")
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if provider.get_mongo_token(timeout=2).token else 1)
        finally:
            os._exit(2)
    assert wait_until(lambda: exit_code(child), timeout=2, what="the child ends") == (0,)
    asking.join()
    provider.close()


def cached() -> MongoEntraTokenProvider:
    provider = provider_of(Service(time.time))
    provider.get_mongo_token()
    return provider


def _call(provider: MongoEntraTokenProvider, times: int) -> None:
    get: Callable[[], object] = provider.get_mongo_token
    for _ in range(times):
        get()
