"""What the fake remembers of people: pending sign-ins, its own sessions, and codes."""

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TypeVar
from uuid import uuid4

from sandbox.entra.directory import Person
from sandbox.entra.errors import TokenRefused
from sandbox.entra.tokens import SignedIn

_MOST = 10_000  # of each kind; the oldest give way
_PENDING_SECONDS = 900.0
_SESSION_SECONDS = 24 * 3600.0
V = TypeVar("V")


@dataclass(frozen=True)
class AuthorizationRequest:
    """A sign-in that an application asked for, checked."""

    client_id: str
    redirect_uri: str
    state: str
    nonce: str
    code_challenge: str
    scopes: frozenset[str]
    login_hint: str = ""
    prompt: str = ""


@dataclass(frozen=True)
class Code:
    """What an authorisation code stands for."""

    request: AuthorizationRequest
    person_key: str
    sid: str
    signed_in_at: float
    expires_at: float


@dataclass(frozen=True)
class Account:
    """One person's part of a browser's session with the fake."""

    person_key: str
    sid: str
    at: float
    applications: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Timed:
    value: object
    ends: float


@dataclass
class _Store:
    """A bounded mapping whose entries end."""

    entries: "OrderedDict[str, _Timed]" = field(default_factory=OrderedDict)

    def put(self, key: str, value: object, seconds: float) -> None:
        self.entries[key] = _Timed(value, time.monotonic() + seconds)
        while len(self.entries) > _MOST:
            self.entries.popitem(last=False)

    def get(self, key: str, kind: type[V]) -> V | None:
        entry = self.entries.get(key)
        if entry is None or entry.ends < time.monotonic() or not isinstance(entry.value, kind):
            return None
        return entry.value


class SignIns:
    """Safe to use from several threads. All of it is forgotten when the fake ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Nobody is signed in, and no code is valid."""
        with self._lock:
            self._pending = _Store()
            self._sessions: dict[str, tuple[Account, ...]] = {}
            self._codes: OrderedDict[str, Code] = OrderedDict()
            self._redeemed = _Store()

    def remember(self, request: AuthorizationRequest) -> str:
        """Keep ``request`` while the person chooses; the answer is its unguessable name."""
        name = secrets.token_urlsafe(24)
        with self._lock:
            self._pending.put(name, request, _PENDING_SECONDS)
        return name

    def recall(self, name: str) -> AuthorizationRequest | None:
        """The request of that name; None where it is unknown or too old."""
        with self._lock:
            return self._pending.get(name, AuthorizationRequest)

    def accounts(self, session: str) -> tuple[Account, ...]:
        """Who is signed in to the fake in this browser."""
        oldest = time.time() - _SESSION_SECONDS
        with self._lock:
            return tuple(a for a in self._sessions.get(session, ()) if a.at > oldest)

    def sign_in(self, session: str, person: Person) -> tuple[str, Account]:
        """Sign ``person`` in; the answer is the session (a new one if need be) and the account."""
        with self._lock:
            accounts = self._sessions.get(session)
            if accounts is None:
                session, accounts = secrets.token_urlsafe(32), ()
            account = Account(person.key, str(uuid4()), time.time())
            others = tuple(a for a in accounts if a.person_key != person.key)
            self._sessions[session] = (*others, account)
            while len(self._sessions) > _MOST:
                self._sessions.pop(next(iter(self._sessions)))
            return session, account

    def sign_out(self, session: str, person_key: str | None = None) -> tuple[Account, ...]:
        """End the session, or one person's part of it; the answer is what was ended."""
        with self._lock:
            accounts = self._sessions.get(session, ())
            ended = tuple(a for a in accounts if person_key in (None, a.person_key))
            kept = tuple(a for a in accounts if a not in ended)
            if kept:
                self._sessions[session] = kept
            else:
                self._sessions.pop(session, None)
            return ended

    def forget_person(self, person_key: str) -> None:
        """End every session and code of one person, as revoking their sessions does."""
        with self._lock:
            for session, accounts in list(self._sessions.items()):
                self._sessions[session] = tuple(a for a in accounts if a.person_key != person_key)
            for code, what in list(self._codes.items()):
                if what.person_key == person_key:
                    del self._codes[code]

    def issue_code(
        self, session: str, account: Account, request: AuthorizationRequest, *, lifetime: float
    ) -> str:
        """A code for one redemption within ``lifetime`` seconds."""
        code = f"1.{secrets.token_urlsafe(48)}"
        with self._lock:
            self._codes[code] = Code(
                request, account.person_key, account.sid, account.at, time.time() + lifetime
            )
            while len(self._codes) > _MOST:
                self._codes.popitem(last=False)
            self._sessions[session] = tuple(
                replace(a, applications=a.applications | {request.client_id})
                if a.sid == account.sid
                else a
                for a in self._sessions.get(session, ())
            )
        return code

    def redeem(self, code: str, *, again: bool = False) -> Code:
        """What ``code`` stands for, once; with ``again`` it stays. Raises ``TokenRefused``."""
        with self._lock:
            found = self._codes.get(code) if again else self._codes.pop(code, None)
            if found is None:
                if self._redeemed.get(code, str):
                    raise TokenRefused(
                        54005,
                        "invalid_grant",
                        "OAuth2 Authorization code was already redeemed, please retry with a new "
                        "valid code or use an existing refresh token.",
                    )
                raise TokenRefused(
                    9002313, "invalid_grant", "The authorization code is malformed or unknown."
                )
            self._redeemed.put(code, code, _PENDING_SECONDS)
        if found.expires_at <= time.time():
            raise TokenRefused(
                70008,
                "invalid_grant",
                "The provided authorization code or refresh token has expired due to inactivity. "
                "Send a new interactive authorization request.",
            )
        return found


def signed_in(code: Code, person: Person) -> SignedIn:
    """The signed-in person of a code."""
    return SignedIn(person, code.sid, code.signed_in_at)
