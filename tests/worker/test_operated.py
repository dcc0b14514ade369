"""A worker under operation: it leaves a paused endpoint alone, and does what was asked for on many events."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from local.servers import Broker
from local.stack import Stack
from models.inbox import bulk, pauses
from models.inbox.bulk import BulkAction, BulkVerb
from models.inbox.events import EventState
from models.inbox.search import EventFilter
from models.members.lookup import find_member
from models.members.memberships import add_billing_reference
from models.staff.actions import Actor
from tests.worker.conftest import Running
from tests.worker.scene import SECRET, Make, arrive, credited, join, paid_now, states, until

BY = Actor("olga", "here")


@pytest.fixture(scope="module")
def stack(running: Running, module_database: str, own_broker: Broker) -> Iterator[Stack]:
    two = {"SPP_ENDPOINTS": "stripe=stripe:test other=stripe:test", "SPP_SECRET_OTHER": SECRET.decode()}
    with running(module_database, own_broker.url, "worker", **two) as stack:
        yield stack


@pytest.mark.usefixtures("stack")
def test_a_paused_endpoint_waits_while_another_goes_on(module_make: Make) -> None:
    join(module_make, "sub_1")
    with module_make.begin() as session:
        member = find_member(session, "sub_1@example.com")
        assert member is not None
        add_billing_reference(session, member.memberships[0], "other", "sub_1", by=BY)
        pauses.pause(session, "stripe", "wrong terms", by=BY)
    arrive(module_make, paid_now("in_waits", "sub_1"))
    arrive(module_make, paid_now("in_goes", "sub_1"), endpoint="other")
    until(lambda: credited(module_make, ["in_goes"]))
    assert states(module_make) == {"processed": 1, "pending": 1}
    with module_make.begin() as session:
        pauses.resume(session, "stripe", "right again", by=BY)
    until(lambda: credited(module_make, ["in_waits"]))


@pytest.mark.usefixtures("stack")
def test_dead_letters_are_replayed_all_at_once_and_credited(module_make: Make) -> None:
    join(module_make, "sub_2")
    payments = [f"in_{number}" for number in range(30)]
    with module_make.begin() as session:
        pauses.pause(session, "stripe", "while they are made dead", by=BY)
    arrive(module_make, *(paid_now(payment, "sub_2") for payment in payments))
    dead = EventFilter(state=EventState.DEAD)
    with module_make.begin() as session:
        session.execute(text("UPDATE webhook_events SET state = 'dead' WHERE state = 'pending'"))
        pauses.resume(session, "stripe", "they are", by=BY)
        act = bulk.ask(session, BulkVerb.REPLAY, dead, bulk.scope(session, BulkVerb.REPLAY, dead), "mended", by=BY)
        number = act.id
    until(lambda: credited(module_make, payments))
    with module_make() as session:
        done = session.get_one(BulkAction, number)
        assert (done.total, done.done, done.finished_at is None) == (30, 30, False)
