"""The explorer against the oracle: every dimension, metric and grain, to the last digit."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache, reduce
from itertools import product
from typing import get_args

import pytest
from pytest_django import DjangoDbBlocker

from accounts.scopes import ALL
from finops.costs.buckets import Grain
from finops.costs.dimensions import DIMENSIONS, dimension_named
from finops.costs.explore import Answer, explore
from finops.costs.metrics import Metric
from finops.costs.periods import month_start
from finops.costs.question import Preset, Question
from finops.models import Dataset
from finops.segments.schema import COLUMNS
from tests.finops import oracle
from tests.finops.cost_documents import build_all
from tests.finops.explorer_rows import Prepared, Sums, every_column
from tests.finops.focus_rows import SAMPLE
from tests.finops.oracle import Row

pytestmark = pytest.mark.django_db

FOCUS_NAMES = {column.name: column.focus for column in COLUMNS}
TAGS = ("tag:environment", "tag: org", "tag:org", "tag:Owner", "tag:x'; DROP", "tag:nowhere")
KEYS = (*DIMENSIONS, *TAGS)
ASKED = tuple(product(Metric, get_args(Grain)))
Cells = dict[tuple[date, str | None], Decimal]


@dataclass(frozen=True)
class Set:
    dataset: Dataset
    rows: Prepared
    currencies: tuple[str, ...]


@cache
def generated_rows() -> list[Row]:
    names = [FOCUS_NAMES[key] for key in DIMENSIONS if key != "billing_period_start"]
    return every_column(names, rows=20_000)


@pytest.fixture(scope="module")
def stored(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[dict[str, Set]]:
    """Both sets, built once: the tests only read them."""
    with django_db_blocker.unblock():
        sample, generated = oracle.rows(SAMPLE), generated_rows()
        made = {
            "sample": Set(build_all(sample, "sample"), Prepared(sample), ("USD",)),
            "generated": Set(
                build_all(generated, "generated"), Prepared(generated), ("EUR", "XXX")
            ),
        }
        yield made
        for one in made.values():
            one.dataset.delete()


def cells(answer: Answer) -> Cells:
    """What the table says, step by step; nothing may be hidden in the rest."""
    assert answer.rest is None
    return {
        (bucket.start, line.key[0]): amount
        for line in answer.lines
        if line.key is not None
        for bucket, amount in zip(answer.frame.buckets, line.steps, strict=True)
        if amount
    }


def expected(sums: Sums, metric: Metric, currency: str, answer: Answer) -> Cells:
    found: Cells = defaultdict(Decimal)
    for (of, text, value), amount in sums[metric.focus_column].items():
        day = date.fromisoformat(text)
        if of == currency:
            start = day if answer.frame.grain == "day" else month_start(day)
            key = (max(start, answer.frame.period.start), value)
            found[key] = oracle.EXACT.add(found[key], amount)
    return {key: amount for key, amount in found.items() if amount}


@pytest.mark.parametrize("key", KEYS)
def test_every_metric_and_grain_of_a_dimension_of_the_sample(
    stored: dict[str, Set], key: str
) -> None:
    compare(stored["sample"], key, ASKED)


@pytest.mark.parametrize("key", KEYS)
def test_every_dimension_of_the_generated_set(stored: dict[str, Set], key: str) -> None:
    """Two of the eight questions a dimension: the next test asks them all."""
    turn = KEYS.index(key) % 4
    compare(stored["generated"], key, [ASKED[turn * 2], ASKED[7 - turn * 2]])


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
def test_every_metric_and_grain_of_a_dimension_of_the_generated_set(
    stored: dict[str, Set], key: str
) -> None:
    compare(stored["generated"], key, ASKED)


def compare(tested: Set, key: str, asked: Iterable[tuple[Metric, Grain]]) -> None:
    sums = tested.rows.sums(FOCUS_NAMES.get(key, key))
    for number, (metric, grain) in enumerate(asked):
        currency = tested.currencies[number % len(tested.currencies)]
        question = Question(
            metric=metric,
            when=Preset.EVERYTHING,
            grain=grain,
            groups=(dimension_named(key),),
            currency=currency,
            top=1000,
        )
        answer = explore(tested.dataset, ALL, question)
        assert cells(answer) == expected(sums, metric, currency, answer)
        whole = added(v for (of, *_), v in sums[metric.focus_column].items() if of == currency)
        assert answer.total.cost == added(line.cost for line in answer.lines) == whole


def added(amounts: Iterable[Decimal]) -> Decimal:
    return reduce(oracle.EXACT.add, amounts, Decimal(0))
