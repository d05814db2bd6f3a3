"""From a row in the source cluster to a figure on the page, through every real part."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from bson import Decimal128
from pymongo import MongoClient
from pymongo.collection import Collection

from sandbox.entra.client import SignInRefused
from tests.e2e.conftest import Demo
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def source(demo: Demo) -> Iterator[Collection[dict[str, Any]]]:
    """The source collection, as the system that owns it sees it: not through the gate."""
    port = json.loads((demo.state / "ports.json").read_text())["source"]
    with MongoClient[dict[str, Any]]("127.0.0.1", port) as client:
        yield client["billing"]["focus"]


def test_the_sample_shows_its_known_totals(demo: Demo) -> None:
    with demo.sign_in("cleo") as session:
        page = session.get(demo.url, timeout=10).text
    for shown in ("20.52", "14.98", "20.39"):
        assert shown in page
    for exact in ("20.52022672899", "14.97651418586", "20.39090575119"):
        assert exact in page
    assert "USD" in page


def test_a_change_in_the_source_is_on_the_page_within_five_seconds(
    demo: Demo, source: Collection[dict[str, Any]]
) -> None:
    row = source.find_one({"BilledCost": {"$gt": Decimal128("0")}})
    assert row is not None
    added = {**row, "_id": "added-by-a-test", "BilledCost": Decimal128("100")}
    with demo.sign_in("ben") as session:

        def shows(total: str) -> None:
            wait_until(
                lambda: total in session.get(demo.url, timeout=10).text,
                timeout=5,
                what=f"the page shows {total}",
            )

        shows("20.52022672899")
        source.insert_one(added)
        shows("120.52022672899")
        source.update_one({"_id": added["_id"]}, {"$set": {"BilledCost": Decimal128("-50.5")}})
        shows("-29.97977327101")
        source.delete_one({"_id": added["_id"]})
        shows("20.52022672899")


def test_nobody_gets_in_without_signing_in(demo: Demo) -> None:
    answer = requests.get(demo.url, timeout=10)
    assert "20.52" not in answer.text
    assert "Sign in" in answer.text


def test_a_disabled_account_gets_no_further_than_entra(demo: Demo) -> None:
    with pytest.raises(SignInRefused, match="AADSTS50057"):
        demo.sign_in("hal")


def test_only_an_administrator_enters_the_admin(demo: Demo) -> None:
    with demo.sign_in("ada") as session:
        assert session.get(f"{demo.url}/admin/", timeout=10).status_code == 200
    with demo.sign_in("ben") as session:
        assert session.get(f"{demo.url}/admin/", timeout=10).status_code == 403


def test_no_log_of_any_part_holds_a_token(demo: Demo) -> None:
    logs = list((demo.state / "logs").glob("*.log"))
    assert len(logs) >= 10
    for log in logs:
        text = log.read_text(errors="replace")
        assert "eyJ" not in text, log
        assert "Traceback" not in text, log
