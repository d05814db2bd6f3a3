"""Who is asking for a token: by secret, by certificate, or by a federated token."""

import base64
import binascii
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import unquote_plus

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox.entra.applications import (
    FEDERATED_AUDIENCE,
    FEDERATED_SUBJECT,
    Application,
    UnknownApplication,
)
from sandbox.entra.errors import TokenRefused
from sandbox.entra.exchange import Request
from sandbox.entra.keys import base64url
from sandbox.entra.tenant import Tenant

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Proof(StrEnum):
    """How an application proved who it is."""

    SECRET = "secret"  # noqa: S105 - the name of a method
    ASSERTION = "assertion"


@dataclass(frozen=True)
class Client:
    """An application that proved who it is."""

    application: Application
    proof: Proof


def authenticate_client(tenant: Tenant, request: Request, form: Mapping[str, str]) -> Client:
    """The application that sent the request. Raises ``TokenRefused``."""
    basic = _basic_credentials(request.header("authorization"))
    ways = [basic is not None, "client_secret" in form, "client_assertion" in form]
    if sum(ways) > 1:
        raise TokenRefused(
            90014, "invalid_request", "More than one way of client authentication was used."
        )
    client_id = basic[0] if basic else form.get("client_id", "")
    if not client_id:
        raise missing_parameter("client_id")
    if form.get("client_id", client_id) != client_id:
        raise TokenRefused(90014, "invalid_request", "Header and body name different clients.")
    try:
        application = tenant.applications.get(client_id)
    except UnknownApplication as error:
        raise TokenRefused(700016, "unauthorized_client", str(error)) from error
    if "client_assertion" in form:
        _check_assertion(tenant, application, form)
        return Client(application, Proof.ASSERTION)
    secret = basic[1] if basic else form.get("client_secret")
    if secret is None:
        raise TokenRefused(
            7000218,
            "invalid_client",
            "The request body must contain the following parameter: 'client_assertion' or "
            "'client_secret'.",
            status=401,
        )
    if not application.has_secret(secret):
        raise TokenRefused(
            7000215,
            "invalid_client",
            "Invalid client secret provided. Ensure the secret being sent in the request is the "
            "client secret value, not the client secret ID, for a secret added to app "
            f"'{application.client_id}'.",
            status=401,
        )
    return Client(application, Proof.SECRET)


def missing_parameter(name: str) -> TokenRefused:
    """The refusal of a request that lacks a parameter."""
    return TokenRefused(
        900144,
        "invalid_request",
        f"The request body must contain the following parameter: '{name}'.",
    )


def _basic_credentials(header: str) -> tuple[str, str] | None:
    scheme, _, encoded = header.partition(" ")
    if not header:
        return None
    try:
        decoded = base64.b64decode(encoded, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        decoded = ""
    client_id, colon, secret = decoded.partition(":")
    if scheme.lower() != "basic" or not colon:
        raise TokenRefused(
            9002313, "invalid_request", "The Authorization header is not HTTP Basic.", status=401
        )
    return unquote_plus(client_id), unquote_plus(secret)


def _check_assertion(tenant: Tenant, application: Application, form: Mapping[str, str]) -> None:
    if form.get("client_assertion_type") != JWT_BEARER:
        raise TokenRefused(
            900144, "invalid_request", f"client_assertion_type must be '{JWT_BEARER}'."
        )
    assertion = form["client_assertion"]
    try:
        header = jwt.get_unverified_header(assertion)
        claims = jwt.decode(assertion, options={"verify_signature": False})
    except jwt.PyJWTError as error:
        raise _refused(
            50027, "JWT token is invalid or malformed.", error="invalid_request"
        ) from error
    if str(claims.get("iss", "")).lower() == application.client_id:
        key = _certificate_key(tenant, header)
        _verify(assertion, key, audience=(tenant.addresses.token, tenant.addresses.issuer))
        if claims.get("sub") != claims["iss"]:
            raise _refused(700021, "Client assertion application identifier does not match 'sub'.")
    else:
        _check_federated_identity(tenant, claims)
        _verify(assertion, _cluster_key(tenant, header), audience=(FEDERATED_AUDIENCE,))


def _check_federated_identity(tenant: Tenant, claims: Mapping[str, Any]) -> None:
    none_for = "No matching federated identity record found for presented assertion"
    if claims.get("iss") != tenant.addresses.cluster_issuer:
        raise _refused(700211, f"{none_for} issuer '{str(claims.get('iss'))[:200]}'.")
    if claims.get("sub") != FEDERATED_SUBJECT:
        raise _refused(700213, f"{none_for} subject '{str(claims.get('sub'))[:200]}'.")
    if claims.get("aud") not in (FEDERATED_AUDIENCE, [FEDERATED_AUDIENCE]):
        raise _refused(700212, f"{none_for} audience '{str(claims.get('aud'))[:200]}'.")


def _cluster_key(tenant: Tenant, header: Mapping[str, Any]) -> rsa.RSAPublicKey:
    for key in tenant.cluster_keys.published:
        if key.kid == header.get("kid"):
            return key.public
    raise _refused(7000272, "The assertion's signing key is not one of its issuer's.")


def _certificate_key(tenant: Tenant, header: Mapping[str, Any]) -> rsa.RSAPublicKey:
    registered = tenant.certificate
    by_sha256 = base64url(registered.certificate.fingerprint(hashes.SHA256()))
    # MSAL writes its thumbprints with padding, against the standard, and Entra takes them so.
    sha256, sha1 = (str(header.get(name, "")).rstrip("=") for name in ("x5t#S256", "x5t"))
    if sha256 == by_sha256 or sha1 == registered.kid:
        return registered.public
    raise _refused(
        700027,
        "The certificate with identifier used to sign the client assertion is not registered.",
    )


def _verify(assertion: str, key: rsa.RSAPublicKey, *, audience: tuple[str, ...]) -> None:
    """Signature, audience and times. The end counts with its fraction of a second."""
    try:
        claims = jwt.decode(
            assertion,
            key,
            algorithms=["RS256", "PS256"],
            audience=list(audience),
            options={"require": ["exp", "iss", "sub", "aud"], "verify_exp": False},
        )
    except jwt.ImmatureSignatureError as error:
        raise _outside_of_its_time() from error
    except jwt.InvalidAudienceError as error:
        raise _refused(
            700023, "Client assertion audience claim does not match Realm issuer."
        ) from error
    except jwt.PyJWTError as error:
        raise _refused(
            700027, "Client assertion failed signature validation or lacks a claim."
        ) from error
    if not isinstance(claims["exp"], int | float) or claims["exp"] <= time.time():
        raise _outside_of_its_time()


def _outside_of_its_time() -> TokenRefused:
    return _refused(700024, "Client assertion is not within its valid time range.")


def _refused(number: int, message: str, *, error: str = "invalid_client") -> TokenRefused:
    return TokenRefused(number, error, message, status=401)
