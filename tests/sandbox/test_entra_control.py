"""The control plane: hostile tokens, key rotation, failures, hits. And who may use it."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any

import jwt
import pytest
import requests

from sandbox.entra.client import ControlRefused, EntraControl
from sandbox.entra.directory import TENANT_ID, WEB_CLIENT_ID, WEB_CLIENT_SECRET
from sandbox.entra.faults import Endpoints, FaultKind
from sandbox.entra.hostile import FOREIGN_TENANT_ID, Flaw
from tests.sandbox.entra_fixtures import Entra, SignIn, refusal


def unverified(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, read by hand: PyJWT refuses some of these headers at once."""
    header, payload = (json.loads(urlsafe_b64decode(part + "===")) for part in token.split(".")[:2])
    return header, payload


def test_discovery_has_entras_shape(entra: Entra) -> None:
    document = entra.get(entra.addresses.discovery).json()

    tls, pages = entra.addresses.tls, entra.addresses.pages
    assert document["issuer"] == f"{tls}/{TENANT_ID}/v2.0"
    assert document["token_endpoint"] == f"{tls}/{TENANT_ID}/oauth2/v2.0/token"
    assert document["jwks_uri"] == f"{tls}/{TENANT_ID}/discovery/v2.0/keys"
    assert document["authorization_endpoint"] == f"{pages}/{TENANT_ID}/oauth2/v2.0/authorize"
    assert document["end_session_endpoint"] == f"{pages}/{TENANT_ID}/oauth2/v2.0/logout"
    assert document["id_token_signing_alg_values_supported"] == ["RS256"]
    assert document["response_types_supported"] == ["code"]
    assert tls.startswith("https://localhost:")
    assert pages.startswith("http://localhost:")


def test_the_discovery_of_another_tenant_is_refused(entra: Entra) -> None:
    response = entra.get(entra.addresses.discovery.replace(TENANT_ID, FOREIGN_TENANT_ID))

    assert refusal(response) == (400, "invalid_tenant", 90002)


def test_the_keys_are_several_and_name_no_algorithm(entra: Entra) -> None:
    keys = entra.get(entra.addresses.keys).json()["keys"]

    assert len(keys) >= 2
    for key in keys:
        assert (key["kty"], key["use"]) == ("RSA", "sig")
        assert key["kid"] == key["x5t"]
        assert "alg" not in key
        assert not {"d", "p", "q"} & key.keys()


def test_the_signing_key_is_published_and_not_the_first(entra: Entra) -> None:
    keys = [key["kid"] for key in entra.get(entra.addresses.keys).json()["keys"]]
    header, _ = unverified(entra.app_token().json()["access_token"])

    assert keys.index(header["kid"]) > 0


def test_a_rotation_signs_with_the_key_published_before(entra: Entra) -> None:
    before = entra.app_token().json()["access_token"]
    published = {key["kid"] for key in entra.get(entra.addresses.keys).json()["keys"]}

    kid = entra.control.rotate_keys()
    after = entra.app_token().json()["access_token"]

    assert kid in published
    assert unverified(after)[0]["kid"] == kid != unverified(before)[0]["kid"]
    assert entra.graph("groups?$top=1", before).status_code == 200
    assert entra.graph("groups?$top=1", after).status_code == 200


def test_a_withdrawn_key_verifies_no_more(entra: Entra) -> None:
    before = entra.app_token().json()["access_token"]

    entra.control.rotate_keys(withdraw_old=True)

    kids = {key["kid"] for key in entra.get(entra.addresses.keys).json()["keys"]}
    assert unverified(before)[0]["kid"] not in kids
    assert entra.graph("groups?$top=1", before).status_code == 401


@pytest.mark.parametrize("flaw", [flaw for flaw in Flaw if flaw not in {Flaw.NONE, Flaw.ABSENT}])
def test_no_hostile_token_passes_a_careful_check(entra: Entra, flaw: Flaw) -> None:
    token = entra.control.mint_id_token(flaw)

    with pytest.raises((jwt.PyJWTError, KeyError)):
        entra.claims(token, WEB_CLIENT_ID)


def test_a_hostile_token_has_its_flaw_and_no_other(entra: Entra) -> None:
    mint = entra.control.mint_id_token
    good_header, good = unverified(mint())
    assert entra.claims(mint(), WEB_CLIENT_ID)["nonce"] == "a-nonce"

    assert unverified(mint(Flaw.OTHER_KEY))[0]["kid"] == good_header["kid"]
    assert unverified(mint(Flaw.UNKNOWN_KEY_ID))[0]["kid"] != good_header["kid"]
    assert "kid" not in unverified(mint(Flaw.NO_KEY_ID))[0]
    assert unverified(mint(Flaw.ALG_NONE))[0]["alg"] == "none"
    assert mint(Flaw.ALG_NONE).endswith(".")
    assert unverified(mint(Flaw.PS256))[0]["alg"] == "PS256"
    foreign = unverified(mint(Flaw.FOREIGN_TENANT))[1]
    assert foreign["tid"] == FOREIGN_TENANT_ID
    assert foreign["iss"] == good["iss"].replace(TENANT_ID, FOREIGN_TENANT_ID)
    assert unverified(mint(Flaw.OTHER_AUDIENCE))[1]["aud"] != WEB_CLIENT_ID


def test_the_shared_secret_of_a_forgery_is_what_it_says(entra: Entra) -> None:
    by_secret = entra.control.mint_id_token(Flaw.HS256_CLIENT_SECRET)
    secret = WEB_CLIENT_SECRET.encode()

    claims = jwt.decode(by_secret, secret, algorithms=["HS256"], audience=WEB_CLIENT_ID)

    assert claims["tid"] == TENANT_ID


def test_a_real_signature_with_ps256_and_a_critical_header_would_verify(entra: Entra) -> None:
    """Only the algorithm's name, or the unknown header, gives a careful reader a reason."""
    key = entra.server.tenant.keys.signing.public

    ps256 = entra.control.mint_id_token(Flaw.PS256)

    assert jwt.decode(ps256, key, algorithms=["PS256"], audience=WEB_CLIENT_ID)
    assert "crit" in unverified(entra.control.mint_id_token(Flaw.UNKNOWN_CRITICAL_HEADER))[0]


def test_claims_and_headers_can_be_changed_and_removed(entra: Entra) -> None:
    header, claims = unverified(
        entra.control.mint_id_token(
            person="gus",
            claims={"oid": "not-a-uuid", "sub": None, "exp": 1.5},
            headers={"typ": None, "jku": "https://stranger.invalid/keys"},
        )
    )

    assert (claims["oid"], claims["exp"], claims["acct"]) == ("not-a-uuid", 1.5, 1)
    assert "sub" not in claims
    assert header["jku"] == "https://stranger.invalid/keys"
    assert "typ" not in header


def test_the_next_exchange_gives_the_queued_token(sign_in: SignIn) -> None:
    sign_in.entra.control.queue_id_token(Flaw.FOREIGN_ISSUER)
    sign_in.entra.control.queue_id_token(Flaw.ABSENT)

    first = sign_in.redeem(sign_in.code()).json()
    second = sign_in.redeem(sign_in.code()).json()
    third = sign_in.redeem(sign_in.code()).json()

    _, claims = unverified(first["id_token"])
    assert claims["iss"] == "https://stranger.invalid/v2.0"
    assert claims["nonce"] == sign_in.nonce
    assert "id_token" not in second
    assert sign_in.entra.claims(third["id_token"], WEB_CLIENT_ID)


@pytest.mark.parametrize("endpoints", [Endpoints.DISCOVERY, Endpoints.KEYS, Endpoints.TOKEN])
def test_every_endpoint_can_fail(entra: Entra, endpoints: Endpoints) -> None:
    calls: dict[Endpoints, Callable[[], requests.Response]] = {
        Endpoints.DISCOVERY: lambda: entra.get(entra.addresses.discovery),
        Endpoints.KEYS: lambda: entra.get(entra.addresses.keys),
        Endpoints.TOKEN: entra.app_token,
    }
    call = calls[endpoints]
    entra.control.fail(endpoints, status=503, retry_after=1)
    entra.control.fail(endpoints, FaultKind.DROPPED)

    failed = call()

    assert (failed.status_code, failed.headers["Retry-After"]) == (503, "1")
    with pytest.raises(requests.exceptions.ConnectionError):
        call()
    assert call().status_code == 200


def test_hits_are_counted(entra: Entra) -> None:
    entra.control.forget_hits()
    entra.get(entra.addresses.keys)
    entra.get(entra.addresses.keys)
    entra.graph("groups")

    hits = entra.control.hits()

    assert (hits["keys"], hits["token"], hits["graph.groups"]) == (2, 1, 1)
    assert "discovery" not in hits


def test_reset_takes_everything_back(sign_in: SignIn) -> None:
    control = sign_in.entra.control
    people = control.people()
    control.fail(Endpoints.KEYS, times=None)
    control.delete_person("ada")
    control.change_person("ben", groups=[])
    control.set_lifetimes(token=2, federated=5)
    control.queue_id_token(Flaw.ABSENT)

    control.reset()

    assert control.people() == people
    assert sign_in.id_claims()["exp"] - sign_in.id_claims()["iat"] == 3600


@pytest.mark.parametrize("token", ["", "wrong", "ü"])
def test_nobody_steers_without_the_token(entra: Entra, token: str) -> None:
    stranger = EntraControl(entra.addresses.tls, entra.ca, token.encode().decode("latin-1"))

    with pytest.raises(ControlRefused, match="X-Sandbox-Control"):
        stranger.rotate_keys()


def test_the_control_token_is_private_and_not_shown(entra: Entra) -> None:
    assert entra.server.control_token_file.stat().st_mode & 0o777 == 0o600
    assert entra.control.token not in repr(entra.control)


def test_pages_have_no_control_plane(entra: Entra) -> None:
    response = requests.get(f"{entra.addresses.pages}/control/hits", timeout=10)

    assert response.status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "content", "says"),
    [
        ("PUT", "lifetimes", {"token": 0}, "more than 0 seconds"),
        ("PUT", "lifetimes", {"token": "1"}, "expected seconds"),
        ("PUT", "lifetimes", {"coffee": 1}, "no lifetime 'coffee'"),
        ("POST", "faults/graph", {"kind": "explode"}, "expected one of status, slow"),
        ("POST", "faults/graph", {"kind": "status", "status": 200}, "expected 400 to 599"),
        ("POST", "faults/graph", {"kind": "status", "times": 0}, "expected a count from 1"),
        ("POST", "faults/printer", {"kind": "status"}, "printer"),
        ("POST", "mint", {"flaw": "ugly"}, "flaw is 'ugly'"),
        ("POST", "mint", {"kind": "golden"}, "expected id, access or federated"),
        ("POST", "mint", {"person": "zoe"}, "No person has the key 'zoe'"),
        ("PATCH", "people/zoe", {"enabled": True}, "No person has the key 'zoe'"),
        ("PATCH", "people/ada", {"enabled": "yes"}, "expected true or false"),
        ("PATCH", "people/ada", {"groups": "all"}, "list of group ids"),
        ("POST", f"applications/{WEB_CLIENT_ID}", {"redirect_uri": "x"}, "redirect URI"),
        ("POST", "applications/unknown", {}, "was not found"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(
    entra: Entra, method: str, path: str, content: dict[str, object], says: str
) -> None:
    response = requests.request(
        method,
        f"{entra.addresses.tls}/control/{path}",
        json=content,
        headers={"X-Sandbox-Control": entra.control.token},
        verify=entra.ca,
        timeout=10,
    )

    assert response.status_code in {400, 404}
    assert says in response.json()["error"]
