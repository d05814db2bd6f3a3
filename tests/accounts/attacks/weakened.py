"""Guards with a hole each, as careless code has them: what an attack needs to succeed.

An attack that fails on its way to the guard proves nothing, so each is also made against a site
that lacks the one guard.
"""

import base64
import json
import time
from typing import Any
from uuid import UUID

import pytest
from django.http import HttpRequest

from accounts import attempts
from accounts.claims import VerifiedClaims
from accounts.config import callback_url
from accounts.credentials import client_credential
from accounts.oidc import EntraBackend
from accounts.reasons import Reason, Refused
from accounts.transport import Transport
from sandbox.entra.directory import TENANT_ID

_exchange = EntraBackend.get_token
_verify = EntraBackend.verify_token
_begin = attempts.begin
_finish = attempts.finish


def claims_of(token: object) -> dict[str, Any]:
    """What a token says, believed without a look."""
    try:
        part = str(token).split(".")[1]
        content = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _identity(*candidates: object) -> UUID:
    for candidate in candidates:
        try:
            named = UUID(str(candidate))
        except ValueError:
            continue
        if named.int:
            return named
    raise AssertionError("the token names nobody")


def believe_tokens(patch: pytest.MonkeyPatch, *reasons: Reason) -> None:
    """Take a token that the checks behind ``reasons`` would refuse; without any, take all.

    Who it names decides, or, where it names nobody, the access token that came with it.
    """

    def get_token(self: EntraBackend, payload: dict[str, str]) -> dict[str, Any]:
        document = _exchange(self, payload)
        patch.setattr(self, "_beside", claims_of(document.get("access_token")), raising=False)
        return document

    def verify_token(self: EntraBackend, token: Any, **kwargs: Any) -> VerifiedClaims:
        try:
            return _verify(self, token, **kwargs)
        except Refused as refusal:
            if reasons and refusal.reason not in reasons:
                raise
        said, beside = claims_of(token), getattr(self, "_beside", {})
        return VerifiedClaims(
            tid=UUID(TENANT_ID),
            oid=_identity(said.get("oid"), beside.get("oid")),
            exp=int(time.time()) + 3600,
            name="Somebody",
            email="",
            preferred_username="",
        )

    patch.setattr(EntraBackend, "get_token", get_token)
    patch.setattr(EntraBackend, "verify_token", verify_token)


def forget_whose_attempt(patch: pytest.MonkeyPatch) -> None:
    """Keep attempts by state for all browsers together, for ever, and never use them up."""
    kept: dict[str, attempts.Attempt] = {}

    def begin(request: HttpRequest, **options: Any) -> dict[str, str]:
        parameters = _begin(request, **options)
        entry = request.session["oidc_states"][parameters["state"]]
        kept[parameters["state"]] = attempts.Attempt(entry["nonce"], entry["code_verifier"], "/")
        return parameters

    def finish(request: HttpRequest) -> attempts.Attempt:
        state = request.GET.get("state", "")
        return kept[state] if state in kept else list(kept.values())[-1]

    patch.setattr(attempts, "begin", begin)
    patch.setattr(attempts, "finish", finish)


def believe_any_code(patch: pytest.MonkeyPatch) -> None:
    """No PKCE and no nonce: whichever attempt a code came from, its verifier is found for it."""
    verifiers: list[str] = []

    def begin(request: HttpRequest, **options: Any) -> dict[str, str]:
        parameters = _begin(request, **options)
        entry = request.session["oidc_states"][parameters["state"]]
        verifiers.append(entry["code_verifier"])
        return parameters

    def get_token(self: EntraBackend, payload: dict[str, str]) -> dict[str, Any]:
        form = {"redirect_uri": callback_url()} | client_credential().form()
        for verifier in verifiers:
            sent = {k: v for k, v in payload.items() if k != "client_secret"}
            with Transport() as http:
                answer = http.post(
                    self.OIDC_OP_TOKEN_ENDPOINT, data=sent | form | {"code_verifier": verifier}
                )
            if answer.status_code == 200:
                return answer.json_object()
        raise Refused(Reason.CODE_REFUSED)

    believe_tokens(patch)
    patch.setattr(attempts, "begin", begin)
    patch.setattr(EntraBackend, "get_token", get_token)
