"""The site as it is deployed: gunicorn's processes and threads, and a database file of its own."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import requests

from sandbox.entra.directory import TENANT_ID, WEB_CLIENT_ID, WEB_CLIENT_SECRET
from tests.conftest import free_port
from tests.sandbox.entra_fixtures import Entra
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]


class DeployedSite:
    """Started by ``with``. ``query`` reads its database."""

    def __init__(self, folder: Path, entra: Entra) -> None:
        self._folder = folder
        self._database = folder / "site.sqlite3"
        self._port = free_port()
        self.address = f"http://localhost:{self._port}"
        self._environment = {
            **os.environ,
            "FINOPS_ENV": "development",
            "VAR_DIR": str(folder),
            "DATABASE_URL": f"sqlite:///{self._database}",
            "SITE_URL": self.address,
            "ENTRA_TENANT_ID": TENANT_ID,
            "ENTRA_CLIENT_ID": WEB_CLIENT_ID,
            "ENTRA_CLIENT_SECRET": WEB_CLIENT_SECRET,
            "ENTRA_AUTHORITY_HOST": entra.addresses.tls,
            "GRAPH_URL": entra.addresses.graph,
            "ENTRA_CA_FILE": entra.ca,
            "ENTRA_TIMEOUT": "30",  # many at once on a small machine
        }

    def __enter__(self) -> "DeployedSite":
        command = [sys.executable, str(ROOT / "manage.py"), "migrate", "-v", "0"]
        subprocess.run(command, cwd=ROOT, env=self._environment, check=True, timeout=60)
        self._log = (self._folder / "log").open("wb")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "finops.wsgi", "--worker-class", "gthread"),
                *("--workers", "2", "--threads", "8", "--bind", f"127.0.0.1:{self._port}"),
                *("--graceful-timeout", "1", "--no-control-socket"),
            ],
            cwd=ROOT,
            env=self._environment,
            stdout=self._log,
            stderr=self._log,
        )
        wait_until(self._answers, timeout=60, what="gunicorn answers")
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)
        self._log.close()

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self._database, timeout=20)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self._folder / "log").read_text()[-2000:]
        try:
            return requests.get(f"{self.address}/sign-in/", timeout=10).ok
        except requests.ConnectionError:
            return False
