"""Every authentication event is a number, a log line with a correlation id, and a signal."""

import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest
import structlog
from pymongo.errors import OperationFailure
from structlog.testing import capture_logs

from replication.auth.events import AuthEvent
from replication.auth.mongo_entra import MongoEntraTokenProvider
from replication.auth.signals import authentication_event
from replication.config import MongoConfig
from replication.errors import TokenUnavailable
from replication.mongo import Client, new_mongo_client
from sandbox.entra.directory import TENANT_ID
from tests.conftest import GateFactory
from tests.replication.numbers import Counted, number, told
from tests.replication.signed_in import POLICY
from tests.replication.tokens import SCOPE, Clock, Service, provider_of
from tests.sandbox.gate_running import RunningGate

PREFIX = "replicator_mongo"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(clock: Clock) -> Service:
    return Service(clock)


def test_requests_hits_misses_and_failures_are_counted(service: Service, clock: Clock) -> None:
    provider, counted = provider_of(service), Counted()
    provider.get_mongo_token()
    provider.get_mongo_token()
    clock.now += 3400
    service.down = True
    provider.refresh_if_due()
    assert counted(f"{PREFIX}_token_requests_total", result="success") == 1
    assert counted(f"{PREFIX}_token_requests_total", result="failure") == 1
    assert counted(f"{PREFIX}_token_cache_misses_total") == 1
    assert counted(f"{PREFIX}_token_cache_hits_total") == 1
    assert counted(f"{PREFIX}_token_refresh_failures_total") == 1
    assert counted(f"{PREFIX}_token_request_duration_seconds_count") == 2
    expiry = number(f"{PREFIX}_token_expiry_timestamp_seconds", scope=SCOPE)
    assert expiry == clock.now + 200


def test_each_event_has_a_line_and_a_signal(service: Service, clock: Clock) -> None:
    provider = provider_of(service)
    with capture_logs() as logs, told() as events:
        first = provider.get_mongo_token()
        provider.get_mongo_token()
        clock.now += 3400
        provider.refresh_if_due()
        provider.get_mongo_token(refused=first.generation + 1)
        service.down = True
        clock.now += 4000
        with pytest.raises(TokenUnavailable):
            provider.get_mongo_token()
    assert [event for event, _ in events] == [
        AuthEvent.TOKEN_ACQUIRED,
        AuthEvent.TOKEN_CACHE_HIT,
        AuthEvent.TOKEN_REFRESHED,
        AuthEvent.TOKEN_REFUSED,
        AuthEvent.TOKEN_ACQUIRED,
        AuthEvent.TOKEN_FAILED,
    ]
    lines = [{k: v for k, v in line.items() if k not in ("log_level", "event")} for line in logs]
    signals = [{k: v for k, v in facts.items() if k != "signal"} for _, facts in events]
    assert lines == signals
    assert [line["event"] for line in logs] == [event.value for event, _ in events]


def test_a_receiver_that_comes_late_hears_of_hits_too(service: Service) -> None:
    provider = provider_of(service)
    provider.get_mongo_token()
    provider.get_mongo_token()  # nobody listens, which the signal remembers
    with told() as events:
        provider.get_mongo_token()
    provider.get_mongo_token()
    assert [event for event, _ in events] == [AuthEvent.TOKEN_CACHE_HIT]


def test_a_requests_id_reaches_the_token_request(service: Service) -> None:
    provider = provider_of(service)
    with told() as events, structlog.contextvars.bound_contextvars(request_id="web-1"):
        provider.get_mongo_token()
    assert [facts["correlation_id"] for _, facts in events] == ["web-1"]


def test_a_tasks_id_does_too_and_a_refresh_has_its_own(service: Service, clock: Clock) -> None:
    provider = provider_of(service)
    with told() as events:
        with structlog.contextvars.bound_contextvars(task_id="task-1"):
            provider.get_mongo_token()
        clock.now += 3400
        provider.refresh_if_due()
    task, own = [facts["correlation_id"] for _, facts in events]
    assert task == "task-1"
    assert own not in ("", "task-1")


def test_one_event_can_be_listened_for_and_a_bad_receiver_changes_nothing(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    def bad(scope: str, **_: object) -> None:
        seen.append(scope)
        raise RuntimeError("mine")

    authentication_event.connect(bad, sender=AuthEvent.TOKEN_ACQUIRED)
    try:
        provider = provider_of(service)
        assert provider.get_mongo_token().generation == 1
        assert provider.get_mongo_token(refused=1).generation == 2
    finally:
        authentication_event.disconnect(bad, sender=AuthEvent.TOKEN_ACQUIRED)
    assert seen == [SCOPE, SCOPE]
    assert any(record.levelno == logging.ERROR for record in caplog.records)


@pytest.fixture
def gate(gate_factory: GateFactory) -> RunningGate:
    return gate_factory()


@pytest.fixture
def gate_service(gate: RunningGate) -> Service:
    service = Service(gate.issuer.now)
    service.repeat = gate.issuer.mint()
    return service


@pytest.fixture
def provider(gate_service: Service) -> MongoEntraTokenProvider:
    return provider_of(gate_service)


@pytest.fixture
def client(gate: RunningGate, provider: MongoEntraTokenProvider) -> Iterator[Client]:
    local = MongoConfig("mongodb://localhost/", auth_method="entra", tenant_id=TENANT_ID)
    config = replace(local, connection_uri=gate.uri)
    with new_mongo_client(config, policy=POLICY, provider=provider, name="billing") as client:
        yield client


def attempts(counted: Counted, result: str, reason: str = "") -> float:
    labels = {"connection": "billing", "result": result, "reason": reason}
    return counted(f"{PREFIX}_auth_attempts_total", **labels)


def test_sign_ins_and_later_ones_are_counted_by_connection(
    client: Client, gate: RunningGate, gate_service: Service
) -> None:
    counted = Counted()
    with told() as events:
        client["events"]["rows"].find_one()
        gate.issuer.advance(7200)
        gate_service.repeat = gate.issuer.mint()
        client["events"]["rows"].find_one()
    assert attempts(counted, "success") == 2
    assert counted(f"{PREFIX}_reauth_total", connection="billing") == 1
    assert counted(f"{PREFIX}_auth_duration_seconds_count", connection="billing") == 2
    kinds = [event for event, facts in events if facts.get("connection") == "billing"]
    assert kinds == [AuthEvent.SIGNED_IN, AuthEvent.REAUTHENTICATED]


def test_a_refused_sign_in_is_counted_with_its_reason(
    client: Client, gate: RunningGate, gate_service: Service
) -> None:
    gate_service.repeat = gate.issuer.mint(oid="00000000-0000-4000-8000-000000000000")
    counted = Counted()
    with pytest.raises(OperationFailure):
        client["events"]["rows"].find_one()
    assert attempts(counted, "failure", "refused") >= 1


def test_a_sign_in_without_a_token_is_counted_with_its_reason(
    client: Client, gate_service: Service
) -> None:
    gate_service.down = True
    counted = Counted()
    with told() as events, pytest.raises(TokenUnavailable):
        client["events"]["rows"].find_one()
    assert attempts(counted, "failure", "no_token") >= 1
    assert AuthEvent.SIGN_IN_FAILED in [event for event, _ in events]
