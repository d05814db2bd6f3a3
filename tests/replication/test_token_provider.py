"""One request serves everybody, a refused token never comes back, and an outage is bearable."""

import os
import threading
import time
from collections.abc import Callable

import pytest
from pymongo.auth_oidc import OIDCCallbackContext
from structlog.testing import capture_logs

from replication.auth.driver import EntraCallback
from replication.errors import InvalidConfiguration, TokenUnavailable
from tests.replication.tokens import CANARY, SCOPE, Clock, Service, provider_of
from tests.waiting import wait_until

WITH_A_TOKEN = 7  # the exit code of a child that got one


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(clock: Clock) -> Service:
    return Service(clock)


def context(refresh_token: str | None = None, seconds: float = 60) -> OIDCCallbackContext:
    return OIDCCallbackContext(
        timeout_seconds=seconds, username="", version=1, refresh_token=refresh_token
    )


def in_threads(
    count: int, work: Callable[[int], object], meanwhile: Callable[[], None]
) -> list[object]:
    """Run ``work`` in threads that begin together; their results or errors."""
    results: list[object] = []
    begin = threading.Barrier(count + 1)

    def one(number: int) -> None:
        begin.wait()
        try:
            results.append(work(number))
        except TokenUnavailable as error:
            results.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    begin.wait()
    meanwhile()
    for thread in threads:
        thread.join(20)
    return results


def test_sixteen_threads_of_four_clients_make_one_request(service: Service) -> None:
    provider = provider_of(service)
    clients = [EntraCallback(provider) for _ in range(4)]
    service.released.clear()
    results = in_threads(
        16, lambda n: clients[n % 4].fetch(context()).access_token, service.released.set
    )
    assert results == [f"{CANARY}-1"] * 16
    assert service.requests == 1


def test_a_failing_request_fails_everybody_at_once_and_is_remembered(
    service: Service, clock: Clock
) -> None:
    provider = provider_of(service)
    service.down = True
    service.released.clear()
    results = in_threads(8, lambda _: provider.get_mongo_token(), service.released.set)
    assert [type(result) for result in results] == [TokenUnavailable] * 8
    assert service.requests == 1
    service.down = False
    with pytest.raises(TokenUnavailable, match="the service is down"):
        provider.get_mongo_token()
    clock.now += 1.1
    assert provider.get_mongo_token().generation == 1


def test_a_request_is_repeated_before_it_counts_as_failed(service: Service) -> None:
    service.down = True
    with pytest.raises(TokenUnavailable):
        provider_of(service, attempts=3).get_mongo_token()
    assert service.requests == 3


def test_a_service_that_hangs_does_not_outlast_a_callers_patience(service: Service) -> None:
    callback = EntraCallback(provider_of(service), timeout=1)
    service.released.clear()
    for seconds in (0, 60):
        began = time.monotonic()
        with pytest.raises(TokenUnavailable, match="under way"):
            callback.fetch(context(seconds=seconds))
        assert 0.9 < time.monotonic() - began < 5
    assert service.requests == 1
    service.released.set()
    assert callback.fetch(context()).access_token


def test_an_unexpected_error_is_told_by_its_type_and_asked_again(
    service: Service, clock: Clock
) -> None:
    provider = provider_of(service)
    service.life = "wrong"  # type: ignore[assignment]
    with pytest.raises(TokenUnavailable, match="an unexpected TypeError"):
        provider.get_mongo_token()
    service.life = 60
    clock.now += 2
    assert provider.get_mongo_token()


def test_a_token_is_kept_for_its_life(service: Service, clock: Clock) -> None:
    provider = provider_of(service)
    for _ in range(3):
        assert provider.get_mongo_token().generation == 1
        clock.now += 1000
    clock.now += 1000
    assert provider.get_mongo_token().generation == 2


@pytest.mark.parametrize(("life", "due_after"), [(3600, 3300), (86400, 86100), (3, 1.5), (60, 30)])
def test_a_token_is_renewed_ahead_and_short_ones_at_half_life(
    service: Service, clock: Clock, life: float, due_after: float
) -> None:
    provider = provider_of(service)
    service.life = life
    provider.get_mongo_token()
    clock.now += due_after - 0.1
    provider.refresh_if_due()
    assert service.requests == 1
    clock.now += 0.2
    provider.refresh_if_due()
    assert provider.get_mongo_token().generation == 2


def test_the_old_token_serves_while_it_is_valid_and_the_service_is_down(
    service: Service, clock: Clock
) -> None:
    provider = provider_of(service)
    provider.get_mongo_token()
    service.down = True
    clock.now += 3400
    provider.refresh_if_due()
    assert provider.get_mongo_token().generation == 1
    clock.now += 197  # so near its end that callers would rather have another one
    assert provider.get_mongo_token().generation == 1
    clock.now += 5
    with pytest.raises(TokenUnavailable):
        provider.get_mongo_token()


def test_a_refused_token_is_never_handed_out_again(service: Service, clock: Clock) -> None:
    provider = provider_of(service)
    callback = EntraCallback(provider)
    first = callback.fetch(context())
    second = callback.fetch(context(first.refresh_token))
    assert second.access_token != first.access_token
    service.repeat = first.access_token
    clock.now += 2
    with pytest.raises(TokenUnavailable, match="refused"):
        callback.fetch(context(second.refresh_token))


def test_news_of_an_older_refusal_does_not_cost_a_request(service: Service) -> None:
    provider = provider_of(service)
    one, other = EntraCallback(provider), EntraCallback(provider)
    first = one.fetch(context())
    other.fetch(context())
    one.fetch(context(first.refresh_token))
    assert other.fetch(context(first.refresh_token)).access_token == f"{CANARY}-2"
    assert service.requests == 2


def test_a_clock_that_is_set_heals(service: Service, clock: Clock) -> None:
    provider = provider_of(service)
    first = provider.get_mongo_token()
    clock.now -= 600
    assert provider.get_mongo_token(refused=first.generation).generation == 2
    clock.now += 7200
    assert provider.get_mongo_token().generation == 3


def test_a_thread_renews_short_tokens_without_being_asked() -> None:
    service = Service(time.time, life=0.4)
    provider = provider_of(service, background=True)
    provider.get_mongo_token()
    wait_until(lambda: service.requests >= 4, what="the token was renewed three times")
    assert provider.get_mongo_token().generation >= 4
    provider.close()


def test_each_resource_has_a_token_of_its_own(service: Service) -> None:
    provider = provider_of(service)
    default = provider.get_mongo_token()
    other = provider.get_mongo_token("https://cosmos.azure.com")
    assert (default.scope, other.scope) == (SCOPE, "https://cosmos.azure.com/.default")
    assert provider.get_mongo_token(SCOPE.removesuffix("/.default")) is default
    assert provider.get_mongo_token(SCOPE) is default
    with pytest.raises(InvalidConfiguration, match="expected https"):
        provider.get_mongo_token("cosmos")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_child_of_a_fork_in_the_middle_of_a_request_works(service: Service) -> None:
    provider = provider_of(service)
    service.released.clear()
    asking = threading.Thread(target=provider.get_mongo_token)
    asking.start()
    wait_until(lambda: service.requests == 1, what="a request is under way")
    child = os.fork()
    if child == 0:
        service.released = threading.Event()  # the other thread's lock is not this test's subject
        service.released.set()
        try:
            os._exit(WITH_A_TOKEN if provider.get_mongo_token(timeout=2).token else 1)
        finally:
            os._exit(2)
    assert wait_until(lambda: exit_code(child), timeout=2, what="the child ends") == (WITH_A_TOKEN,)
    service.released.set()
    asking.join()


def exit_code(child: int) -> tuple[int] | None:
    """The exit code of a child, in a tuple because 0 is one too; None while it runs."""
    pid, status = os.waitpid(child, os.WNOHANG)
    return (os.waitstatus_to_exitcode(status),) if pid else None


def test_a_client_that_closes_asks_for_no_token(service: Service) -> None:
    callback = EntraCallback(provider_of(service))
    callback.stop()
    with pytest.raises(TokenUnavailable):
        callback.fetch(context())
    assert service.requests == 0


def test_no_token_is_in_a_repr_a_log_or_an_error(service: Service, clock: Clock) -> None:
    provider = provider_of(service)
    with capture_logs() as logs:
        credentials = provider.get_mongo_token()
        service.repeat = credentials.token
        with pytest.raises(TokenUnavailable) as error:
            provider.get_mongo_token(refused=credentials.generation)
    assert {entry["event"] for entry in logs} == {
        "mongo_token_acquired",
        "mongo_token_refused",
        "mongo_token_failed",
    }
    shown = repr((credentials, provider, logs, error.value, service.request_token("x")))
    assert CANARY in credentials.token
    assert CANARY not in shown
