"""One token from Entra ID, and whether it is the one that a cluster will take."""

import re
import time
from dataclasses import dataclass

from replication.auth.azure_entra import AccessToken, TokenRequestFailed, TokenSource
from replication.auth.claims import TokenClaims, token_claims
from replication.auth.diagnosis.entra_codes import meaning
from replication.auth.diagnosis.findings import Cause, Finding, StepFailed

_AADSTS = re.compile(r"AADSTS(\d+)")


@dataclass(frozen=True)
class GivenToken:
    """A source of the one token that is already there, so that a sign-in asks for no other."""

    token: AccessToken

    def request_token(self, scope: str) -> AccessToken:
        """Return it, whatever the scope."""
        return self.token


def request_token(
    source: TokenSource, *, scope: str, tenant_id: str
) -> tuple[AccessToken, TokenClaims, Finding]:
    """Ask for a token and judge it as far as can be without the server. Raises ``StepFailed``."""
    try:
        token = source.request_token(scope)
    except TokenRequestFailed as failure:
        raise _refused(failure) from None
    claims = token_claims(token.token) or TokenClaims()
    lifetime = token.expires_at - time.time()
    resource = scope.removesuffix("/.default")
    if claims.audience and claims.audience != resource:
        raise StepFailed(
            Cause.WRONG_AUDIENCE,
            f"The token is for {claims.audience!r}; asked for was {resource!r}.",
            "Check the scope: a cluster compares the audience letter by letter.",
        )
    if tenant_id and claims.tenant_id and claims.tenant_id.lower() != tenant_id.lower():
        raise StepFailed(
            Cause.WRONG_TENANT,
            f"The token is of tenant {claims.tenant_id}; configured is {tenant_id}.",
            "Correct the tenant id, or give the identity of that tenant.",
        )
    if lifetime <= 0:
        raise StepFailed(
            Cause.TOKEN_EXPIRED,
            f"The token had expired {-lifetime:,.0f} s before it came.",
            "Set this machine's clock (NTP).",
        )
    return token, claims, _finding(claims, lifetime)


def _finding(claims: TokenClaims, lifetime: float) -> Finding:
    roles = f", roles {', '.join(claims.roles)}" if claims.roles else ""
    return Finding(
        f"for {claims.audience or 'an audience that it does not show'}, identity"
        f" {claims.object_id or 'unknown'}{roles}, valid for {lifetime / 60:,.0f} min",
        {
            "audience": claims.audience,
            "tenant_id": claims.tenant_id,
            "object_id": claims.object_id,
            "client_id": claims.client_id,
            "roles": list(claims.roles),
            "expires_in": round(lifetime),
        },
    )


def _refused(failure: TokenRequestFailed) -> StepFailed:
    if failure.unavailable:
        return StepFailed(
            Cause.CREDENTIAL_UNAVAILABLE,
            str(failure),
            "On Kubernetes use workload_identity, on a virtual machine managed_identity, on your"
            " own machine developer after 'az login'.",
        )
    code = _AADSTS.search(str(failure))
    if code is None:
        return StepFailed(
            Cause.ENTRA_UNREACHABLE,
            str(failure),
            "Check AZURE_AUTHORITY_HOST, the way there through proxies and firewalls, and the"
            " files that the credential reads.",
        )
    cause, remedy = meaning(int(code[1]))
    return StepFailed(cause, str(failure), remedy)
