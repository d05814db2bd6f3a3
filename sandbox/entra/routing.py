"""From a method and a path to the function that answers."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from urllib.parse import unquote

from sandbox.entra.errors import BadRequest
from sandbox.entra.exchange import Request, Response

Endpoint = Callable[[Request], Response]


@dataclass(frozen=True)
class Route:
    """``path`` may hold ``{name}`` for one segment. ``name`` is what hits are counted under.

    ``faults`` names the group of endpoints that a control call can make fail.
    """

    method: str
    path: str
    name: str
    endpoint: Endpoint
    faults: str = ""

    def matcher(self) -> re.Pattern[str]:
        """The pattern of the whole path."""
        parts = re.split(r"\{(\w+)\}", self.path)
        pattern = "".join(
            f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part)
            for index, part in enumerate(parts)
        )
        return re.compile(pattern)


class Router:
    """The routes of one listener."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = tuple((route.matcher(), route) for route in routes)

    def find(self, request: Request) -> tuple[Route, Request]:
        """The route, and the request with its path's variable parts. Raises ``BadRequest``."""
        others: set[str] = set()
        for pattern, route in self._routes:
            match = pattern.fullmatch(request.path)
            if match is None:
                continue
            if route.method != request.method:
                others.add(route.method)
                continue
            params = {name: unquote(value) for name, value in match.groupdict().items()}
            return route, replace(request, params=params)
        if others:
            raise BadRequest(
                f"{request.method} is not allowed here; expected {' or '.join(sorted(others))}.",
                status=405,
            )
        raise BadRequest("There is nothing at this address.", status=404)
