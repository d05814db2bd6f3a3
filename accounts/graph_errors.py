"""Why Microsoft Graph did not tell.

GraphError
├── GraphUnavailable        no usable answer: try again later
│   ├── GraphThrottled      429 or 503 for longer than the budget
│   └── GraphMalformed      an answer that cannot be trusted
├── GraphForbidden          401 with a fresh token, or 403: consent or credential is missing
└── GraphUserGone           404: the directory has no such person
"""

from accounts.transport import Answer


class GraphError(Exception):
    """Microsoft Graph did not tell. Messages hold no token and no body of an answer."""


class GraphUnavailable(GraphError):
    """No usable answer; a later attempt may succeed."""


class GraphThrottled(GraphUnavailable):
    """Graph asked to wait for longer than the budget allows."""


class GraphMalformed(GraphUnavailable):
    """The answer is not what Graph promises, so nothing in it is believed."""


class GraphForbidden(GraphError):
    """The application may not ask: consent, permission or credential is missing."""


class GraphUserGone(GraphError):
    """The directory has no such person."""


def error_for(answer: Answer) -> GraphError:
    """Return the error that an answer without success stands for."""
    request = str(answer.headers.get("request-id", "-"))[:64]
    text = f"Graph answered {answer.status_code} (its request id: {request})"
    match answer.status_code:
        case 404:
            return GraphUserGone(text)
        case 401 | 403:
            return GraphForbidden(text)
        case 429 | 503:
            return GraphThrottled(text)
        case _:
            return GraphUnavailable(text)
