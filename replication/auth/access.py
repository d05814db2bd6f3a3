"""Whether an identity can sign in to a cluster, and what it may do there."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from replication.auth.claims import TokenClaims, token_claims
from replication.errors import MissingPermission, SignInFailed

_UNAUTHORIZED, _AUTHENTICATION_FAILED = 13, 18


class Access(StrEnum):
    """What a connection is for."""

    READ = "read"  # read a collection and watch its changes: the source of a flow
    WRITE = "write"  # change documents: the destination of a flow


def check_token(
    token: str, *, audience: str, tenant_id: str, client_id: str, now: float
) -> Mapping[str, str]:
    """Return tenant_id, object_id and client_id of a token that a cluster could accept.

    An empty ``tenant_id`` or ``client_id`` is not compared. Times are seconds since the epoch.

    Raises:
        SignInFailed: says everything that is wrong with the token.
    """
    claims = token_claims(token)
    if claims is None:
        raise SignInFailed("The token is no JWT: a cluster could not read an identity from it.")
    problems = list(_problems(claims, audience, tenant_id, client_id, now))
    if problems:
        raise SignInFailed(" ".join(problems))
    return {
        "tenant_id": claims.tenant_id or "",
        "object_id": claims.object_id or "",
        "client_id": claims.client_id or "",
    }


def check_rights(collection: Collection[Any], access: Access) -> None:
    """Ask the server whether ``collection`` may be used like this. Changes nothing.

    For WRITE, one document that does not exist is updated and deleted.

    Raises:
        MissingPermission: names what the server did not allow.
        SignInFailed: the server did not accept the identity at all.
        TokenUnavailable, PyMongoError: the question got no answer.
    """
    for right, use in _PROBES[access].items():
        try:
            use(collection)
        except OperationFailure as error:
            if error.code == _UNAUTHORIZED:
                raise MissingPermission(
                    f"The identity is signed in, and may not {right} {collection.full_name}: give"
                    f" it the role {_ROLES[access]} on {collection.database.name!r}."
                ) from None
            if error.code == _AUTHENTICATION_FAILED:
                raise SignInFailed(
                    "The cluster did not accept the identity: add its object id as a user there."
                ) from None
            raise


def _problems(
    claims: TokenClaims, audience: str, tenant_id: str, client_id: str, now: float
) -> Iterator[str]:
    if claims.audience != audience:
        yield f"The token is for {claims.audience!r}, the cluster accepts {audience!r} only."
    for name, found, expected in (
        ("tenant", claims.tenant_id, tenant_id),
        ("client", claims.client_id, client_id),
    ):
        if expected and (found or "").lower() != expected.lower():
            yield f"The token is of {name} {found!r}, expected {expected!r}."
    if claims.expires_at is None:
        yield "The token does not say when it expires."
    elif claims.expires_at <= now:
        yield f"The token expired {now - claims.expires_at:.0f} s ago: is this clock right?"
    if not claims.object_id:
        yield "The token names no object id (oid): a cluster's users are known by it."


def _read(collection: Collection[Any]) -> None:
    collection.find_one({}, {"_id": 1})


def _watch(collection: Collection[Any]) -> None:
    with collection.watch(max_await_time_ms=1) as stream:
        stream.try_next()


def _update(collection: Collection[Any]) -> None:
    collection.update_one({"_id": _nobody()}, {"$set": {"probe": True}})


def _delete(collection: Collection[Any]) -> None:
    collection.delete_one({"_id": _nobody()})


def _nobody() -> str:
    return f"no-such-document-{uuid.uuid4()}"


_PROBES: Mapping[Access, Mapping[str, Callable[[Collection[Any]], None]]] = {
    Access.READ: {"read": _read, "watch": _watch},
    Access.WRITE: {"update": _update, "delete from": _delete},
}
_ROLES = {Access.READ: "'read' or 'readWrite'", Access.WRITE: "'readWrite'"}
