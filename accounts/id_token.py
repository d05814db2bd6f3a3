"""The checks of an ID token, each spelt out."""

from typing import Any, Final
from uuid import UUID

import jwt
from django.utils.crypto import constant_time_compare
from django.views.decorators.debug import sensitive_variables

from accounts.claims import VerifiedClaims, display_text, has_group_overage
from accounts.reasons import Reason, Refused

ALGORITHM: Final = "RS256"
LEEWAY: Final = 60  # seconds that the two clocks may differ
MAX_LENGTH: Final = 100_000  # characters; Entra's largest tokens have a tenth of it
_REQUIRED: Final = ["exp", "iat", "nbf", "iss", "aud", "sub", "tid", "oid", "nonce"]

# The first that fits counts, so the more specific errors come before their bases.
_REASONS: Final[list[tuple[type[jwt.PyJWTError], Reason]]] = [
    (jwt.InvalidAlgorithmError, Reason.TOKEN_ALGORITHM),
    (jwt.InvalidSignatureError, Reason.TOKEN_SIGNATURE),
    (jwt.ExpiredSignatureError, Reason.TOKEN_EXPIRED),
    (jwt.ImmatureSignatureError, Reason.TOKEN_NOT_YET_VALID),
    (jwt.InvalidAudienceError, Reason.TOKEN_AUDIENCE),
    (jwt.InvalidIssuerError, Reason.TOKEN_ISSUER),
    (jwt.MissingRequiredClaimError, Reason.TOKEN_CLAIM),
    (jwt.InvalidIssuedAtError, Reason.TOKEN_CLAIM),
    (jwt.exceptions.InvalidSubjectError, Reason.TOKEN_CLAIM),
    (jwt.DecodeError, Reason.TOKEN_MALFORMED),
]


@sensitive_variables("token")
def key_id(token: object) -> str:
    """Return the id of the key that a token says it was signed with. Raises ``Refused``.

    Other ways to name a key (``jku``, ``jwk``, ``x5u``) let a token choose its judge: never read.
    """
    if not isinstance(token, str) or not token:
        raise Refused(Reason.TOKEN_MISSING)
    if len(token) > MAX_LENGTH:
        raise Refused(Reason.TOKEN_MALFORMED)
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise Refused(Reason.TOKEN_MALFORMED) from None
    if header.get("alg") != ALGORITHM:
        raise Refused(Reason.TOKEN_ALGORITHM)
    kid = header.get("kid")
    if not isinstance(kid, str) or not kid:
        raise Refused(Reason.TOKEN_KEY)
    return kid


@sensitive_variables("token", "nonce", "payload")
def verify(
    token: str, *, key: jwt.PyJWK, audience: str, issuer: str, tenant_id: str, nonce: str
) -> VerifiedClaims:
    """Check everything there is to check and return the claims. Raises ``Refused``."""
    payload = _decode(token, key=key, audience=audience, issuer=issuer)
    if payload.get("azp", audience) != audience:
        raise Refused(Reason.TOKEN_AUDIENCE)
    if payload.get("ver") != "2.0":
        raise Refused(Reason.TOKEN_CLAIM)
    tid, oid = _guid(payload["tid"]), _guid(payload["oid"])
    if str(tid) != tenant_id:
        raise Refused(Reason.TOKEN_TENANT)
    if not isinstance(payload["nonce"], str) or not nonce:
        raise Refused(Reason.TOKEN_NONCE)
    if not constant_time_compare(payload["nonce"], nonce):
        raise Refused(Reason.TOKEN_NONCE)
    return VerifiedClaims(
        tid=tid,
        oid=oid,
        exp=int(payload["exp"]),
        name=display_text(payload.get("name")),
        email=display_text(payload.get("email"), limit=254),
        preferred_username=display_text(payload.get("preferred_username")),
        login_hint=display_text(payload.get("login_hint"), limit=1000),
        sid=display_text(payload.get("sid")),
        is_guest=_is_guest(payload, tenant_id),
        group_overage=has_group_overage(payload),
    )


@sensitive_variables("token")
def _decode(token: str, *, key: jwt.PyJWK, audience: str, issuer: str) -> dict[str, Any]:
    try:
        return jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=audience,
            issuer=issuer,
            leeway=LEEWAY,
            options={"require": _REQUIRED, "strict_aud": True},
        )
    except jwt.PyJWTError as error:
        reasons = (reason for kind, reason in _REASONS if isinstance(error, kind))
        raise Refused(next(reasons, Reason.TOKEN_MALFORMED)) from None
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise Refused(Reason.TOKEN_MALFORMED) from None


def _is_guest(payload: dict[str, Any], tenant_id: str) -> bool:
    """Return whether a token is a guest's. Its ``tid`` is our tenant's: other claims tell.

    ``acct`` is 0 for members, where the app registration asks for it; ``idp`` names the home
    tenant, or another provider, of somebody whose home is not here.
    """
    idp = payload.get("idp")
    is_ours = idp in {None, payload["iss"], f"https://sts.windows.net/{tenant_id}/"}
    return payload.get("acct") not in {None, 0, "0"} or not is_ours


def _guid(value: object) -> UUID:
    """Return a claim that must be a GUID in its canonical form: one person, one spelling."""
    try:
        guid = UUID(value) if isinstance(value, str) else None
    except ValueError:
        guid = None
    if guid is None or guid.int == 0 or str(guid) != str(value).lower():
        raise Refused(Reason.TOKEN_CLAIM)
    return guid
