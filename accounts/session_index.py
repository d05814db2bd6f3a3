"""Which of our sessions belong to which of Entra's, so that a sign-out there can end them here.

Entra's front-channel logout names its session (``sid``) and nothing else, from a frame in which
browsers send no cookie of ours.
"""

import hashlib
from collections.abc import Iterable
from importlib import import_module

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.db import models, transaction

from accounts import audit
from accounts.reasons import Reason


class EntraSession(models.Model):
    """One of our sessions, and Entra's that it came from: as a digest, as a ``sid`` ends them."""

    session_key = models.CharField(primary_key=True, max_length=40)
    sid_digest = models.CharField(max_length=64, db_index=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="entra_sessions"
    )

    class Meta:
        app_label = "accounts"

    def __str__(self) -> str:
        return self.sid_digest[:8]


def note(session: SessionBase, *, user_id: int, sid: str) -> None:
    """Remember that ``session`` came from Entra's ``sid``."""
    if sid and session.session_key:
        values = {"sid_digest": _digest(sid), "user_id": user_id}
        EntraSession.objects.update_or_create(session_key=session.session_key, defaults=values)


def forget(session_keys: Iterable[str]) -> None:
    """Drop what is remembered of these sessions."""
    EntraSession.objects.filter(session_key__in=list(session_keys)).delete()


def end_all(sid: str) -> int:
    """End, and record, every session that came from Entra's ``sid``. Return how many there were."""
    with transaction.atomic():
        known = EntraSession.objects.filter(sid_digest=_digest(sid)).select_related("user")
        ended = [entry for entry in known if _store().exists(entry.session_key)]
        for entry in ended:
            _store(entry.session_key).delete()
            audit.log_session_ended(
                entry.user.email, str(entry.user.oid or ""), Reason.SIGNED_OUT_AT_ENTRA
            )
        known.delete()
    return len(ended)


def tidy() -> int:
    """Forget sessions that are gone. Return how many."""
    gone = [key for key in _keys() if not _store().exists(key)]
    forget(gone)
    return len(gone)


def _keys() -> Iterable[str]:
    return EntraSession.objects.values_list("session_key", flat=True).iterator()


def _store(session_key: str | None = None) -> SessionBase:
    engine = import_module(settings.SESSION_ENGINE)
    store: SessionBase = engine.SessionStore(session_key)
    return store


def _digest(sid: str) -> str:
    return hashlib.sha256(sid.encode()).hexdigest()
