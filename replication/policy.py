"""What an installation allows: which hosts may be sent an Entra token, and for which scope.

Nothing here opens a connection or resolves a name.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
OSSRDBMS_SCOPE = "https://ossrdbms-aad.database.windows.net/.default"
DEFAULT_SCOPE = "https://cosmos.azure.com/.default"
# Options that weaken TLS until it no longer says who the server is.
_INSECURE_TLS = ("tlsInsecure", "tlsAllowInvalidCertificates", "tlsAllowInvalidHostnames")
# Whom a scope that was taken by mistake belongs to.
_OTHER_SERVICES = {
    "https://graph.microsoft.com": "Microsoft Graph",
    "https://management.azure.com": "Azure Resource Manager",
    "https://vault.azure.net": "Key Vault",
    "https://storage.azure.com": "Azure Storage",
    "https://database.windows.net": "Azure SQL",
}


@dataclass(frozen=True)
class MongoPolicy:
    """Which hosts may be sent a token, and with which scope. Suffixes fit whole labels."""

    audiences: Mapping[str, str]  # host suffix -> scope that its servers accept
    allowed_hosts: tuple[str, ...]  # host suffixes
    sandbox: bool = False

    @classmethod
    def from_settings(cls) -> "MongoPolicy":
        """Return the policy of Django's settings."""
        return cls(
            audiences=settings.MONGO_ENTRA_AUDIENCES,
            allowed_hosts=tuple(settings.MONGO_ALLOWED_HOSTS),
            sandbox=settings.SANDBOX,
        )

    def scope_for(self, host: str) -> str | None:
        """Return the scope of the longest suffix in the map that fits, or None."""
        fitting = [suffix for suffix in self.audiences if _has_suffix(host, suffix)]
        return self.audiences[max(fitting, key=len)] if fitting else None

    def is_documentdb(self, host: str) -> bool:
        """Whether ``host`` is an Azure DocumentDB cluster (Cosmos DB for MongoDB vCore)."""
        return self.scope_for(host) == OSSRDBMS_SCOPE

    def allows(self, host: str) -> bool:
        """Whether a token may be sent to ``host``."""
        return any(_has_suffix(host, suffix) for suffix in self.allowed_hosts)

    def allows_plain(self, host: str) -> bool:
        """Whether a token may travel to ``host`` without TLS: to the sandbox's own gate only."""
        return self.sandbox and host in LOOPBACK

    def scope_problems(self, scopes: Sequence[str], host: str) -> Iterator[str]:
        """Yield a sentence for each reason why ``scopes`` does not fit ``host``."""
        if len(scopes) > 1:
            yield f"scopes names {len(scopes)} resources: a token is for one; name one."
        for scope in scopes[:1]:
            yield from self._one_scope_problems(scope, host)

    def host_problems(self, host: str, options: Mapping[str, Any]) -> Iterator[str]:
        """Yield a sentence for each reason why a token must not go to ``host`` like this."""
        if not self.allows(host):
            yield host_refusal(host)
        if self.allows_plain(host):
            return
        if not options.get("tls"):
            yield (
                f"connection_uri has TLS off for {host}: a token would travel in clear; add"
                " tls=true."
            )
        for name in _INSECURE_TLS:
            if options.get(name):
                yield (
                    f"connection_uri says {name}=true: anybody could take the token; remove the"
                    " option (tlsCAFile names a CA of your own)."
                )

    def _one_scope_problems(self, scope: str, host: str) -> Iterator[str]:
        expected = self.scope_for(host)
        if form := scope_form_problem(scope):
            yield form
        elif expected is not None and scope != expected:
            yield f"scopes is {scope!r}{_owner(scope)}: {host} accepts {expected!r} only."
        elif expected is None and scope == OSSRDBMS_SCOPE:
            yield (
                f"scopes is {scope!r}, which is for PostgreSQL, MySQL and Azure DocumentDB, and"
                f" {host} is none of them that MONGO_ENTRA_AUDIENCES knows: use"
                f" {DEFAULT_SCOPE!r}, or add the host's suffix there."
            )
        elif expected is None and scope != DEFAULT_SCOPE:
            yield (
                f"scopes is {scope!r}, which belongs to another service{_owner(scope)}: expected"
                f" {DEFAULT_SCOPE!r}, or an entry for {host} in MONGO_ENTRA_AUDIENCES."
            )


def scope_form_problem(scope: str) -> str | None:
    """Return what is wrong with a scope wherever it is used, or None."""
    if any(character.isspace() or character == "," for character in scope):
        return f"scopes is {scope!r}, several in one text: a token is for one; name one."
    if not scope.startswith("https://") or not scope.removesuffix("/.default")[8:].strip("/"):
        return f"scopes is {scope!r}: expected https://<resource>/.default."
    if not scope.endswith("/.default"):
        return (
            f"scopes is {scope!r}: expected https://<resource>/.default, as an application asks"
            " for all that it was given."
        )
    return None


def is_guid(text: str) -> bool:
    """Whether ``text`` is a GUID in its usual form of five groups."""
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def host_refusal(host: str) -> str:
    """Return the sentence that refuses to send a token to ``host``."""
    return (
        f"{host} may not be sent an Entra token: it is not under a suffix of MONGO_ALLOWED_HOSTS;"
        " correct the address, or add the suffix."
    )


def _owner(scope: str) -> str:
    name = _OTHER_SERVICES.get(scope.removesuffix("/.default").rstrip("/"))
    return f" ({name})" if name else ""


def _has_suffix(host: str, suffix: str) -> bool:
    host, suffix = host.lower().rstrip("."), suffix.lower().strip(".")
    return bool(suffix) and (host == suffix or host.endswith(f".{suffix}"))
