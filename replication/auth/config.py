"""What a token provider is told: who signs in, for what, and how patient it is.

All times are in seconds.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from replication.auth.azure_entra import AzureEntraConfig
from replication.errors import InvalidConfiguration
from replication.mapping import DURATION, MappedConfig
from replication.policy import DEFAULT_SCOPE, is_guid, scope_form_problem


@dataclass(frozen=True)
class RetryConfig(MappedConfig):
    """How a failed token request is repeated before it counts as failed.

    The pauses grow from ``first_delay`` to ``max_delay``, each drawn at random between nothing
    and its length, so that a fleet of processes does not knock in step. No attempt begins later
    than ``budget`` after the first one began.
    """

    attempts: int = 3
    first_delay: float = field(default=0.1, metadata=DURATION)
    max_delay: float = field(default=1.0, metadata=DURATION)
    budget: float = field(default=10.0, metadata=DURATION)

    def delay(self, attempt: int) -> float:
        """Return the pause after the failed attempt number ``attempt`` (1 is the first)."""
        ceiling = min(self.max_delay, self.first_delay * 2.0 ** min(attempt - 1, 60))
        return random.uniform(0, ceiling)  # noqa: S311 - jitter, not a secret

    def validate(self) -> None:
        """Raise InvalidConfiguration with every problem there is."""
        _raise_if_any(self.problems())

    def problems(self) -> Iterator[str]:
        """Yield a sentence for each problem."""
        if self.attempts < 1:
            yield f"retry_config.attempts is {self.attempts}: expected 1 or more."
        if self.max_delay < self.first_delay:
            yield (
                f"retry_config.max_delay is {self.max_delay:g} s, less than first_delay's"
                f" {self.first_delay:g} s."
            )
        if self.budget <= 0:
            yield "retry_config.budget is 0: expected some seconds."


@dataclass(frozen=True)
class MongoEntraConfig(MappedConfig):
    """What one provider serves: an identity and a resource, and how far ahead it renews.

    ``scopes`` names one scope; empty, it is that of ``resource_uri`` (``https://<resource>``).
    ``identity`` is how the identity proves itself; its own tenant and client give way to those
    here. Tokens of less than twice ``refresh_before_expiry`` are renewed at half their life.
    """

    tenant_id: str = ""
    client_id: str = ""
    resource_uri: str = ""
    scopes: tuple[str, ...] = ()
    timeout: float = field(default=10.0, metadata=DURATION)
    retry_config: RetryConfig = field(default_factory=RetryConfig)
    refresh_before_expiry: float = field(default=300.0, metadata=DURATION)
    identity: AzureEntraConfig = field(default_factory=AzureEntraConfig)

    AUTH_CONFIG = {
        name: name
        for name in ("tenant_id", "client_id", "scopes", "timeout", "refresh_before_expiry")
    }

    @property
    def scope(self) -> str:
        """The scope that tokens are asked for, ``https://<resource>/.default``."""
        if self.scopes:
            return self.scopes[0]
        return scope_of(self.resource_uri) if self.resource_uri else DEFAULT_SCOPE

    @property
    def credential(self) -> AzureEntraConfig:
        """The identity that signs in."""
        return self.identity.of(tenant_id=self.tenant_id, client_id=self.client_id)

    def validate(self) -> None:
        """Raise InvalidConfiguration with every problem there is."""
        _raise_if_any(self.problems())

    def problems(self) -> Iterator[str]:
        """Yield a sentence for each problem."""
        if not self.tenant_id and not self.identity.tenant_id:
            yield "tenant_id is missing: expected the directory's id, a GUID."
        for name in ("tenant_id", "client_id"):
            value = getattr(self, name)
            if value and not is_guid(value):
                yield f"{name} is {value!r}: expected a GUID."
        if len(self.scopes) > 1:
            yield f"scopes names {len(self.scopes)} resources: a token is for one; name one."
        if form := scope_form_problem(self.scope):
            yield form
        if self.scopes and self.resource_uri and scope_of(self.resource_uri) != self.scope:
            yield (
                f"resource_uri is {self.resource_uri!r} and scopes is {self.scope!r}: they name"
                " different resources; give one of the two."
            )
        if self.timeout <= 0:
            yield "timeout is 0: expected some seconds to wait for a token."
        yield from self.retry_config.problems()
        yield from (f"identity.{problem}" for problem in self.credential.problems())


def scope_of(resource_uri: str) -> str:
    """Return the scope of all rights to a resource."""
    return f"{resource_uri.removesuffix('/.default').rstrip('/')}/.default"


def resource_of(scope: str) -> str:
    """Return the resource of a scope: what a token for it names as its audience."""
    return scope.removesuffix("/.default")


def _raise_if_any(problems: Iterator[str]) -> None:
    found = list(problems)
    if found:
        raise InvalidConfiguration(found)
