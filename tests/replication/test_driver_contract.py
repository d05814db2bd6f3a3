"""What this product relies on in pymongo's treatment of an OIDC callback that raises.

A new release of the driver that fails one of these needs another error class in
``replication.errors.TokenUnavailable``, or another way altogether.
"""

from collections.abc import Iterator

import pytest
from pymongo import MongoClient
from pymongo.auth_oidc import OIDCCallback, OIDCCallbackContext, OIDCCallbackResult
from pymongo.errors import WaitQueueTimeoutError
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from replication.auth.driver import observe_sign_ins
from replication.errors import TokenUnavailable
from tests.conftest import GateFactory
from tests.replication.numbers import Counted
from tests.replication.running import Document
from tests.sandbox.gate_running import RunningGate
from tests.waiting import wait_until


class Moody(OIDCCallback):
    """Gives tokens until it is told not to."""

    def __init__(self, gate: RunningGate) -> None:
        self._gate = gate
        self.works = True
        self.seen: list[str | None] = []

    def fetch(self, context: OIDCCallbackContext) -> OIDCCallbackResult:
        self.seen.append(context.refresh_token)
        if not self.works:
            raise TokenUnavailable("no token now")
        return OIDCCallbackResult(self._gate.issuer.mint(), refresh_token=str(len(self.seen)))


@pytest.fixture
def gate(gate_factory: GateFactory) -> RunningGate:
    return gate_factory()


@pytest.fixture
def callback(gate: RunningGate) -> Moody:
    return Moody(gate)


@pytest.fixture
def client(gate: RunningGate, callback: Moody) -> Iterator[MongoClient[Document]]:
    with gate.client(callback, retryWrites=False) as client:
        client["contract"]["rows"].insert_one({})
        yield client


def server_types(client: MongoClient[Document]) -> list[str]:
    servers = client.topology_description.server_descriptions().values()
    return [server.server_type_name for server in servers]


def test_it_is_the_error_that_server_discovery_ignores() -> None:
    assert issubclass(TokenUnavailable, WaitQueueTimeoutError)


def test_an_operation_raises_it_and_the_server_stays_known(
    client: MongoClient[Document], callback: Moody, gate: RunningGate
) -> None:
    before = server_types(client)
    gate.issuer.advance(7200)
    callback.works = False
    with pytest.raises(TokenUnavailable):
        client["contract"]["rows"].find_one()
    assert server_types(client) == before
    callback.works = True
    assert client["contract"]["rows"].find_one()


def test_a_change_stream_survives_it_and_misses_nothing(
    client: MongoClient[Document], callback: Moody, gate: RunningGate, mongo: MongoClient[Document]
) -> None:
    with client["contract"]["rows"].watch(max_await_time_ms=50) as stream:
        stream.try_next()
        gate.issuer.advance(7200)
        callback.works = False
        with pytest.raises(TokenUnavailable):
            stream.try_next()
        assert stream.alive
        mongo["contract"]["rows"].insert_one({"_id": "missed?"})
        callback.works = True
        change = wait_until(stream.try_next, timeout=5, what="the stream goes on")
        assert change is not None
        assert change["documentKey"] == {"_id": "missed?"}


def test_a_callback_gets_back_the_number_of_the_token_that_was_refused(
    client: MongoClient[Document], callback: Moody, gate: RunningGate
) -> None:
    gate.issuer.advance(7200)
    client["contract"]["rows"].find_one()
    assert callback.seen == [None, "1"]


def test_a_clients_own_authenticator_is_where_sign_ins_are_observed(gate: RunningGate) -> None:
    callback = Moody(gate)
    with gate.client(callback) as observed:
        observe_sign_ins(observed, "contract")
        credentials = observed.options.pool_options._credentials
        assert credentials is not None
        ours = credentials.cache.data
        counted = Counted()
        observed["contract"]["rows"].find_one()
        assert credentials.cache.data is ours
        labels = {"connection": "contract", "result": "success", "reason": ""}
        assert counted("replicator_mongo_auth_attempts_total", **labels) == 1


def test_the_drivers_public_monitoring_of_sign_ins_is_redacted(gate: RunningGate) -> None:
    class Seen(CommandListener):
        commands: list[object] = []

        def started(self, event: CommandStartedEvent) -> None:
            self.commands.append((event.command_name, dict(event.command)))

        def succeeded(self, event: CommandSucceededEvent) -> None:
            """Nothing of interest."""

        def failed(self, event: CommandFailedEvent) -> None:
            """Nothing of interest."""

    with gate.client(event_listeners=[Seen()]) as observed:
        observed["contract"]["rows"].find_one()
    assert "eyJ" not in str(Seen.commands)
