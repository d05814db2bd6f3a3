"""``python -m sandbox.entra``: the fake Entra as a process of its own."""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from sandbox.entra.lifetimes import Lifetimes, require_seconds
from sandbox.entra.private_files import DamagedState
from sandbox.entra.server import EntraServer, Options, PortBusy

CANNOT_START = 2


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT; the answer is the exit code."""
    options = _options(arguments)
    if os.environ.get("FINOPS_ENV") == "production":
        return _fail("The sandbox's Entra accepts made-up people. It does not run in production.")
    # Before anything starts: a signal that comes early must end the process all the same.
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        server = EntraServer(options)
    except (PortBusy, DamagedState) as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"Cannot use the state folder {options.state}: {error}")
    with server:
        print(
            f"Fake Entra: {server.addresses.tls} (programs), {server.addresses.pages} (browsers)",
            flush=True,
        )
        ended.wait()
    return 0


def _options(arguments: list[str]) -> Options:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.entra",
        description="A fake Microsoft Entra ID and Graph for the sandbox, on loopback only.",
    )
    parser.add_argument("--state", type=Path, required=True, help="folder for keys and tokens")
    parser.add_argument("--port", type=_port, required=True, help="TLS, for programs (0: any)")
    parser.add_argument(
        "--http-port", type=_port, required=True, help="plain HTTP, for browsers (0: any)"
    )
    parser.add_argument(
        "--token-lifetime",
        type=_seconds,
        default=3600.0,
        metavar="SECONDS",
        help="of id and access tokens; fractions are allowed (default 3600)",
    )
    parser.add_argument(
        "--front-channel-url", metavar="URL", help="what a sign-out calls, with the session's sid"
    )
    parser.add_argument(
        "--redirect-uri",
        metavar="URL",
        action="append",
        default=[],
        help="one more redirect URI of the web application; may be repeated",
    )
    given = parser.parse_args(arguments)
    return Options(
        state=given.state,
        port=given.port,
        http_port=given.http_port,
        lifetimes=Lifetimes(token=given.token_lifetime),
        front_channel_url=given.front_channel_url,
        redirect_uris=tuple(given.redirect_uri),
    )


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; expected 0 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        return require_seconds("token", float(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _fail(message: str) -> int:
    print(f"sandbox.entra: {message}", file=sys.stderr)
    return CANNOT_START


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
