"""The two listeners: TLS for programs, plain HTTP for the browser's pages. Loopback only."""

import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from urllib.parse import urlsplit

from sandbox.entra.addresses import Addresses
from sandbox.entra.errors import BadRequest
from sandbox.entra.exchange import Request, Response
from sandbox.entra.lifetimes import Lifetimes
from sandbox.entra.site import NoAnswer, Site, page_routes, tls_routes
from sandbox.entra.tenant import CONTROL_TOKEN, FEDERATED_TOKEN, Tenant
from sandbox.entra.tls import ensure_certificates

HOST = "127.0.0.1"
_HANDSHAKE_SECONDS = 10.0
_IDLE_SECONDS = 30.0
_LARGEST_BODY = 1 << 20


class PortBusy(Exception):
    """Another program listens on a port that was asked for; names the port and its option."""

    def __init__(self, port: int, option: str, cause: OSError) -> None:
        super().__init__(
            f"Cannot listen on port {port} of {HOST} ({cause.strerror or cause}). "
            f"Choose another one with {option}, or end the program that uses it."
        )


class _Handler(BaseHTTPRequestHandler):
    """Reads one request whole, asks the site, writes the answer."""

    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    disable_nagle_algorithm = True
    wbufsize = -1  # an answer leaves in one piece
    server: "_Listener"

    def version_string(self) -> str:
        return "sandbox-entra"

    def log_message(self, *args: Any) -> None:
        """Nothing is logged: a request's line may hold a code."""

    def _serve(self) -> None:
        try:
            response = self._answer()
        except NoAnswer:
            self.close_connection = True
            return
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        for name, value in response.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(response.body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _answer(self) -> Response:
        target = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=target.path,
            query_string=target.query,
            headers={name.lower(): value for name, value in self.headers.items()},
        )
        try:
            body = self._body()
        except BadRequest as error:
            self.close_connection = True  # what follows in the stream is unknown
            return error.response(request)
        return self.server.site.answer(
            Request(request.method, request.path, request.query_string, request.headers, body)
        )

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            raise BadRequest("The body's length must be given by Content-Length.", status=411)
        if int(length) > _LARGEST_BODY:
            raise BadRequest(f"A body may have {_LARGEST_BODY} bytes.", status=413)
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise BadRequest("The body ended early.")
        return body


class _Listener(ThreadingMixIn, TCPServer):
    """One thread per connection; the TLS handshake happens there, never in the accept loop."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    site: Site

    def __init__(self, port: int, option: str, context: ssl.SSLContext | None = None) -> None:
        self._asked_for = (port, option)
        self._context = context
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__((HOST, port), _Handler, bind_and_activate=False)
        try:
            self.server_bind()
        except OSError as error:
            self.server_close()
            raise PortBusy(*self._asked_for, error) from error

    def server_activate(self) -> None:
        """Let clients connect from now on. Raises ``PortBusy``."""
        try:
            super().server_activate()
        except OSError as error:
            raise PortBusy(*self._asked_for, error) from error

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self.server_address[1])

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection to its end. Runs in the connection's own thread."""
        request.settimeout(_HANDSHAKE_SECONDS)
        connection = request
        if self._context is not None:
            connection = self._context.wrap_socket(
                request, server_side=True, do_handshake_on_connect=False
            )
        with self._tracked(connection):
            if isinstance(connection, ssl.SSLSocket):
                connection.do_handshake()
            super().finish_request(connection, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, or does not speak TLS, is no event. Anything else is shown."""
        if not isinstance(sys.exc_info()[1], OSError):  # ssl.SSLError and timeouts are OSErrors
            super().handle_error(request, client_address)

    def close_connections(self) -> None:
        """End what is open, so that its threads end."""
        with self._open_lock:
            for connection in self._open:
                try:
                    # Not SSLSocket's own shutdown(): that one is not safe while its thread reads.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
                except OSError:
                    continue  # the client was faster

    @contextmanager
    def _tracked(self, connection: socket.socket) -> Iterator[None]:
        with self._open_lock:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._open_lock:
                self._open.discard(connection)
            connection.close()


@dataclass(frozen=True)
class Options:
    """What the command line says. Port 0 takes any free one."""

    state: Path
    port: int = 0
    http_port: int = 0
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    front_channel_url: str | None = None
    redirect_uris: tuple[str, ...] = ()


class EntraServer:
    """The running fake. Use as a context manager, or call ``start`` and ``close``.

    Raises ``PortBusy`` and ``DamagedState`` when it is made.
    """

    def __init__(self, options: Options) -> None:
        options.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        certificates = ensure_certificates(options.state)
        self.ca_file = certificates.ca
        self.control_token_file = options.state / CONTROL_TOKEN
        self.federated_token_file = options.state / FEDERATED_TOKEN
        self._listeners: list[_Listener] = []
        try:
            tls = self._listen(options.port, "--port", certificates.server_context())
            pages = self._listen(options.http_port, "--http-port")
            self.addresses = Addresses(
                tls=f"https://localhost:{tls.port}", pages=f"http://localhost:{pages.port}"
            )
            self.tenant = Tenant(
                options.state,
                self.addresses,
                lifetimes=options.lifetimes,
                front_channel_url=options.front_channel_url,
                redirect_uris=options.redirect_uris,
            )
            tls.site = Site(self.tenant, tls_routes(self.tenant))
            pages.site = Site(self.tenant, page_routes(self.tenant))
            # Only now: who can connect finds every file of the state folder in its place.
            for listener in self._listeners:
                listener.server_activate()
        except BaseException:
            self._close_listeners()
            raise
        self._threads = [
            threading.Thread(
                target=listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
            )
            for listener in self._listeners
        ]

    def start(self) -> None:
        """Serve from now on, in threads."""
        self.tenant.cluster.start()
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop serving, end every connection, and free the ports."""
        self.tenant.ended.set()
        self.tenant.cluster.close()
        for listener, thread in zip(self._listeners, self._threads, strict=True):
            if thread.is_alive():  # shutdown() would wait for ever for a loop that never began
                listener.shutdown()
                thread.join(timeout=5)
            listener.close_connections()
        self._close_listeners()

    def __enter__(self) -> "EntraServer":
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _listen(self, port: int, option: str, context: ssl.SSLContext | None = None) -> _Listener:
        listener = _Listener(port, option, context)
        self._listeners.append(listener)
        return listener

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.server_close()
