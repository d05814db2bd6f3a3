"""A person signs in: the authorize endpoint and the redemption of its code."""

import base64

import pytest
import requests

from sandbox.entra.client import SignInRefused, pick_person
from sandbox.entra.directory import PEOPLE, TENANT_ID, WEB_CLIENT_ID, WEB_CLIENT_SECRET
from tests.sandbox.entra_fixtures import Entra, SignIn, answer, refusal


def test_the_id_token_has_entras_shape(sign_in: SignIn) -> None:
    claims = sign_in.id_claims("ben")

    ben = PEOPLE["ben"]
    assert claims["tid"] == TENANT_ID
    assert claims["oid"] == ben.oid
    assert claims["iss"] == f"{sign_in.entra.addresses.tls}/{TENANT_ID}/v2.0"
    assert claims["aud"] == WEB_CLIENT_ID
    assert claims["nonce"] == sign_in.nonce
    assert claims["name"] == "Ben Okafor"
    assert claims["preferred_username"] == claims["email"] == "ben.okafor@nordwind.example"
    assert (claims["ver"], claims["acct"]) == ("2.0", 0)
    assert claims["exp"] - claims["iat"] == 3600
    assert claims["sub"] != ben.oid
    assert {"sid", "uti", "rh", "login_hint", "auth_time", "nbf"} <= claims.keys()
    assert "idp" not in claims
    assert "groups" not in claims


def test_a_guest_is_told_apart(sign_in: SignIn) -> None:
    claims = sign_in.id_claims("gus")

    assert claims["acct"] == 1
    assert claims["tid"] == TENANT_ID
    assert claims["idp"].startswith("https://sts.windows.net/")
    assert TENANT_ID not in claims["idp"]


def test_without_the_profile_scope_there_is_no_oid(sign_in: SignIn) -> None:
    sign_in.scope = "openid"

    assert not {"oid", "name", "email"} & sign_in.id_claims().keys()


def test_the_subject_stays_the_same_at_every_sign_in(entra: Entra) -> None:
    subjects = set()
    for _ in range(2):
        with requests.Session() as browser:
            subjects.add(SignIn(entra, browser).id_claims()["sub"])

    assert len(subjects) == 1


def test_the_application_gets_its_state_back(sign_in: SignIn) -> None:
    sign_in.state = "x&y=z ü"

    assert answer(pick_person(sign_in.browser, sign_in.url(), "ada"))["state"] == "x&y=z ü"


@pytest.mark.parametrize("missing", ["state", "nonce", "code_challenge", "response_type", "scope"])
def test_a_request_without_a_parameter_is_sent_back(sign_in: SignIn, missing: str) -> None:
    response = sign_in.open(**{missing: None})

    sent_back = answer(response.headers["Location"])
    assert sent_back["error"] == "invalid_request"
    assert "AADSTS900144" in sent_back["error_description"]
    assert missing in sent_back["error_description"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"response_type": "id_token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"scope": "profile email"}, "invalid_scope"),
        ({"scope": "openid Directory.ReadWrite.All"}, "invalid_scope"),
        ({"prompt": "perhaps"}, "invalid_request"),
    ],
)
def test_a_wrong_request_is_sent_back(
    sign_in: SignIn, changes: dict[str, str | None], error: str
) -> None:
    assert answer(sign_in.open(**changes).headers["Location"])["error"] == error


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"client_id": "0f0f0f0f-0000-4000-8000-000000000000"}, "AADSTS700016"),
        ({"client_id": None}, "AADSTS900144"),
        ({"redirect_uri": "http://localhost:8000/elsewhere/"}, "AADSTS50011"),
        ({"redirect_uri": "http://localhost.evil.example/oidc/callback/"}, "AADSTS50011"),
        ({"redirect_uri": "http://ada@localhost/oidc/callback/"}, "AADSTS50011"),
        ({"redirect_uri": "https://localhost/oidc/callback/"}, "AADSTS50011"),
        ({"redirect_uri": "http://localhost/oidc/callback/?a=b"}, "AADSTS50011"),
        ({"redirect_uri": "http://localhost/oidc/callback/#a"}, "AADSTS50011"),
        ({"redirect_uri": "http://localhost:x/oidc/callback/"}, "AADSTS50011"),
        ({"redirect_uri": "http://localhost/oidc/call\r\nback/"}, "AADSTS50011"),
        ({"redirect_uri": "http://localhost\\oidc/callback/"}, "AADSTS50011"),
        ({"redirect_uri": None}, "AADSTS50011"),
    ],
)
def test_what_cannot_be_trusted_is_never_redirected_to(
    sign_in: SignIn, changes: dict[str, str | None], number: str
) -> None:
    response = sign_in.open(**changes)

    assert response.status_code == 400
    assert "Location" not in response.headers
    assert number in response.text


@pytest.mark.parametrize(
    "uri", ["http://localhost:1/oidc/callback/", "http://127.0.0.1:65000/oidc/callback/"]
)
def test_any_port_of_a_loopback_host_is_registered(sign_in: SignIn, uri: str) -> None:
    sign_in.redirect_uri = uri

    assert pick_person(sign_in.browser, sign_in.url(), "ada").startswith(uri + "?code=")


def test_a_redirect_uri_can_be_registered_later(sign_in: SignIn) -> None:
    sign_in.redirect_uri = "https://costs.example/oidc/callback/"
    assert sign_in.open().status_code == 400

    sign_in.entra.control.register(redirect_uri=sign_in.redirect_uri)

    assert sign_in.id_claims()["oid"] == PEOPLE["ada"].oid


def test_a_disabled_account_stays_on_the_page(sign_in: SignIn) -> None:
    with pytest.raises(SignInRefused, match="AADSTS50057"):
        pick_person(sign_in.browser, sign_in.url(), "hal")


def test_a_person_may_cancel(sign_in: SignIn) -> None:
    page = sign_in.open()
    request = page.text.split('name="request" value="')[1].split('"')[0]

    response = sign_in.browser.post(
        sign_in.entra.addresses.pick,
        data={"request": request, "cancel": "1"},
        allow_redirects=False,
        timeout=10,
    )

    assert answer(response.headers["Location"]) == {
        "error": "access_denied",
        "error_description": "AADSTS65004: User declined to sign in.",
        "state": "a-state",
    }


def test_an_invented_sign_in_cannot_be_continued(sign_in: SignIn) -> None:
    response = sign_in.browser.post(
        sign_in.entra.addresses.pick,
        data={"request": "invented", "person": "ada"},
        allow_redirects=False,
        timeout=10,
    )

    assert response.status_code == 400
    assert "AADSTS165000" in response.text


def test_a_code_serves_once(sign_in: SignIn) -> None:
    code = sign_in.code()
    assert sign_in.redeem(code).status_code == 200

    assert refusal(sign_in.redeem(code)) == (400, "invalid_grant", 54005)


def test_a_code_serves_more_than_once_only_where_a_test_asks_for_it(
    entra: Entra, sign_in: SignIn
) -> None:
    entra.control.reuse_codes()
    code = sign_in.code()
    assert [sign_in.redeem(code).status_code for _ in range(2)] == [200, 200]

    entra.control.reset()
    assert sign_in.redeem(sign_in.code()).status_code == 200


def test_a_code_is_spent_by_a_wrong_verifier(sign_in: SignIn) -> None:
    code = sign_in.code()

    assert refusal(sign_in.redeem(code, code_verifier="w" * 43)) == (400, "invalid_grant", 501481)
    assert refusal(sign_in.redeem(code)) == (400, "invalid_grant", 54005)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"code_verifier": None}, (400, "invalid_request", 900144)),
        ({"code_verifier": "too-short"}, (400, "invalid_grant", 501491)),
        (
            {"redirect_uri": "http://127.0.0.1:8000/oidc/callback/"},
            (400, "invalid_client", 500112),
        ),
        ({"redirect_uri": None}, (400, "invalid_client", 500112)),
        ({"client_secret": "wrong"}, (401, "invalid_client", 7000215)),
        ({"client_secret": None}, (401, "invalid_client", 7000218)),
        ({"client_id": None}, (400, "invalid_request", 900144)),
        ({"client_id": "somebody"}, (400, "unauthorized_client", 700016)),
        ({"code": None}, (400, "invalid_request", 900144)),
        ({"code": "invented"}, (400, "invalid_grant", 9002313)),
        ({"grant_type": None}, (400, "invalid_request", 900144)),
        ({"grant_type": "password"}, (400, "unsupported_grant_type", 70003)),
    ],
)
def test_a_wrong_redemption_is_refused(
    sign_in: SignIn, changes: dict[str, str | None], expected: tuple[int, str, int]
) -> None:
    assert refusal(sign_in.redeem(sign_in.code(), **changes)) == expected


def test_a_refusal_has_entras_shape(sign_in: SignIn) -> None:
    body = sign_in.redeem("invented").json()

    assert set(body) == {
        "error",
        "error_description",
        "error_codes",
        "timestamp",
        "trace_id",
        "correlation_id",
    }
    assert body["error_description"].startswith("AADSTS9002313: ")
    assert f"Trace ID: {body['trace_id']}" in body["error_description"]


def test_an_old_code_is_refused(sign_in: SignIn) -> None:
    sign_in.entra.control.set_lifetimes(code=0.000001)

    assert refusal(sign_in.redeem(sign_in.code())) == (400, "invalid_grant", 70008)


def test_the_secret_may_come_in_the_header(sign_in: SignIn) -> None:
    code = sign_in.code()
    form = {
        "grant_type": "authorization_code",
        "redirect_uri": sign_in.redirect_uri,
        "code": code,
        "code_verifier": sign_in.verifier,
    }
    url = sign_in.entra.addresses.token

    good = sign_in.entra.post(url, form, auth=(WEB_CLIENT_ID, WEB_CLIENT_SECRET))
    bad = sign_in.entra.post(url, form, auth=(WEB_CLIENT_ID, "wrong"))
    broken = sign_in.entra.post(url, form, headers={"Authorization": "Basic !"})
    nobody = base64.b64encode(b"no colon").decode()
    halved = sign_in.entra.post(url, form, headers={"Authorization": f"Basic {nobody}"})

    assert "id_token" in good.json()
    assert refusal(bad) == (401, "invalid_client", 7000215)
    assert refusal(broken) == refusal(halved) == (401, "invalid_request", 9002313)


def test_two_ways_of_authentication_at_once_are_refused(sign_in: SignIn) -> None:
    code = sign_in.code()

    response = sign_in.redeem(code, client_assertion="x.y.z")

    assert refusal(response) == (400, "invalid_request", 90014)


def test_a_parameter_given_twice_is_refused(entra: Entra) -> None:
    response = requests.post(
        entra.addresses.token,
        data=[("grant_type", "client_credentials"), ("grant_type", "authorization_code")],
        verify=entra.ca,
        timeout=10,
    )

    assert refusal(response) == (400, "invalid_request", 900144)


def test_who_is_disabled_meanwhile_gets_no_token(sign_in: SignIn) -> None:
    code = sign_in.code("ben")
    sign_in.entra.control.change_person("ben", enabled=False)

    assert refusal(sign_in.redeem(code)) == (400, "invalid_grant", 50057)


def test_an_answer_is_never_kept(sign_in: SignIn) -> None:
    response = sign_in.redeem(sign_in.code())

    assert response.headers["Cache-Control"] == "no-store"
    assert response.json()["token_type"] == "Bearer"
    assert 3590 <= response.json()["expires_in"] <= 3600
