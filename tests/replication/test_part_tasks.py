"""Parts that nobody copies are offered to helpers, and a helper leaves what is not its own."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from replication import part_tasks
from replication.models import Flow as FlowRow
from replication.models import StreamFailure
from replication.mongo import close_clients
from replication.part_tasks import copy_part, offer_parts
from replication.planning import Splitting
from tests.replication.rows import row_of
from tests.replication.running import Flow, raw

# Other threads look at the rows too.
pytestmark = pytest.mark.django_db(transaction=True)

Message = tuple[str, str, str]  # a flow's id, a collection and a part


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """The parts that were offered; no broker is needed."""
    messages: list[Message] = []

    def remember(arguments: Message, **_options: Any) -> None:
        messages.append(arguments)

    monkeypatch.setattr(copy_part, "apply_async", remember)
    monkeypatch.setattr(part_tasks, "room_in", lambda _queue, *, most: min(3, most))
    return messages


@pytest.fixture
def planned(new_flow: Callable[..., Flow], mongo_server: str) -> Iterator[Flow]:
    """A flow whose snapshot has begun, in four parts, and whose owner has left."""
    flow = new_flow(splitting=Splitting(documents=100, opening=1e6))
    flow.source.insert_many([{"_id": n} for n in range(400)])
    flow.run(lambda: not flow.parts())
    row_of(flow, mongo_server)
    yield flow
    close_clients()


def test_idle_parts_are_offered_as_far_as_there_is_room(
    planned: Flow, offered: list[Message]
) -> None:
    offer_parts()
    keys = {part.key for part in planned.parts()}
    assert len(offered) == 3
    assert {key for _flow, _collection, key in offered} < keys


def test_parts_of_a_paused_flow_are_not_offered(planned: Flow, offered: list[Message]) -> None:
    FlowRow.objects.update(enabled=False)
    offer_parts()
    assert offered == []
    copy_part(str(planned.id), "rows", planned.parts()[0].key)
    assert planned.copied() == 0


def test_a_helper_that_is_done_offers_what_is_left(planned: Flow, offered: list[Message]) -> None:
    for part in planned.parts()[:2]:
        copy_part(str(planned.id), "rows", part.key)
    assert [part.done for part in planned.parts()] == [True, True, False, False]
    assert 0 < len(raw(planned.copy)) == planned.copied() < 400
    left = {part.key for part in planned.parts() if not part.done}
    assert {key for _flow, _collection, key in offered[-2:]} == left


def test_a_part_that_is_done_or_gone_is_left_alone(planned: Flow, offered: list[Message]) -> None:
    key = planned.parts()[0].key
    copy_part(str(planned.id), "rows", key)
    batch = planned.parts()[0].batch
    copy_part(str(planned.id), "rows", key)
    copy_part(str(planned.id), "rows", "gone")
    assert planned.parts()[0].batch == batch
    assert not StreamFailure.objects.exists()


def test_what_only_a_person_can_help_with_stops_the_stream(
    planned: Flow, offered: list[Message]
) -> None:
    planned.copy.database.command({"collMod": "rows", "validator": {"never": {"$exists": True}}})
    FlowRow.objects.update(on_poison="stop")
    copy_part(str(planned.id), "rows", planned.parts()[0].key)
    failure = StreamFailure.objects.get()
    assert failure.collection == "rows"
    assert "refuses" in failure.error
