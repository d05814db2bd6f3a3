"""Streams are cut into messages, and nothing but one unambiguous command passes."""

import struct

import bson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.gate.wire import FrameSplitter, OpCode, WireError, parse_request, response_to
from tests.sandbox.gate_running import OP_MSG, frame, message, query

KEYS = st.text("abcdefgh$_", min_size=1, max_size=8)
DOCUMENTS = st.dictionaries(KEYS, st.integers(-5, 5) | st.text(max_size=5), max_size=4)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=5), st.lists(st.integers(1, 40), max_size=30))
def test_messages_survive_any_cutting_of_the_stream(payloads: list[bytes], cuts: list[int]) -> None:
    frames = [frame(payload) for payload in payloads]
    stream, splitter = b"".join(frames), FrameSplitter()
    found: list[bytes] = []
    for cut in cuts:
        found += splitter.feed(stream[:cut])
        stream = stream[cut:]
    found += splitter.feed(stream)
    assert found == frames


def test_an_impossible_length_is_refused_before_its_bytes_arrive() -> None:
    with pytest.raises(WireError, match="48000001 bytes"):
        list(FrameSplitter().feed(struct.pack("<i", 48_000_001)))


def test_the_limit_may_change_between_two_messages() -> None:
    splitter = FrameSplitter(limit=20)
    found = splitter.feed(frame(b"abcd") + frame(b"x" * 100))
    assert next(found) == frame(b"abcd")
    splitter.limit = 200
    assert next(found) == frame(b"x" * 100)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80), st.sampled_from([OP_MSG, 2004, 2012, 1, 0, -1]))
def test_garbage_is_a_wire_error_and_nothing_else(payload: bytes, opcode: int) -> None:
    try:
        request = parse_request(frame(payload, opcode))
        request.document()
    except WireError:
        return
    assert request.command == next(iter(bson.decode(payload[request.body - 16 :])), "")


@settings(max_examples=300, deadline=None)
@given(
    document=DOCUMENTS,
    over_query=st.booleans(),
    position=st.integers(0, 200),
    value=st.integers(0, 255),
)
def test_a_changed_byte_never_makes_two_readings(
    document: dict[str, object], over_query: bool, position: int, value: int
) -> None:
    changed = bytearray(query(document) if over_query else message(document))
    if position + 16 < len(changed):
        changed[16 + position] = value
    try:
        request = parse_request(bytes(changed))
        seen = request.document()
    except WireError:
        return
    # A reader of its own: the driver's decoder on the same bytes.
    assert seen == bson.decode(bytes(changed[request.body : request.body_end]))
    assert request.command == next(iter(seen), "")


@settings(max_examples=50, deadline=None)
@given(document=DOCUMENTS, other=DOCUMENTS, checksum=st.booleans())
def test_another_document_takes_the_place_of_the_first_and_the_checksum_goes(
    document: dict[str, object], other: dict[str, object], checksum: bool
) -> None:
    original = message(document, flags=int(checksum) | 1 << 16, tail=b"abcd" * checksum)
    replaced = parse_request(parse_request(original).with_document(other))
    assert replaced.document() == other
    assert replaced.flags == 1 << 16
    assert replaced.request_id == parse_request(original).request_id


@pytest.mark.parametrize("make", [message, query])
def test_an_answer_is_in_the_dialect_of_its_question(make: object) -> None:
    assert callable(make)
    request = parse_request(make({"hello": 1}))
    answer = request.answer({"ok": 1.0})
    size, _, answered, opcode = struct.unpack_from("<iiii", answer)
    assert (size, answered, response_to(answer)) == (len(answer), request.request_id, 7)
    assert opcode == (OpCode.REPLY if request.opcode is OpCode.QUERY else OpCode.MSG)
    assert answer.endswith(bson.encode({"ok": 1.0}))


def test_a_document_that_nests_too_deeply_is_a_wire_error() -> None:
    depth = 100_000  # fits into a message that is allowed before sign-in
    heads = (struct.pack("<i", 5 + 8 * (depth - level)) + b"\x03a\0" for level in range(depth))
    nested = b"".join(heads) + bson.encode({}) + bytes(depth)
    with pytest.raises(WireError):
        parse_request(frame(b"\0\0\0\0\0" + nested)).document()
