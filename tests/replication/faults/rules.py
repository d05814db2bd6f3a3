"""What a proxy does to which messages: fail them, cut the connection, or hold them back."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum


class Moment(StrEnum):
    """Where on its way a message is met."""

    REQUEST = "before the server sees it"
    ANSWER = "after the server has done it"


@dataclass(frozen=True)
class Message:
    """A command on its way to a server, as far as rules look at it."""

    worker: str  # the name of the proxy that it came through
    command: str
    database: str
    # Of the last write before it where the command is a transaction's end.
    collection: str


@dataclass(frozen=True)
class On:
    """Which messages a rule is about; an empty part fits everything."""

    command: str
    collection: str = ""
    worker: str = ""
    not_worker: str = ""

    def fits(self, message: Message) -> bool:
        return (
            self.command == message.command
            and self.collection in ("", message.collection)
            and self.worker in ("", message.worker)
            and (not self.not_worker or self.not_worker != message.worker)
        )


@dataclass(frozen=True)
class Failure:
    """An answer that a server could have given."""

    code: int
    labels: tuple[str, ...] = ()
    of_a_write: bool = False  # in ``writeErrors`` of an answer that is otherwise good
    text: str = "failed on request"


class Rule:
    """What happens to the next messages that fit."""

    def __init__(self, on: On, moment: Moment, *, times: int) -> None:
        self.on = on
        self.moment = moment
        self._left = times
        self._met = threading.Condition()
        self.hits: list[Message] = []

    def takes(self, message: Message, moment: Moment) -> bool:
        """Whether the rule is about this message, which then counts as one of its times."""
        with self._met:
            if self.moment is not moment or not self._left or not self.on.fits(message):
                return False
            self._left -= 1
            self.hits.append(message)
            self._met.notify_all()
            return True

    @property
    def spent(self) -> bool:
        return not self._left

    def end(self) -> None:
        """Take no more messages."""
        with self._met:
            self._left = 0

    def wait(self, timeout: float, *, count: int = 1) -> Message:
        """Wait until ``count`` messages were met; return the last of them."""
        with self._met:
            met = self._met.wait_for(lambda: len(self.hits) >= count, timeout)
            assert met, f"not within {timeout:g} s: {self.on} {self.moment}, {len(self.hits)} times"
            return self.hits[count - 1]


class Fails(Rule):
    """Answers in the server's place."""

    def __init__(self, on: On, moment: Moment, failure: Failure, *, times: int) -> None:
        super().__init__(on, moment, times=times)
        self.failure = failure


class Cuts(Rule):
    """Closes the connection in place of the message."""


class Holds(Rule):
    """Keeps the message until ``release`` lets it go on, or ``drop`` loses it."""

    def __init__(self, on: On, moment: Moment, *, times: int) -> None:
        super().__init__(on, moment, times=times)
        self._decided = threading.Event()
        self._dropped = False
        self._callbacks: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def release(self) -> None:
        self._decide()

    def drop(self) -> None:
        self._dropped = True
        self._decide()

    @property
    def dropped(self) -> bool:
        return self._dropped

    def when_decided(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once it is known what becomes of the message, from any thread."""
        with self._lock:
            if not self._decided.is_set():
                self._callbacks.append(callback)
                return
        callback()

    def _decide(self) -> None:
        self.end()
        with self._lock:
            self._decided.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()


class Rules:
    """The rules of all proxies in front of one server. Rules may be added at any time."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._lock = threading.Lock()

    def fail(
        self,
        on: On,
        failure: Failure,
        *,
        moment: Moment = Moment.REQUEST,
        times: int = 1,
    ) -> Fails:
        """Answer with ``failure``; at the moment of the answer the server has done it all."""
        rule = Fails(on, moment, failure, times=times)
        self._add(rule)
        return rule

    def cut(self, on: On, *, moment: Moment = Moment.REQUEST, times: int = 1) -> Cuts:
        """Close the connection, either before the server sees the command or after it."""
        rule = Cuts(on, moment, times=times)
        self._add(rule)
        return rule

    def hold(self, on: On, *, moment: Moment = Moment.REQUEST) -> Holds:
        """Keep the next one until told what to do with it."""
        rule = Holds(on, moment, times=1)
        self._add(rule)
        return rule

    def clear(self) -> None:
        """Forget all rules; what is held goes on."""
        with self._lock:
            rules, self._rules = self._rules, []
        for rule in rules:
            rule.end()
            if isinstance(rule, Holds):
                rule.release()

    def meet(self, message: Message, moment: Moment) -> Rule | None:
        """Return what shall happen to a message, None when it passes."""
        with self._lock:
            self._rules = [rule for rule in self._rules if not rule.spent or _is_holding(rule)]
            rules: Iterable[Rule] = tuple(self._rules)
        return next((rule for rule in rules if rule.takes(message, moment)), None)

    def await_answer(self, message: Message) -> bool:
        """Whether a rule may take the answer to this message."""
        with self._lock:
            return any(
                rule.moment is Moment.ANSWER and not rule.spent and rule.on.fits(message)
                for rule in self._rules
            )

    def _add(self, rule: Rule) -> None:
        with self._lock:
            self._rules.append(rule)


def _is_holding(rule: Rule) -> bool:
    return isinstance(rule, Holds) and bool(rule.hits)
