"""What people with a part of the rows, or none, see in a real browser."""

from datetime import date
from uuid import uuid4

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from accounts.levels import PermissionLevel
from accounts.mappings import MappingValues, update_mapping
from accounts.models import GroupMapping, User
from tests.e2e.test_pages_browser import assert_accessible, browser, flow, sideways, visitor
from tests.e2e.visitor import Visitor
from tests.finops.cost_documents import build_all, charge

__all__ = ["browser", "flow", "visitor"]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ANCHOR = date(2026, 10, 20)


def limit(*sub_accounts: str) -> None:
    """Limit everybody's mapping to these."""
    mapping = GroupMapping.objects.get()
    values = MappingValues(mapping.group_oid, PermissionLevel.VIEWER, scope=sub_accounts)
    update_mapping(mapping, values)


@pytest.mark.parametrize("width", [1440, 380])
def test_a_scope_changes_an_open_page_at_its_next_request(visitor: Visitor, width: int) -> None:
    build_all(
        [
            charge(ANCHOR, "11.11", SubAccountId="mine", ServiceName="Ours"),
            charge(ANCHOR, "77", SubAccountId="theirs", ServiceName="Forbidden"),
        ]
    )
    page = visitor.open(width=width)
    expect(page.get_by_text("Forbidden").first).to_be_visible()

    limit("mine")
    page.reload()
    expect(page.get_by_text("Only the costs of the sub account")).to_be_visible()
    assert "Forbidden" not in page.content()
    assert_accessible(page)
    assert not sideways(page)

    limit("nobody's")
    page.reload()
    expect(page.get_by_role("heading", name="No costs in your sub accounts")).to_be_visible()
    assert_accessible(page)

    User.objects.update(group_oids=[str(uuid4())], groups_fetched_at=timezone.now())
    page.reload()
    expect(page.get_by_role("heading", name="No costs are shared with you yet")).to_be_visible()
    assert_accessible(page)
    assert not sideways(page)
