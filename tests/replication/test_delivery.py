"""A batch that is not taken as it is goes in pieces, or without what is refused, or waits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from pymongo.client_session import ClientSession

from replication.delivery import LETTERS_PER_BATCH, Delivery, Piece
from replication.errors import PoisonEvent, TooBusy, TooEarly, TooMuchAtOnce
from replication.refusals import refusal_of
from replication.statements import Writes
from replication.transactions import Work

WRITES: dict[bytes, bytes | None] = {bytes([n]): b"document" for n in range(8)}
ALL = set(WRITES)


@dataclass(frozen=True)
class At:
    """Stands for a position."""

    key: str = "k"
    epoch: int = 1
    batch: int = 0

    def moved(self, fields: Mapping[str, Any]) -> "At":
        return self


class Server:
    """Takes or refuses pieces, and keeps what was committed."""

    def __init__(self, refuse: Callable[[Piece], Exception | None]) -> None:
        self.position = At()
        self._refuse = refuse
        self.attempts = 0
        self.written: list[set[bytes]] = []
        self.letters: dict[bytes, int] = {}
        self.fields: list[dict[str, Any]] = []

    def run(self, work: Work, fields: Mapping[str, Any]) -> None:
        self.attempts += 1
        work(None)
        self.fields.append(dict(fields))

    def save(self, fields: Mapping[str, Any]) -> None:
        raise AssertionError("a delivery does not save")

    def write(self, piece: Piece, _session: ClientSession | None) -> None:
        error = self._refuse(piece)
        if error is not None:
            raise error
        self.written.append(set(piece.accepted))
        self.letters |= {key: refusal.code for key, refusal in piece.refused.items()}

    def deliver(
        self, writes: Writes = WRITES, *, dead_letters: bool = True, may_wait: bool = False
    ) -> None:
        delivery = Delivery[At](self, self.write, dead_letters=dead_letters)
        delivery.deliver(writes, {"events": 1}, may_wait=may_wait)


def poison(*keys: int, code: int = 121) -> PoisonEvent:
    return PoisonEvent("refused", code, {bytes([n]): refusal_of(code) for n in keys})


def refusing(*keys: int, code: int = 121) -> Callable[[Piece], Exception | None]:
    """Refuse one document after the other, as a transaction does."""

    def refuse(piece: Piece) -> Exception | None:
        found = next((n for n in keys if bytes([n]) in piece.accepted), None)
        return None if found is None else poison(found, code=code)

    return refuse


def test_what_is_too_much_is_halved_and_the_position_moves_with_the_last() -> None:
    server = Server(lambda piece: TooMuchAtOnce("x") if len(piece.writes) > 2 else None)
    server.deliver()
    assert server.written == [{bytes([n]), bytes([n + 1])} for n in (0, 2, 4, 6)]
    assert server.fields == [{}, {}, {}, {"events": 1}]


def test_what_cannot_be_halved_is_raised() -> None:
    with pytest.raises(TooMuchAtOnce):
        Server(lambda _piece: TooMuchAtOnce("x")).deliver()


def test_one_document_waits_for_a_busy_server_as_long_as_it_takes() -> None:
    busy = iter([TooBusy("x")] * 3)
    server = Server(lambda _piece: next(busy, None))
    server.deliver({b"1": b"document"})
    assert server.written == [{b"1"}]


def test_refused_documents_become_letters_and_the_others_are_written() -> None:
    server = Server(refusing(1, 5))
    server.deliver()
    assert server.letters == {b"\1": 121, b"\5": 121}
    assert server.written == [ALL - {b"\1", b"\5"}]
    assert server.attempts == 3


def test_a_document_that_the_server_does_not_name_is_found_by_halves() -> None:
    def refuse(piece: Piece) -> Exception | None:
        return PoisonEvent("one of them", 17419) if b"\3" in piece.accepted else None

    server = Server(refuse)
    server.deliver()
    assert server.letters == {b"\3": 17419}
    assert set.union(*server.written) == ALL - {b"\3"}
    assert server.fields[-1] == {"events": 1}
    assert not any(server.fields[:-1])


def test_a_flow_without_letters_stops() -> None:
    server = Server(refusing(1))
    with pytest.raises(PoisonEvent):
        server.deliver(dead_letters=False)
    assert not server.written


@pytest.mark.parametrize("code", [11000, 52])
def test_documents_in_each_others_way_are_written_afresh(code: int) -> None:
    server = Server(lambda piece: None if piece.fresh else poison(1, code=code))
    server.deliver(dead_letters=False)
    assert server.written == [ALL]
    assert server.attempts == 2


def test_a_value_that_a_later_change_may_free_waits_for_it_once() -> None:
    server = Server(refusing(1, code=11000))
    with pytest.raises(TooEarly):
        server.deliver(may_wait=True)
    assert not server.written
    server.deliver()
    assert server.letters == {b"\1": 11000}


def test_too_many_letters_are_no_exceptions_any_more() -> None:
    many = {n.to_bytes(2, "big"): b"document" for n in range(LETTERS_PER_BATCH + 1)}
    refused = {key: refusal_of(121) for key in many}
    server = Server(lambda piece: PoisonEvent("x", 121, refused) if piece.accepted else None)
    with pytest.raises(PoisonEvent, match="more than 50 documents"):
        server.deliver(many)
    assert not server.letters
