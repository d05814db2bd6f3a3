"""Which addresses the two listeners have, and how a request becomes its answer."""

import sys
import traceback
from collections.abc import Callable

from sandbox.entra.addresses import discovery_document
from sandbox.entra.authorize import authorize, pick
from sandbox.entra.control import control_routes
from sandbox.entra.directory import TENANT_ID
from sandbox.entra.errors import BadRequest, EntraError, GraphError, TokenRefused
from sandbox.entra.exchange import Request, Response, UnreadableRequest
from sandbox.entra.faults import (
    FOREIGN_NEXT_LINK,
    Endpoints,
    Fault,
    FaultKind,
    malformed,
)
from sandbox.entra.graph import group, groups, memberships, unknown_resource, user, userinfo
from sandbox.entra.logout import logout
from sandbox.entra.pages import STYLESHEET_PATH, stylesheet
from sandbox.entra.routing import Endpoint, Route, Router
from sandbox.entra.tenant import Tenant
from sandbox.entra.token_endpoint import answer_token_request

_GRAPH_CODES = {
    401: "InvalidAuthenticationToken",
    403: "Authorization_RequestDenied",
    404: "Request_ResourceNotFound",
    429: "TooManyRequests",
    503: "serviceNotAvailable",
    504: "gatewayTimeout",
}


class NoAnswer(Exception):
    """The connection is to be closed without an answer, because a test asked for that."""


class Site:
    """One listener's routes with what happens around every endpoint: hits, failures, refusals."""

    def __init__(self, tenant: Tenant, routes: list[Route]) -> None:
        self._tenant = tenant
        self._router = Router(routes)

    def answer(self, request: Request) -> Response:
        """The answer; every refusal in the shape of its endpoint. Raises ``NoAnswer``."""
        try:
            return self._answer(request)
        except (EntraError, GraphError, BadRequest) as refusal:
            return refusal.response(request)
        except UnreadableRequest as error:
            return BadRequest(str(error)).response(request)
        except NoAnswer:
            raise
        except Exception:  # noqa: BLE001 - the last line: a defect of the fake must show as one
            # The trace names lines of code only; requests and tokens are not in it.
            traceback.print_exc(file=sys.stderr)
            return BadRequest("The fake Entra failed; see its log.", status=500).response(request)

    def _answer(self, request: Request) -> Response:
        try:
            route, request = self._router.find(request)
        except BadRequest:
            if request.path.startswith("/graph/"):
                raise unknown_resource(request) from None
            raise
        self._tenant.hits.count(route.name)
        fault = self._tenant.faults.next(route.faults)
        if fault is not None:
            early = self._suffer(fault, route, request)
            if early is not None:
                return early
        response = route.endpoint(request)
        if fault is not None and fault.kind is FaultKind.FOREIGN_NEXT_LINK:
            return _with_foreign_next_link(response)
        return response

    def _suffer(self, fault: Fault, route: Route, request: Request) -> Response | None:
        """The answer that the fault puts in place of the real one, if it does."""
        match fault.kind:
            case FaultKind.SLOW:
                self._tenant.ended.wait(fault.seconds)
                return None
            case FaultKind.MALFORMED:
                return malformed()
            case FaultKind.DROPPED:
                raise NoAnswer
            case FaultKind.STATUS:
                return _failed(fault, route, request)
            case FaultKind.FOREIGN_NEXT_LINK:
                return None


def tls_routes(tenant: Tenant) -> list[Route]:
    """Everything that programs call."""
    graph = "/graph/v1.0"
    memberships_path = f"{graph}/users/{{id}}/transitiveMemberOf/microsoft.graph.group"

    def bound(endpoint: Callable[[Tenant, Request], Response]) -> Endpoint:
        return lambda request: endpoint(tenant, request)

    return [
        Route(
            "GET",
            "/{tenant}/v2.0/.well-known/openid-configuration",
            "discovery",
            _of_tenant(bound(_discovery)),
            Endpoints.DISCOVERY,
        ),
        Route(
            "GET", "/{tenant}/discovery/v2.0/keys", "keys", _of_tenant(bound(_keys)), Endpoints.KEYS
        ),
        Route(
            "POST",
            "/{tenant}/oauth2/v2.0/token",
            "token",
            _of_tenant(bound(answer_token_request)),
            Endpoints.TOKEN,
        ),
        *_logout_routes(tenant),
        Route("GET", f"{graph}/users/{{id}}", "graph.user", bound(user), Endpoints.GRAPH),
        Route("GET", memberships_path, "graph.memberships", bound(memberships), Endpoints.GRAPH),
        Route("GET", f"{graph}/groups", "graph.groups", bound(groups), Endpoints.GRAPH),
        Route("GET", f"{graph}/groups/{{id}}", "graph.group", bound(group), Endpoints.GRAPH),
        Route("GET", "/graph/oidc/userinfo", "graph.userinfo", bound(userinfo), Endpoints.GRAPH),
        Route("GET", "/cluster/keys", "cluster.keys", bound(_cluster_keys)),
        *control_routes(tenant),
    ]


def page_routes(tenant: Tenant) -> list[Route]:
    """Everything that a browser shows."""
    return [
        Route(
            "GET",
            "/{tenant}/oauth2/v2.0/authorize",
            "authorize",
            _of_tenant(lambda request: authorize(tenant, request)),
        ),
        Route(
            "POST", "/{tenant}/login", "login", _of_tenant(lambda request: pick(tenant, request))
        ),
        *_logout_routes(tenant),
    ]


def _logout_routes(tenant: Tenant) -> list[Route]:
    path, endpoint = "/{tenant}/oauth2/v2.0/logout", _of_tenant(lambda r: logout(tenant, r))
    return [
        *(Route(method, path, "logout", endpoint) for method in ("GET", "POST")),
        Route("GET", STYLESHEET_PATH, "stylesheet", lambda _: stylesheet()),
    ]


def _of_tenant(endpoint: Endpoint) -> Endpoint:
    def checked(request: Request) -> Response:
        named = request.params["tenant"]
        if named.lower() != TENANT_ID:
            raise EntraError(
                90002,
                "invalid_tenant" if request.method == "GET" else "invalid_request",
                f"Tenant '{named[:100]}' not found. Check to make sure you have the correct tenant "
                "ID and are signing into the correct cloud.",
            )
        return endpoint(request)

    return checked


def _discovery(tenant: Tenant, request: Request) -> Response:
    return Response.json(discovery_document(tenant.addresses))


def _keys(tenant: Tenant, request: Request) -> Response:
    return Response.json(
        {"keys": [key.jwk(tenant.addresses.issuer) for key in tenant.keys.published]}
    )


def _cluster_keys(tenant: Tenant, request: Request) -> Response:
    issuer = tenant.addresses.cluster_issuer
    return Response.json({"keys": [key.jwk(issuer) for key in tenant.cluster_keys.published]})


def _failed(fault: Fault, route: Route, request: Request) -> Response:
    headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
    if route.faults == Endpoints.GRAPH:
        code = _GRAPH_CODES.get(fault.status, "UnknownError")
        return GraphError(
            fault.status, code, "A failure that a test asked for.", headers=headers
        ).response(request)
    refusal = TokenRefused(
        90033,
        "temporarily_unavailable",
        "A transient error has occurred, as a test asked for. Please try again.",
        status=fault.status,
    ).response(request)
    return Response(
        refusal.status, refusal.content_type, refusal.body, {**refusal.headers, **headers}
    )


def _with_foreign_next_link(response: Response) -> Response:
    page = response.parsed()
    page["@odata.nextLink"] = FOREIGN_NEXT_LINK
    return Response.json(page, status=response.status)
