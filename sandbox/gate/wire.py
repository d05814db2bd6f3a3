"""MongoDB's wire protocol, as far as a gate must understand it.

The gate decides by a message's command, so it must never see another command than the server
behind it does. Whatever leaves room for two readings is therefore not a message here but a
``WireError``, and ends the connection.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError

MAX_MESSAGE = 48_000_000  # bytes, as servers announce it

_HEADER = struct.Struct("<iiii")  # length, request id, response to, opcode
_INT32 = struct.Struct("<i")
_UINT32 = struct.Struct("<I")
_SMALLEST_DOCUMENT = 5  # bytes: a length and the closing zero

CHECKSUM_PRESENT = 1 << 0
MORE_TO_COME = 1 << 1
# The lower sixteen flags change how a message must be read; these are the ones that are defined.
_KNOWN_REQUIRED_FLAGS = CHECKSUM_PRESENT | MORE_TO_COME
_REQUIRED_FLAGS = 0xFFFF


class OpCode(IntEnum):
    """The opcodes that the gate speaks. OP_COMPRESSED would hide the command."""

    REPLY = 1
    QUERY = 2004
    MSG = 2013


class WireError(ValueError):
    """Bytes that are not one unambiguous message."""


class _UniqueKeys(dict[str, Any]):
    """A document in which no key comes twice: readers differ about which one counts."""

    def __setitem__(self, key: str, value: Any) -> None:
        if key in self:
            raise WireError("a document holds the same key twice")
        super().__setitem__(key, value)


_STRICT = CodecOptions(
    document_class=_UniqueKeys, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)


class FrameSplitter:
    """Cuts a stream of bytes into messages, whatever the pieces it arrives in.

    ``limit`` is the size in bytes that a message may have; it may be changed between messages.
    """

    def __init__(self, limit: int = MAX_MESSAGE) -> None:
        self.limit = limit
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield every message that ``data`` completes.

        Raises:
            WireError: as soon as a length is known to be impossible or over the limit.
        """
        if not self._pending and len(data) >= 4 and self._length(data) == len(data):
            yield data  # the usual case: one read, one message, no copy
            return
        self._pending += data
        start = 0
        while len(self._pending) - start >= 4:
            end = start + self._length(self._pending, start)
            if end > len(self._pending):
                break
            with memoryview(self._pending) as view:
                frame = bytes(view[start:end])
            start = end
            yield frame
        del self._pending[:start]

    def _length(self, data: bytes | bytearray, start: int = 0) -> int:
        length: int = _INT32.unpack_from(data, start)[0]
        if not _HEADER.size <= length <= self.limit:
            raise WireError(f"a message of {length} bytes; between 16 and {self.limit} are allowed")
        return length


@dataclass(frozen=True, slots=True)
class Request:
    """One message of a client: the frame as it came, and what the gate decides by."""

    frame: bytes
    request_id: int
    opcode: OpCode
    flags: int
    body: int  # offset of the command document
    body_end: int
    has_sequences: bool  # fields of the command travel outside of its document
    command: str

    @property
    def wants_answer(self) -> bool:
        """False for unacknowledged writes: an answer would be taken for the next command's."""
        return not (self.opcode is OpCode.MSG and self.flags & MORE_TO_COME)

    def document(self) -> dict[str, Any]:
        """Decode the command document.

        Raises:
            WireError: when it is not BSON, nests too deeply, or holds a key twice anywhere.
        """
        return decode(self.frame[self.body : self.body_end])

    def with_document(self, document: Mapping[str, Any]) -> bytes:
        """Return this OP_MSG with another command document, without the checksum it may have."""
        try:
            encoded = bson.encode(document)
        except (BSONError, RecursionError) as error:
            raise WireError("the command cannot be encoded") from error
        tail = len(self.frame) - (4 if self.flags & CHECKSUM_PRESENT else 0)
        payload = b"".join(
            (
                _UINT32.pack(self.flags & ~CHECKSUM_PRESENT),
                self.frame[20 : self.body],
                encoded,
                self.frame[self.body_end : tail],
            )
        )
        header = _HEADER.pack(_HEADER.size + len(payload), self.request_id, 0, int(OpCode.MSG))
        return header + payload

    def answer(self, document: Mapping[str, Any]) -> bytes:
        """Return ``document`` as the message that answers this one, in this one's dialect."""
        encoded = bson.encode(document)
        if self.opcode is OpCode.QUERY:
            # No flag, no cursor, from the beginning, one document.
            payload = struct.pack("<iqii", 0, 0, 0, 1) + encoded
            opcode = OpCode.REPLY
        else:
            payload = b"\0\0\0\0\0" + encoded
            opcode = OpCode.MSG
        return _HEADER.pack(_HEADER.size + len(payload), 0, self.request_id, int(opcode)) + payload


def decode(document: bytes) -> dict[str, Any]:
    """Decode one BSON document strictly.

    Raises:
        WireError: when it is not BSON, nests too deeply, or holds a key twice anywhere.
    """
    try:
        return bson.decode(document, _STRICT)
    except (BSONError, RecursionError, struct.error) as error:
        raise WireError("a document is not BSON") from error


def command_message(document: Mapping[str, Any], request_id: int) -> bytes:
    """Return an OP_MSG that sends ``document`` as a command."""
    payload = b"\0\0\0\0\0" + bson.encode(document)
    return _HEADER.pack(_HEADER.size + len(payload), request_id, 0, int(OpCode.MSG)) + payload


def response_to(frame: bytes) -> int:
    """The id of the request that ``frame`` answers."""
    number: int = _INT32.unpack_from(frame, 8)[0]
    return number


def parse_request(frame: bytes) -> Request:
    """Read a client's message.

    Raises:
        WireError: for an opcode other than OP_MSG and OP_QUERY, and for anything that does not
            fill its frame exactly or leaves open which command it is.
    """
    _, request_id, _, opcode = _HEADER.unpack_from(frame)
    if opcode == OpCode.MSG:
        return _parse_msg(frame, request_id)
    if opcode == OpCode.QUERY:
        return _parse_query(frame, request_id)
    raise WireError(f"opcode {opcode}; the gate speaks OP_MSG and OP_QUERY")


def _parse_msg(frame: bytes, request_id: int) -> Request:
    if len(frame) < 20:
        raise WireError("an OP_MSG without flags")
    (flags,) = _UINT32.unpack_from(frame, 16)
    if flags & _REQUIRED_FLAGS & ~_KNOWN_REQUIRED_FLAGS:
        raise WireError(f"OP_MSG flags {flags:#x}; an unknown required one is set")
    end = len(frame) - (4 if flags & CHECKSUM_PRESENT else 0)
    at, body, body_end, sequences = 20, -1, -1, False
    while at < end:
        kind, start = frame[at], at + 1
        at = start + _size_at(frame, start, end)
        if kind == 0:
            if body >= 0:
                raise WireError("an OP_MSG with two command documents")
            body, body_end = start, at
        elif kind == 1:
            sequences = True
            if frame.find(0, start + 4, at) < 0:
                raise WireError("an OP_MSG sequence without a name")
        else:
            raise WireError(f"an OP_MSG section of kind {kind}")
    if body < 0 or at != end:
        raise WireError("an OP_MSG without a command document")
    return Request(
        frame=frame,
        request_id=request_id,
        opcode=OpCode.MSG,
        flags=flags,
        body=body,
        body_end=body_end,
        has_sequences=sequences,
        command=_first_key(frame, body, body_end),
    )


def _parse_query(frame: bytes, request_id: int) -> Request:
    name_end = frame.find(0, 20)
    if name_end < 0 or not frame[20:name_end].endswith(b".$cmd"):
        raise WireError("an OP_QUERY that is not a command")
    body = name_end + 1 + 8  # how many to skip and to return mean nothing for a command
    body_end = body + _size_at(frame, body, len(frame))
    if body_end != len(frame):
        raise WireError("an OP_QUERY with something behind its command")
    return Request(
        frame=frame,
        request_id=request_id,
        opcode=OpCode.QUERY,
        flags=0,
        body=body,
        body_end=body_end,
        has_sequences=False,
        command=_first_key(frame, body, body_end),
    )


def _size_at(frame: bytes, start: int, end: int) -> int:
    """The size of the document or sequence at ``start``, which must fit in before ``end``."""
    if start + _SMALLEST_DOCUMENT > end:
        raise WireError("a message that ends too early")
    size: int = _INT32.unpack_from(frame, start)[0]
    if not _SMALLEST_DOCUMENT <= size <= end - start:
        raise WireError(f"a section of {size} bytes where {end - start} are left")
    return size


def _first_key(frame: bytes, start: int, end: int) -> str:
    """The name of a document's first element, which is the command; empty if it has none."""
    if frame[end - 1]:
        raise WireError("a document without an end")
    if end - start == _SMALLEST_DOCUMENT:
        return ""
    # Behind the length and the element's type.
    key_end = frame.find(0, start + 5, end - 1)
    if key_end < 0 or not frame[start + 4]:
        raise WireError("a document whose first key has no end")
    try:
        return frame[start + 5 : key_end].decode("ascii")
    except UnicodeDecodeError as error:
        raise WireError("a command whose name is not ASCII") from error
