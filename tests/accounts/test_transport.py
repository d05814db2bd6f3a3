"""HTTPS with one budget, one trust anchor and no redirects, against small hostile servers."""

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import certifi
import pytest
from pytest_django import Settings

from accounts.transport import MAX_BODY, Answer, Transport, Unreachable, budget, remaining
from tests.sandbox.entra_fixtures import Entra

Behaviour = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def serve() -> Iterator[Callable[[Behaviour], str]]:
    """Starts a server with this behaviour and returns its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(behaviour: Behaviour) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                try:
                    behaviour(self)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_arguments: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def get(address: str, **options: object) -> Answer:
    with Transport() as http:
        return http.get(address, **options)


def answer(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def test_the_configured_ca_counts_and_no_other(
    entra: Entra, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    other.touch()
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(other))

    assert get(entra.addresses.discovery).status_code == 200

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", entra.ca)
    settings.ENTRA_CA_FILE = certifi.where()  # has signed nothing here
    with pytest.raises(Unreachable, match="SSLError"):
        get(entra.addresses.discovery)


def test_a_server_that_drips_is_given_up(serve: Callable[[Behaviour], str]) -> None:
    ended = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not ended.wait(0.02):
            handler.wfile.write(b" ")
            handler.wfile.flush()

    address = serve(drip)
    started = time.monotonic()
    with budget(0.3), pytest.raises(Unreachable, match="Timeout"):
        get(address)
    ended.set()
    assert time.monotonic() - started < 1.5


def test_an_endless_answer_is_given_up(serve: Callable[[Behaviour], str]) -> None:
    def flood(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _block in range(MAX_BODY // 65536 + 64):
            handler.wfile.write(b"x" * 65536)

    with pytest.raises(Unreachable):
        get(serve(flood))


def test_a_redirect_is_not_followed(serve: Callable[[Behaviour], str]) -> None:
    address = serve(lambda handler: answer(handler, 302, b"", Location="http://127.0.0.1:1/"))

    assert get(address).status_code == 302


def test_a_netrc_does_not_replace_our_credential(
    serve: Callable[[Behaviour], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    seen: list[str | None] = []

    def note(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.headers["Authorization"])
        answer(handler, 200, b"{}")

    get(serve(note), headers={"Authorization": "Bearer ours"})
    assert seen == ["Bearer ours"]


def test_nobody_listening_names_the_host_only() -> None:
    with pytest.raises(Unreachable) as error:
        get("http://127.0.0.1:1/path?code=secret")
    assert "secret" not in str(error.value)


def test_a_budget_never_lengthens_the_one_around() -> None:
    with budget(1.0):
        with budget(10.0):
            assert remaining() <= 1.0
        with budget(0.1):
            assert remaining() <= 0.1
        assert remaining() > 0.5


def test_a_spent_budget_asks_nobody() -> None:
    with budget(0.0), pytest.raises(Unreachable):
        get("http://127.0.0.1:1/")


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError, match="the answer"):
        Answer(200, {}, body).json_object()


def test_an_answer_does_not_show_its_body() -> None:
    assert "hush" not in repr(Answer(200, {"Set-Cookie": "hush"}, b"hush"))
