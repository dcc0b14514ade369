"""From a signed event in the inbox to sessions on an account, and to the words for what has no effect."""

import json
from datetime import date, timedelta

import pytest
from sqlalchemy import select

from local import stripe_bodies
from models.catalogue.clubs import Club
from models.inbox.storing import Stored
from models.members import life
from models.members.clocks import make_test_member
from models.members.life import Scope
from models.members.lookup import find_member
from models.staff.actions import Actor
from models.statements import statement
from runtime.settings import Endpoint, Settings
from tests.models.gym import BY
from tests.worker.scene import (
    NOW,
    PAID_AT,
    PER_DUES,
    Make,
    arrive,
    credited_once,
    due_now,
    event,
    join,
    paid,
    rows,
    states,
    usable,
    value,
)
from webhooks.processors import ADAPTERS
from worker.crediting import GROUP_LIMIT, Crediting


def test_a_signed_payment_becomes_sessions_that_name_their_event(crediting: Crediting, make: Make) -> None:
    join(make, "sub_1")
    assert arrive(make, paid("in_1", "sub_1")) == [Stored.NEW]
    assert crediting.drain() == 1
    assert usable(make, "sub_1") == PER_DUES
    with make() as session:
        member = find_member(session, "sub_1@example.com")
        assert member is not None
        entries = statement.entries(session, member.id)
    assert {(entry.kind, entry.quantity, entry.payment, entry.event_id) for entry in entries} == {
        ("grant", quantity, "in_1", "evt_in_1") for quantity in PER_DUES
    }
    assert rows(make, "SELECT state, attempts, error, reason, finished_at IS NULL FROM webhook_events") == [
        ("processed", 1, None, None, False)
    ]
    assert crediting.drain() == 0


def test_a_drain_stops_between_groups_when_told_to(crediting: Crediting, make: Make) -> None:
    arrive(make, *(paid(f"in_{number}", "sub_1") for number in range(GROUP_LIMIT + 1)))
    assert crediting.drain(lambda: False) <= GROUP_LIMIT
    left = rows(make, "SELECT attempts FROM webhook_events WHERE state = 'pending'")
    assert set(left) == {(0,)}, "what it does not work off, it has not claimed"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (paid("in_1", "sub_1", amount_paid=0), "zero amount"),
        (paid("in_1", "sub_1", kind="invoice.payment_succeeded"), "the same money as invoice.paid"),
        (paid("in_1", "sub_1", kind="customer.updated"), "customer.updated says nothing about dues"),
        (event("evt_1", "refund.created", stripe_bodies.refund("re_1", "pi_1", 1, 8900, "pending")), "pending"),
    ],
)
def test_what_has_no_effect_says_why(crediting: Crediting, make: Make, body: bytes, why: str) -> None:
    join(make, "sub_1")
    arrive(make, body)
    assert crediting.drain() == 1
    [(state, reason, attempts)] = rows(make, "SELECT state, reason, attempts FROM webhook_events")
    assert (state, attempts) == ("ignored", 1)
    assert why in reason
    assert value(make, "SELECT count(*) FROM payment_facts") == 0


@pytest.mark.parametrize("it_comes_first", [True, False])
def test_an_unknown_type_about_money_is_looked_at_once_its_payment_is_known(
    crediting: Crediting, make: Make, it_comes_first: bool
) -> None:
    join(make, "sub_1")
    unknown = paid("in_1", "sub_1", event_id="evt_1", kind="invoice.merged")
    first, last = sorted([unknown, paid("in_1", "sub_1")], key=lambda body: (body == unknown) != it_comes_first)
    arrive(make, first)
    crediting.drain()
    assert rows(make, "SELECT reason FROM payment_reviews") == []
    arrive(make, last)
    crediting.drain()
    what = "stripe sent invoice.merged, which this version does not know: see the payment there"
    assert rows(make, "SELECT reason, what FROM payment_reviews") == [("noted", what)]
    assert credited_once(make, ["in_1"])


TEST_EVENT = paid("in_1", "sub_1")
LIVE_EVENT = TEST_EVENT.replace(b'"livemode": false', b'"livemode": true')


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (LIVE_EVENT, "livemode is True, but the endpoint is in test mode"),
        (TEST_EVENT[:-1], "unparsable: not a JSON object"),
        (TEST_EVENT[:-1] + b', "id": "evt_in_1"}', "a key stands twice"),
        (TEST_EVENT[:-1] + b', "account": "acct_other"}', "account is 'acct_other'"),
        (paid("in_1", "sub_1", at=NOW - timedelta(days=551)), "older than 550 days"),
        (paid("in_1", "sub_1", at=NOW + timedelta(days=2)), "from the future"),
        (paid("in_1", "sub_1", amount_paid=89.0), "not an amount in minor units"),
        (paid("in_1", "sub_1", currency="eur"), "paid in EUR, but the membership is in USD"),
    ],
    ids=["live", "unparsable", "ambiguous", "account", "old", "future", "float", "currency"],
)
def test_what_can_never_succeed_is_quarantined_at_once(crediting: Crediting, make: Make, body: bytes, why: str) -> None:
    join(make, "sub_1", "sub_2")
    arrive(make, body, paid("in_2", "sub_2"))
    crediting.drain()
    due_now(make)
    assert crediting.drain() == 0
    [(reason, attempts, body_kept)] = rows(
        make, "SELECT reason, attempts, body FROM webhook_events WHERE state = 'quarantined'"
    )
    assert why in reason
    assert attempts <= 1
    assert body_kept == body
    assert states(make) == {"quarantined": 1, "processed": 1}
    assert credited_once(make, ["in_2"])


def test_a_test_endpoint_may_be_as_far_ahead_as_a_test_members_clock(crediting: Crediting, make: Make) -> None:
    join(make, "sub_1")
    with make.begin() as session:
        member = find_member(session, "sub_1@example.com")
        assert member is not None
        make_test_member(session, member, crediting.settings.endpoints, by=Actor("ada", "here"))
        member.clock_ahead = timedelta(days=31)
    ahead, further = NOW + timedelta(days=31), NOW + timedelta(days=33)
    arrive(make, paid("in_1", "sub_1", at=ahead), paid("in_2", "sub_1", at=further))
    crediting.drain()
    assert rows(make, "SELECT reason FROM webhook_events WHERE state = 'quarantined'") == [("from the future",)]
    assert rows(make, "SELECT DISTINCT effective_at FROM credit_grants") == [(ahead,)]


def test_an_event_of_the_far_edge_of_our_patience_counts(crediting: Crediting, make: Make) -> None:
    join(make, "sub_1", "sub_2")
    arrive(
        make,
        paid("in_1", "sub_1", at=NOW - timedelta(days=549)),
        paid("in_2", "sub_2", at=NOW + timedelta(hours=23)),
    )
    crediting.drain()
    assert usable(make, "sub_1") == usable(make, "sub_2") == PER_DUES


def test_an_unmatched_payment_settles_at_the_next_sweep_after_sign_up(crediting: Crediting, make: Make) -> None:
    arrive(make, paid("in_1", "sub_1"))
    crediting.sweep()
    assert value(make, "SELECT state FROM payments") == "unmatched"
    join(make, "sub_1")
    assert crediting.drain() == 0
    assert usable(make, "sub_1") == (0, 0)
    crediting.sweep()
    assert usable(make, "sub_1") == PER_DUES


def test_late_crediting_counts_days_from_the_day_of_crediting(crediting: Crediting, make: Make) -> None:
    join(make, "sub_1", "sub_2")
    late = NOW - timedelta(hours=25)
    arrive(make, paid("in_1", "sub_1", at=PAID_AT), paid("in_2", "sub_2", at=late))
    crediting.drain()
    expires = {
        payment: (str(expires_at), note)
        for payment, expires_at, note in rows(
            make,
            """
            SELECT p.reference, g.expires_at, e.note FROM credit_grants g
            JOIN payments p ON p.id = g.payment_id JOIN ledger_entries e ON e.grant_id = g.id
            WHERE g.expires_at IS NOT NULL
            """,
        )
    }
    # Both are the midnight after 9 April in Chicago: 30 days after 10 March, whatever day in_2 was paid on.
    assert expires["in_1"] == ("2026-04-10 05:00:00+00:00", None)
    assert expires["in_2"][0] == "2026-04-10 05:00:00+00:00"
    assert "credited late" in expires["in_2"][1]


def test_an_adapters_mistake_concerns_its_event_alone(
    settings: Settings, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ADAPTERS, "broken", "tests.worker.broken_processor:Broken")
    broken = Endpoint(name="stripe", processor="broken", mode="test", secrets=("whsec_test",))
    crediting = Crediting(settings.model_copy(update={"endpoints": (broken,)}), make, lambda: NOW)
    join(make, "sub_1", "sub_2", "sub_3")
    arrive(make, paid("in_1", "sub_1"), paid("in_mistaken", "sub_2"), paid("in_3", "sub_3"))
    assert crediting.drain() == 2
    assert credited_once(make, ["in_1", "in_3"])
    [(event_id, attempts, error)] = rows(
        make, "SELECT event_id, attempts, error FROM webhook_events WHERE state = 'pending'"
    )
    assert (event_id, attempts, error) == ("evt_in_mistaken", 1, "ZeroDivisionError: in in_mistaken")


def test_an_endpoint_taken_out_of_the_settings_loses_nothing(settings: Settings, make: Make) -> None:
    join(make, "sub_1")
    arrive(make, paid("in_1", "sub_1"))
    without = settings.model_copy(update={"endpoints": settings.endpoints[1:]})
    assert Crediting(without, make, lambda: NOW).drain() == 0
    [(state, error)] = rows(make, "SELECT state, error FROM webhook_events")
    assert state == "pending"
    assert "'stripe' is not in SPP_ENDPOINTS" in error
    due_now(make)
    assert Crediting(settings, make, lambda: NOW).drain() == 1
    assert credited_once(make, ["in_1"])


def test_a_body_that_only_the_processor_could_have_changed_is_seen_once(crediting: Crediting, make: Make) -> None:
    join(make, "sub_1")
    body = paid("in_1", "sub_1")
    counted_down = json.dumps(json.loads(body) | {"pending_webhooks": 0}).encode()
    forged = paid("in_1", "sub_1", amount_paid=1)
    assert arrive(make, body, counted_down, forged) == [Stored.NEW, Stored.UNFINISHED_DUPLICATE, Stored.CONFLICT]
    crediting.drain()
    assert states(make) == {"processed": 1, "quarantined": 1}
    assert credited_once(make, ["in_1"])


def test_the_sweep_walks_over_what_a_closure_reaches_and_credits_between(crediting: Crediting, make: Make) -> None:
    join(make, "sub_1", "sub_2")
    arrive(make, paid("in_1", "sub_1", at=PAID_AT))
    crediting.drain()
    with make.begin() as session:
        club = session.scalars(select(Club)).one()
        days = {"first": date(2026, 3, 12), "last": date(2026, 3, 14)}
        life.close(session, club, scope=Scope.ALL, **days, reason="snow", by=BY, now=NOW)
    assert value(make, "SELECT count(*) FROM closure_walks") == 1
    crediting.sweep(lambda: False)
    assert value(make, "SELECT count(*) FROM closure_walks") == 1, "out of time, it leaves the rest"
    crediting.sweep()
    assert value(make, "SELECT count(*) FROM closure_walks") == 0
    assert value(make, "SELECT count(*) FROM ledger_entries WHERE kind = 'extension'") == 1
