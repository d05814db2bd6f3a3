"""What a server's refusal means: of a sign-in, or of something that a signed-in identity asked.

A server's words may quote what it was sent, so they are searched for known ones and never repeated.
"""

from collections.abc import Iterable

from pymongo.errors import ConfigurationError, ConnectionFailure, OperationFailure, PyMongoError

from replication.auth.claims import TokenClaims
from replication.auth.diagnosis.findings import Cause, StepFailed
from replication.errors import TokenUnavailable, describe

_UNAUTHORIZED, _AUTHENTICATION_FAILED = 13, 18
# CommandNotFound, CommandNotSupported, unrecognised stage, no change streams here, and the
# older number of the same; IllegalOperation where a server is alone, without a replica set.
_NOT_SUPPORTED = frozenset({20, 59, 115, 303, 40324, 40573})


def sign_in_failure(error: PyMongoError, claims: TokenClaims | None) -> StepFailed:
    """Sort a failure of the first operation of a client. ``claims``: None without Entra."""
    if isinstance(error, OperationFailure) and error.code in (
        _UNAUTHORIZED,
        _AUTHENTICATION_FAILED,
    ):
        return _refused_password() if claims is None else _refused_token(error, claims)
    return server_failure(error)


def server_failure(error: PyMongoError) -> StepFailed:
    """Sort a failure that is not about rights."""
    if isinstance(error, TokenUnavailable):
        return StepFailed(
            Cause.ENTRA_UNREACHABLE, describe(error), "Run the command again: see the step 'token'."
        )
    if isinstance(error, ConfigurationError):
        return StepFailed(
            Cause.INVALID_CONFIGURATION,
            describe(error),
            "Correct the address, and the user and password where it names any.",
        )
    if isinstance(error, ConnectionFailure):
        return StepFailed(
            Cause.UNREACHABLE,
            describe(error),
            "The port answers, but no MongoDB behind it: check that the cluster runs, its"
            " replicaSet and directConnection options, and TLS on both sides.",
        )
    return StepFailed(
        Cause.SERVER_ERROR,
        f"The server answered {describe(error)}.",
        "Look the code up in MongoDB's list of error codes, and in the cluster's own logs.",
    )


def right_failure(error: PyMongoError, *, what: str, role: str, identity: str) -> StepFailed:
    """Sort a failure of ``what``, which somebody who is signed in may do with ``role``."""
    code = error.code if isinstance(error, OperationFailure) else None
    if code == _UNAUTHORIZED:
        return StepFailed(
            Cause.MISSING_RIGHT,
            f"{identity} is signed in, and may not {what}.",
            f"Give this identity the role {role} on the cluster; the sign-in itself is fine.",
        )
    if code in _NOT_SUPPORTED:
        return StepFailed(
            Cause.NOT_SUPPORTED,
            f"This cluster does not let anybody {what} ({describe(error)}).",
            "Turn the feature on: on Azure DocumentDB change streams are a feature of the cluster,"
            " a MongoDB needs to be a replica set.",
        )
    return server_failure(error)


def _refused_password() -> StepFailed:
    return StepFailed(
        Cause.SIGN_IN_REFUSED,
        "The server refuses this user or password (18 AuthenticationFailed).",
        "Check the user, the password that the reference leads to, authSource and authMechanism.",
    )


def _refused_token(error: OperationFailure, claims: TokenClaims) -> StepFailed:
    words = str((error.details or {}).get("errmsg", "")).lower()
    head = "The server refuses the token (18 AuthenticationFailed)"

    def said(parts: Iterable[str]) -> bool:
        return any(part in words for part in parts)

    if said(["audience"]):
        return StepFailed(
            Cause.WRONG_AUDIENCE,
            f"{head}: it does not accept the audience {claims.audience!r}.",
            "Correct the scope, or the host's entry in MONGO_ENTRA_AUDIENCES: Azure DocumentDB"
            " accepts https://ossrdbms-aad.database.windows.net/.default only.",
        )
    if said(["expired", "not valid yet"]):
        return StepFailed(
            Cause.TOKEN_EXPIRED,
            f"{head}: by its clock the token is outside of its time.",
            "Compare the clocks of this machine and of the cluster (NTP).",
        )
    if said(["not present in the system", "unknown user", "could not find user"]):
        return StepFailed(
            Cause.UNKNOWN_PRINCIPAL,
            f"{head}: the cluster has no user {claims.object_id}.",
            f"Add the principal {claims.object_id} as a user of this cluster (it is the object id"
            " of the managed identity or service principal, not its client id).",
        )
    return StepFailed(
        Cause.SIGN_IN_REFUSED,
        f"{head}, of identity {claims.object_id} in tenant {claims.tenant_id}.",
        "Check that Entra ID is on as a sign-in of the cluster, that the principal is one of its"
        " users, and that both are of the same tenant.",
    )
