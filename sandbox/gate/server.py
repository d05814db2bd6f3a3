"""The listening gate: accepts clients, and gives each a connection of its own upstream."""

import asyncio
import logging
from dataclasses import dataclass, field

from sandbox.gate.connection import READ_SIZE, Connection, close
from sandbox.gate.control import start_control
from sandbox.gate.policy import Policy
from sandbox.gate.wire import WireError

log = logging.getLogger("sandbox.gate")

_DIAL_TIMEOUT = 5.0  # seconds


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port of TCP; port 0 of a listener lets the system choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class AddressInUse(OSError):
    """The gate cannot listen where it should."""


@dataclass
class Gate:
    """Listens at ``listen`` and forwards what ``policy`` lets through to ``upstream``."""

    listen: Address
    upstream: Address
    policy: Policy
    control: Address | None = None
    _servers: list[asyncio.Server] = field(default_factory=list)
    _clients: set[asyncio.Task[None]] = field(default_factory=set)
    _upstream_is_down: bool = False

    async def start(self) -> None:
        """Begin to listen; whether the upstream can be reached shows with the first client.

        Raises:
            AddressInUse: one of the addresses is taken or does not exist here.
        """
        try:
            self._servers.append(
                await asyncio.start_server(
                    self._accept, self.listen.host, self.listen.port, limit=READ_SIZE
                )
            )
            if self.control is not None:
                self._servers.append(
                    await start_control(
                        self.policy.statistics.as_dict, self.control.host, self.control.port
                    )
                )
        except OSError as error:
            taken = self.control if self._servers else self.listen
            await self.stop()
            raise AddressInUse(f"cannot listen on {taken}: {error.strerror or error}") from error

    @property
    def port(self) -> int:
        """The port that clients connect to, once started."""
        return _port(self._servers[0])

    @property
    def control_port(self) -> int | None:
        """The port of ``/stats``, once started, if there is one."""
        return _port(self._servers[1]) if self.control is not None else None

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        for server in self._servers:
            server.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        self._servers.clear()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of the gate's own: the one that a stream server makes for a coroutine reports
        # its cancellation as an error.
        client = asyncio.create_task(self._carry(reader, writer))
        self._clients.add(client)
        client.add_done_callback(self._clients.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        statistics = self.policy.statistics
        statistics.connections += 1
        statistics.open_connections += 1
        try:
            await self._serve(reader, writer)
        finally:
            statistics.open_connections -= 1
            await close(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The client's bytes wait in the socket meanwhile: nothing is read before there is
        # somewhere to send it.
        try:
            upstream_reader, upstream = await asyncio.wait_for(
                asyncio.open_connection(self.upstream.host, self.upstream.port, limit=READ_SIZE),
                _DIAL_TIMEOUT,
            )
        except OSError as error:  # a timeout is one too
            self._upstream_failed(error)
            return
        if self._upstream_is_down:
            self._upstream_is_down = False
            log.info("upstream reached again", extra={"fields": {"upstream": str(self.upstream)}})
        try:
            await Connection(self.policy, reader, writer, upstream_reader, upstream).run()
        except WireError as error:
            self.policy.statistics.malformed += 1
            log.warning("message refused", extra={"fields": {"reason": str(error)}})
        except ConnectionError:
            log.debug("connection broken")
        finally:
            await close(upstream)

    def _upstream_failed(self, error: OSError) -> None:
        self.policy.statistics.upstream_failures += 1
        if not self._upstream_is_down:
            # Once per outage: drivers try again several times a second.
            self._upstream_is_down = True
            log.error(
                "upstream not reached; clients are turned away until it answers",
                extra={
                    "fields": {
                        "upstream": str(self.upstream),
                        "reason": error.strerror or type(error).__name__,
                    }
                },
            )


def _port(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port
