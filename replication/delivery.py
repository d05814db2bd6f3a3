"""What becomes of a batch that the destination does not take as it is.

Too much for one transaction is committed in halves, the position with the last of them. A document
that is refused for good becomes a dead letter, and the others are written without it. What a unique
index refuses is first tried with all of the batch's documents out of the way, and then, where the
source has more to say, together with the changes that follow.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic

import structlog
from pymongo.client_session import ClientSession

from replication.errors import PoisonEvent, TooBusy, TooEarly, TooMuchAtOnce
from replication.position import Moved
from replication.refusals import Refusal, refusal_of
from replication.statements import Writes
from replication.transactions import Commits

log = structlog.get_logger(__name__)

# Each costs another attempt at its batch. So many at once are no exceptions: somebody should look.
LETTERS_PER_BATCH = 50
_HALVED = 2  # writes that can be halved


@dataclass
class Piece:
    """A batch, or a part of one, that is committed at once."""

    writes: Writes
    fresh: bool = False  # documents are deleted and inserted, not replaced
    refused: dict[bytes, Refusal] = field(default_factory=dict)

    @property
    def accepted(self) -> Writes:
        """The writes without those that are refused."""
        if not self.refused:
            return self.writes
        return {key: each for key, each in self.writes.items() if key not in self.refused}

    def halves(self) -> list["Piece"]:
        """Return both halves, in the order of the writes."""
        items = iter(self.writes.items())
        first = dict(islice(items, len(self.writes) // 2))
        return [
            Piece(half, self.fresh, {key: self.refused[key] for key in half if key in self.refused})
            for half in (first, dict(items))
        ]


class Delivery(Generic[Moved]):
    """Commits batches of one stream, or of a part of its snapshot.

    ``write`` does a piece's writes and notes its refusals, in the transaction that it is given.
    """

    def __init__(
        self,
        commits: Commits[Moved],
        write: Callable[[Piece, ClientSession | None], None],
        *,
        dead_letters: bool,
    ) -> None:
        self._commits = commits
        self._write = write
        self._dead_letters = dead_letters

    def deliver(self, writes: Writes, fields: Mapping[str, Any], *, may_wait: bool) -> None:
        """Commit ``writes``, and the position's ``fields`` with the last of them.

        Raises:
            TooEarly: with ``may_wait`` only: the changes that follow may help. Nothing is lost by
                delivering ``writes`` again with them.
            PoisonEvent: documents are refused, and the flow has no dead letters or too many.
            Fenced, PyMongoError: as FencedTransactions raises them.
        """
        pieces = [Piece(writes)]
        letters = 0  # that are committed
        while pieces:
            piece = pieces.pop(0)
            try:
                self._commit(piece, {} if pieces else fields)
                letters += len(piece.refused)
            except TooMuchAtOnce as error:
                pieces = self._smaller(piece, error) + pieces
            except PoisonEvent as error:
                pieces = self._without_poison(piece, error, may_wait=may_wait) + pieces
                self._refuse_too_many(letters + sum(len(each.refused) for each in pieces))

    def _commit(self, piece: Piece, fields: Mapping[str, Any]) -> None:
        self._commits.run(lambda session: self._write(piece, session), fields)
        if piece.refused:
            codes = sorted({refusal.code for refusal in piece.refused.values()})
            log.warning("dead_letters_written", documents=len(piece.refused), codes=codes)

    def _smaller(self, piece: Piece, error: TooMuchAtOnce) -> list[Piece]:
        if len(piece.writes) < _HALVED:
            if isinstance(error, TooBusy):
                return [piece]
            raise error
        log.info("batch_halved", writes=len(piece.writes))
        return piece.halves()

    def _without_poison(self, piece: Piece, error: PoisonEvent, *, may_wait: bool) -> list[Piece]:
        refused = dict(error.refused)
        if not refused:
            if len(piece.writes) > 1:  # to find the one
                return piece.halves()
            refused = {key: refusal_of(error.code) for key in piece.writes}
        elsewhere = any(each.by_unique_index or each.by_kind_of_write for each in refused.values())
        if elsewhere and not piece.fresh:
            return [Piece(piece.writes, fresh=True, refused=piece.refused)]
        if may_wait and any(each.by_unique_index for each in refused.values()):
            raise TooEarly("A unique index of the copy refuses a document for now.") from None
        if not self._dead_letters or refused.keys() <= piece.refused.keys():
            raise error
        return [Piece(piece.writes, piece.fresh, piece.refused | refused)]

    def _refuse_too_many(self, letters: int) -> None:
        if letters > LETTERS_PER_BATCH:
            raise PoisonEvent(
                f"The destination refuses more than {LETTERS_PER_BATCH} documents of one batch:"
                " look at its validation rules and unique indexes.",
                0,
            )
