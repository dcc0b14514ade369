"""Unmatched payments in the console, and giving them to a member."""

from collections.abc import Callable

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.members.signing_up import sign_up
from models.payments.references import Payment
from models.staff.accounts import Role
from models.staff.actions import Action
from tests.console.web.at_the_desk import held, pay
from tests.console.web.builder import beside
from tests.console.web.conftest import Browser
from tests.models.gym import BY, NOW, Gym, paid, tell

LogIn = Callable[[Role], Browser]
LINK = "/operations/unmatched/link?endpoint=stripe&reference=sub_lost"


@pytest.fixture
def operator(log_in: LogIn) -> Browser:
    return log_in(Role.OPERATOR)


def test_the_longest_waiting_first_with_age_and_amount(operator: Browser, gym: Gym) -> None:
    pay(gym, "in_young", "sub_young", 1)
    pay(gym, "in_old", "sub_old", 3)
    tell(gym.session, paid("in_nameless"))
    operator.get("/operations/unmatched/")
    assert operator.text.index("in_old") < operator.text.index("in_young")
    assert "3 days" in operator.text
    assert "$90.00" in operator.text
    assert "None. Find out at the processor whose it is" in operator.text


def test_it_is_given_to_a_member_and_settled_at_once(operator: Browser, gym: Gym, session: Session) -> None:
    membership = gym.join()
    pay(gym, "in_1", "sub_lost", 1)
    operator.get("/operations/unmatched/")
    assert "/operations/unmatched/link?endpoint=stripe&amp;reference=sub_lost" in operator.page
    operator.get(LINK)
    operator.post(LINK, email=membership.member.email.upper())
    assert "sub_lost is Ada's. 1 payment that had waited for it is settled now." in operator.text
    assert "Every payment has found its membership." in operator.text
    assert held(session, membership) == {"Spin": 8, "Training": 2}


def test_of_several_memberships_one_is_chosen(operator: Browser, gym: Gym, session: Session) -> None:
    first = gym.join()
    bought = {"email": first.member.email, "name": "Ada", "club": gym.club, "term": gym.term, "picks": [gym.spin]}
    second = sign_up(gym.session, **bought, by=BY, now=NOW)
    pay(gym, "in_1", "sub_lost", 1)
    operator.get(LINK)
    assert operator.post(LINK, email=first.member.email).status_code == 422
    assert "has several memberships, say which one" in operator.text
    operator.post(LINK, email=first.member.email, membership=str(second.id))
    assert held(session, second) == {"Spin": 8}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"email": ""}, "Type the member's address."),
        ({"email": "nobody@example.com"}, "There is no member 'nobody@example.com'"),
        ({"email": "nobody@example.com", "membership": "x"}, "There is no member 'nobody@example.com'"),
    ],
)
def test_what_is_refused_is_said_beside_its_field(operator: Browser, fields: dict[str, str], said: str) -> None:
    operator.get(LINK)
    assert operator.post(LINK, **fields).status_code == 422
    assert said in operator.text


def test_a_reference_of_somebody_else_is_refused(operator: Browser, gym: Gym) -> None:
    gym.join("sub_lost")
    other = gym.join().member
    gym.session.commit()
    operator.get(LINK)
    assert operator.post(LINK, email=other.email).status_code == 422
    assert "sub_lost" in operator.text


@pytest.mark.parametrize("asked", ["endpoint=other&reference=x", "endpoint=stripe&reference=", "endpoint=stripe", ""])
def test_no_such_reference_is_not_found(operator: Browser, asked: str) -> None:
    assert operator.get(f"/operations/unmatched/link?{asked}").status_code == 404


def test_a_viewer_sees_what_waits_and_gives_nothing_away(log_in: LogIn, gym: Gym) -> None:
    pay(gym, "in_1", "sub_lost", 1)
    viewer = log_in(Role.VIEWER)
    viewer.get("/operations/unmatched/")
    assert "in_1" in viewer.text
    assert "Give to a member" not in viewer.text


def test_held_payments_stand_there_with_the_reason(operator: Browser, gym: Gym) -> None:
    gym.join("sub_ada")
    tell(gym.session, paid("in_euro", "sub_ada", currency="EUR"))
    operator.get("/operations/unmatched/")
    assert "Held payments" in operator.text
    assert "€90.00, Mar 1, 2024, Stripe" in operator.text
    assert "paid in EUR, but the membership is in USD" in operator.text


def test_what_is_no_dues_is_set_aside_with_a_reason(operator: Browser, gym: Gym, session: Session) -> None:
    gym.join("sub_ada")
    tell(gym.session, paid("in_euro", "sub_ada", currency="EUR"), paid("in_cafe", "sub_cafe"))
    for payment in ("in_euro", "in_cafe"):
        row = session.scalars(select(Payment).where(Payment.reference == payment)).one()
        path = f"/operations/unmatched/{row.id}/set-aside"
        operator.get("/operations/unmatched/")
        assert path in operator.page
        operator.get(path)
        assert operator.post(path, reason=" ").status_code == 422
        assert "Say why" in beside(operator, "reason")
        operator.post(path, reason="the cafe's")
        assert f"{payment} is set aside." in operator.text
        assert f">{payment}<" not in operator.page
    acts = session.scalars(select(Action).where(Action.verb == "set aside").order_by(Action.id)).all()
    assert [(act.subject.split(", ")[1], act.reason) for act in acts] == [
        ("in_euro on stripe", "the cafe's"),
        ("in_cafe on stripe", "the cafe's"),
    ]


def test_what_was_set_aside_settles_if_its_member_turns_up(operator: Browser, gym: Gym, session: Session) -> None:
    pay(gym, "in_1", "sub_lost", 1)
    row = session.scalars(select(Payment)).one()
    operator.get("/operations/unmatched/")
    operator.post(f"/operations/unmatched/{row.id}/set-aside", reason="nobody's")
    membership = gym.join()
    session.commit()
    operator.post(LINK, email=membership.member.email)
    assert held(session, membership) == {"Spin": 8, "Training": 2}


def test_what_has_its_sessions_cannot_be_set_aside(operator: Browser, gym: Gym, session: Session) -> None:
    gym.join("sub_ada")
    pay(gym, "in_1", "sub_ada", 1)
    row = session.scalars(select(Payment)).one()
    operator.get("/operations/unmatched/")
    assert operator.post(f"/operations/unmatched/{row.id}/set-aside", reason="x").status_code == 422
    assert "Payment in_1 is settled, so it cannot be set aside." in operator.text
    assert operator.post("/operations/unmatched/99/set-aside", reason="x").status_code == 404
