"""The token cache against a model of it, over time, outages, refusals and clocks that are set."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from replication.auth.credentials import Credentials
from replication.errors import TokenUnavailable
from tests.replication.tokens import Clock, Service, provider_of

MEMORY = 1.0  # seconds that a failure is remembered


class CacheMachine(RuleBasedStateMachine):
    """The model: which token is in memory, which ones servers refused, and whether Entra works."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.service = Service(self.clock)
        self.provider = provider_of(self.service)
        self.known: Credentials | None = None
        self.refused: set[str] = set()
        self.failed_at = float("-inf")
        self.generation = 0

    @initialize(life=st.sampled_from([2.0, 60.0, 3600.0, 86400.0]))
    def begin(self, life: float) -> None:
        self.service.life = life

    @rule(down=st.booleans())
    def outage(self, down: bool) -> None:
        self.service.down = down

    @rule(repeats=st.booleans())
    def entra_repeats_its_token(self, repeats: bool) -> None:
        self.service.repeat = self.known.token if repeats and self.known else None

    @rule(seconds=st.floats(0.01, 4000))
    def time_goes_by(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(seconds=st.sampled_from([-600.0, 600.0]))
    def the_clock_is_set(self, seconds: float) -> None:
        self.clock.jump(seconds)

    @rule()
    def the_background_looks(self) -> None:
        before = self.service.requests
        self.provider.refresh_if_due()
        if self.known is not None and self.clock() < self.known.refresh_at:
            assert self.service.requests == before
        if self.service.requests > before:
            self.failed_at = self.clock.elapsed()  # perhaps

    @rule()
    def ask(self) -> None:
        self._get(None)

    @precondition(lambda self: self.known is not None)
    @rule()
    def a_server_refuses_the_token(self) -> None:
        assert self.known is not None
        if self.clock() < self.known.renew_by:
            self.refused.add(self.known.token)
        self._get(self.known.generation)

    @precondition(lambda self: self.generation > 1)
    @rule()
    def late_news_of_an_old_refusal(self) -> None:
        self._get(self.generation - 1)

    def _get(self, refused: int | None) -> None:
        before = self.service.requests
        lasting = self.known is not None and self.clock() < self.known.renew_by
        if lasting and self.known and refused != self.known.generation:
            again = self.provider.get_mongo_token(refused=refused)
            assert again.generation >= self.known.generation
            assert self.service.requests == before, "a token that lasts is asked for again"
            self._learn(again)
            return
        try:
            self._learn(self.provider.get_mongo_token(refused=refused))
        except TokenUnavailable:
            works = not self.service.down and self.service.repeat not in self.refused
            if before != self.service.requests:
                assert not works, "Entra gave a token and nobody got it"
                self.failed_at = self.clock.elapsed()
            else:
                assert self.clock.elapsed() - self.failed_at < MEMORY, "a failure for ever"
            if self.known and refused == self.known.generation:
                self.known = None

    def _learn(self, credentials: Credentials) -> None:
        assert credentials.token not in self.refused
        assert self.clock() < credentials.expires_at
        assert credentials.generation >= self.generation
        assert credentials.refresh_at <= credentials.renew_by <= credentials.expires_at
        self.known, self.generation = credentials, credentials.generation

    @invariant()
    def a_request_is_one_attempt_here(self) -> None:
        assert self.service.requests >= self.generation


@pytest.mark.timeout(60)
class TestCache(CacheMachine.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
