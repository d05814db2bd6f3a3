"""The control plane: what tests and the supervisor change while the fake runs.

Every call needs the header ``X-Sandbox-Control`` with the token of the state directory's file.
"""

import secrets
import time
from collections.abc import Callable

from sandbox.entra.applications import Application, UnknownApplication
from sandbox.entra.directory import WEB_CLIENT_ID, Person, UnknownPerson
from sandbox.entra.errors import BadRequest
from sandbox.entra.exchange import Request, Response
from sandbox.entra.faults import Endpoints, Fault
from sandbox.entra.hostile import Recipe
from sandbox.entra.routing import Route
from sandbox.entra.tenant import Tenant
from sandbox.entra.tokens import Claims, SignedIn

HEADER = "X-Sandbox-Control"
Content = dict[str, object]


def control_routes(tenant: Tenant) -> list[Route]:
    """The routes under ``/control``, each behind the token."""
    calls: list[tuple[str, str, Callable[[Tenant, Request, Content], object]]] = [
        ("POST", "reset", _reset),
        ("POST", "rotate-keys", _rotate_keys),
        ("PUT", "lifetimes", _lifetimes),
        ("PUT", "sign-in", _sign_in),
        ("PUT", "codes", _codes),
        ("POST", "applications/{id}", _register),
        ("POST", "faults/{endpoints}", _add_fault),
        ("DELETE", "faults", _clear_faults),
        ("POST", "mint", _mint),
        ("POST", "next-id-token", _next_id_token),
        ("GET", "hits", _hits),
        ("DELETE", "hits", _forget_hits),
        ("GET", "people", _people),
        ("PATCH", "people/{key}", _change_person),
        ("DELETE", "people/{key}", _delete_person),
        ("POST", "people/{key}/revoke-sessions", _revoke_sessions),
    ]
    return [
        Route(method, f"/control/{path}", "control", _guarded(tenant, call))
        for method, path, call in calls
    ]


def _guarded(
    tenant: Tenant, call: Callable[[Tenant, Request, Content], object]
) -> Callable[[Request], Response]:
    def endpoint(request: Request) -> Response:
        presented = request.header(HEADER).encode()
        if not secrets.compare_digest(presented, tenant.control_token.encode()):
            raise BadRequest(
                f"The header {HEADER} does not hold the token of the file control-token.",
                status=403,
            )
        try:
            return Response.json(call(tenant, request, request.json()))
        except (UnknownPerson, UnknownApplication) as error:
            raise BadRequest(str(error), status=404) from error
        except ValueError as error:
            raise BadRequest(str(error)) from error

    return endpoint


def _reset(tenant: Tenant, request: Request, content: Content) -> object:
    tenant.reset()
    return {}


def _rotate_keys(tenant: Tenant, request: Request, content: Content) -> object:
    key = tenant.keys.rotate(withdraw_old=content.get("withdraw_old") is True)
    return {"signing": key.kid, "published": [key.kid for key in tenant.keys.published]}


def _lifetimes(tenant: Tenant, request: Request, content: Content) -> object:
    return vars(tenant.change_lifetimes(content))


def _sign_in(tenant: Tenant, request: Request, content: Content) -> object:
    tenant.behaviour.sign_in_by_hint = _flag(content, "by_hint")
    return {"by_hint": tenant.behaviour.sign_in_by_hint}


def _codes(tenant: Tenant, request: Request, content: Content) -> object:
    tenant.behaviour.reusable_codes = _flag(content, "reusable")
    return {"reusable": tenant.behaviour.reusable_codes}


def _register(tenant: Tenant, request: Request, content: Content) -> object:
    application = tenant.applications.register(
        request.params["id"],
        redirect_uri=_text_or_none(content, "redirect_uri"),
        front_channel_url=_text_or_none(content, "front_channel_url"),
    )
    return {
        "redirect_uris": application.redirect_uris,
        "front_channel_url": application.front_channel_url,
    }


def _add_fault(tenant: Tenant, request: Request, content: Content) -> object:
    tenant.faults.add(Endpoints(request.params["endpoints"]), Fault.from_json(content))
    return {}


def _clear_faults(tenant: Tenant, request: Request, content: Content) -> object:
    tenant.faults.clear()
    return {}


def _mint(tenant: Tenant, request: Request, content: Content) -> object:
    """A token of one kind by a recipe; the claims not in it are what a good token has."""
    recipe = Recipe.from_json(content)
    kind = content.get("kind", "id")
    if kind == "federated":
        return {"token": tenant.cluster_forger.forge(tenant.cluster.claims(), recipe)}
    application = tenant.applications.get(_text(content, "client_id", WEB_CLIENT_ID))
    if kind == "id":
        return {"token": tenant.forger.forge(_id_claims(tenant, application, content), recipe)}
    if kind == "access":
        claims = tenant.minter.app_access_claims(
            application,
            audience=_text(content, "audience", tenant.addresses.graph),
            by_secret=True,
            lifetime=tenant.behaviour.lifetimes.token,
        )
        return {"token": tenant.forger.forge(claims, recipe)}
    raise ValueError(f"kind is {kind!r}; expected id, access or federated.")


def _id_claims(tenant: Tenant, application: Application, content: Content) -> Claims:
    person = tenant.directory.person(_text(content, "person", "ada"))
    return tenant.minter.id_claims(
        application,
        SignedIn(person, secrets.token_hex(16), time.time()),
        nonce=_text(content, "nonce", "a-nonce"),
        scopes=frozenset({"openid", "profile", "email"}),
        lifetime=tenant.behaviour.lifetimes.token,
    )


def _next_id_token(tenant: Tenant, request: Request, content: Content) -> object:
    tenant.behaviour.next_id_tokens.append(Recipe.from_json(content))
    return {"waiting": len(tenant.behaviour.next_id_tokens)}


def _hits(tenant: Tenant, request: Request, content: Content) -> object:
    return tenant.hits.as_json()


def _forget_hits(tenant: Tenant, request: Request, content: Content) -> object:
    tenant.hits.reset()
    return {}


def _people(tenant: Tenant, request: Request, content: Content) -> object:
    return {"people": [_person_json(person) for person in tenant.directory.people()]}


def _change_person(tenant: Tenant, request: Request, content: Content) -> object:
    key = request.params["key"]
    groups = content.get("groups")
    if groups is not None:
        if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
            raise ValueError("groups must be a list of group ids.")
        tenant.directory.set_groups(key, groups)
    if "enabled" in content:
        tenant.directory.set_enabled(key, enabled=_flag(content, "enabled"))
    return _person_json(tenant.directory.person(key))


def _delete_person(tenant: Tenant, request: Request, content: Content) -> object:
    key = request.params["key"]
    tenant.directory.delete(key)
    tenant.sign_ins.forget_person(key)
    return {}


def _revoke_sessions(tenant: Tenant, request: Request, content: Content) -> object:
    person = tenant.directory.revoke_sessions(request.params["key"])
    tenant.sign_ins.forget_person(person.key)
    return _person_json(person)


def _person_json(person: Person) -> dict[str, object]:
    return {
        "key": person.key,
        "oid": person.oid,
        "name": person.name,
        "upn": person.upn,
        "groups": list(person.groups),
        "guest": person.guest,
        "enabled": person.enabled,
        "sessions_valid_from": person.sessions_valid_from.isoformat(),
    }


def _flag(content: Content, name: str) -> bool:
    value = content.get(name)
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}; expected true or false.")  # noqa: TRY004 - a 400
    return value


def _text(content: Content, name: str, default: str) -> str:
    return _text_or_none(content, name) or default


def _text_or_none(content: Content, name: str) -> str | None:
    value = content.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}; expected a text.")
    return value
