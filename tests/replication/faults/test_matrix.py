"""The table of faults is complete: in docs/faults.md, and in the tests that there are."""

import importlib
import pkgutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import tests.replication.faults
from tests.replication.faults.matrix import Pair, required, table

ROOT = Path(__file__).parents[3]


def covered() -> Iterator[Pair]:
    """The pairs that tests are run for."""
    for module in pkgutil.iter_modules(tests.replication.faults.__path__):
        if module.name.startswith("test_"):
            found = importlib.import_module(f"{tests.replication.faults.__name__}.{module.name}")
            for test in vars(found).values():
                for mark in getattr(test, "pytestmark", []):
                    if mark.name == "parametrize" and mark.args[0] == "pair":
                        yield from mark.args[1]


def test_every_pair_has_one_test_and_every_test_a_pair() -> None:
    assert Counter(covered()) == Counter(required())


def test_the_table_is_written_down() -> None:
    assert table() in (ROOT / "docs/faults.md").read_text()
