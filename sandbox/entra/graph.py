"""The part of Microsoft Graph that the product calls: users, memberships, groups, userinfo."""

import re
from collections.abc import Mapping
from typing import Any

from sandbox.entra.directory import GROUPS, Group, Person, UnknownPerson
from sandbox.entra.errors import GraphError
from sandbox.entra.exchange import Request, Response
from sandbox.entra.graph_pages import page_of
from sandbox.entra.tenant import Tenant
from sandbox.entra.tokens import InvalidToken, pairwise_subject

_USER_DEFAULTS = ("displayName", "givenName", "id", "mail", "surname", "userPrincipalName")
_USER_PROPERTIES = (
    *_USER_DEFAULTS,
    "accountEnabled",
    "signInSessionsValidFromDateTime",
    "userType",
)
_GROUP_DEFAULTS = ("id", "displayName", "securityEnabled", "mailEnabled")
_FILTER = re.compile(r"startswith\(displayName,\s*'((?:[^']|'')*)'\)", re.IGNORECASE)
_SEARCH = re.compile(r'"displayName:([^"]*)"')


def user(tenant: Tenant, request: Request) -> Response:
    """One person; the properties of ``$select``, or Graph's default ones."""
    _require_role(tenant, request, "User.Read.All")
    person = _person(tenant, request)
    selected = _selected(request, _USER_PROPERTIES, _USER_DEFAULTS, "user")
    everything = {
        "id": person.oid,
        "displayName": person.name,
        "givenName": person.given_name,
        "surname": person.surname,
        "mail": person.email,
        "userPrincipalName": person.upn,
        "userType": "Guest" if person.guest else "Member",
        "accountEnabled": person.enabled,
        "signInSessionsValidFromDateTime": person.sessions_valid_from.strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        ),
    }
    return Response.json(
        {"@odata.context": f"{tenant.addresses.graph}/v1.0/$metadata#users/$entity"}
        | {name: everything[name] for name in selected}
    )


def memberships(tenant: Tenant, request: Request) -> Response:
    """The groups that hold a person, directly or not, in pages.

    As documented, the cast to groups is an advanced query: it needs ``ConsistencyLevel: eventual``
    and ``$count=true``.
    """
    _require_role(tenant, request, "User.Read.All", "GroupMember.Read.All")
    _require_advanced_query(request)
    person = _person(tenant, request)
    selected = _selected(request, _GROUP_DEFAULTS, _GROUP_DEFAULTS, "group")
    groups = tenant.directory.memberships(person)
    rows = [
        {"@odata.type": "#microsoft.graph.group", **_group_json(group, selected)}
        for group in groups
    ]
    return Response.json(page_of(tenant, request, rows, context="groups"))


def groups(tenant: Tenant, request: Request) -> Response:
    """The tenant's groups, whose names begin with what ``$filter`` or ``$search`` says."""
    _require_role(tenant, request, "GroupMember.Read.All")
    selected = _selected(request, _GROUP_DEFAULTS, _GROUP_DEFAULTS, "group")
    prefix = _name_prefix(request)
    rows = [
        _group_json(group, selected)
        for group in GROUPS.values()
        if group.name.casefold().startswith(prefix)
    ]
    return Response.json(page_of(tenant, request, rows, context="groups"))


def group(tenant: Tenant, request: Request) -> Response:
    """One group by its id."""
    _require_role(tenant, request, "GroupMember.Read.All")
    selected = _selected(request, _GROUP_DEFAULTS, _GROUP_DEFAULTS, "group")
    found = GROUPS.get(request.params["id"].lower())
    if found is None:
        raise _not_found(request.params["id"])
    context = f"{tenant.addresses.graph}/v1.0/$metadata#groups/$entity"
    return Response.json({"@odata.context": context, **_group_json(found, selected)})


def userinfo(tenant: Tenant, request: Request) -> Response:
    """OpenID Connect's userinfo, for the access token that came with an id token.

    As with Entra it holds neither ``tid`` nor ``oid``: an identity cannot be built from it.
    """
    claims = _bearer(tenant, request)
    if "openid" not in str(claims.get("scp", "")).split():
        raise _denied()
    try:
        person = tenant.directory.find(str(claims["oid"]))
    except UnknownPerson as error:
        raise _not_found(str(claims["oid"])) from error
    return Response.json(
        {
            "sub": pairwise_subject(tenant.addresses.graph, person.oid),
            "name": person.name,
            "given_name": person.given_name,
            "family_name": person.surname,
            "email": person.email,
        }
    )


def unknown_resource(request: Request) -> GraphError:
    """Graph's answer at an address that means nothing to it."""
    return GraphError(400, "BadRequest", f"Resource not found for the segment '{request.path}'.")


def _bearer(tenant: Tenant, request: Request) -> Mapping[str, Any]:
    try:
        return tenant.graph_tokens.verify(request.header("authorization"))
    except InvalidToken as error:
        raise GraphError(
            401,
            "InvalidAuthenticationToken",
            str(error),
            headers={
                "WWW-Authenticate": f'Bearer realm="", authorization_uri='
                f'"{tenant.addresses.authorize}", error="invalid_token"'
            },
        ) from error


def _require_role(tenant: Tenant, request: Request, *roles: str) -> None:
    """Refuse whoever lacks every one of ``roles``, each of which would do."""
    claims = _bearer(tenant, request)
    if claims.get("idtyp") != "app" or not set(roles) & set(claims.get("roles") or ()):
        raise _denied()


def _denied() -> GraphError:
    return GraphError(
        403,
        "Authorization_RequestDenied",
        "Insufficient privileges to complete the operation.",
    )


def _not_found(identifier: str) -> GraphError:
    return GraphError(
        404,
        "Request_ResourceNotFound",
        f"Resource '{identifier[:100]}' does not exist or one of its queried reference-property "
        "objects are not present.",
    )


def _require_advanced_query(request: Request) -> None:
    eventual = request.header("consistencylevel").lower() == "eventual"
    if not eventual or request.query.get("$count", "").lower() != "true":
        raise GraphError(
            400,
            "Request_UnsupportedQuery",
            "Unsupported Query. It needs the header ConsistencyLevel: eventual and $count=true.",
        )


def _person(tenant: Tenant, request: Request) -> Person:
    try:
        return tenant.directory.find(request.params["id"])
    except UnknownPerson as error:
        raise _not_found(request.params["id"]) from error


def _selected(
    request: Request, known: tuple[str, ...], defaults: tuple[str, ...], kind: str
) -> tuple[str, ...]:
    text = request.query.get("$select", "")
    if not text:
        return defaults
    names = {name.casefold(): name for name in known}
    wanted = [name.strip() for name in text.split(",")]
    for name in wanted:
        if name.casefold() not in names:
            raise GraphError(
                400,
                "BadRequest",
                f"Could not find a property named '{name[:50]}' on type 'microsoft.graph.{kind}'.",
            )
    return tuple(names[name.casefold()] for name in wanted)


def _name_prefix(request: Request) -> str:
    filter_text, search = request.query.get("$filter", ""), request.query.get("$search", "")
    if search:
        if request.header("consistencylevel").lower() != "eventual":
            raise GraphError(
                400,
                "Request_UnsupportedQuery",
                "Request with $search query parameter only works through MSGraph with a special "
                "request header: 'ConsistencyLevel: eventual'",
            )
        match = _SEARCH.fullmatch(search)
    else:
        match = _FILTER.fullmatch(filter_text)
    if match is None and (search or filter_text):
        raise GraphError(
            400,
            "Request_UnsupportedQuery",
            "Only startswith(displayName,'…') and $search=\"displayName:…\" are understood here.",
        )
    return match[1].replace("''", "'").casefold() if match else ""


def _group_json(group: Group, selected: tuple[str, ...]) -> dict[str, object]:
    everything = {
        "id": group.id,
        "displayName": group.name,
        "securityEnabled": True,
        "mailEnabled": False,
    }
    return {name: everything[name] for name in selected}
