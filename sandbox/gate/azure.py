"""What Azure DocumentDB lacks, refused or hidden in front of a server that has it.

Source: learn.microsoft.com, "Change streams in Azure DocumentDB" and "Limitations", and Azure's
open gateway (github.com/documentdb/documentdb) for the form of ``hello``.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.gate.errors import Code, CommandError
from sandbox.gate.wire import Request

CHANGE_STREAM_STAGES = ("$match", "$project", "$addFields", "$set", "$unset")
MAX_WRITE_BATCH = 25_000  # writes; drivers split larger ones by what hello says

_PRE_IMAGES = "changeStreamPreAndPostImages"
# BSON does not escape keys, so a message without these bytes has no such key anywhere.
_MARKS = (b"$changeStream", _PRE_IMAGES.encode())
_COMMANDS = frozenset({"aggregate", "explain", "create", "collMod"})

_OPTIONS = frozenset({"fullDocument", "resumeAfter", "startAfter", "startAtOperationTime"})
# Options that say no more than their default does.
_HARMLESS: Mapping[str, object] = {
    "fullDocumentBeforeChange": "off",
    "showExpandedEvents": False,
    "allChangesForCluster": False,
}
# Put behind $changeStream, so that no later stage and no getMore, on whichever connection, sees
# the field. Hiding it in the replies would leave it open to the client's own stages.
_HIDE_UPDATES = {"$unset": "updateDescription"}

# Everything else in hello would tell of the server behind: its address, its replica set.
_HELLO_FIELDS = (
    "maxBsonObjectSize",
    "maxMessageSizeBytes",
    "maxWriteBatchSize",
    "localTime",
    "logicalSessionTimeoutMinutes",
    "connectionId",
    "minWireVersion",
    "maxWireVersion",
    "readOnly",
    "operationTime",
    "$clusterTime",
    "ok",
)


def needs_inspection(request: Request) -> bool:
    """Whether ``request`` could touch anything that Azure lacks; cheap, for every message."""
    return request.command in _COMMANDS and any(mark in request.frame for mark in _MARKS)


def opens_change_stream(command: Mapping[str, Any]) -> bool:
    """Whether this is an aggregate that begins with ``$changeStream``."""
    if next(iter(command), None) != "aggregate":
        return False
    pipeline = command.get("pipeline")
    return (
        isinstance(pipeline, list)
        and bool(pipeline)
        and isinstance(pipeline[0], dict)
        and "$changeStream" in pipeline[0]
    )


def restricted(request: Request, command: dict[str, Any]) -> Mapping[str, Any]:
    """Return ``command`` as Azure would understand it.

    Raises:
        CommandError: for what Azure lacks; the message names it.
    """
    if request.has_sequences:
        raise CommandError(
            Code.FailedToParse,
            f"{request.command} must carry its options in the command document.",
        )
    if request.command in {"create", "collMod"} and _PRE_IMAGES in command:
        raise _not_supported(f"{_PRE_IMAGES} is not supported.")
    if opens_change_stream(command):
        return _restricted_stream(command)
    if request.command == "explain":
        raise _not_supported("Change streams cannot be explained.")
    if any(key == "$changeStream" for key in _keys(command)):
        raise CommandError(
            Code.Location40602, "$changeStream is only valid as the first stage in a pipeline."
        )
    return command


def hello(answer: Mapping[str, Any], command: str, *, limited: bool) -> dict[str, Any]:
    """Return a server's answer to hello in the form of Azure's: a mongos without address.

    ``limited`` also announces Azure's limit of writes in a batch.
    """
    shaped: dict[str, Any] = {
        "isWritablePrimary" if command == "hello" else "ismaster": True,
        "msg": "isdbgrid",
        "helloOk": True,
        **{name: answer[name] for name in _HELLO_FIELDS if name in answer},
        "saslSupportedMechs": ["MONGODB-OIDC"],
    }
    if limited and isinstance(shaped.get("maxWriteBatchSize"), int):
        shaped["maxWriteBatchSize"] = min(shaped["maxWriteBatchSize"], MAX_WRITE_BATCH)
    return shaped


def _restricted_stream(command: dict[str, Any]) -> Mapping[str, Any]:
    first, *stages = command["pipeline"]
    options = first["$changeStream"]
    if not isinstance(options, dict) or len(first) != 1:
        raise CommandError(Code.FailedToParse, "$changeStream takes a document of options.")
    if options.get("allChangesForCluster"):
        raise _not_supported("Change streams on a whole cluster are not supported.")
    if not isinstance(command["aggregate"], str):
        raise _not_supported("Change streams on a whole database are not supported.")
    for name, value in options.items():
        _check_option(name, value)
    for stage in stages:
        _check_stage(stage)
    return {**command, "pipeline": [first, _HIDE_UPDATES, *stages]}


def _check_option(name: str, value: object) -> None:
    if name in _OPTIONS:
        return
    if name not in _HARMLESS:
        raise CommandError(
            Code.Location40415, f"BSON field '$changeStream.{name[:80]}' is an unknown field."
        )
    if value != _HARMLESS[name]:
        raise _not_supported(f"The change stream option {name} is not supported.")


def _check_stage(stage: object) -> None:
    if not isinstance(stage, dict) or len(stage) != 1:
        raise CommandError(
            Code.FailedToParse, "A pipeline stage is a document with exactly one field."
        )
    (name,) = stage
    if name not in CHANGE_STREAM_STAGES:
        raise CommandError(
            Code.Location40324,
            f"The stage {name[:80]} is not supported in a change stream; "
            f"supported are {', '.join(CHANGE_STREAM_STAGES)}.",
        )
    if any(key.startswith("$changeStream") for key in _keys(stage)):
        raise CommandError(
            Code.Location40602, "$changeStream is only valid as the first stage in a pipeline."
        )


def _keys(value: object) -> Iterator[str]:
    """Every key of a document, at any depth."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            yield from found
            waiting.extend(found.values())
        elif isinstance(found, list):
            waiting.extend(found)


def _not_supported(message: str) -> CommandError:
    return CommandError(Code.CommandNotSupported, message)
