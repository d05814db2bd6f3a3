"""The end-session endpoint: ends the fake's session and tells the applications."""

from urllib.parse import urlencode

from sandbox.entra.applications import Application
from sandbox.entra.authorize import session_cookie_name
from sandbox.entra.directory import UnknownPerson
from sandbox.entra.exchange import Request, Response, UnreadableRequest
from sandbox.entra.pages import refusal_page, signed_out_page
from sandbox.entra.sign_ins import Account
from sandbox.entra.tenant import Tenant
from sandbox.entra.tokens import login_hint_of


def logout(tenant: Tenant, request: Request) -> Response:
    """Signs out, by GET or POST; with ``logout_hint`` only that person.

    Goes on to ``post_logout_redirect_uri`` where an application registered it, else stays.
    """
    try:
        values = request.form if request.method == "POST" else request.query
    except UnreadableRequest as error:
        return refusal_page(f"AADSTS900144: {error}")
    session = request.cookie(session_cookie_name(tenant))
    ended = _sign_out(tenant, session, values.get("logout_hint", ""))
    onward = values.get("post_logout_redirect_uri") or None
    refused = None
    if onward and not _registered(tenant, onward):
        onward, refused = None, onward
    if onward and values.get("state"):
        separator = "&" if "?" in onward else "?"
        onward = f"{onward}{separator}{urlencode({'state': values['state']})}"
    frames = [
        _frame(application, account)
        for account in ended
        for application in tenant.front_channel_applications(account.applications)
    ]
    if onward and not frames:
        return Response.redirect(onward)
    names = [_name(tenant, account) for account in ended]
    return signed_out_page(names=names, frames=frames, onward=onward, refused=refused)


def _sign_out(tenant: Tenant, session: str, hint: str) -> tuple[Account, ...]:
    if not hint:
        return tenant.sign_ins.sign_out(session)
    for person in tenant.directory.people():
        if hint in (login_hint_of(person), person.upn, person.email):
            return tenant.sign_ins.sign_out(session, person.key)
    return ()


def _registered(tenant: Tenant, uri: str) -> bool:
    return any(application.allows_redirect(uri) for application in tenant.applications.all())


def _frame(application: Application, account: Account) -> str:
    url = application.front_channel_url or ""
    return f"{url}{'&' if '?' in url else '?'}{urlencode({'sid': account.sid})}"


def _name(tenant: Tenant, account: Account) -> str:
    try:
        return tenant.directory.person(account.person_key).name
    except UnknownPerson:
        return account.person_key
