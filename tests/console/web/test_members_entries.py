"""Where did this come from? Every kind of entry, back to what the processor sent or to the person."""

import re
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from models.inbox.events import WebhookEvent
from models.inbox.storing import NewEvent, store
from models.ledger import adjustments
from models.ledger.adjustments import AdjustmentReason
from models.ledger.entries import expire
from models.ledger.redemptions import give_back
from models.members.memberships import Membership
from models.payments import settlement
from models.payments.facts import Linked, Paid, Restored, Reversed
from models.payments.recorded import EventFacts
from models.staff.accounts import Role
from tests.console.web.at_the_desk import DAY, entries, now, pay, paying_member, spend
from tests.console.web.conftest import Browser
from tests.models.gym import BY, DUES, Gym, fresh, grant_of, paid, tell

LogIn = Callable[[Role], Browser]


@pytest.fixture
def member(gym: Gym) -> Membership:
    return paying_member(gym)


@pytest.fixture
def viewer(log_in: LogIn) -> Browser:
    return log_in(Role.VIEWER)


def explained(viewer: Browser, session: Session, member: Membership, kind: str, which: int = -1) -> str:
    """What the page of one of the member's entries of that kind says; of the last one, unless told otherwise."""
    entry = entries(session, member, kind)[which]
    assert viewer.get(f"/members/{member.member_id}/entries/{entry.id}").status_code == 200
    return viewer.text


def refund(gym: Gym, cause: str = "refund:re_1", amount: int | None = None) -> None:
    tell(gym.session, Reversed("in_1", now(), cause, amount or DUES, "USD"), now=now())


def credit(gym: Gym, body: bytes, *said: Paid | Linked, resource: bytes | None = None) -> None:
    """An event with that body, taken in."""
    event_id = fresh("evt")
    store(gym.session, [NewEvent("stripe", event_id, "invoice.paid", body)], lambda *_: True)
    event = gym.session.query(WebhookEvent).filter_by(event_id=event_id).one()
    event.resource = resource
    gym.session.flush()
    settlement.take_in(gym.session, [EventFacts(event.id, "stripe", said)], now=now(), late_credit=timedelta(0))
    gym.session.commit()


def test_a_grant_leads_to_payment_fact_event_and_body(gym: Gym, session: Session, viewer: Browser) -> None:
    member = gym.join("sub_1")
    body = b'{"id":"evt","amount":1.10,"big":12345678901234567890,"list":[],"text":"<b>&\\u00e9, [x]"}'
    credit(gym, body, paid("in_9", "sub_1", at=now()), Linked("ch_9", now(), "in_9"), resource=b"answered: <i>")
    page = explained(viewer, session, member, "grant", 0)
    assert "+8 Spin: Payment credited" in page
    assert "References ch_9 in_9" in page
    assert "Amount $90.00, paid" in page
    assert "State Settled" in page
    assert "Membership Gold, Monthly" in page
    assert "What Paid Amount $90.00" in page
    assert "Billing references sub_1" in page
    assert "Type invoice.paid Endpoint stripe" in page
    sent = '"amount": 1.10, "big": 12345678901234567890, "list": [], "text": "<b>&\\u00e9, [x]" }'
    assert sent in page
    assert "answered: <i>" in page
    assert "<b>" not in viewer.page
    assert "<i>" not in viewer.page


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        ("refund of ch_1:re_1", "refunded"),
        ("dispute:dp_1", "disputed"),
        ("chargeback:x", "charged back"),
        ("something:1", "reversed"),
    ],
)
def test_a_clawback_says_what_became_of_the_payment(
    gym: Gym, session: Session, member: Membership, viewer: Browser, cause: str, told: str
) -> None:
    refund(gym, cause, DUES // 2)
    page = explained(viewer, session, member, "clawback", 0)
    assert f"\N{MINUS SIGN}4 Spin: Taken back: payment {told}" in page
    assert f"Cause {cause}" in page
    assert "$45.00" in page


def test_a_reinstatement_says_how_the_money_came_back(
    gym: Gym, session: Session, member: Membership, viewer: Browser
) -> None:
    refund(gym, "dispute:dp_1")
    tell(gym.session, Restored("in_1", now(), "dispute:dp_1", DUES, "USD"), now=now())
    page = explained(viewer, session, member, "reinstatement")
    assert "Given again: the dispute was won" in page
    assert "What The dispute was won" in page


def test_a_redemption_and_its_return_show_each_other(
    gym: Gym, session: Session, member: Membership, viewer: Browser
) -> None:
    redemption_id = spend(gym, member, gym.spin, 3)
    give_back(session, redemption_id=redemption_id, key="key of the return", by=BY, now=now(), quantity=2)
    session.commit()
    for kind, more in (("redemption", ""), ("return", ": this entry")):
        page = explained(viewer, session, member, kind)
        assert "Redeemed 3 Spin sessions on" in page
        assert "Given back 2 sessions on" in page
        assert (": this entry" in page) == bool(more)
        assert "Idempotency key" in page
        assert "Who ada@example.com From 192.0.2.7" in page
    assert "Given back return" not in page


def test_staff_are_named(gym: Gym, session: Session, member: Membership, log_in: LogIn) -> None:
    desk = log_in(Role.DESK)
    desk.get(f"/members/{member.member_id}")
    desk.post(f"/members/{member.member_id}/redeem", item_id=str(gym.spin.id), quantity="1", key=str(uuid4()))
    page = explained(desk, session, member, "redemption")
    assert "Who Desk, desk@example.com From 127.0.0.1" in page


def test_an_adjustment_says_who_and_why(gym: Gym, session: Session, member: Membership, viewer: Browser) -> None:
    for quantity in (3, -2):
        adjustments.adjust(
            session,
            member_id=member.member_id,
            item_id=gym.spin.id,
            quantity=quantity,
            last_day=None,
            key=fresh("key"),
            reason=AdjustmentReason.NO_SHOW,
            note="<u>twice</u>",
            alone_up_to=10,
            by=BY,
            now=now(),
        )
    session.commit()
    for which, sign in ((0, "+3"), (-1, "\N{MINUS SIGN}2")):
        page = explained(viewer, session, member, "adjustment", which)
        assert f"{sign} Spin: Adjusted: no show" in page
        assert "Note <u>twice</u>" in page
        assert "<u>" not in viewer.page
        assert "Who ada@example.com" in page


def test_an_extension_says_until_when(gym: Gym, session: Session, member: Membership, viewer: Browser) -> None:
    last = now().date() + timedelta(days=90)
    grant = grant_of(session, member, gym.spin).id
    adjustments.extend(session, grant, last_day=last, reason="ill", by=BY, now=now())
    session.commit()
    page = explained(viewer, session, member, "extension")
    assert f"Last usable day since {last:%b %-d, %Y}" in page
    assert "Why ill" in page


def test_an_expiry_says_that_its_days_were_over(gym: Gym, session: Session, viewer: Browser) -> None:
    member = gym.join("sub_old")
    pay(gym, "in_old", "sub_old", 50)
    expire(session, as_of=now())
    session.commit()
    last = grant_of(session, member, gym.spin).expires_at
    assert last is not None
    page = explained(viewer, session, member, "expiry")
    assert f"their last usable day was {last - DAY / 2:%b %-d, %Y}." in page
    assert "The webhook event" not in page
    assert "Who did it" not in page


def test_a_debt_repayment_leads_to_the_other_grant(
    gym: Gym, session: Session, member: Membership, viewer: Browser
) -> None:
    spend(gym, member, gym.spin, 3)
    refund(gym)
    pay(gym, "in_2", "sub_ada", 0)
    payer, debtor = entries(session, member, "debt_repayment")
    page = explained(viewer, session, member, "debt_repayment", 0)
    assert "Sessions of another grant had been used before they were taken back. These repaid them." in page
    assert "from payment $90.00, " in page
    assert 'title="in_1"' in viewer.page
    page = explained(viewer, session, member, "debt_repayment", 1)
    assert "Another grant repaid them." in page
    assert "from payment $90.00, " in page
    assert 'title="in_2"' in viewer.page
    assert (payer.quantity, debtor.quantity) == (-3, 0)
    opening = entries(session, member, "grant")[-2]
    assert f"/members/{member.member_id}/entries/{opening.id}" in viewer.page


def test_every_entry_of_the_grant_stands_below(gym: Gym, session: Session, member: Membership, viewer: Browser) -> None:
    pay(gym, "in_2", "sub_ada", 0)
    spend(gym, member, gym.spin, 2)
    below = explained(viewer, session, member, "grant", 0).partition("What happened to this grant")[2]
    assert "Redeemed" in below
    assert "Payment credited $90.00" in below
    assert 'title="in_1"' in viewer.page
    assert "in_2" not in below


def test_nobody_elses_entry_is_found(gym: Gym, session: Session, member: Membership, viewer: Browser) -> None:
    other = gym.join("sub_other")
    session.commit()
    (entry, *_) = entries(session, member, "grant")
    assert viewer.get(f"/members/{other.member_id}/entries/{entry.id}").status_code == 404
    assert viewer.get(f"/members/99/entries/{entry.id}").status_code == 404


def test_every_entry_of_a_statement_has_a_page(gym: Gym, session: Session, member: Membership, viewer: Browser) -> None:
    redemption_id = spend(gym, member, gym.spin, 3)
    refund(gym)
    give_back(session, redemption_id=redemption_id, key="k", by=BY, now=now(), quantity=1)
    tell(session, Restored("in_1", now() + timedelta(seconds=1), "refund:re_1", DUES, "USD"), now=now())
    viewer.get(f"/members/{member.member_id}")
    paths = set(re.findall(r'href="(/members/\d+/entries/\d+)"', viewer.page))
    assert len(paths) >= 8
    for path in paths:
        assert viewer.get(path).status_code == 200


def test_a_body_that_is_no_text_has_a_page(gym: Gym, session: Session, viewer: Browser) -> None:
    member = gym.join("sub_1")
    credit(gym, b"\xff\x00<script>", paid("in_9", "sub_1", at=now()))
    explained(viewer, session, member, "grant")
    assert "<script>" not in viewer.page.partition("As it was sent")[2].partition("</pre>")[0]


def test_secrets_are_masked_and_the_delivery_is_named(gym: Gym, session: Session, viewer: Browser) -> None:
    member = gym.join("sub_1")
    sent = b'{"client_secret":"whispered","number":"4111111111111111"}'
    credit(gym, sent, paid("in_9", "sub_1", at=now()), resource=sent)
    gym.session.execute(update(WebhookEvent).values(delivery="4bf92f3577b34da6a3ce929d0e0e4736"))
    gym.session.commit()
    page = explained(viewer, session, member, "grant")
    assert "Delivery 4bf92f3577b34da6a3ce929d0e0e4736" in page
    assert page.count('"client_secret": "****", "number": "************1111"') == 2
    assert "whispered" not in viewer.page


def test_a_pruned_body_says_so(gym: Gym, session: Session, viewer: Browser) -> None:
    member = gym.join("sub_1")
    credit(gym, b"", paid("in_9", "sub_1", at=now()))
    gym.session.execute(update(WebhookEvent).values(pruned_at=now()))
    gym.session.commit()
    assert "Its body was pruned" in explained(viewer, session, member, "grant")
