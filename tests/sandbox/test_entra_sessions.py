"""The fake's own session: single sign-on, silent sign-in, and sign-out."""

from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests

from sandbox.entra.client import pick_person
from sandbox.entra.directory import PEOPLE, WEB_CLIENT_ID
from tests.sandbox.entra_fixtures import Entra, SignIn, answer

FRONT_CHANNEL = "http://localhost:8000/oidc/front-channel-logout/"


def logout(sign_in: SignIn, **values: str) -> requests.Response:
    url = f"{sign_in.entra.addresses.logout}?{urlencode(values)}"
    return sign_in.browser.get(url, allow_redirects=False, timeout=10)


def silent_error(sign_in: SignIn, **changes: str) -> str:
    return answer(sign_in.open(prompt="none", **changes).headers["Location"]).get("error", "")


def test_a_second_sign_in_needs_no_page(sign_in: SignIn) -> None:
    sign_in.code("ben")

    response = sign_in.open()

    assert response.headers["X-Sandbox-Person"] == "ben"
    assert "code" in answer(response.headers["Location"])


@pytest.mark.parametrize("prompt", ["login", "select_account", "consent"])
def test_a_prompt_shows_the_page_all_the_same(sign_in: SignIn, prompt: str) -> None:
    sign_in.code("ben")

    assert "Pick a person" in sign_in.open(prompt=prompt).text


def test_another_persons_session_is_not_in_the_way(sign_in: SignIn) -> None:
    sign_in.code("ben")

    assert sign_in.id_claims("cleo")["oid"] == PEOPLE["cleo"].oid


def test_silent_sign_in_needs_a_session(sign_in: SignIn) -> None:
    assert silent_error(sign_in) == "login_required"
    assert silent_error(sign_in, login_hint="ada.lindgren@nordwind.example") == "login_required"

    sign_in.code("ada")

    assert silent_error(sign_in) == ""


def test_silent_sign_in_takes_the_hinted_one_of_several(sign_in: SignIn) -> None:
    hint = sign_in.id_claims("ada")["login_hint"]
    sign_in.code("ben")

    assert silent_error(sign_in) == "interaction_required"
    assert silent_error(sign_in, login_hint="nobody@nordwind.example") == "login_required"
    response = sign_in.open(prompt="none", login_hint=hint)
    assert response.headers["X-Sandbox-Person"] == "ada"


def test_silent_sign_in_ends_with_the_account(sign_in: SignIn) -> None:
    sign_in.code("ada")
    sign_in.entra.control.change_person("ada", enabled=False)

    assert silent_error(sign_in) == "login_required"


def test_revoked_sessions_are_over(sign_in: SignIn) -> None:
    code = sign_in.code("ada")
    sign_in.entra.control.revoke_sessions("ada")

    assert silent_error(sign_in) == "login_required"
    assert sign_in.redeem(code).status_code == 400


def test_a_hint_signs_in_only_when_a_test_says_so(sign_in: SignIn) -> None:
    hint = "eva.sorensen@nordwind.example"
    assert sign_in.open(login_hint=hint).status_code == 200

    sign_in.entra.control.sign_in_by_hint()

    assert sign_in.open(login_hint=hint).headers["X-Sandbox-Person"] == "eva"


def test_a_hinted_person_stands_first(sign_in: SignIn) -> None:
    page = sign_in.open(login_hint=PEOPLE["finn"].upn).text

    assert page.index('value="finn"') < page.index('value="ada"')


def test_sign_out_ends_the_session_and_leads_back(sign_in: SignIn) -> None:
    sign_in.code("ada")

    response = logout(
        sign_in, post_logout_redirect_uri="http://localhost:8000/signed-out/", state="s"
    )

    assert response.headers["Location"] == "http://localhost:8000/signed-out/?state=s"
    assert silent_error(sign_in) == "login_required"


def test_sign_out_works_by_post_on_the_tls_listener_too(sign_in: SignIn) -> None:
    url = sign_in.entra.addresses.logout.replace(
        sign_in.entra.addresses.pages, sign_in.entra.addresses.tls
    )

    response = sign_in.entra.post(
        url, {"post_logout_redirect_uri": "http://localhost/signed-out/"}, allow_redirects=False
    )

    assert response.headers["Location"] == "http://localhost/signed-out/"


@pytest.mark.parametrize(
    "uri", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "http://localhost/x"]
)
def test_sign_out_leads_nowhere_that_is_not_registered(sign_in: SignIn, uri: str) -> None:
    sign_in.code("ada")

    response = logout(sign_in, post_logout_redirect_uri=uri)

    assert response.status_code == 400
    assert "AADSTS50011" in response.text
    assert "refresh" not in response.text
    assert silent_error(sign_in) == "login_required"


def test_a_logout_hint_signs_out_one_person(sign_in: SignIn) -> None:
    ada = sign_in.id_claims("ada")["login_hint"]
    sign_in.code("ben")

    logout(sign_in, logout_hint=ada)

    assert sign_in.open(prompt="none").headers["X-Sandbox-Person"] == "ben"


def test_sign_out_calls_the_applications_front_channel(sign_in: SignIn) -> None:
    sign_in.entra.control.register(front_channel_url=FRONT_CHANNEL)
    sid = sign_in.id_claims("ada")["sid"]

    response = logout(sign_in, post_logout_redirect_uri="http://localhost:8000/signed-out/")

    frame = response.text.split('src="')[1].split('"')[0]
    assert frame.startswith(FRONT_CHANNEL)
    assert parse_qs(urlsplit(frame).query) == {"sid": [sid]}
    assert 'content="0;url=http://localhost:8000/signed-out/"' in response.text
    assert "frame-src http://localhost:8000;" in response.headers["Content-Security-Policy"] + ";"


def test_an_application_that_nobody_used_is_not_called(sign_in: SignIn, entra: Entra) -> None:
    entra.control.register(front_channel_url=FRONT_CHANNEL)

    assert "iframe" not in logout(sign_in).text


def test_the_pages_policy_lets_the_form_lead_to_the_application_only(sign_in: SignIn) -> None:
    response = sign_in.open()

    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'")
    assert "form-action 'self' http://localhost:8000" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "<script" not in response.text
    assert " style=" not in response.text


def test_markup_in_a_request_stays_text(sign_in: SignIn) -> None:
    text = sign_in.open(redirect_uri='"><script>alert(1)</script>').text

    assert "<script" not in text
    assert "&lt;script" in text


def test_everybody_can_be_picked(sign_in: SignIn) -> None:
    page = sign_in.open().text

    for person in PEOPLE.values():
        assert f'value="{person.key}"' in page
        assert person.name in page
    assert WEB_CLIENT_ID not in page
    assert pick_person(sign_in.browser, sign_in.url(), "dan")
