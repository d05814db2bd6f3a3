"""The cluster that workloads run in: it signs their federated token and renews the file in time."""

import sys
import threading
import time
from pathlib import Path
from uuid import uuid4

import jwt

from sandbox.entra.addresses import Addresses
from sandbox.entra.applications import FEDERATED_AUDIENCE, FEDERATED_SUBJECT
from sandbox.entra.keys import KeyRing
from sandbox.entra.private_files import write_private
from sandbox.entra.tokens import Claims, times

# A wait counts no time that the machine sleeps, so the clock is looked at this often.
_LOOK_EVERY = 5.0


class Cluster:
    """Keeps ``file`` filled with a token that is valid for at least half of its lifetime."""

    def __init__(self, addresses: Addresses, keys: KeyRing, file: Path, *, lifetime: float) -> None:
        self._addresses = addresses
        self._keys = keys
        self._file = file
        self._lifetime = lifetime
        self._wake = threading.Condition()
        self._ended = False
        self._renew()
        self._thread = threading.Thread(
            target=self._keep_renewing, name="federated-token", daemon=True
        )

    def start(self) -> None:
        """Renew from now on, in a thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop renewing."""
        with self._wake:
            self._ended = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def set_lifetime(self, seconds: float) -> None:
        """Renew at once, with this lifetime from now on."""
        with self._wake:
            self._lifetime = seconds
            self._renew()
            self._wake.notify()

    def claims(self) -> Claims:
        """The claims of a federated token that begins now."""
        return {
            "aud": FEDERATED_AUDIENCE,
            "iss": self._addresses.cluster_issuer,
            "sub": FEDERATED_SUBJECT,
            "jti": str(uuid4()),
            **times(self._lifetime, time.time()),
        }

    def _renew(self) -> None:
        key = self._keys.signing
        claims = self.claims()
        token = jwt.encode(claims, key.private, algorithm="RS256", headers={"kid": key.kid})
        write_private(self._file, token.encode())
        # The end is in whole seconds; a lifetime of one must not lead to renewing without a pause.
        half = self._lifetime / 2
        self._renew_at = max(claims["exp"] - half, time.time() + half / 2)

    def _keep_renewing(self) -> None:
        with self._wake:
            while not self._ended:
                left = self._renew_at - time.time()
                if left <= 0 and self._renewed():
                    continue
                self._wake.wait(timeout=min(left, _LOOK_EVERY) if left > 0 else _LOOK_EVERY)

    def _renewed(self) -> bool:
        try:
            self._renew()
        except OSError as error:  # a full disk, a deleted folder: tried again at the next look
            print(f"sandbox.entra: cannot renew {self._file}: {error}", file=sys.stderr)
            return False
        return True
