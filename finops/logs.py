"""Structured logs: one JSON object a line, with the request's correlation id and no secret."""

import logging.config
import re
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog
from structlog.typing import Processor

_SECRET_NAMES = re.compile(
    r"token|secret|password|authorization|cookie|assertion|verifier|nonce|session_?id|^code$|^state$",
    re.IGNORECASE,
)
# What a bearer token looks like wherever it turns up: three base64url parts, the first a JSON head.
_JWT = re.compile(r"eyJ[\w-]{8,}\.[\w-]+\.[\w-]*")
_QUERY_SECRETS = re.compile(r"([?&](?:code|state|session_state|id_token)=)[^&\s\"']+")
REMOVED = "[removed]"


def without_secrets(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace values that are secrets by their name or by their look."""
    for key, value in event.items():
        event[key] = _without_secrets(key, value)
    return event


def _without_secrets(key: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(name): _without_secrets(str(name), inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_without_secrets(key, inner) for inner in value]
    if _SECRET_NAMES.search(key):
        return REMOVED
    # Of anything else the renderer would write the text too: a request's holds its whole query.
    return _QUERY_SECRETS.sub(rf"\1{REMOVED}", _JWT.sub(REMOVED, str(value)))


_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    without_secrets,
]


def logging_settings(*, level: str) -> None:
    """Send the standard library's and structlog's events through the same JSON renderer."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "json": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        structlog.processors.JSONRenderer(default=str),
                    ],
                    "foreign_pre_chain": _SHARED,
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": {
                # What they say at INFO repeats with every poll, request and scheduled task.
                name: {"level": "WARNING"}
                for name in (
                    "azure",
                    "msal",
                    "urllib3",
                    "pymongo",
                    "celery.beat",
                    "celery.worker.strategy",
                    "celery.app.trace",
                    "django.request",
                )
            }
            # It binds a task's ids, which is wanted; celery.app.trace tells what it would.
            | {"django_structlog.celery": {"level": "CRITICAL"}}
            # It quotes whole answers of Entra ID; replication.auth tells their codes and ids.
            | {"azure.identity": {"level": "CRITICAL"}},
        }
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
