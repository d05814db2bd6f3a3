"""How often one address, and one session, may knock in a minute.

The counters live in the cache ``limits`` (Redis, which every deployment has for its tasks), not in
the database: a limit against floods must not make each request of a flood a write there. When Redis
is out of reach the request passes: state, nonce and verifier protect a sign-in, the limit only its
price. Break-glass, which must not depend on Redis, counts its failures in the audit log too.
"""

import hashlib
from collections.abc import Callable
from functools import wraps
from typing import Final

import structlog
from django.conf import settings
from django.core.cache import caches
from django.http import HttpRequest, HttpResponse
from redis.exceptions import RedisError

from accounts.addresses import client_address, network_of
from accounts.reasons import Reason
from accounts.refusals import refuse

logger = structlog.stdlib.get_logger("accounts.rate_limits")

WINDOW: Final = 60  # seconds
PER_SESSION: Final = 30  # requests of one kind in a window

SimpleView = Callable[[HttpRequest], HttpResponse]


def limited(name: str) -> Callable[[SimpleView], SimpleView]:
    """Answer 429 to whoever asks too often, before the view does any work."""

    def decorate(view: SimpleView) -> SimpleView:
        @wraps(view)
        def limited_view(request: HttpRequest) -> HttpResponse:
            if is_within(name, request):
                return view(request)
            response = refuse(request, Reason.RATE_LIMITED)
            response["Retry-After"] = str(WINDOW)
            return response

        return limited_view

    return decorate


def is_within(name: str, request: HttpRequest, *, per_address: int | None = None) -> bool:
    """Count this request, and return whether its address and its session may still ask.

    ``per_address`` is ``SIGN_IN_RATE_PER_ADDRESS`` where it is not given; 0 means no limit.
    """
    limit = settings.SIGN_IN_RATE_PER_ADDRESS if per_address is None else per_address
    address = client_address(request)
    session_key = request.session.session_key
    counters = []
    if limit and address:
        counters.append((f"address:{network_of(address)}", limit))
    if settings.SIGN_IN_RATE_PER_ADDRESS and session_key:
        digest = hashlib.sha256(session_key.encode()).hexdigest()[:32]
        counters.append((f"session:{digest}", PER_SESSION))
    try:
        for key, most in counters:
            if _count(f"{name}:{key}") > most:
                # No audit row: a flood must not fill that table.
                logger.warning("rate_limited", of=name, by=key.partition(":")[0])
                return False
    except RedisError as error:
        logger.warning("rate_limit_unknown", of=name, error=type(error).__name__)
    return True


def _count(key: str) -> int:
    cache = caches["limits"]
    cache.add(key, 0, timeout=WINDOW)  # the window begins with the first request
    try:
        return int(cache.incr(key))
    except ValueError:
        return 1  # it left the cache between the two calls
