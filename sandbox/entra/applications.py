"""The applications that the tenant knows, and what each may ask for."""

import secrets
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from sandbox.entra.addresses import Addresses
from sandbox.entra.directory import (
    REPLICATOR_CLIENT_ID,
    REPLICATOR_OID,
    WEB_CLIENT_ID,
    WEB_CLIENT_SECRET,
    WEB_OID,
)

GRAPH = "https://graph.microsoft.com"
# The resources that client credentials may name besides Graph. A token for the wrong one is real,
# and what it is shown to refuses it.
OTHER_RESOURCES = (
    "https://ossrdbms-aad.database.windows.net",
    "https://cosmos.azure.com",
    "https://management.azure.com",
)
FEDERATED_SUBJECT = "system:serviceaccount:nordwind:finops"
FEDERATED_AUDIENCE = "api://AzureADTokenExchange"
GRAPH_ROLES = ("GroupMember.Read.All", "User.Read.All")
# Loopback hosts for which Entra leaves the port out when it compares redirect URIs.
_LOOPBACK = {"localhost", "127.0.0.1"}


class UnknownApplication(LookupError):
    """The tenant has no application with this client id."""


@dataclass(frozen=True)
class Application:
    """An app registration with its service principal's object id.

    ``redirect_uris`` hold no port: any port of a loopback host matches. ``graph_roles`` are the
    application permissions that an administrator consented to.
    """

    client_id: str
    oid: str
    name: str
    secret: str | None = None
    redirect_uris: tuple[str, ...] = ()
    graph_roles: tuple[str, ...] = ()
    front_channel_url: str | None = None

    def __repr__(self) -> str:
        return f"Application({self.name!r}, {self.client_id})"

    def allows_redirect(self, uri: str) -> bool:
        """Whether ``uri`` is registered, the port of a loopback host aside."""
        wanted = _without_loopback_port(uri)
        return wanted is not None and wanted in {
            _without_loopback_port(registered) for registered in self.redirect_uris
        }

    def has_secret(self, presented: str) -> bool:
        """Whether ``presented`` is the client secret, compared in constant time."""
        return self.secret is not None and secrets.compare_digest(
            self.secret.encode(), presented.encode()
        )


def _without_loopback_port(uri: str) -> str | None:
    """``uri`` for comparison; None where it cannot be a redirect URI."""
    # urlsplit() drops line breaks without a word, and they would end in a header.
    if "\\" in uri or not all("!" <= character <= "~" for character in uri):
        return None
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or parts.fragment or "@" in parts.netloc:
        return None
    host = parts.hostname or ""
    loopback = host in _LOOPBACK
    if parts.scheme == "http" and not loopback:
        return None
    netloc = host if loopback or port is None else f"{host}:{port}"
    return parts._replace(netloc=netloc).geturl()


class Applications:
    """The registrations as they are now: tests may add a redirect URI."""

    def __init__(
        self, *, front_channel_url: str | None = None, redirect_uris: tuple[str, ...] = ()
    ) -> None:
        paths = ("/oidc/callback/", "/signed-out/", "/")
        hosts = ("http://localhost", "http://127.0.0.1")
        self._initial = (
            Application(
                client_id=WEB_CLIENT_ID,
                oid=WEB_OID,
                name="FinOps Dashboard",
                secret=WEB_CLIENT_SECRET,
                redirect_uris=(*(host + path for host in hosts for path in paths), *redirect_uris),
                graph_roles=GRAPH_ROLES,
                front_channel_url=front_channel_url,
            ),
            Application(
                client_id=REPLICATOR_CLIENT_ID, oid=REPLICATOR_OID, name="FinOps Replicator"
            ),
        )
        self.reset()

    def reset(self) -> None:
        """The registrations as at the start."""
        self._applications = {app.client_id: app for app in self._initial}

    def get(self, client_id: str) -> Application:
        """The application. Raises ``UnknownApplication``."""
        found = self._applications.get(client_id.lower())
        if found is None:
            raise UnknownApplication(
                f"Application with identifier '{client_id[:100]}' was not found in the directory."
            )
        return found

    def all(self) -> tuple[Application, ...]:
        """Every registration."""
        return tuple(self._applications.values())

    def register(
        self,
        client_id: str,
        *,
        redirect_uri: str | None = None,
        front_channel_url: str | None = None,
    ) -> Application:
        """Add a redirect URI, or set the front-channel logout URL. Raises ``ValueError``."""
        application = self.get(client_id)
        if redirect_uri is not None:
            if _without_loopback_port(redirect_uri) is None:
                raise ValueError(
                    f"{redirect_uri!r} cannot be a redirect URI: expected https, or http on a "
                    "loopback host, without a fragment."
                )
            application = replace(
                application, redirect_uris=(*application.redirect_uris, redirect_uri)
            )
        if front_channel_url is not None:
            application = replace(application, front_channel_url=front_channel_url)
        self._applications = self._applications | {application.client_id: application}
        return application


def resource_of_scope(scope: str, addresses: Addresses) -> str | None:
    """The resource of a ``<resource>/.default`` scope; None where nobody knows the resource.

    Raises ``ValueError`` for a scope of another form.
    """
    resource, separator, rest = scope.rpartition("/.default")
    if not separator or rest or " " in resource:
        raise ValueError(scope)
    # "https://host//.default" asks for an audience that ends in a slash, which is another resource.
    known = (*graph_audiences(addresses), *OTHER_RESOURCES)
    return resource if resource in known else None


def graph_audiences(addresses: Addresses) -> tuple[str, ...]:
    """The audiences that the fake Graph takes for its own."""
    return (addresses.graph, GRAPH)
