"""Failed requests are repeated with patience, and no clock makes that last for ever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.auth.azure_entra import AccessToken
from replication.auth.mongo_entra import MongoEntraConfig, MongoEntraTokenProvider, RetryConfig
from replication.errors import TokenUnavailable
from tests.replication.tokens import Clock, Service, clocks_of, provider_of


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(clock: Clock) -> Service:
    return Service(clock)


@given(attempt=st.integers(1, 200), first=st.floats(0, 10), longest=st.floats(0, 60))
def test_pauses_are_drawn_between_nothing_and_a_growing_ceiling(
    attempt: int, first: float, longest: float
) -> None:
    retry = RetryConfig(first_delay=first, max_delay=longest)
    ceiling = min(longest, first * 2 ** min(attempt - 1, 60))
    assert all(0 <= retry.delay(attempt) <= ceiling for _ in range(5))


def test_attempts_end_with_their_budget(service: Service, clock: Clock) -> None:
    class Slow:
        def request_token(self, scope: str) -> AccessToken:
            clock.now += 1
            return service.request_token(scope)

    service.down = True
    retry = RetryConfig(attempts=1000, first_delay=0, budget=9.5)
    config = MongoEntraConfig(retry_config=retry)
    provider = MongoEntraTokenProvider(config, Slow(), clocks=clocks_of(clock), background=False)
    with pytest.raises(TokenUnavailable):
        provider.get_mongo_token()
    assert service.requests == 10


def test_a_token_that_has_expired_when_it_comes_points_to_the_clock(service: Service) -> None:
    service.life = -600
    with pytest.raises(TokenUnavailable, match="is this machine's clock right"):
        provider_of(service).get_mongo_token()
    assert service.requests == 1


@pytest.mark.parametrize("seconds", [-600, 600])
def test_a_clock_that_is_set_never_stops_new_attempts(
    service: Service, clock: Clock, seconds: float
) -> None:
    provider = provider_of(service)
    service.down = True
    with pytest.raises(TokenUnavailable):
        provider.get_mongo_token()
    clock.jump(seconds)
    service.down = False
    clock.now += 1.1
    assert provider.get_mongo_token().generation == 1
