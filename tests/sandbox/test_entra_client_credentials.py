"""Applications get tokens: by secret, by certificate, by federated token."""

import time
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import hashes, serialization

from sandbox.entra.client_authentication import JWT_BEARER
from sandbox.entra.directory import (
    REPLICATOR_CLIENT_ID,
    REPLICATOR_OID,
    TENANT_ID,
    WEB_CLIENT_ID,
    WEB_OID,
)
from sandbox.entra.hostile import Flaw
from sandbox.entra.keys import SigningKey, base64url
from tests.sandbox.entra_fixtures import Entra, refusal
from tests.waiting import wait_until

MONGO = "https://ossrdbms-aad.database.windows.net"


def by_assertion(
    entra: Entra, assertion: str, *, client_id: str = REPLICATOR_CLIENT_ID, **more: str
) -> requests.Response:
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_assertion_type": JWT_BEARER,
        "client_assertion": assertion,
        "scope": f"{MONGO}/.default",
        **more,
    }
    return entra.token_request(**form)


def certificate_assertion(
    entra: Entra, key: SigningKey, *, headers: dict[str, Any] | None = None, **claims: Any
) -> str:
    thumbprint = base64url(entra.server.tenant.certificate.certificate.fingerprint(hashes.SHA256()))
    now = int(time.time())
    good = {
        "iss": REPLICATOR_CLIENT_ID,
        "sub": REPLICATOR_CLIENT_ID,
        "aud": entra.addresses.token,
        "exp": now + 300,
        "nbf": now,
        "jti": "one",
    }
    kept = {name: value for name, value in (good | claims).items() if value is not None}
    return jwt.encode(
        kept, key.private, algorithm="PS256", headers=headers or {"x5t#S256": thumbprint}
    )


def test_a_secret_gives_a_token_for_graph(entra: Entra) -> None:
    body = entra.app_token().json()

    claims = entra.claims(body["access_token"], entra.addresses.graph)
    assert claims["oid"] == claims["sub"] == WEB_OID
    assert claims["appid"] == claims["azp"] == WEB_CLIENT_ID
    assert (claims["idtyp"], claims["ver"], claims["tid"]) == ("app", "2.0", TENANT_ID)
    assert claims["roles"] == ["GroupMember.Read.All", "User.Read.All"]
    assert body["token_type"] == "Bearer"
    assert "id_token" not in body


def test_graphs_public_name_is_a_scope_too(entra: Entra) -> None:
    token = entra.app_token("https://graph.microsoft.com/.default").json()["access_token"]

    assert entra.claims(token, "https://graph.microsoft.com")["roles"]
    assert entra.graph("groups?$top=1", token).status_code == 200


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("https://graph.microsoft.com/User.Read.All", (400, "invalid_scope", 1002012)),
        ("https://cosmos.azure.com/.default openid", (400, "invalid_scope", 1002012)),
        (f"{MONGO}//.default", (400, "invalid_resource", 500011)),
        ("https://unknown.example/.default", (400, "invalid_resource", 500011)),
    ],
)
def test_a_wrong_scope_is_refused(entra: Entra, scope: str, expected: tuple[int, str, int]) -> None:
    assert refusal(entra.app_token(scope)) == expected


def test_a_wrong_secret_is_refused(entra: Entra) -> None:
    assert refusal(entra.app_token(secret="wrong")) == (401, "invalid_client", 7000215)


def test_an_application_without_a_secret_has_none_that_fits(entra: Entra) -> None:
    response = entra.token_request(
        grant_type="client_credentials",
        client_id=REPLICATOR_CLIENT_ID,
        client_secret="",
        scope=f"{MONGO}/.default",
    )

    assert refusal(response) == (401, "invalid_client", 7000215)


def test_another_tenant_does_not_exist(entra: Entra) -> None:
    url = entra.addresses.token.replace(TENANT_ID, "common")

    assert entra.post(url, {}).json()["error_codes"] == [90002]


def test_the_federated_token_gives_a_token_for_mongodb(entra: Entra) -> None:
    federated = entra.server.federated_token_file.read_text()

    body = by_assertion(entra, federated).json()

    claims = entra.claims(body["access_token"], MONGO)
    assert claims["oid"] == REPLICATOR_OID
    assert claims["appid"] == REPLICATOR_CLIENT_ID
    assert "roles" not in claims


def test_the_web_application_may_use_the_federated_token_too(entra: Entra) -> None:
    federated = entra.server.federated_token_file.read_text()

    assert by_assertion(entra, federated, client_id=WEB_CLIENT_ID).status_code == 200


@pytest.mark.parametrize(
    ("flaw", "claims", "number"),
    [
        (Flaw.OTHER_KEY, {}, 700027),
        (Flaw.UNKNOWN_KEY_ID, {}, 7000272),
        (Flaw.EMBEDDED_KEY, {}, 7000272),
        (Flaw.NO_KEY_ID, {}, 7000272),
        (Flaw.ALG_NONE, {}, 700027),
        (Flaw.HS256_PUBLIC_KEY, {}, 700027),
        (Flaw.TAMPERED, {}, 700027),
        (Flaw.EXPIRED, {}, 700024),
        (Flaw.NOT_YET_VALID, {}, 700024),
        (Flaw.OTHER_AUDIENCE, {}, 700212),
        (Flaw.FOREIGN_ISSUER, {}, 700211),
        (Flaw.NONE, {"sub": "system:serviceaccount:other:other"}, 700213),
        (Flaw.NONE, {"exp": None}, 700027),
        (Flaw.GARBAGE, {}, 50027),
    ],
)
def test_a_hostile_federated_token_is_refused(
    entra: Entra, flaw: Flaw, claims: dict[str, object], number: int
) -> None:
    assertion = entra.control.mint_federated_token(flaw, claims=claims)

    status, _, found = refusal(by_assertion(entra, assertion))

    assert (status, found) == (401, number)


def test_the_type_of_an_assertion_must_be_named(entra: Entra) -> None:
    federated = entra.server.federated_token_file.read_text()

    response = by_assertion(entra, federated, client_assertion_type="something")

    assert refusal(response) == (400, "invalid_request", 900144)


def test_a_certificate_gives_a_token(entra: Entra) -> None:
    assertion = certificate_assertion(entra, entra.server.tenant.certificate)

    assert by_assertion(entra, assertion).status_code == 200


@pytest.mark.parametrize(
    ("claims", "number"),
    [
        ({"aud": "https://elsewhere.example/token"}, 700023),
        ({"exp": 1}, 700024),
        ({"exp": None}, 700027),
        ({"nbf": 99999999999}, 700024),
        ({"sub": WEB_CLIENT_ID}, 700021),
        ({"iss": WEB_CLIENT_ID}, 700211),
    ],
)
def test_a_wrong_certificate_assertion_is_refused(
    entra: Entra, claims: dict[str, Any], number: int
) -> None:
    assertion = certificate_assertion(entra, entra.server.tenant.certificate, **claims)

    assert refusal(by_assertion(entra, assertion)) == (401, "invalid_client", number)


def test_a_strangers_certificate_is_refused(entra: Entra) -> None:
    stranger = SigningKey.generate()

    under_our_thumbprint = certificate_assertion(entra, stranger)
    under_its_own = certificate_assertion(entra, stranger, headers={"x5t": stranger.kid})

    assert refusal(by_assertion(entra, under_our_thumbprint))[2] == 700027
    assert refusal(by_assertion(entra, under_its_own))[2] == 700027


def test_the_federated_token_is_renewed_in_time(
    entra: Entra,
) -> None:
    file = entra.server.federated_token_file
    assert file.stat().st_mode & 0o777 == 0o600

    entra.control.set_lifetimes(federated=1.5)
    first = file.read_text()
    wait_until(lambda: file.read_text() != first, timeout=5, what="a new federated token")

    assert by_assertion(entra, file.read_text()).status_code == 200
    wait_until(
        lambda: by_assertion(entra, first).status_code == 401, timeout=5, what="the old one's end"
    )


def test_a_lifetime_may_have_a_fraction(entra: Entra) -> None:
    entra.control.set_lifetimes(token=2.5)

    body = entra.app_token(f"{MONGO}/.default").json()

    claims = entra.claims(body["access_token"], MONGO)
    assert 2.5 <= claims["exp"] - claims["iat"] < 3.5
    assert body["expires_in"] == 2


def test_graph_counts_the_fraction(entra: Entra) -> None:
    entra.control.set_lifetimes(token=1.5)
    token = entra.app_token().json()["access_token"]
    assert entra.graph("groups?$top=1", token).status_code == 200

    wait_until(
        lambda: entra.graph("groups?$top=1", token).status_code == 401,
        timeout=5,
        what="the token's end",
    )


def test_the_certificate_file_holds_certificate_and_key(entra: Entra) -> None:
    file = entra.server.ca_file.with_name("application-certificate.pem")

    assert file.stat().st_mode & 0o777 == 0o600
    assert serialization.load_pem_private_key(file.read_bytes(), password=None)
