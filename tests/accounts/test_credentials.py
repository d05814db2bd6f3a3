"""The application proves who it is: by secret, certificate, or its cluster's token."""

from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from pytest_django import Settings

from accounts import graph
from accounts.credentials import (
    ClientCertificate,
    CredentialError,
    FederatedToken,
    Unusable,
    client_credential,
)
from accounts.graph import graph_client
from sandbox.entra.directory import PEOPLE
from sandbox.entra.keys import SigningKey
from tests.accounts.journey import Journey, refusals
from tests.sandbox.entra_fixtures import Entra

WAYS = ["secret", "certificate", "federated"]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, entra: Entra, settings: Settings) -> str:
    use(request.param, entra, settings)
    return str(request.param)


def use(way: str, entra: Entra, settings: Settings) -> None:
    state = Path(entra.ca).parent
    if way != "secret":
        settings.ENTRA_CLIENT_SECRET = ""
    if way == "certificate":
        settings.ENTRA_CLIENT_CERTIFICATE_PATH = str(state / "application-certificate.pem")
    if way == "federated":
        settings.ENTRA_FEDERATED_TOKEN_FILE = str(state / "federated-token")


@pytest.mark.django_db
def test_a_code_and_groups_are_had_with_each(journey: Journey, way: str) -> None:
    assert journey.sign_in("ben").status_code == 302, way
    assert set(graph_client().get_user_groups(PEOPLE["ben"].oid)) == set(PEOPLE["ben"].groups)


def test_a_certificate_that_is_not_registered_is_refused(
    entra: Entra, settings: Settings, tmp_path: Path
) -> None:
    pem = tmp_path / "own.pem"
    pem.write_bytes(SigningKey.generate().pem())
    settings.ENTRA_CLIENT_SECRET = ""
    settings.ENTRA_CLIENT_CERTIFICATE_PATH = str(pem)

    with pytest.raises(graph.GraphForbidden, match="invalid_client"):
        graph_client().get_user_groups(PEOPLE["ben"].oid)


def test_an_assertion_says_what_entra_wants_and_no_more(tmp_path: Path) -> None:
    credential = certificate(tmp_path)

    form = credential.form()

    header = jwt.get_unverified_header(form["client_assertion"])
    claims = jwt.decode(form["client_assertion"], options={"verify_signature": False})
    assert set(header) == {"alg", "typ", "x5t#S256"}
    assert header["alg"] == "PS256"
    assert (claims["aud"], claims["iss"], claims["sub"]) == ("https://token", "client", "client")
    assert claims["exp"] - claims["nbf"] == 300
    assert form["client_assertion_type"].endswith(":jwt-bearer")


def test_no_assertion_is_used_twice(tmp_path: Path) -> None:
    credential = certificate(tmp_path)

    ids = {
        jwt.decode(credential.assertion(), options={"verify_signature": False})["jti"] for _ in "ab"
    }

    assert len(ids) == 2


def test_a_key_may_have_a_passphrase(tmp_path: Path) -> None:
    plain = SigningKey.generate().pem()
    start = plain.index(b"-----BEGIN CERTIFICATE")
    end = plain.index(b"-----END CERTIFICATE-----") + len(b"-----END CERTIFICATE-----\n")
    locked = load_pem_private_key(plain, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hush")
    )
    pem = tmp_path / "locked.pem"
    pem.write_bytes(plain[start:end] + locked)

    assert ClientCertificate(str(pem), "hush", "client", "https://token").assertion()
    with pytest.raises(CredentialError, match="the passphrase"):
        ClientCertificate(str(pem), "wrong", "client", "https://token").assertion()


def test_anothers_key_is_refused(tmp_path: Path) -> None:
    one, other = SigningKey.generate().pem(), SigningKey.generate().pem()
    mixed = tmp_path / "mixed.pem"
    mixed.write_bytes(
        one[: one.index(b"-----BEGIN CERT")] + other[other.index(b"-----BEGIN CERT") :]
        if one.index(b"PRIVATE") < one.index(b"CERT")
        else one[: one.index(b"-----BEGIN PRIV")] + other[other.index(b"-----BEGIN PRIV") :]
    )

    with pytest.raises(CredentialError, match="not its certificate's"):
        ClientCertificate(str(mixed), "", "client", "https://token").assertion()


def test_a_federated_token_is_read_each_time(tmp_path: Path) -> None:
    file = tmp_path / "token"
    credential = FederatedToken(str(file))
    file.write_text("one.two.three\n")
    assert credential.form()["client_assertion"] == "one.two.three"
    file.write_text("four.five.six")
    assert credential.for_msal()["client_assertion"]() == "four.five.six"


@pytest.mark.parametrize("content", ["", "no token", "x" * 20_000])
def test_a_file_without_a_token_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "token"
    file.write_text(content)

    with pytest.raises(CredentialError, match="ENTRA_FEDERATED_TOKEN_FILE names"):
        FederatedToken(str(file)).form()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "changes",
    [
        {"ENTRA_CLIENT_SECRET": ""},
        {"ENTRA_FEDERATED_TOKEN_FILE": "/no/such/file"},
        {"ENTRA_CLIENT_SECRET": "", "ENTRA_FEDERATED_TOKEN_FILE": "/no/such/file"},
        {"ENTRA_CLIENT_SECRET": "", "ENTRA_CLIENT_CERTIFICATE_PATH": "/no/such/file"},
    ],
)
def test_a_credential_that_cannot_be_used_is_a_page(
    journey: Journey, settings: Settings, changes: dict[str, Any]
) -> None:
    answer = journey.pick("ada")
    for name, value in changes.items():
        setattr(settings, name, value)

    assert journey.call_back(**answer).status_code == 503
    assert refusals() == ["configuration"]


def test_nothing_is_chosen_between_two(settings: Settings) -> None:
    settings.ENTRA_CLIENT_CERTIFICATE_PATH = "/a"

    assert isinstance(client_credential(), Unusable)


def test_no_secret_is_shown(settings: Settings, tmp_path: Path) -> None:
    settings.ENTRA_CLIENT_SECRET = "hush"

    assert "hush" not in repr(client_credential())
    assert "hush" not in repr(ClientCertificate("path", "hush", "client", "endpoint"))


def certificate(folder: Path) -> ClientCertificate:
    pem = folder / "certificate.pem"
    pem.write_bytes(SigningKey.generate().pem())
    return ClientCertificate(str(pem), "", "client", "https://token")
