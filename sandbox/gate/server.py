"""The listening gate: accepts clients, and gives each a connection of its own upstream."""

import asyncio
import logging
import ssl
from dataclasses import dataclass

from sandbox.gate.connection import READ_SIZE, Connection
from sandbox.gate.control import stats_server
from sandbox.gate.listener import Listener, close
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


class CannotListen(OSError):
    """An address is taken, or not one of this machine's."""


@dataclass
class Gate:
    """Listens at ``listen`` and forwards what ``policy`` lets through to ``upstream``.

    With ``tls``, clients must speak it; the way upstream stays plain.
    """

    listen: Address
    upstream: Address
    policy: Policy
    control: Address | None = None
    tls: ssl.SSLContext | None = None
    _upstream_is_down: bool = False

    def __post_init__(self) -> None:
        self._clients = Listener(self._count_and_serve)
        self._control = Listener(stats_server(self.policy.statistics.as_dict))

    async def start(self) -> None:
        """Begin to listen; whether the upstream can be reached shows with the first client.

        Raises:
            CannotListen: and listens nowhere then.
        """
        await self._listen(self._clients, self.listen, self.tls)
        if self.control is not None:
            await self._listen(self._control, self.control)

    @property
    def port(self) -> int:
        """The port that clients connect to, once started."""
        return self._clients.port

    @property
    def control_port(self) -> int | None:
        """The port of ``/stats``, once started, if there is one."""
        return self._control.port if self.control is not None else None

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        await asyncio.gather(self._clients.stop(), self._control.stop())

    async def _listen(
        self, listener: Listener, address: Address, tls: ssl.SSLContext | None = None
    ) -> None:
        try:
            await listener.start(address.host, address.port, limit=READ_SIZE, tls=tls)
        except OSError as error:
            await self.stop()
            # asyncio's text repeats the address before the reason.
            reason = str(error.strerror or error).rpartition(": ")[2]
            raise CannotListen(
                f"cannot listen on {address}: {reason}. Stop what uses it, or choose another port."
            ) from error

    async def _count_and_serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        statistics = self.policy.statistics
        statistics.connections += 1
        statistics.open_connections += 1
        try:
            await self._serve(reader, writer)
        finally:
            statistics.open_connections -= 1

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
