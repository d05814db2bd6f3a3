"""A copy is written by one flow: another one stops, and says whose it is."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from pymongo import MongoClient

from replication.claims import Claims
from replication.errors import InvalidConfiguration
from replication.models import Flow as FlowRow
from replication.mongo import close_clients
from replication.position import control_database
from replication.spec import StreamSpec
from replication.steering import remove
from replication.worker import Outcome
from tests.replication.rows import row_of
from tests.replication.running import Document, Flow, running


@pytest.fixture
def claims(mongo: MongoClient[Document]) -> Claims:
    return Claims(control_database(mongo))


def another(spec: StreamSpec) -> StreamSpec:
    return replace(spec, flow_id=uuid4(), flow_name="more")


def test_a_copy_is_its_first_flow_s_and_again_its_own(claims: Claims, flow: Flow) -> None:
    claims.take(flow.spec)
    claims.take(flow.spec)
    with pytest.raises(InvalidConfiguration) as error:
        claims.take(another(flow.spec))
    told = str(error.value)
    assert f"is the copy of the flow 'costs' (id {flow.id}), and the flow 'more'" in told
    copy = flow.spec.destination
    assert f"manage.py flows release destination {copy.database}.rows'" in told


def test_a_stream_that_writes_elsewhere_gives_its_old_copy_up(claims: Claims, flow: Flow) -> None:
    claims.take(flow.spec)
    moved = replace(flow.spec.destination, collection="moved")
    claims.take(replace(flow.spec, destination=moved))
    claims.take(another(flow.spec))


def test_another_flow_s_stream_stops_before_it_writes(
    new_flow: Callable[..., Flow], flow: Flow
) -> None:
    flow.source.insert_one({"_id": 1})
    with running(flow):
        flow.wait_until_consistent()
    second = new_flow()
    second.spec = another(replace(second.spec, destination=flow.spec.destination))
    second.source.insert_one({"_id": 2})
    result = second.run(lambda: True)
    assert result.outcome is Outcome.FAILED
    assert "is the copy of the flow 'costs'" in result.error
    assert [row["_id"] for row in flow.copy.find()] == [1]


@pytest.fixture
def row(flow: Flow, mongo_server: str) -> Iterator[FlowRow]:
    yield row_of(flow, mongo_server)
    close_clients()


@pytest.mark.django_db(transaction=True)
def test_a_flow_that_is_removed_gives_its_copies_up(
    claims: Claims, flow: Flow, row: FlowRow
) -> None:
    claims.take(flow.spec)
    assert remove(FlowRow.objects.all()) == 1
    assert not FlowRow.objects.exists()
    claims.take(another(flow.spec))


@pytest.mark.django_db
def test_a_claim_can_be_released_by_hand(claims: Claims, flow: Flow, row: FlowRow) -> None:
    claims.take(flow.spec)
    arguments = ("release", "destination", f"{flow.spec.destination.database}.rows")
    out = StringIO()
    call_command("flows", *arguments, stdout=out)
    assert "belongs to the flow that writes it next" in out.getvalue()
    claims.take(another(flow.spec))
    call_command("flows", *arguments, stdout=out)
    with pytest.raises(CommandError, match="No flow has claimed destination/to-"):
        call_command("flows", *arguments, stdout=out)
    with pytest.raises(CommandError, match="no connection 'nowhere'"):
        call_command("flows", "release", "nowhere", "a.b", stdout=out)
