"""The table of hostile ID tokens: what is wrong with each, and why it must be refused.

A claim or header of None is left out of the token. Everything that is not named is as it should be.
"""

import time
from dataclasses import dataclass, field

from accounts.reasons import Reason
from sandbox.entra.directory import PEOPLE, TENANT_ID, WEB_CLIENT_ID
from sandbox.entra.hostile import Flaw

OTHER = "2f6d9a51-0000-4000-8000-0a0b0c0d0e0f"
NOW = int(time.time())
HOUR = 3600
R = Reason


@dataclass(frozen=True)
class TokenAttack:
    name: str
    reason: Reason
    flaw: Flaw = Flaw.NONE
    claims: dict[str, object] = field(default_factory=dict)
    headers: dict[str, object] = field(default_factory=dict)


def flawed(name: str, reason: Reason, flaw: Flaw, **headers: object) -> TokenAttack:
    return TokenAttack(name, reason, flaw=flaw, headers=headers)


def claims(name: str, reason: Reason, **changed: object) -> TokenAttack:
    return TokenAttack(name, reason, claims=changed)


def headers(name: str, reason: Reason, **changed: object) -> TokenAttack:
    return TokenAttack(name, reason, headers=changed)


_SIGNATURES = [
    flawed("a strangers key under our key id", R.TOKEN_SIGNATURE, Flaw.OTHER_KEY),
    flawed("a strangers key under its own id", R.TOKEN_KEY, Flaw.UNKNOWN_KEY_ID),
    flawed("no key id", R.TOKEN_KEY, Flaw.NO_KEY_ID),
    flawed("a key handed over in the header", R.TOKEN_KEY, Flaw.EMBEDDED_KEY),
    flawed("alg none", R.TOKEN_ALGORITHM, Flaw.ALG_NONE),
    flawed("HS256 with the public key", R.TOKEN_ALGORITHM, Flaw.HS256_PUBLIC_KEY),
    flawed("HS256 with the client secret", R.TOKEN_ALGORITHM, Flaw.HS256_CLIENT_SECRET),
    flawed("PS256 with our key", R.TOKEN_ALGORITHM, Flaw.PS256),
    flawed("an unknown critical header", R.TOKEN_MALFORMED, Flaw.UNKNOWN_CRITICAL_HEADER),
    flawed("changed after signing", R.TOKEN_SIGNATURE, Flaw.TAMPERED),
    flawed("no token at all", R.TOKEN_MALFORMED, Flaw.GARBAGE),
    flawed("the answer lacks the token", R.TOKEN_MISSING, Flaw.ABSENT),
    flawed(
        "a strangers key set named by jku",
        R.TOKEN_SIGNATURE,
        Flaw.OTHER_KEY,
        jku="https://stranger.invalid/keys",
    ),
    flawed(
        "a strangers certificate named by x5u",
        R.TOKEN_SIGNATURE,
        Flaw.OTHER_KEY,
        x5u="https://stranger.invalid/pem",
    ),
    flawed("a strangers certificate in x5c", R.TOKEN_SIGNATURE, Flaw.OTHER_KEY, x5c=["MIIB"]),
    flawed("an x5t of its own", R.TOKEN_SIGNATURE, Flaw.OTHER_KEY, x5t="aaaa"),
]
_HEADERS = [
    headers("a key id that is a list", R.TOKEN_MALFORMED, kid=["a", "list"]),
    headers("an empty key id", R.TOKEN_KEY, kid=""),
    headers("a key id that is a path", R.TOKEN_KEY, kid="../../../../dev/null"),
    headers("a key id that is SQL", R.TOKEN_KEY, kid="' OR 1=1 --"),
    headers("a key id of another case", R.TOKEN_KEY, kid="A-KEY"),
    headers("alg in lower case", R.TOKEN_ALGORITHM, alg="rs256"),
    headers("no alg", R.TOKEN_ALGORITHM, alg=None),
    headers("alg RS384", R.TOKEN_ALGORITHM, alg="RS384"),
    headers("alg RS512", R.TOKEN_ALGORITHM, alg="RS512"),
    headers("alg ES256", R.TOKEN_ALGORITHM, alg="ES256"),
    headers("alg EdDSA", R.TOKEN_ALGORITHM, alg="EdDSA"),
    headers("alg NONE in capitals", R.TOKEN_ALGORITHM, alg="NONE"),
    headers("alg in a list", R.TOKEN_ALGORITHM, alg=["RS256"]),
    headers("b64 switched off", R.TOKEN_MALFORMED, b64=False, crit=["b64"]),
    headers("an empty crit", R.TOKEN_MALFORMED, crit=[]),
    headers("crit that is a text", R.TOKEN_MALFORMED, crit="exp"),
]
_AUDIENCES = [
    flawed("for another application", R.TOKEN_AUDIENCE, Flaw.OTHER_AUDIENCE),
    claims("no audience", R.TOKEN_CLAIM, aud=None),
    claims("our audience in a list", R.TOKEN_AUDIENCE, aud=[WEB_CLIENT_ID]),
    claims("our audience among others", R.TOKEN_AUDIENCE, aud=[OTHER, WEB_CLIENT_ID]),
    claims("our audience as an URI", R.TOKEN_AUDIENCE, aud=f"api://{WEB_CLIENT_ID}"),
    claims("our audience with more behind", R.TOKEN_AUDIENCE, aud=f"{WEB_CLIENT_ID} {OTHER}"),
    claims("a token for Graph", R.TOKEN_AUDIENCE, aud="https://graph.microsoft.com"),
    claims("an empty audience", R.TOKEN_CLAIM, aud=""),
    claims("an audience that is a number", R.TOKEN_AUDIENCE, aud=7),
    claims("another authorised party", R.TOKEN_AUDIENCE, azp=OTHER),
    claims("an empty authorised party", R.TOKEN_AUDIENCE, azp=""),
]
_ISSUERS = [
    flawed("a strangers issuer", R.TOKEN_ISSUER, Flaw.FOREIGN_ISSUER),
    flawed("another tenant by the shared key", R.TOKEN_ISSUER, Flaw.FOREIGN_TENANT),
    TokenAttack(
        "another tenant with our administrators address",
        R.TOKEN_ISSUER,
        Flaw.FOREIGN_TENANT,
        claims={"email": PEOPLE["ada"].email, "upn": PEOPLE["ada"].upn},
    ),
    claims("no issuer", R.TOKEN_CLAIM, iss=None),
    claims("an issuer without a path", R.TOKEN_ISSUER, iss="https://login.test.invalid"),
    claims(
        "the issuer of version 1",
        R.TOKEN_ISSUER,
        iss=f"https://sts.windows.net/{TENANT_ID}/",
    ),
    claims(
        "the public clouds issuer",
        R.TOKEN_ISSUER,
        iss=f"https://login.microsoftonline.com/{TENANT_ID}/v2.0",
    ),
    claims(
        "the US clouds issuer",
        R.TOKEN_ISSUER,
        iss=f"https://login.microsoftonline.us/{TENANT_ID}/v2.0",
    ),
    claims(
        "the Chinese clouds issuer",
        R.TOKEN_ISSUER,
        iss=f"https://login.partner.microsoftonline.cn/{TENANT_ID}/v2.0",
    ),
    claims("an issuer that is a list", R.TOKEN_ISSUER, iss=["https://login.test.invalid"]),
    claims("another tenant id", R.TOKEN_TENANT, tid=OTHER),
    claims("the consumers tenant", R.TOKEN_TENANT, tid="9188040d-6c67-4c5b-b112-36a304b66dad"),
    claims("no tenant", R.TOKEN_CLAIM, tid=None),
    claims("a tenant that is no GUID", R.TOKEN_CLAIM, tid="common"),
    claims("tenants in a list", R.TOKEN_CLAIM, tid=[TENANT_ID]),
]
_TIMES = [
    flawed("expired", R.TOKEN_EXPIRED, Flaw.EXPIRED),
    flawed("not yet valid", R.TOKEN_NOT_YET_VALID, Flaw.NOT_YET_VALID),
    claims("no expiry", R.TOKEN_CLAIM, exp=None),
    claims("an expiry that is no number", R.TOKEN_MALFORMED, exp="soon"),
    claims("an expiry of zero", R.TOKEN_EXPIRED, exp=0),
    claims("an expiry before time", R.TOKEN_EXPIRED, exp=-1),
    claims("expired beyond the leeway", R.TOKEN_EXPIRED, exp=NOW - 120),
    claims("no start", R.TOKEN_CLAIM, nbf=None),
    claims("a start in the future", R.TOKEN_NOT_YET_VALID, nbf=NOW + HOUR),
    claims("a start that is no number", R.TOKEN_MALFORMED, nbf="later"),
    claims("no time of issue", R.TOKEN_CLAIM, iat=None),
    claims("issued in the future", R.TOKEN_NOT_YET_VALID, iat=NOW + HOUR),
]
_PEOPLE = [
    claims("no subject", R.TOKEN_CLAIM, sub=None),
    claims("a subject that is no text", R.TOKEN_CLAIM, sub=7),
    claims("no object id", R.TOKEN_CLAIM, oid=None),
    claims("an address as object id", R.TOKEN_CLAIM, oid=PEOPLE["ada"].email),
    claims("an object id in braces", R.TOKEN_CLAIM, oid=f"{{{PEOPLE['ada'].oid}}}"),
    claims("an object id as URN", R.TOKEN_CLAIM, oid=f"urn:uuid:{PEOPLE['ada'].oid}"),
    claims("an object id without hyphens", R.TOKEN_CLAIM, oid=PEOPLE["ada"].oid.replace("-", "")),
    claims("an object id with a space", R.TOKEN_CLAIM, oid=f" {PEOPLE['ada'].oid}"),
    claims("the nil object id", R.TOKEN_CLAIM, oid="00000000-0000-0000-0000-000000000000"),
    claims("an object id in a list", R.TOKEN_CLAIM, oid=[PEOPLE["ada"].oid]),
    claims("another nonce", R.TOKEN_NONCE, nonce="another"),
    claims("no nonce", R.TOKEN_CLAIM, nonce=None),
    claims("an empty nonce", R.TOKEN_NONCE, nonce=""),
    claims("a nonce in a list", R.TOKEN_NONCE, nonce=["a"]),
    claims("version 1.0", R.TOKEN_CLAIM, ver="1.0"),
    claims("a version that is a number", R.TOKEN_CLAIM, ver=2.0),
    claims("no version", R.TOKEN_CLAIM, ver=None),
]

ATTACKS = [*_SIGNATURES, *_HEADERS, *_AUDIENCES, *_ISSUERS, *_TIMES, *_PEOPLE]
