"""What a program is told of sessions that are not usable yet, and of payments for several memberships."""

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from models.members.memberships import Membership, add_billing_reference
from models.payments.facts import Line, Noted, Paid
from models.statements import statement
from tests.console.api.conftest import BY, PAID_AT, Caller, answered
from tests.models.gym import CLASSES, DUES, ENDPOINT, Gym, fresh, paid, tell
from tests.models.yearly import by_the_year

COVERS = (PAID_AT, PAID_AT + timedelta(days=365))


@pytest.fixture
def member(gym: Gym, session: Session) -> Membership:
    """Paid for a year an hour ago: 8 classes now, and 8 in each of the eleven months that follow."""
    by_the_year(gym)
    membership = gym.join("sub_year")
    lines = (Line(("sub_year", "price_1"), DUES + 500, COVERS, id="il_1"),)
    told = Paid("in_1", PAID_AT, DUES - 1000, "USD", ("sub_year",), (), COVERS, DUES + 500, DUES, lines)
    tell(session, told, now=PAID_AT)
    return membership


def test_a_balance_tells_what_is_coming_and_when(reader: Caller, session: Session, member: Membership) -> None:
    spin, _ = reader.data(f"/members/{member.member_id}/balances")
    expected = statement.balances(session, member.member_id, PAID_AT)[0].coming_days
    assert (spin["usable"], spin["coming"], len(spin["coming_days"])) == (CLASSES, 88, 11)
    first = spin["coming_days"][0]
    assert (first["day"], first["sessions"]) == (str(expected[0].day), CLASSES)
    assert first["usable_from"] == expected[0].usable_from.isoformat().replace("+00:00", "Z")


def test_each_grant_and_entry_has_its_day(reader: Caller, member: Membership) -> None:
    grants = [row for row in reader.data(f"/members/{member.member_id}/grants") if row["item"] == "Spin"]
    assert [row["is_coming"] for row in grants] == [False] + [True] * 11
    assert (grants[0]["tranche"], grants[0]["usable_from"]) == (0, None)
    assert [row["usable_from"].replace("-", "") for row in grants[1:]] == [str(row["tranche"]) for row in grants[1:]]
    assert {row["membership_id"] for row in grants} == {member.id}
    entries = [row for row in reader.data(f"/members/{member.member_id}/entries") if row["item"] == "Spin"]
    assert [row["usable_from"] for row in entries[::-1]] == [row["usable_from"] for row in grants]


def test_a_refused_check_in_says_from_when(api: Caller, gym: Gym, session: Session, member: Membership) -> None:
    wanted = {"member_id": member.member_id, "item_id": gym.spin.id, "quantity": CLASSES + 1}
    problem = answered(api.post("/redemptions", wanted, fresh("key")), 422)
    day = statement.balances(session, member.member_id, PAID_AT)[0].coming_days[0].day
    assert problem["type"].endswith("/too-few-sessions")
    known = {"asked": 9, "item": "Spin", "usable": 8, "coming": 88, "usable_from": str(day)}
    assert problem["details"] == known


def test_a_payment_tells_its_shape(reader: Caller, member: Membership) -> None:
    [payment] = reader.data(f"/memberships/{member.id}/payments")
    assert (payment["amount_minor"], payment["settled_minor"], payment["due_minor"]) == (DUES - 1000, DUES, DUES + 500)
    covers = {
        name: moment.isoformat().replace("+00:00", "Z") for name, moment in zip(("start", "end"), COVERS, strict=True)
    }
    assert payment["covers"] == covers
    assert payment["lines"] == [
        {
            "id": "il_1",
            "references": ["sub_year", "price_1"],
            "amount_minor": DUES + 500,
            "quantity": 1,
            "proration": False,
            "covers": covers,
        }
    ]
    assert [(row["item"], row["quantity"], row["tranches"]) for row in payment["sessions"]] == [
        ("Spin", 96, 12),
        ("Training", 24, 12),
    ]


def test_a_payment_for_several_stands_with_each(reader: Caller, gym: Gym, session: Session) -> None:
    both = [gym.join("sub_both"), gym.join()]
    add_billing_reference(session, both[1], ENDPOINT, "sub_both", by=BY, shared=True)
    tell(session, paid("in_both", "sub_both", at=PAID_AT, amount=2 * DUES), now=PAID_AT)
    for one in both:
        for path in (f"/members/{one.member_id}/payments", f"/memberships/{one.id}/payments"):
            [payment] = reader.data(path)
            assert payment["memberships"] == [{"membership_id": each.id, "member_id": each.member_id} for each in both]
            assert [row["membership_id"] for row in payment["sessions"]] == [both[0].id] * 2 + [both[1].id] * 2


def test_a_noted_fact_says_what_to_look_at(reader: Caller, session: Session, member: Membership) -> None:
    tell(session, Noted("in_1", PAID_AT, "A part of it went back"), now=PAID_AT)
    [payment] = reader.data(f"/members/{member.member_id}/payments")
    facts = answered(reader.get(f"/payments/{payment['id']}"))["facts"]
    assert [(fact["kind"], fact["what"]) for fact in facts] == [("paid", None), ("noted", "A part of it went back")]
    [event] = reader.data("/events", payment="in_1", limit=1)
    assert [fact["what"] for fact in event["facts"]] == ["A part of it went back"]
