"""The explorer's form: what can be asked, and what is asked now."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from operator import attrgetter

from django.utils.safestring import SafeString, mark_safe

from finops.costs.dimensions import DIMENSIONS, TAG, Dimension, Shelf
from finops.costs.explore import Answer
from finops.costs.metrics import Metric
from finops.costs.question import (
    MOST_GROUPS,
    TOPS,
    Basis,
    Comparison,
    Filter,
    Preset,
    Question,
)
from finops.costs.units import CONVERTED, choice_of
from finops.explore.links import values_url, without_filter
from finops.explore.query_string import CUSTOM, pairs

AUTOMATIC = "Automatic"
_FIELDS = (
    "metric", "period", "from", "to", "basis", "grain", "group", "compare", "cumulative", "top",
    "currency", "sort",
)  # fmt: skip
_SHOWN_VALUES = 3
_FURTHER = attrgetter("grain", "basis", "top", "cumulative")


@dataclass(frozen=True, slots=True)
class Option:
    """One entry of a select."""

    value: str
    label: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Shelved:
    """Entries of a select under a heading."""

    label: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Select:
    """A select of the form. ``id`` tells apart those of one ``name``."""

    id: str
    name: str
    label: str
    options: tuple[Option, ...] = ()
    shelves: tuple[Shelved, ...] = ()

    @property
    def html(self) -> SafeString:
        """The element. Written here because a template takes ten times as long for its options."""
        parts = [f'<select id="{escape(self.id)}" name="{escape(self.name)}">']
        parts += map(_option, self.options)
        for shelf in self.shelves:
            parts.append(f'<optgroup label="{escape(shelf.label)}">')
            parts += map(_option, shelf.options)
            parts.append("</optgroup>")
        # Every text above is escaped where it is put in.
        return mark_safe("".join([*parts, "</select>"]))  # noqa: S308


def _option(option: Option) -> str:
    chosen = " selected" if option.chosen else ""
    return f'<option value="{escape(option.value)}"{chosen}>{escape(option.label)}</option>'


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that is set, with where to change it and where to go without it."""

    label: str
    values: str
    edit: str
    remove: str


@dataclass(frozen=True, slots=True)
class Form:
    """Everything that the form shows. ``hidden`` keeps what it does not show."""

    selects: tuple[Select, ...]
    further: tuple[Select, ...]
    is_further: bool  # whether any of the further ones is not as it is unasked
    first_day: str
    last_day: str
    cumulative: bool
    hidden: tuple[tuple[str, str], ...]
    chips: tuple[Chip, ...]
    filter_by: Select
    state: tuple[tuple[str, str], ...]  # the whole question, for the forms beside


def form_of(question: Question, answer: Answer, tags: Sequence[Dimension]) -> Form:
    """The form that asks ``question``; ``tags`` are the tag keys that it offers."""
    period = answer.frame.period if isinstance(question.when, Preset) else question.when
    return Form(
        selects=tuple(_selects(question, answer, tags)),
        further=tuple(_further(question)),
        is_further=_FURTHER(question) != _FURTHER(Question()),
        first_day=period.start.isoformat(),
        last_day=period.last.isoformat(),
        cumulative=question.cumulative,
        hidden=tuple(pairs(question, without=[name for name in _FIELDS if name != "sort"])),
        chips=chips_of(question),
        filter_by=Select(
            "filter-by",
            "dimension",
            "Add a filter",
            options=(Option("", "Choose…", True),),
            shelves=_shelves(tags, question, None),
        ),
        state=tuple(pairs(question)),
    )


def _selects(question: Question, answer: Answer, tags: Sequence[Dimension]) -> Iterable[Select]:
    yield Select("metric", "metric", "Cost", options=_choices(Metric, question.metric))
    custom = not isinstance(question.when, Preset)
    presets = _choices(Preset, question.when)
    yield Select(
        "period", "period", "Period", options=(*presets, Option(CUSTOM, "Days of my own", custom))
    )
    for number in range(MOST_GROUPS):
        chosen = question.groups[number] if number < len(question.groups) else None
        yield Select(
            f"group-{number + 1}",
            "group",
            "Group by" if number == 0 else "and by",
            options=(Option("", "Nothing", chosen is None),),
            shelves=_shelves(tags, question, chosen),
        )
    yield Select(
        "compare", "compare", "Compare with", options=_choices(Comparison, question.comparison)
    )
    units = [(code, code) for code in sorted(answer.currencies)]
    if answer.convertible:
        units.append((CONVERTED, "All in USD"))
    if len(units) > 1:
        chosen_unit = choice_of(answer.unit)
        yield Select(
            "currency",
            "currency",
            "Currency",
            options=tuple(Option(code, label, code == chosen_unit) for code, label in units),
        )


def _further(question: Question) -> Iterable[Select]:
    yield Select("grain", "grain", "Steps", options=tuple(_grains(question)))
    yield Select("basis", "basis", "Days of the", options=_choices(Basis, question.basis))
    yield Select(
        "top",
        "top",
        "Groups shown",
        options=tuple(Option(str(top), f"{top} largest", top == question.top) for top in TOPS),
    )


def _choices(kind: type[StrEnum], chosen: object) -> tuple[Option, ...]:
    return tuple(
        Option(one.value, str(getattr(one, "label", one.value)), one is chosen) for one in kind
    )


def _grains(question: Question) -> Iterable[Option]:
    yield Option("", AUTOMATIC, question.grain is None)
    yield Option("day", "Days", question.grain == "day")
    yield Option("month", "Months", question.grain == "month")


def _shelves(
    tags: Sequence[Dimension], question: Question, chosen: Dimension | None
) -> tuple[Shelved, ...]:
    """Every dimension under its heading; tags that the address names are among them."""
    named = [*question.groups, *(one.dimension for one in question.filters)]
    keys = {one.key: one for one in (*tags, *(n for n in named if n.key.startswith(TAG)))}
    everything = [*DIMENSIONS.values(), *keys.values()]
    shelves = []
    for shelf in Shelf:
        options = tuple(
            Option(one.key, _label(one), one == chosen) for one in everything if one.shelf is shelf
        )
        if options:
            shelves.append(Shelved(shelf.value, options))
    return tuple(shelves)


def _label(dimension: Dimension) -> str:
    return dimension.tag_key if dimension.tag_key is not None else dimension.label


def chips_of(question: Question) -> tuple[Chip, ...]:
    """The filters of a question."""
    return tuple(_chip(one, question) for one in question.filters)


def _chip(one: Filter, question: Question) -> Chip:
    texts = [
        name_of(text) for text in sorted(one.values, key=lambda text: (text is None, text or ""))
    ]
    shown = ", ".join(texts[:_SHOWN_VALUES])
    if len(texts) > _SHOWN_VALUES:
        shown = f"{shown} and {len(texts) - _SHOWN_VALUES} more"
    return Chip(
        label=one.dimension.label,
        values=shown or "nothing that you may see",
        edit=values_url(question, one.dimension),
        remove=without_filter(question, one.dimension),
    )


def name_of(value: str | None) -> str:
    """A value as people read it."""
    return "(none)" if value is None else value
