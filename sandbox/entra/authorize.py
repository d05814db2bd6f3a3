"""The authorize endpoint: checks what the application asks for, and lets a person be picked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from sandbox.entra.applications import Application, UnknownApplication
from sandbox.entra.directory import Person, UnknownPerson
from sandbox.entra.errors import EntraError, SignInFailed, SignInRefused
from sandbox.entra.exchange import Request, Response, UnreadableRequest
from sandbox.entra.pages import Choice, pick_page, refusal_page
from sandbox.entra.sign_ins import Account, AuthorizationRequest
from sandbox.entra.tenant import Tenant
from sandbox.entra.tokens import login_hint_of

PERSON_HEADER = "X-Sandbox-Person"  # who was signed in without a page; for tests, not for products
_PROMPTS = {"", "none", "login", "select_account", "consent"}
_SCOPES = {"openid", "profile", "email", "User.Read"}
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class _Reply:
    """Where the application is told how the sign-in ended."""

    redirect_uri: str
    state: str

    def url(self, **values: str) -> str:
        separator = "&" if "?" in self.redirect_uri else "?"
        answer = values | ({"state": self.state} if self.state else {})
        return f"{self.redirect_uri}{separator}{urlencode(answer)}"

    def failure(self, error: EntraError) -> Response:
        return Response.redirect(self.url(error=error.error, error_description=str(error)))


def session_cookie_name(tenant: Tenant) -> str:
    """The cookie of the fake's own session. Cookies know no ports, so the name has one."""
    return f"ESTSAUTH-{tenant.addresses.pages.rpartition(':')[2]}"


def authorize(tenant: Tenant, request: Request) -> Response:
    """The page to pick a person on, or an answer to the application."""
    try:
        query = request.query
        application = _application(tenant, query.get("client_id", ""))
        reply = _reply(application, query)
    except UnreadableRequest as error:
        return refusal_page(f"AADSTS900144: {error}")
    except SignInRefused as error:
        return refusal_page(str(error), status=error.status)
    try:
        asked = _checked(application, reply, query)
        session = request.cookie(session_cookie_name(tenant))
        accounts = tenant.sign_ins.accounts(session)
        account = _without_page(tenant, asked, accounts)
        if account is not None:
            return _grant(tenant, asked, session, account)
        hinted = _person_of_hint(tenant, asked.login_hint)
        if hinted and tenant.behaviour.sign_in_by_hint and not asked.prompt:
            return _sign_in(tenant, asked, session, hinted)
    except SignInFailed as error:
        return reply.failure(error)
    except SignInRefused as error:
        return refusal_page(str(error), status=error.status)
    return pick_page(
        Choice(
            people=tenant.directory.people(),
            application=application.name,
            action=tenant.addresses.pick,
            request=tenant.sign_ins.remember(asked),
            redirect_uri=asked.redirect_uri,
            signed_in=frozenset(account.person_key for account in accounts),
            hinted=hinted.key if hinted else None,
        )
    )


def pick(tenant: Tenant, request: Request) -> Response:
    """The picked person's sign-in, from the page's form."""
    try:
        form = request.form
    except UnreadableRequest as error:
        return refusal_page(f"AADSTS900144: {error}")
    asked = tenant.sign_ins.recall(form.get("request", ""))
    if asked is None:
        return refusal_page(
            "AADSTS165000: This sign-in is unknown or too old. Begin again at the application."
        )
    if "cancel" in form:
        cancelled = SignInFailed(65004, "access_denied", "User declined to sign in.")
        return _Reply(asked.redirect_uri, asked.state).failure(cancelled)
    try:
        person = tenant.directory.person(form.get("person", ""))
        return _sign_in(tenant, asked, request.cookie(session_cookie_name(tenant)), person)
    except UnknownPerson:
        return refusal_page("AADSTS50034: The user account does not exist in the directory.")
    except SignInRefused as error:
        return refusal_page(str(error), status=error.status, again=_again(tenant, asked))


def _application(tenant: Tenant, client_id: str) -> Application:
    if not client_id:
        raise SignInRefused(
            900144, "invalid_request", "The request must contain the parameter: 'client_id'."
        )
    try:
        return tenant.applications.get(client_id)
    except UnknownApplication as error:
        raise SignInRefused(700016, "unauthorized_client", str(error)) from error


def _reply(application: Application, query: Mapping[str, str]) -> _Reply:
    uri = query.get("redirect_uri", "")
    if not application.allows_redirect(uri):
        raise SignInRefused(
            50011,
            "invalid_request",
            f"The redirect URI '{uri[:300]}' specified in the request does not match the redirect "
            f"URIs configured for the application '{application.client_id}'.",
        )
    return _Reply(uri, query.get("state", ""))


def _checked(
    application: Application, reply: _Reply, query: Mapping[str, str]
) -> AuthorizationRequest:
    for name in ("response_type", "scope", "state", "nonce", "code_challenge"):
        if not query.get(name):
            raise SignInFailed(
                900144, "invalid_request", f"The request must contain the parameter: '{name}'."
            )
    for name, expected in (("response_type", "code"), ("response_mode", "query")):
        if query.get(name, expected) != expected:
            error = "unsupported_response_type" if name == "response_type" else "invalid_request"
            raise SignInFailed(
                70005, error, f"{name} is {query[name][:50]!r}; expected {expected!r}."
            )
    if query.get("code_challenge_method") != "S256":
        raise SignInFailed(501491, "invalid_request", "code_challenge_method must be 'S256'.")
    if not _CHALLENGE.fullmatch(query["code_challenge"]):
        raise SignInFailed(501491, "invalid_request", "Invalid size of Code_Challenge parameter.")
    scopes = frozenset(query["scope"].split())
    if "openid" not in scopes or scopes - _SCOPES:
        raise SignInFailed(
            70011,
            "invalid_scope",
            f"The scope {query['scope'][:200]!r} is not valid: expected 'openid', and besides it "
            f"only {', '.join(sorted(_SCOPES - {'openid'}))}.",
        )
    prompt = query.get("prompt", "")
    if prompt not in _PROMPTS:
        raise SignInFailed(
            90023, "invalid_request", f"Unsupported 'prompt' value: {prompt[:50]!r}."
        )
    return AuthorizationRequest(
        client_id=application.client_id,
        redirect_uri=reply.redirect_uri,
        state=reply.state,
        nonce=query["nonce"],
        code_challenge=query["code_challenge"],
        scopes=scopes,
        login_hint=query.get("login_hint", ""),
        prompt=prompt,
    )


def _without_page(
    tenant: Tenant, asked: AuthorizationRequest, accounts: tuple[Account, ...]
) -> Account | None:
    """The account that single sign-on takes; None where a page is needed.

    Raises ``SignInFailed`` where ``prompt=none`` forbids the page.
    """
    silent = asked.prompt == "none"
    hinted = _person_of_hint(tenant, asked.login_hint)
    fitting = [
        a for a in accounts if not asked.login_hint or (hinted and a.person_key == hinted.key)
    ]
    if asked.prompt not in {"", "none"}:
        return None
    if len(fitting) == 1 and _may_sign_in(tenant, fitting[0].person_key):
        return fitting[0]
    if silent and len(fitting) > 1:
        raise SignInFailed(
            16000,
            "interaction_required",
            "Either multiple user identities are available for the current request or selected "
            "account is not supported for the scenario.",
        )
    if silent:
        raise SignInFailed(
            50058,
            "login_required",
            "A silent sign-in request was sent but no user is signed in.",
        )
    return None


def _may_sign_in(tenant: Tenant, key: str) -> bool:
    try:
        return tenant.directory.person(key).enabled
    except UnknownPerson:
        return False


def _person_of_hint(tenant: Tenant, hint: str) -> Person | None:
    for person in tenant.directory.people() if hint else ():
        if hint in (login_hint_of(person), person.upn, person.email):
            return person
    return None


def _sign_in(tenant: Tenant, asked: AuthorizationRequest, session: str, person: Person) -> Response:
    if not person.enabled:
        raise SignInRefused(
            50057, "access_denied", f"The account of {person.name} is disabled.", status=403
        )
    session, account = tenant.sign_ins.sign_in(session, person)
    return _grant(tenant, asked, session, account)


def _grant(tenant: Tenant, asked: AuthorizationRequest, session: str, account: Account) -> Response:
    code = tenant.sign_ins.issue_code(
        session, account, asked, lifetime=tenant.behaviour.lifetimes.code
    )
    url = _Reply(asked.redirect_uri, asked.state).url(code=code, session_state=account.sid)
    cookie = f"{session_cookie_name(tenant)}={session}; Path=/; HttpOnly; SameSite=Lax"
    return Response.redirect(url, headers={"Set-Cookie": cookie, PERSON_HEADER: account.person_key})


def _again(tenant: Tenant, asked: AuthorizationRequest) -> str:
    """The same request, with the page shown whoever is signed in."""
    query = {
        "client_id": asked.client_id,
        "redirect_uri": asked.redirect_uri,
        "response_type": "code",
        "scope": " ".join(sorted(asked.scopes)),
        "state": asked.state,
        "nonce": asked.nonce,
        "code_challenge": asked.code_challenge,
        "code_challenge_method": "S256",
        "prompt": "select_account",
    }
    return f"{tenant.addresses.authorize}?{urlencode(query)}"
