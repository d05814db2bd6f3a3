"""One connection, looked at from the address to a write: a method for each step, in this order."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pymongo.errors import PyMongoError

from replication.auth.azure_entra import AzureEntraProvider, TokenSource
from replication.auth.claims import TokenClaims
from replication.auth.diagnosis.findings import Cause, Finding, StepFailed
from replication.auth.diagnosis.network import Node, look_up, reach
from replication.auth.diagnosis.refusals import right_failure, server_failure, sign_in_failure
from replication.auth.diagnosis.tokens import GivenToken, request_token
from replication.auth.mongo_entra import MongoEntraTokenProvider
from replication.config import AuthMethod, MongoConfig, MongoPolicy
from replication.errors import InvalidConfiguration
from replication.mongo import Client, entra_config, new_mongo_client

PROBE_PREFIX = "test_auth_"
_READ = "read (on Azure DocumentDB: readAnyDatabase)"
_WRITE = "readWrite (on Azure DocumentDB: readWriteAnyDatabase with clusterAdmin)"


@dataclass
class MongoProbe:
    """Walks one connection's steps; each raises ``StepFailed``. Close it.

    ``timeout`` (seconds) bounds the waits of a step. A later step may need an earlier one's result.
    """

    config: MongoConfig
    timeout: float = 10.0
    policy: MongoPolicy = field(default_factory=MongoPolicy.from_settings)
    source: TokenSource | None = None  # None: Entra ID, as the configuration says
    _nodes: tuple[Node, ...] = ()
    _claims: TokenClaims | None = None
    _provider: MongoEntraTokenProvider | None = None
    _client: Client | None = None

    @property
    def entra(self) -> bool:
        """Whether the connection signs in with a token."""
        return self.config.auth_method == AuthMethod.ENTRA

    @property
    def _identity(self) -> str:
        return f"The identity {self._claims.object_id}" if self._claims else "The user"

    def check_configuration(self) -> Finding:
        """Find every problem that shows without a connection."""
        if problems := self._problems():
            raise StepFailed(
                Cause.INVALID_CONFIGURATION,
                "\n".join(problems),
                "Correct the connection in the admin under Replication, Connections, or the flags.",
            )
        scope = self.config.scope(self.policy) if self.entra else ""
        return Finding(
            f"{self.config.auth_method}, {', '.join(self.config.hosts)}"
            + (f", scope {scope}" if scope else ""),
            {
                "auth_method": str(self.config.auth_method),
                "hosts": list(self.config.hosts),
                "scope": scope or None,
            },
        )

    def look_up(self) -> Finding:
        """Resolve the names, SRV records first."""
        policy = self.policy if self.entra else None
        self._nodes, finding = look_up(self.config, timeout=self.timeout, policy=policy)
        return finding

    def reach(self) -> Finding:
        """Connect, and look at the certificate."""
        return reach(self._nodes, self.config.options, timeout=self.timeout)

    def request_token(self) -> Finding:
        """Ask Entra ID for a token, which the sign-in then uses."""
        entra = entra_config(self.config, self.policy)
        source = self.source or AzureEntraProvider(entra.credential)
        token, self._claims, finding = request_token(
            source, scope=entra.scope, tenant_id=entra.credential.tenant_id
        )
        self._provider = MongoEntraTokenProvider(entra, GivenToken(token), background=False)
        return finding

    def sign_in(self) -> Finding:
        """Open a new connection and sign in on it, up to the first answer."""
        wait = int(self.timeout * 800)  # ms: less than the step has, so that the reason is told
        defaults = dict.fromkeys(
            ("serverSelectionTimeoutMS", "connectTimeoutMS", "socketTimeoutMS"), wait
        )
        try:
            self._client = new_mongo_client(
                self.config, policy=self.policy, provider=self._provider, defaults=defaults
            )
            self._client.admin.command("ping")
        except InvalidConfiguration as error:
            raise StepFailed(
                Cause.INVALID_CONFIGURATION, str(error), "Correct the connection."
            ) from None
        except PyMongoError as error:
            raise sign_in_failure(error, self._claims) from None
        who = f"as {self._claims.object_id}" if self._claims else f"by {self.config.auth_method}"
        return Finding(f"{who}, on a new connection")

    def ping(self) -> Finding:
        """Ask for an answer on the connection that is open now."""
        try:
            self._signed_in.admin.command("ping")
        except PyMongoError as error:
            raise server_failure(error) from None
        return Finding("answered on the same connection")

    def read(self, database: str, collection: str) -> Finding:
        """Read at most one document's ``_id``."""
        name = f"{database}.{collection}"
        with self._right(f"read {name}", _READ):
            found = self._signed_in[database][collection].find_one({}, {"_id": 1})
        return Finding(f"{name}{'' if found else ', which is empty'}", {"empty": found is None})

    def watch(self, database: str, collection: str) -> Finding:
        """Open a change stream and close it."""
        name = f"{database}.{collection}"
        with (
            self._right(f"open a change stream on {name}", _READ),
            self._signed_in[database][collection].watch(max_await_time_ms=50) as stream,
        ):
            stream.try_next()
            resumable = stream.resume_token is not None
        token = "with" if resumable else "WITHOUT"
        return Finding(f"{name} opened, {token} a resume token", {"resumable": resumable})

    def write(self, database: str) -> Finding:
        """Insert and delete a document, in a collection that is made for it and dropped after."""
        # A name that nobody uses, so that nothing of anybody's can be dropped.
        collection = self._signed_in[database][PROBE_PREFIX + secrets.token_hex(6)]
        with self._right(f"write in {database}", _WRITE):
            inserted = collection.insert_one({"made_by": "manage.py test_auth"}).inserted_id
            try:
                deleted = collection.delete_one({"_id": inserted}).deleted_count
            finally:
                collection.drop()
        return Finding(
            f"one document inserted, {deleted} deleted, in {database}.{collection.name}",
            {"deleted": deleted},
        )

    def _problems(self) -> list[str]:
        problems = [problem for _field, problem in self.config.problems(self.policy)]
        if problems or not self.entra:
            return problems
        try:
            return list(entra_config(self.config, self.policy).problems())
        except InvalidConfiguration as error:
            return list(error.problems)

    def close(self) -> None:
        """Close the connection and forget the token."""
        if self._client is not None:
            self._client.close()
        if self._provider is not None:
            self._provider.close()

    @property
    def _signed_in(self) -> Client:
        if self._client is None:
            raise RuntimeError("sign_in() comes first")
        return self._client

    @contextmanager
    def _right(self, what: str, role: str) -> Iterator[None]:
        try:
            yield
        except PyMongoError as error:
            raise right_failure(error, what=what, role=role, identity=self._identity) from None
