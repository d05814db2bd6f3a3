"""Everything that one running fake knows, in one place for its endpoints."""

import secrets
import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.entra.addresses import Addresses
from sandbox.entra.applications import Application, Applications
from sandbox.entra.cluster import Cluster
from sandbox.entra.directory import Directory
from sandbox.entra.faults import Faults, Hits
from sandbox.entra.hostile import Forger, Recipe
from sandbox.entra.keys import KeyRing, SigningKey
from sandbox.entra.lifetimes import Lifetimes
from sandbox.entra.private_files import DamagedState, read_if_there, write_private
from sandbox.entra.sign_ins import SignIns
from sandbox.entra.tokens import GraphTokenCheck, Minter

FEDERATED_TOKEN = "federated-token"  # noqa: S105 - a file's name
CONTROL_TOKEN = "control-token"  # noqa: S105 - a file's name
APPLICATION_CERTIFICATE = "application-certificate.pem"


@dataclass
class Behaviour:
    """What control calls may change besides failures, and ``reset`` takes back."""

    lifetimes: Lifetimes
    sign_in_by_hint: bool = False  # a login_hint signs in without a page
    reusable_codes: bool = False  # a code may be redeemed again, as Entra never allows
    next_id_tokens: deque[Recipe] = field(default_factory=deque)


class Tenant:
    """The tenant. Its keys, its cluster's key and its control token persist in ``directory``."""

    def __init__(
        self,
        state: Path,
        addresses: Addresses,
        *,
        lifetimes: Lifetimes,
        front_channel_url: str | None = None,
        redirect_uris: tuple[str, ...] = (),
    ) -> None:
        self.addresses = addresses
        self.directory = Directory()
        self.applications = Applications(
            front_channel_url=front_channel_url, redirect_uris=redirect_uris
        )
        self.keys = KeyRing(state / "signing-keys.json")
        self.cluster_keys = KeyRing(state / "cluster-keys.json")
        self.certificate = _application_certificate(state / APPLICATION_CERTIFICATE)
        self.cluster = Cluster(
            addresses,
            self.cluster_keys,
            state / FEDERATED_TOKEN,
            lifetime=lifetimes.federated,
        )
        self.minter = Minter(addresses, self.keys)
        self.forger = Forger(self.keys, self.applications)
        self.cluster_forger = Forger(self.cluster_keys, self.applications)
        self.graph_tokens = GraphTokenCheck(addresses, self.keys)
        self.sign_ins = SignIns()
        self.faults = Faults()
        self.hits = Hits()
        self.control_token = _control_token(state / CONTROL_TOKEN)
        self.page_key = secrets.token_bytes(32)  # seals Graph's skip tokens
        self.ended = threading.Event()  # ends slow answers early
        self._initial_lifetimes = lifetimes
        self.behaviour = Behaviour(lifetimes)

    def change_lifetimes(self, changes: dict[str, object]) -> Lifetimes:
        """Set some lifetimes; a new one of the federated token counts at once."""
        self.behaviour.lifetimes = self.behaviour.lifetimes.changed(changes)
        if "federated" in changes:
            self.cluster.set_lifetime(self.behaviour.lifetimes.federated)
        return self.behaviour.lifetimes

    def reset(self) -> None:
        """As at the start, except for keys and the control token."""
        renew = self.behaviour.lifetimes.federated != self._initial_lifetimes.federated
        self.behaviour = Behaviour(self._initial_lifetimes)
        if renew:
            self.cluster.set_lifetime(self._initial_lifetimes.federated)
        self.directory.reset()
        self.applications.reset()
        self.sign_ins.reset()
        self.faults.clear()
        self.hits.reset()

    def front_channel_applications(self, client_ids: frozenset[str]) -> list[Application]:
        """Those of the applications that want to hear of a sign-out."""
        applications = (self.applications.get(client_id) for client_id in sorted(client_ids))
        return [application for application in applications if application.front_channel_url]


def _control_token(file: Path) -> str:
    content = read_if_there(file)
    if content is None:
        content = secrets.token_urlsafe(32).encode()
        write_private(file, content)
    token = content.decode("ascii", errors="replace").strip()
    if len(token) < 32:
        raise DamagedState(file, "holds no control token")
    return token


def _application_certificate(file: Path) -> SigningKey:
    content = read_if_there(file)
    if content is None:
        key = SigningKey.generate()
        write_private(file, key.pem())
        return key
    try:
        return SigningKey.from_pem(content)
    except ValueError as error:
        raise DamagedState(file, "does not hold a certificate and its key") from error
