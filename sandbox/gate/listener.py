"""Listening on TCP: one task for each connection, and all of them end together."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Listener:
    """Runs ``serve`` for every connection, and closes the connection when it returns."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(
        self, host: str, port: int, *, limit: int, tls: ssl.SSLContext | None = None
    ) -> None:
        """Listen there; ``limit`` bytes are read ahead of ``serve``. Raises ``OSError``."""
        # A plain function, so that the tasks are our own: the one that asyncio makes for a
        # coroutine reports being cancelled as an error (Python 3.11).
        self._server = await asyncio.start_server(self._accept, host, port, limit=limit, ssl=tls)

    @property
    def port(self) -> int:
        """The port, once started."""
        if self._server is None:
            raise RuntimeError("not listening")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._run(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        finally:
            await close(writer)


async def close(writer: asyncio.StreamWriter, *, patience: float = 1.0) -> None:
    """Close a connection after what was written has left, or after ``patience`` seconds."""
    writer.close()
    with contextlib.suppress(OSError):
        try:
            await asyncio.wait_for(writer.wait_closed(), patience)
        except TimeoutError:
            writer.transport.abort()
