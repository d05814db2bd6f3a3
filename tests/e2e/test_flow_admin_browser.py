"""The admin's pages of flows and connections in a real browser, wide and narrow."""

from collections.abc import Iterator
from datetime import UTC, datetime

import bson
import pytest
from bson import Binary
from django.core.cache import cache
from playwright.sync_api import Browser, expect
from pymongo import MongoClient
from pytest_django.live_server_helper import LiveServer

from accounts.levels import PermissionLevel
from replication.dead_letters import DEAD_LETTERS
from replication.models import Flow as FlowRow
from replication.mongo import close_clients
from replication.position import control_database
from tests.e2e.test_pages_browser import assert_accessible, browser, sideways
from tests.e2e.visitor import Visitor
from tests.finops.flows import FakeFlow, status
from tests.replication.rows import row_of
from tests.replication.running import Document, Flow, running

__all__ = ["browser"]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def visitor(
    browser: Browser, live_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Visitor]:
    monkeypatch.setattr("finops.freshness.flow_status", FakeFlow(status()))
    cache.clear()
    found = Visitor(browser, live_server.url)
    yield found
    found.close()
    assert found.faults == []


@pytest.fixture
def row(mongo_server: str) -> Iterator[FlowRow]:
    """A flow that has copied something, and has a dead letter."""
    with MongoClient[Document](mongo_server) as mongo:
        flow = Flow(mongo, mongo)
        made = row_of(flow, mongo_server)
        flow.source.insert_many([{"_id": n} for n in range(7)])
        with running(flow):
            flow.wait_until_consistent()
        control_database(mongo)[DEAD_LETTERS].insert_one(
            {
                "flow": str(made.id),
                "stream": made.key_of("rows"),
                "key": Binary(bson.encode({"_id": "a document with quite a long name " * 3})),
                "operation": "write",
                "code": 11000,
                "reason": "A unique index has another document.",
                "at": datetime.now(UTC),
                "attempts": 2,
                "retry": False,
            }
        )
        yield made
        close_clients()


@pytest.mark.parametrize("width", [1280, 380])
def test_pages_of_flows_and_connections_are_accessible_and_fit(
    visitor: Visitor, row: FlowRow, width: int
) -> None:
    page = visitor.open("/admin/", level=PermissionLevel.ADMIN, width=width)
    host = page.url.removesuffix("/admin/")
    flow = f"{host}/admin/replication/flow/{row.pk}"
    test = f"{host}/admin/replication/connection/{row.destination_id}/test/"
    for address in (f"{flow}/change/", f"{flow}/skip/", f"{flow}/snapshot/", f"{flow}/letters/"):
        page.goto(address)
        assert visitor.faults == []
        assert_accessible(page)
        # To read the style sheets of Django's own forms again, axe breaks the policy itself.
        visitor.faults.clear()
        assert not sideways(page), address
    page.goto(test)
    page.get_by_role("button", name="Test now").click()
    expect(page.get_by_role("row", name="ping ok")).to_be_visible()
    assert_accessible(page)
    assert not sideways(page), test


def test_changes_are_skipped_only_after_the_name_was_typed(visitor: Visitor, row: FlowRow) -> None:
    page = visitor.open("/admin/", level=PermissionLevel.ADMIN)
    page.goto(f"{page.url}replication/flow/{row.pk}/change/")
    page.get_by_role("link", name="Skip to now").click()
    page.get_by_label("type the flow’s name").fill("something else")
    page.get_by_role("button", name="Leave the changes out").click()
    expect(page.get_by_text("Nothing was done")).to_be_visible()
    page.get_by_label("type the flow’s name").fill(row.name)
    page.get_by_role("button", name="Leave the changes out").click()
    expect(page.get_by_text("The changes up to now are left out")).to_be_visible()
    assert FlowRow.objects.get().skips_asked == 1
