"""ID tokens that must sign nobody in, each through the whole code flow."""

import time

import pytest
from django.contrib.sessions.models import Session

from accounts.models import User
from accounts.reasons import Reason
from sandbox.entra.directory import TENANT_ID, WEB_CLIENT_ID
from sandbox.entra.hostile import Flaw
from tests.accounts.journey import Journey, refusals
from tests.sandbox.entra_fixtures import Entra

pytestmark = pytest.mark.django_db

OTHER = "2f6d9a51-0000-4000-8000-0a0b0c0d0e0f"
NOW = int(time.time())
HOUR = 3600

FLAWS = {
    Flaw.OTHER_KEY: Reason.TOKEN_SIGNATURE,
    Flaw.UNKNOWN_KEY_ID: Reason.TOKEN_KEY,
    Flaw.NO_KEY_ID: Reason.TOKEN_KEY,
    Flaw.EMBEDDED_KEY: Reason.TOKEN_KEY,
    Flaw.ALG_NONE: Reason.TOKEN_ALGORITHM,
    Flaw.HS256_PUBLIC_KEY: Reason.TOKEN_ALGORITHM,
    Flaw.HS256_CLIENT_SECRET: Reason.TOKEN_ALGORITHM,
    Flaw.PS256: Reason.TOKEN_ALGORITHM,
    Flaw.UNKNOWN_CRITICAL_HEADER: Reason.TOKEN_MALFORMED,
    Flaw.FOREIGN_ISSUER: Reason.TOKEN_ISSUER,
    Flaw.FOREIGN_TENANT: Reason.TOKEN_ISSUER,
    Flaw.OTHER_AUDIENCE: Reason.TOKEN_AUDIENCE,
    Flaw.EXPIRED: Reason.TOKEN_EXPIRED,
    Flaw.NOT_YET_VALID: Reason.TOKEN_NOT_YET_VALID,
    Flaw.TAMPERED: Reason.TOKEN_SIGNATURE,
    Flaw.GARBAGE: Reason.TOKEN_MALFORMED,
    Flaw.ABSENT: Reason.TOKEN_MISSING,
}

# A claim of None is left out of the token.
CLAIMS: list[tuple[str, dict[str, object], Reason]] = [
    ("no audience", {"aud": None}, Reason.TOKEN_CLAIM),
    ("our audience in a list", {"aud": [WEB_CLIENT_ID]}, Reason.TOKEN_AUDIENCE),
    ("another authorised party", {"azp": OTHER}, Reason.TOKEN_AUDIENCE),
    ("no issuer", {"iss": None}, Reason.TOKEN_CLAIM),
    ("our host, another path", {"iss": "https://login.test.invalid"}, Reason.TOKEN_ISSUER),
    ("another tenant", {"tid": OTHER}, Reason.TOKEN_TENANT),
    ("no tenant", {"tid": None}, Reason.TOKEN_CLAIM),
    ("a tenant that is no GUID", {"tid": "common"}, Reason.TOKEN_CLAIM),
    ("no expiry", {"exp": None}, Reason.TOKEN_CLAIM),
    ("an expiry that is no number", {"exp": "soon"}, Reason.TOKEN_MALFORMED),
    ("expired beyond the leeway", {"exp": NOW - 120}, Reason.TOKEN_EXPIRED),
    ("no start", {"nbf": None}, Reason.TOKEN_CLAIM),
    ("a start in the future", {"nbf": NOW + HOUR}, Reason.TOKEN_NOT_YET_VALID),
    ("no time of issue", {"iat": None}, Reason.TOKEN_CLAIM),
    ("issued in the future", {"iat": NOW + HOUR}, Reason.TOKEN_NOT_YET_VALID),
    ("no subject", {"sub": None}, Reason.TOKEN_CLAIM),
    ("a subject that is no text", {"sub": 7}, Reason.TOKEN_CLAIM),
    ("no object id", {"oid": None}, Reason.TOKEN_CLAIM),
    ("an object id that is none", {"oid": "ada@nordwind.example"}, Reason.TOKEN_CLAIM),
    ("an object id in braces", {"oid": f"{{{OTHER}}}"}, Reason.TOKEN_CLAIM),
    ("an object id without hyphens", {"oid": OTHER.replace("-", "")}, Reason.TOKEN_CLAIM),
    ("the nil object id", {"oid": "00000000-0000-0000-0000-000000000000"}, Reason.TOKEN_CLAIM),
    ("an object id in a list", {"oid": [OTHER]}, Reason.TOKEN_CLAIM),
    ("another nonce", {"nonce": "another"}, Reason.TOKEN_NONCE),
    ("no nonce", {"nonce": None}, Reason.TOKEN_CLAIM),
    ("an empty nonce", {"nonce": ""}, Reason.TOKEN_NONCE),
    ("a nonce that is no text", {"nonce": ["a"]}, Reason.TOKEN_NONCE),
    ("version 1.0", {"ver": "1.0"}, Reason.TOKEN_CLAIM),
    ("no version", {"ver": None}, Reason.TOKEN_CLAIM),
]  # fmt: skip


@pytest.mark.parametrize(("flaw", "reason"), FLAWS.items())
def test_a_flawed_token_signs_nobody_in(
    journey: Journey, entra: Entra, flaw: Flaw, reason: Reason
) -> None:
    entra.control.queue_id_token(flaw)

    assert_refused(journey, reason)


@pytest.mark.parametrize(
    ("claims", "reason"), [pytest.param(c, r, id=name) for name, c, r in CLAIMS]
)
def test_a_token_with_wrong_claims_signs_nobody_in(
    journey: Journey, entra: Entra, claims: dict[str, object], reason: Reason
) -> None:
    entra.control.queue_id_token(claims=claims)

    assert_refused(journey, reason)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"kid": ["a", "list"]}, Reason.TOKEN_MALFORMED),
        ({"kid": ""}, Reason.TOKEN_KEY),
        ({"alg": "rs256"}, Reason.TOKEN_ALGORITHM),
        ({"alg": None}, Reason.TOKEN_ALGORITHM),
        ({"b64": False, "crit": ["b64"]}, Reason.TOKEN_MALFORMED),
    ],
)
def test_a_token_with_a_wrong_header_signs_nobody_in(
    journey: Journey, entra: Entra, headers: dict[str, object], reason: Reason
) -> None:
    entra.control.queue_id_token(headers=headers)

    assert_refused(journey, reason)


def test_the_untouched_token_signs_in(journey: Journey, entra: Entra) -> None:
    entra.control.queue_id_token(Flaw.NONE, claims={"tid": TENANT_ID})

    assert journey.sign_in("ada").status_code == 302
    assert journey.is_signed_in


def test_a_rotated_key_is_found(journey: Journey, entra: Entra) -> None:
    journey.sign_in("ada")
    entra.control.rotate_keys()

    assert journey.sign_in("ben").status_code == 302


def test_a_name_cannot_forge_a_line_or_turn_the_page_around(journey: Journey, entra: Entra) -> None:
    entra.control.queue_id_token(claims={"name": "Ada\r\n\u202eOlleh\x00 " + "x" * 500})

    journey.sign_in("ada")

    assert User.objects.get().display_name == ("AdaOlleh " + "x" * 500)[:256]


def assert_refused(journey: Journey, reason: Reason) -> None:
    response = journey.sign_in("ada")

    assert refusals() == [reason.value]
    assert response.status_code == 403
    assert reason.value in response.content.decode()
    assert not journey.is_signed_in
    assert not User.objects.exists()
    assert not [s for s in Session.objects.all() if "_auth_user_id" in s.get_decoded()]
