"""Made-up secrets go through everything that can fail, and turn up in nothing that is told.

Logs at every level of every logger (also the driver's and Azure's), metrics, errors with their
whole chains, and reprs are searched for a token, a client secret and two passwords.
"""

import base64
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from io import StringIO
from typing import Any

import pytest
import structlog
from prometheus_client import REGISTRY, generate_latest
from pymongo import MongoClient

from replication.auth.azure_entra import AzureEntraProvider
from replication.auth.mongo_entra import Access
from replication.config import MongoConfig
from replication.errors import InvalidConfiguration, describe
from replication.models import Connection
from replication.mongo import new_mongo_client
from sandbox.entra.directory import WEB_CLIENT_SECRET
from sandbox.entra.faults import Endpoints, FaultKind
from sandbox.entra.server import EntraServer
from tests.replication.running import Document
from tests.replication.signed_in import (
    Gate,
    client_through,
    control_of,
    provider_for,
    replicator,
)
from tests.replication.tokens import SCOPE

PASSWORD, REFERENCED = "canary-in-address", "canary-behind-reference"


class Told:
    """All that was logged, shown or raised, as one text."""

    def __init__(self) -> None:
        self.log = StringIO()
        self.shown: list[str] = []

    def keep(self, *things: object) -> None:
        for thing in things:
            self.shown += [repr(thing), str(thing)]
            if isinstance(thing, BaseException):
                self.shown.append("".join(traceback.format_exception(thing)))
                self.shown.append(describe(thing))

    def everything(self) -> str:
        metrics = generate_latest(REGISTRY).decode()
        return "\n".join([self.log.getvalue(), metrics, *self.shown])


@pytest.fixture
def told() -> Iterator[Told]:
    """Listen to every logger at its lowest level, before our own processors remove anything."""
    told = Told()
    handler = logging.StreamHandler(told.log)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s %(args)s %(exc_text)s"))
    named = [logging.getLogger(name) for name in ("azure", "msal", "urllib3", "pymongo")]
    root = logging.getLogger()
    levels = {logger: logger.level for logger in [root, *named]}
    for logger in levels:
        logger.setLevel(logging.DEBUG)
    root.addHandler(handler)
    # In place, as structlog's own capture_logs does: loggers keep the list that they began with.
    processors = structlog.get_config()["processors"]
    usual = list(processors)
    processors[:] = [_unfiltered]
    yield told
    processors[:] = usual
    root.removeHandler(handler)
    for logger, level in levels.items():
        logger.setLevel(level)


def _unfiltered(_logger: object, _method: str, event: Any) -> str:
    return repr(event)


def parts_of(token: str) -> list[str]:
    """A token, its signature, and its claims as they would look in the clear or in base64."""
    _head, claims, signature = token.split(".")
    return [token, signature, claims, base64.b64encode(token.encode()).decode()[:200]]


def attempt(told: Told, action: Callable[[], object]) -> None:
    try:
        told.keep(action())
    except Exception as error:
        told.keep(error)
        logging.getLogger("canaries").exception("failed")


def test_no_token_is_told_by_anything(
    told: Told, entra: EntraServer, new_gate: Callable[[], Gate]
) -> None:
    gate, provider = new_gate(), provider_for(entra)
    control = control_of(entra)
    secrets: list[str] = []
    with ExitStack() as stack:
        stack.callback(provider.close)
        client = stack.enter_context(client_through(gate, provider))
        rows = client["canaries"]["rows"]
        attempt(told, rows.find_one)
        credentials = provider.get_mongo_token()
        secrets += parts_of(credentials.token)
        told.keep(provider, client, client.options, credentials, rows)
        told.keep(client.options.pool_options, client.options.pool_options._credentials)
        attempt(told, lambda: provider.validate_mongo_access(credentials.token, "https://x"))
        attempt(
            told,
            lambda: provider.validate_mongo_access(
                credentials.token, collection=rows, access=Access.WRITE
            ),
        )
        second = provider.get_mongo_token(refused=credentials.generation)
        secrets += parts_of(second.token)
        for kind in (FaultKind.STATUS, FaultKind.MALFORMED, FaultKind.DROPPED):
            control.fail(Endpoints.TOKEN, kind, times=None)
            attempt(told, lambda: AzureEntraProvider(replicator(entra)).request_token(SCOPE))
            control.stop_failing()
        control.fail(Endpoints.TOKEN, times=None)
        attempt(told, lambda: provider.get_mongo_token(refused=second.generation))
        with client_through(gate, provider) as another:
            attempt(told, another["canaries"]["rows"].find_one)
    secrets += parts_of(entra.federated_token_file.read_text().strip())
    heard = told.log.getvalue()
    for source in ("pymongo.command", "urllib3.connectionpool", "azure.", "mongo_token_acquired"):
        assert source in heard, f"nothing of {source} was listened to"
    assert_untold(told, secrets)


def test_no_password_is_told_by_anything(
    told: Told, db: None, mongo: MongoClient[Document]
) -> None:
    address = f"mongodb://me:{PASSWORD}@localhost:1/?serverSelectionTimeoutMS=50"
    config = MongoConfig(address)
    beside = MongoConfig(address.replace(f":{PASSWORD}", ""), password=REFERENCED)
    for one in (config, beside):
        told.keep(one)
        with new_mongo_client(one) as client:
            told.keep(client)
            attempt(told, client["canaries"]["rows"].find_one)
    for wrong in (
        replace(config, auth_method="entra"),
        replace(config, connection_uri=f"mongodb://me:{PASSWORD}@@b/?w=0", auth_method="entra"),
        replace(config, connection_uri=f"mongodb://me:{PASSWORD}/x@h:port"),
        replace(beside, auth_method="entra"),
    ):
        with pytest.raises(InvalidConfiguration) as error:
            wrong.validate()
        told.keep(error.value, wrong)
        attempt(told, partial(new_mongo_client, wrong))
    row = Connection(name="canary", uri=address, auth_method="connection_string")
    attempt(told, row.full_clean)
    told.keep(row)
    assert_untold(told, [PASSWORD, REFERENCED])


def test_no_client_secret_is_told_by_anything(told: Told, entra: EntraServer) -> None:
    attempt(told, lambda: AzureEntraProvider(replicator(entra)).request_token(SCOPE))
    told.keep(replicator(entra))
    assert_untold(told, [WEB_CLIENT_SECRET])


def assert_untold(told: Told, secrets: list[str]) -> None:
    everything = told.everything()
    found = [position for secret in secrets if (position := everything.find(secret)) >= 0]
    assert [everything[max(0, at - 300) : at] for at in found] == []
