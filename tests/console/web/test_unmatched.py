"""Unmatched payments in the console, and giving them to a member."""

from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session

from models.members import sign_up
from models.staff import Role
from tests.console.web.at_the_desk import held, pay
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
