"""Correctness properties 5 to 7 of the requirement: claims."""

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.base import SessionBase
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from accounts.claims import UserClaims, check_login_status, display_text, extract_user_claims
from accounts.models import User

claims = st.fixed_dictionaries(
    {
        "oid": st.uuids().map(str),
        "tid": st.uuids().map(str),
        "email": st.text(max_size=80),
        "name": st.text(max_size=80),
        "preferred_username": st.text(max_size=80),
    },
    optional={"exp": st.integers(min_value=0, max_value=2**40)},
)


@given(claims=claims)
def test_user_claims_extraction(claims: dict[str, Any]) -> None:
    """Feature: entraid-authentication, Property 5: User Claims Extraction."""
    found = UserClaims.from_st_user(claims)

    assert found.oid == claims["oid"]
    assert found.tenant_id == claims["tid"]
    assert found.email == claims["email"]
    assert found.name == claims["name"]
    assert found.preferred_username == claims["preferred_username"]
    assert UserClaims.from_claims(found.to_claims()) == found


@given(claims=claims, signed_in=st.booleans())
def test_login_status_verification(claims: dict[str, Any], signed_in: bool) -> None:
    """Feature: entraid-authentication, Property 6: Login Status Verification."""
    request = RequestFactory().get("/")
    request.user = User() if signed_in else AnonymousUser()
    request.session = SessionBase()
    request.session["user_claims"] = claims

    assert check_login_status(request) is signed_in
    assert (extract_user_claims(request) is not None) is signed_in


@given(exp=st.integers(min_value=0, max_value=2**40), offset=st.integers(-(10**6), 10**6))
def test_token_expiration_check(exp: int, offset: int) -> None:
    """Feature: entraid-authentication, Property 7: Token Expiration Check."""
    found = UserClaims("oid", "", "", "", "tid", exp=exp)

    assert found.is_expired(now=exp + offset) is (offset >= 0)


def test_without_an_expiry_a_token_is_expired() -> None:
    assert UserClaims("oid", "", "", "", "tid").is_expired(now=0)


@given(value=st.text())
def test_what_is_displayed_has_no_control_characters(value: str) -> None:
    shown = display_text(value)

    assert not any(ord(c) < 32 or 0x202A <= ord(c) <= 0x202E for c in shown)
    assert len(shown) <= 256
