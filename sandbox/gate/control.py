"""``GET /stats``: the gate's counters as JSON, on a port of its own."""

import asyncio
import http
import json
from collections.abc import Callable, Mapping

from sandbox.gate.listener import Serve

_PATIENCE = 5.0  # seconds for a request line


def stats_server(statistics: Callable[[], Mapping[str, int]]) -> Serve:
    """Return what a listener runs for each connection: one request, one answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                status, body = _answer(await _request_line(reader), statistics)
                writer.write(_response(status, body))
                await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            # Slow, gone, or a line that never ends: nobody is left to be told.
            writer.transport.abort()

    return serve


async def _request_line(reader: asyncio.StreamReader) -> str:
    line = await reader.readline()
    # The headers mean nothing here, but a client may still be writing them.
    while (await reader.readline()).strip():
        pass
    return line.decode("latin-1").strip()


def _answer(
    line: str, statistics: Callable[[], Mapping[str, int]]
) -> tuple[http.HTTPStatus, Mapping[str, object]]:
    method, _, rest = line.partition(" ")
    if rest.partition(" ")[0].partition("?")[0] != "/stats":
        return http.HTTPStatus.NOT_FOUND, {"error": "only /stats is served here"}
    if method != "GET":
        return http.HTTPStatus.METHOD_NOT_ALLOWED, {"error": "only GET is served here"}
    return http.HTTPStatus.OK, statistics()


def _response(status: http.HTTPStatus, body: Mapping[str, object]) -> bytes:
    content = json.dumps(body).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + content
