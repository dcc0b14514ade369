"""What processors say of subscriptions, from the delivery to the proposal; and ends that apply by themselves."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import text

from local.api_objects import Objects
from models.catalogue.days import local_day
from models.database.engine import make_engine, sessions
from models.inbox import erasing
from models.members import life
from models.payments import announcements
from models.payments.announcements import Announcement
from models.payments.proposals import Does
from models.staff.actions import Actor
from runtime.settings import DatabaseRole, Settings
from tests.database_roles import as_role
from tests.webhooks.deliveries import PAYLOADS
from tests.worker.every_processor import Gym
from tests.worker.scene import NOW, Make, arrive, event, join
from worker.crediting import Crediting

TOLD, ENDS = NOW - timedelta(days=1), NOW + timedelta(days=20)
JOINED = datetime.now(UTC).replace(microsecond=0)
"""When the members of the sample join: by the clock, and nobody's membership ends before it began."""
ISO = f"{TOLD:%Y-%m-%dT%H:%M:%S}Z"


def _json(name: str, change: Callable[[dict[str, Any]], object]) -> Callable[[str], bytes]:
    def body(number: str) -> bytes:
        value = json.loads((PAYLOADS / name).read_text().replace("2026-11-05T09:00:05Z", ISO))
        change(value)
        # What every recorded delivery calls the subscription.
        for known in ("sub_Gym0001", "SBGym0001", "I-GYM0001", "subGym0001", "4415473", "sub_0001"):
            value = json.loads(json.dumps(value).replace(f'"{known}"', f'"sub_{number}"'))
        return json.dumps(value).encode()

    return body


def _braintree(number: str) -> bytes:
    xml = (PAYLOADS / "braintree/subscription_canceled.xml").read_text()
    return xml.replace("sub_Gym0001", f"sub_{number}").replace("2026-11-05T09:00:07Z", ISO).encode()


def _stripe(value: dict[str, Any]) -> None:
    value["created"], value["data"]["object"]["cancel_at"] = int(TOLD.timestamp()), int(ENDS.timestamp())


def _square(value: dict[str, Any]) -> None:
    value["created_at"] = ISO
    value["data"]["object"]["subscription"]["canceled_date"] = f"{ENDS:%Y-%m-%d}"


DELIVERIES: dict[str, tuple[Callable[[str], bytes], bool]] = {
    "authorize_net": (
        _json("authorize_net/subscription_cancelled.json", lambda one: one.update(eventDate=ISO)), False
    ),
    "braintree": (_braintree, False),
    "gocardless": (
        _json("gocardless/subscription_cancelled.json", lambda one: one["events"][0].update(created_at=ISO)), False
    ),
    "square": (_json("square/subscription_updated.json", _square), True),
    "standard_webhooks": (
        _json(
            "standard_webhooks/subscription_ended.json",
            lambda one: (one.update(timestamp=ISO), one["data"].update(at=ENDS.isoformat())),
        ),
        True,
    ),
    "stripe": (_json("stripe/subscription_updated.json", _stripe), True),
}  # fmt: skip
"""Processor -> what it says of an end, and whether that is to come."""
_times = count()


def proposed(gym: Gym, number: str) -> list[Announcement]:
    with gym.make() as session:
        held = session.scalars(
            text("SELECT m.id FROM memberships m JOIN members p ON p.id = m.member_id WHERE p.email = :email"),
            {"email": f"{number}@example.com"},
        ).one()
        return announcements.of_memberships(session, [held], {})


@pytest.mark.parametrize("processor", DELIVERIES)
def test_an_end_that_is_delivered_is_proposed(gym: Gym, processor: str) -> None:
    number, (body, to_come) = gym.join(processor), DELIVERIES[processor]
    gym.deliver(processor, [body(number)], _times)
    gym.work(processor)
    (one,) = proposed(gym, number)
    ends = local_day(ENDS if to_come else TOLD, one.time_zone)
    assert (one.proposal.does, one.proposal.last_day) == (Does.END, ends)


def test_an_end_at_paypal_is_fetched(gym: Gym) -> None:
    number, name = gym.join("paypal"), "paypal/subscription_cancelled.json"
    made = _json(name, lambda _: None)(number).replace(f"sub_{number}".encode(), f"I-{number}".encode())
    made = made.replace(b"subscriptions/I-GYM0001", f"subscriptions/I-{number}".encode())
    with gym.make.begin() as session:
        session.execute(
            text(
                "INSERT INTO billing_references (endpoint, reference, membership_id)"
                " SELECT endpoint, 'I-' || :number, membership_id FROM billing_references WHERE reference = :known"
            ),
            {"number": number, "known": f"sub_{number}"},
        )
    found = json.loads(made)["resource"]
    Objects(gym.folder / "standin" / "paypal").put("subscriptions", found["id"], found)
    # Anyone could have written what is delivered: the API says what became of it.
    gym.deliver("paypal", [made.replace(b"CANCELLED", b"SUSPENDED")], _times)
    gym.work("paypal")
    (one,) = proposed(gym, number)
    assert (one.proposal.does, one.proposal.last_day) == (Does.END, local_day(TOLD, one.time_zone))


def test_the_sweep_ends_memberships_where_the_club_says_so(settings: Settings, make: Make) -> None:
    ends = _announced_of(make, "sub_1")
    _sweep(settings)
    assert _ends(make, "sub_1") == []
    _let_apply(make)
    _sweep(settings)
    assert _ends(make, "sub_1") == [ends]


def test_the_sweep_skips_who_was_erased(settings: Settings, make: Make) -> None:
    ends = _announced_of(make, "sub_1", "sub_2")
    _sweep(settings)
    with make.begin() as session:
        one = session.execute(
            text(
                "SELECT m.id, m.email FROM members m JOIN memberships s ON s.member_id = m.id"
                " JOIN billing_references b ON b.membership_id = s.id WHERE b.reference = 'sub_1'"
            )
        ).one()
        today, by = JOINED.date(), Actor("manager@example.com", "console")
        erasing.erase(session, one.id, confirm=one.email, request="She wrote.", asked_on=today, by=by, now=JOINED)
    _let_apply(make)
    _sweep(settings)
    assert (_ends(make, "sub_1"), _ends(make, "sub_2")) == ([], [ends])
    with make() as session:
        assert announcements.every(session, {}) == []


def _announced_of(make: Make, *subscriptions: str) -> date:
    """They join now, and will end: the last day of each."""
    join(make, *subscriptions)
    ends = JOINED + timedelta(days=20)
    for one in subscriptions:
        told = {"id": one, "object": "subscription", "status": "active", "cancel_at": int(ends.timestamp())}
        arrive(make, event(f"evt_{one}", "customer.subscription.updated", told, JOINED))
    return local_day(ends - timedelta(microseconds=1), "America/Chicago")


def _let_apply(make: Make) -> None:
    with make.begin() as session:
        session.execute(text("UPDATE clubs SET apply_announcements = true"))


def _sweep(settings: Settings) -> None:
    engine = make_engine(as_role(settings, DatabaseRole.WORKER).database_url)
    Crediting(settings, sessions(engine), lambda: JOINED).sweep()
    engine.dispose()


def _ends(make: Make, subscription: str) -> list[date | None]:
    with make() as session:
        held = session.scalars(
            text("SELECT membership_id FROM billing_references WHERE reference = :reference"),
            {"reference": subscription},
        ).one()
        return [one.last_day for one in life.in_force(session, membership_id=held)]
