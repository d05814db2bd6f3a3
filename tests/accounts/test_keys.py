"""Signing keys: cached, found after a rotation, and not fetched at an attacker's pace."""

import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from accounts.keys import (
    FORGET_AFTER,
    REFRESH_AFTER,
    UNKNOWN_KEY_WINDOW,
    KeyCache,
    UnknownKey,
    read_keys,
)
from accounts.transport import Unreachable


def new_jwk(kid: str, *, bits: int = 2048) -> dict[str, Any]:
    public = rsa.generate_private_key(public_exponent=65537, key_size=bits).public_key()
    entry: dict[str, Any] = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(public))
    return entry | {"kid": kid, "use": "sig"}


FIRST, SECOND = new_jwk("first"), new_jwk("second")


class Provider:
    """Publishes ``keys``, or fails while there are none, and counts who asks."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.keys = list(keys)
        self.asked = 0
        self.now = 1000.0
        self.cache = KeyCache(self.fetch, clock=lambda: self.now)

    def fetch(self) -> dict[str, Any]:
        self.asked += 1
        if not self.keys:
            raise Unreachable("down")
        return {"keys": self.keys}


def test_keys_are_fetched_once() -> None:
    provider = Provider(FIRST, SECOND)
    for kid in ("first", "second", "first"):
        assert provider.cache.key_for(kid).key_id == kid

    assert provider.asked == 1


def test_a_new_key_is_found_at_once() -> None:
    provider = Provider(FIRST)
    provider.cache.key_for("first")
    provider.keys.append(SECOND)

    assert provider.cache.key_for("second")


def test_unknown_keys_are_sought_once_a_window() -> None:
    provider = Provider(FIRST)
    provider.cache.key_for("first")
    for n in range(20):
        with pytest.raises(UnknownKey):
            provider.cache.key_for(f"made-up-{n}")
    assert provider.asked == 2

    provider.now += UNKNOWN_KEY_WINDOW
    with pytest.raises(UnknownKey):
        provider.cache.key_for("made-up")
    assert provider.asked == 3


def test_a_withdrawn_key_is_gone_after_the_refresh() -> None:
    provider = Provider(FIRST)
    provider.cache.key_for("first")
    provider.keys = [SECOND]
    provider.now += REFRESH_AFTER

    with pytest.raises(UnknownKey):
        provider.cache.key_for("first")


def test_known_keys_outlive_an_outage_but_not_a_day() -> None:
    provider = Provider(FIRST)
    provider.cache.key_for("first")
    provider.keys = []
    provider.now += REFRESH_AFTER
    for _again in range(5):
        assert provider.cache.key_for("first")
    assert provider.asked == 2  # a failing refresh is not repeated at every sign-in

    provider.now += FORGET_AFTER
    with pytest.raises(Unreachable):
        provider.cache.key_for("first")


def test_without_any_key_every_sign_in_asks() -> None:
    provider = Provider()
    with pytest.raises(Unreachable):
        provider.cache.key_for("first")
    provider.keys = [FIRST]

    assert provider.cache.key_for("first")


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "kid": "first", "k": "AAAA"},
        FIRST | {"use": "enc"},
        FIRST | {"kid": 7},
        {name: value for name, value in FIRST.items() if name != "kid"},
        FIRST | {"n": "!"},
        json.loads(
            jwt.algorithms.ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key())
        )
        | {"kid": "first"},
        new_jwk("first", bits=1024),
        "first",
        None,
    ],
)
def test_only_rsa_signing_keys_count(entry: Any) -> None:
    assert set(read_keys({"keys": [entry, SECOND]})) == {"second"}
    with pytest.raises(ValueError, match="no RSA signing key"):
        read_keys({"keys": [entry]})


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {}}, {"keys": []}])
def test_an_empty_set_is_a_failure(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no RSA signing key"):
        read_keys(document)
