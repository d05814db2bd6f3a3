"""A data set is read from the one collection that its flow writes."""

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts.levels import PermissionLevel
from finops.models import Dataset
from replication.models import Connection, Flow
from tests.people import sign_in_as

pytestmark = pytest.mark.django_db
REFUSED = "copies several collections (costs_*): choose a flow of one collection"


@pytest.fixture
def several() -> Flow:
    here = Connection.objects.create(name="here", uri="mongodb://localhost/")
    return Flow.objects.create(
        name="many",
        source=here,
        source_database="a",
        collection="costs_*",
        destination=here,
        destination_database="b",
        destination_collection="{collection}",
    )


def test_the_form_refuses_a_flow_of_several_collections(client: Client, several: Flow) -> None:
    sign_in_as(client, PermissionLevel.ADMIN)
    url = reverse("admin:finops_dataset_add")
    refused = client.post(url, {"name": "costs", "flow": "many"})
    assert REFUSED in refused.content.decode()
    assert not Dataset.objects.exists()
    assert client.post(url, {"name": "costs", "flow": "to-come"}).status_code == 302
    several.collection = "rows"
    several.save()
    assert client.post(url, {"name": "rows", "flow": "many"}).status_code == 302


@pytest.mark.parametrize(
    "command", [("import_focus", "examples"), ("rebuild_segments",)], ids=lambda command: command[0]
)
def test_commands_refuse_a_flow_that_became_one_of_several(
    several: Flow, command: tuple[str, ...]
) -> None:
    Dataset.objects.create(name="costs", flow="many")
    with pytest.raises(CommandError) as error:
        call_command(*command)
    assert REFUSED in str(error.value)
