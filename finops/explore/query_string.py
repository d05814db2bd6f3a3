"""A question as the query string of a URL, and back: every state of the explorer has an address.

What a query string says and cannot mean is told, and the question goes on without it: a page is
always there to be used.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TypeVar, get_args
from urllib.parse import urlencode

from django.http import QueryDict

from finops.costs.buckets import Grain
from finops.costs.dimensions import Dimension, UnknownDimension, dimension_named
from finops.costs.metrics import Metric
from finops.costs.periods import DAY, Period
from finops.costs.question import (
    LONGEST,
    MOST_GROUPS,
    TOPS,
    Basis,
    Comparison,
    Filter,
    Order,
    Preset,
    Question,
)

FILTER = "filter."
NOTHING = "nothing"
CUSTOM = "custom"
# What web servers accept as one line has room for these.
MOST_VALUES = 100
LONGEST_VALUE = 1000
_EARLIEST, _LATEST = date(1990, 1, 1), date(2200, 1, 1)
_DEFAULT = Question()
_DEFAULT_WHEN = Preset.LAST_30_DAYS

E = TypeVar("E", bound=StrEnum)
Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a query string asks; ``problems`` tell people what of it had no meaning."""

    question: Question
    problems: tuple[str, ...]


def parse(query: QueryDict) -> Asked:
    """Read a query string. Parameters that are not the explorer's are left alone."""
    reader = _Reader(query)
    order, ascending = reader.order()
    question = Question(
        metric=reader.choice("metric", Metric, _DEFAULT.metric),
        when=reader.when(),
        basis=reader.choice("basis", Basis, _DEFAULT.basis),
        grain=reader.grain(),
        groups=reader.groups(),
        filters=reader.filters(),
        comparison=reader.choice("compare", Comparison, _DEFAULT.comparison),
        cumulative=reader.text("cumulative") not in ("", "0"),
        top=reader.top(),
        currency=reader.currency(),
        order=order,
        ascending=ascending,
    )
    return Asked(question, tuple(reader.problems))


def render(question: Question) -> str:
    """The query string of a question; ``parse`` gives the question back."""
    return urlencode(pairs(question))


def pairs(question: Question, *, without: Iterable[str] = ()) -> Pairs:
    """The parameters of a question in order, but for those named ``without``."""
    when = question.when
    named = {
        "metric": question.metric.value,
        "period": when.value if isinstance(when, Preset) else CUSTOM,
        "from": "" if isinstance(when, Preset) else when.start.isoformat(),
        "to": "" if isinstance(when, Preset) else when.last.isoformat(),
        "basis": _unless_default(question.basis, _DEFAULT.basis),
        "grain": question.grain or "",
        "compare": _unless_default(question.comparison, _DEFAULT.comparison),
        "cumulative": "1" if question.cumulative else "",
        "top": "" if question.top == _DEFAULT.top else str(question.top),
        "currency": question.currency or "",
        "sort": sort_text(question.order, ascending=question.ascending),
    }
    named["sort"] = (
        "" if named["sort"] == sort_text(_DEFAULT.order, ascending=False) else named["sort"]
    )
    found = [(name, text) for name, text in named.items() if text]
    found += [("group", dimension.key) for dimension in question.groups]
    for one in question.filters:
        if not one.values:
            found.append((NOTHING, one.dimension.key))
        texts = sorted("" if text is None else text for text in one.values)
        found += [(f"{FILTER}{one.dimension.key}", text) for text in texts]
    left_out = set(without)
    return [(name, text) for name, text in found if name not in left_out]


def sort_text(order: Order, *, ascending: bool) -> str:
    """An order as URLs carry it: the largest first has a minus."""
    return order.value if ascending else f"-{order.value}"


def _unless_default(value: StrEnum, default: StrEnum) -> str:
    return "" if value is default else value.value


class _Reader:
    """Reads parameters one by one; collects what had no meaning."""

    def __init__(self, query: QueryDict) -> None:
        self._query = query
        self.problems: list[str] = []

    def text(self, name: str) -> str:
        return self._query.get(name, "").strip()

    def choice(self, name: str, kind: type[E], default: E) -> E:
        text = self.text(name)
        if not text:
            return default
        try:
            return kind(text)
        except ValueError:
            known = ", ".join(one.value for one in kind)
            self._ignored(name, f"it is one of: {known}")
            return default

    def grain(self) -> Grain | None:
        text = self.text("grain")
        known: dict[str, Grain] = {grain: grain for grain in get_args(Grain)}
        if text and text not in known:
            self._ignored("grain", f"it is one of: {', '.join(known)}")
        return known.get(text)

    def when(self) -> Preset | Period:
        text = self.text("period")
        dates = self.text("from"), self.text("to")
        if text == CUSTOM or (not text and any(dates)):
            return self._period(*dates) or _DEFAULT_WHEN
        return self.choice("period", Preset, _DEFAULT_WHEN)

    def _period(self, start_text: str, last_text: str) -> Period | None:
        try:
            start, last = date.fromisoformat(start_text), date.fromisoformat(last_text)
        except ValueError:
            self._ignored("period", "from and to are days such as 2026-10-01")
            return None
        if not (_EARLIEST <= start <= last < _LATEST):
            self._ignored("period", "its last day comes before its first, or is out of range")
            return None
        if (last - start).days >= LONGEST:
            self._ignored("period", f"it has more than {LONGEST:,} days")
            return None
        return Period(start, last + DAY)

    def groups(self) -> tuple[Dimension, ...]:
        keys = list(dict.fromkeys(filter(None, self._query.getlist("group"))))
        if len(keys) > MOST_GROUPS:
            self._ignored("group", f"at most {MOST_GROUPS} are shown together")
        found = [self._dimension("group", key) for key in keys[:MOST_GROUPS]]
        return tuple(one for one in found if one is not None)

    def filters(self) -> tuple[Filter, ...]:
        room = MOST_VALUES
        found: dict[str, Filter] = {}
        for name in self._query:
            if name == NOTHING:
                values: list[str] = []
                keys = self._query.getlist(name)
            elif name.startswith(FILTER):
                values, keys = self._values(name, room), [name.removeprefix(FILTER)]
                room -= len(values)
            else:
                continue
            for key in keys:
                dimension = self._dimension(name, key)
                if dimension is not None and (values or name == NOTHING):
                    found[key] = Filter(dimension, frozenset(text or None for text in values))
        return tuple(found[key] for key in sorted(found))

    def _values(self, name: str, room: int) -> list[str]:
        values = list(dict.fromkeys(self._query.getlist(name)))
        usable = [text for text in values if len(text) <= LONGEST_VALUE and "\0" not in text]
        if len(usable) < len(values):
            self._ignored("filter", f"a value has at most {LONGEST_VALUE:,} characters")
        if len(usable) > room:
            self._ignored("filter", f"at most {MOST_VALUES} values fit into one address")
        return usable[: max(room, 0)]

    def top(self) -> int:
        text = self.text("top")
        known = {str(top): top for top in TOPS}
        if text and text not in known:
            self._ignored("top", f"it is one of: {', '.join(known)}")
        return known.get(text, _DEFAULT.top)

    def currency(self) -> str | None:
        text = self.text("currency")
        if len(text) > 20 or not text.isascii() or not text.isprintable():
            self._ignored("currency", "it is a code such as EUR")
            return None
        return text or None

    def order(self) -> tuple[Order, bool]:
        text = self.text("sort")
        try:
            order = Order(text.removeprefix("-")) if text else _DEFAULT.order
        except ValueError:
            known = ", ".join(order.value for order in Order)
            self._ignored("sort", f"it is one of: {known}")
            return _DEFAULT.order, _DEFAULT.ascending
        return order, bool(text) and not text.startswith("-")

    def _dimension(self, name: str, key: str) -> Dimension | None:
        try:
            return dimension_named(key)
        except UnknownDimension as unknown:
            self._ignored("group" if name == "group" else "filter", str(unknown))
            return None

    def _ignored(self, name: str, expected: str) -> None:
        problem = f"“{name}” in this address was left out: {expected.rstrip('.')}."
        if problem not in self.problems:
            self.problems.append(problem)
