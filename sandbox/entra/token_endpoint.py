"""The token endpoint: codes for people, client credentials for applications."""

import hashlib
import json
import re
import secrets
import time
from collections.abc import Mapping

from sandbox.entra.applications import resource_of_scope
from sandbox.entra.client_authentication import (
    Client,
    Proof,
    authenticate_client,
    missing_parameter,
)
from sandbox.entra.directory import TENANT_ID, Person, UnknownPerson
from sandbox.entra.errors import TokenRefused
from sandbox.entra.exchange import Request, Response, UnreadableRequest
from sandbox.entra.keys import base64url
from sandbox.entra.sign_ins import Code, signed_in
from sandbox.entra.tenant import Tenant
from sandbox.entra.tokens import seconds_left

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def answer_token_request(tenant: Tenant, request: Request) -> Response:
    """Tokens for the grant of the request's form. Raises ``TokenRefused``."""
    try:
        form = request.form
    except UnreadableRequest as error:
        raise TokenRefused(900144, "invalid_request", str(error)) from error
    match form.get("grant_type"):
        case None | "":
            raise missing_parameter("grant_type")
        case "authorization_code":
            return _redeem_code(tenant, authenticate_client(tenant, request, form), form)
        case "client_credentials":
            return _client_credentials(tenant, authenticate_client(tenant, request, form), form)
        case other:
            raise TokenRefused(
                70003,
                "unsupported_grant_type",
                f"The app requested an unsupported grant type '{other[:50]}'.",
            )


def _redeem_code(tenant: Tenant, client: Client, form: Mapping[str, str]) -> Response:
    if not form.get("code"):
        raise missing_parameter("code")
    # From here on the code is spent, whatever comes: a guesser has one try.
    code = tenant.sign_ins.redeem(form["code"], again=tenant.behaviour.reusable_codes)
    _check_code(code, client, form)
    person = _person_of(tenant, code)
    application, scopes = client.application, code.request.scopes
    lifetime = tenant.behaviour.lifetimes.token
    who = signed_in(code, person)
    id_claims = tenant.minter.id_claims(
        application, who, nonce=code.request.nonce, scopes=scopes, lifetime=lifetime
    )
    hostile = tenant.behaviour.next_id_tokens
    id_token = (
        tenant.forger.forge(id_claims, hostile.popleft())
        if hostile
        else tenant.minter.sign(id_claims)
    )
    access_claims = tenant.minter.person_access_claims(
        application, who, scopes=scopes, lifetime=lifetime
    )
    content = _access_token(tenant, access_claims) | {"scope": " ".join(sorted(scopes))}
    if id_token is not None:
        content["id_token"] = id_token
    if form.get("client_info") == "1":
        info = {"uid": person.oid, "utid": TENANT_ID}
        content["client_info"] = base64url(json.dumps(info).encode())
    return Response.json(content)


def _check_code(code: Code, client: Client, form: Mapping[str, str]) -> None:
    if code.request.client_id != client.application.client_id:
        raise TokenRefused(
            70000, "invalid_grant", "The authorization code was issued to another application."
        )
    if form.get("redirect_uri") != code.request.redirect_uri:
        raise TokenRefused(
            500112,
            "invalid_client",
            "The reply address does not match the reply address provided when requesting the "
            "authorization code.",
        )
    verifier = form.get("code_verifier", "")
    if not verifier:
        raise missing_parameter("code_verifier")
    if not _VERIFIER.fullmatch(verifier):
        raise TokenRefused(
            501491, "invalid_grant", "The Code_Verifier has an invalid size or character."
        )
    challenge = base64url(hashlib.sha256(verifier.encode("ascii")).digest())
    if not secrets.compare_digest(challenge, code.request.code_challenge):
        raise TokenRefused(
            501481,
            "invalid_grant",
            "The Code_Verifier does not match the code_challenge supplied in the authorization "
            "request.",
        )


def _person_of(tenant: Tenant, code: Code) -> Person:
    try:
        person = tenant.directory.person(code.person_key)
    except UnknownPerson as error:
        raise TokenRefused(
            50034, "invalid_grant", "The user account does not exist in the directory."
        ) from error
    if not person.enabled:
        raise TokenRefused(50057, "invalid_grant", "The user account is disabled.")
    return person


def _client_credentials(tenant: Tenant, client: Client, form: Mapping[str, str]) -> Response:
    scope = form.get("scope", "")
    if not scope:
        raise missing_parameter("scope")
    try:
        audience = resource_of_scope(scope, tenant.addresses)
    except ValueError as error:
        raise TokenRefused(
            1002012,
            "invalid_scope",
            f"The provided value for scope {scope[:200]} is not valid. Client credential flows "
            "must have a scope value with /.default suffixed to the resource identifier "
            "(application ID URI).",
        ) from error
    if audience is None:
        raise TokenRefused(
            500011,
            "invalid_resource",
            f"The resource principal named {scope.removesuffix('/.default')[:200]} was not found "
            "in the tenant named Nordwind Robotics.",
        )
    claims = tenant.minter.app_access_claims(
        client.application,
        audience=audience,
        by_secret=client.proof is Proof.SECRET,
        lifetime=tenant.behaviour.lifetimes.token,
    )
    return Response.json(_access_token(tenant, claims))


def _access_token(tenant: Tenant, claims: dict[str, object]) -> dict[str, object]:
    left = seconds_left(claims, time.time())
    return {
        "token_type": "Bearer",
        "expires_in": left,
        "ext_expires_in": left,
        "access_token": tenant.minter.sign(claims),
    }
