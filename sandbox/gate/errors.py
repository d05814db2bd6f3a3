"""What the gate answers instead of the server.

CommandError       an answer with a code of MongoDB's; the connection stays
WireError          no answer is safe: the connection is closed (``wire``)
"""

from collections.abc import Mapping
from enum import IntEnum


class Code(IntEnum):
    """MongoDB's error codes that the gate uses."""

    InternalError = 1
    BadValue = 2
    FailedToParse = 9
    Unauthorized = 13
    AuthenticationFailed = 18
    CommandNotFound = 59
    CommandNotSupported = 115
    UnsupportedOpQueryCommand = 352
    ReauthenticationRequired = 391
    Location40324 = 40324
    Location40415 = 40415
    Location40602 = 40602


class CommandError(Exception):
    """A refusal in MongoDB's own form. Its message never holds a token or a document."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code

    def document(self) -> Mapping[str, object]:
        """The answer that a driver turns into ``OperationFailure``."""
        return {
            "ok": 0.0,
            "errmsg": str(self),
            "code": int(self.code),
            "codeName": self.code.name,
        }


def authentication_failed(message: str) -> CommandError:
    """18: the token is not accepted. Drivers fetch another one once, then give up."""
    return CommandError(Code.AuthenticationFailed, message)


def unauthorized(command: str) -> CommandError:
    """13, in the words of Azure's gateway."""
    return CommandError(
        Code.Unauthorized,
        f"Command {command} is not allowed as the connection is not authenticated yet.",
    )


def reauthentication_required() -> CommandError:
    """391: drivers sign in again on the same connection and repeat the command."""
    return CommandError(Code.ReauthenticationRequired, "External identity token has expired.")
