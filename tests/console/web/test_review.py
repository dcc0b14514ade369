"""Review in the console: the list with who paid and what was given, and what people of each role answer."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from console.web.review_list import LABELS
from models.database.engine import sessions
from models.members.memberships import add_billing_reference
from models.payments import reviewing
from models.payments.facts import Line
from models.payments.reviews import ReviewReason
from models.staff.accounts import Role
from models.staff.actions import Action
from runtime.settings import Settings
from tests.console.web.at_the_desk import held, pay
from tests.console.web.builder import beside
from tests.console.web.conftest import Browser
from tests.models.gym import BY, Gym, paid, tell
from tests.worker import scene
from worker.crediting import Crediting

LogIn = Callable[[Role], Browser]


@pytest.fixture
def manager(log_in: LogIn) -> Browser:
    return log_in(Role.MANAGER)


def number(session: Session, payment: str) -> int:
    """The id of the payment in review with that reference."""
    session.rollback()
    (found,) = [one.payment_id for one in reviewing.page(session) if one.payment == payment]
    return found


def in_review(session: Session) -> list[str]:
    session.rollback()
    return [one.payment for one in reviewing.page(session)]


def part(gym: Gym, payment: str = "in_part", reference: str = "sub_ada") -> None:
    """A payment of a tenth of the dues: one Spin and one Training."""
    tell(gym.session, paid(payment, reference, amount=900))


def test_nothing_to_look_at(manager: Browser) -> None:
    manager.get("/review/")
    assert "Nothing to look at: every paid payment is explained." in manager.text


def test_each_payment_says_why_it_is_there_and_what_it_gave(manager: Browser, gym: Gym) -> None:
    membership = gym.join("sub_ada")
    part(gym)
    pay(gym, "in_lost", "sub_lost", 3)
    manager.get("/review/")
    assert "$9.00, Mar 1, 2024, Stripe" in manager.text
    assert "Part $9.00 for 10% of what dues of $90.00 pay for." in manager.text
    assert "Gave 1 Spin, 1 Training" in manager.text
    assert f'href="/members/{membership.member_id}"' in manager.page
    assert "Unmatched No membership has sub_lost." in manager.text
    assert "Gave no sessions" in manager.text
    assert "All 2 Unmatched 1 Part 1" in manager.text


def test_every_member_of_a_payment_is_shown_with_what_each_got(manager: Browser, gym: Gym) -> None:
    ada, ben = gym.join("sub_family"), gym.join()
    ben.member.name = "Ben"
    add_billing_reference(gym.session, ben, "stripe", "sub_family", by=BY, shared=True)
    part(gym, "in_both", "sub_family")
    manager.get("/review/")
    assert f"Members Ada , membership {ada.id} Ben , membership {ben.id} Gave 1 Spin, 1 Training to Ada 1 Spin" in (
        manager.text
    )
    for name, membership in (("Ada", ada), ("Ben", ben)):
        assert f">Give sessions to {name}<" in manager.page
        assert f">Take sessions from {name}<" in manager.page
        payment = re.search(rf"/members/{membership.member_id}/adjust\?payment=\d+&amp;sign=minus", manager.page)
        assert payment, name
        manager.get(payment[0].replace("&amp;", "&"))
        assert "Payment in_both of $9.00" in manager.text
        manager.get("/review/")


def test_every_reason_can_be_chosen() -> None:
    assert set(LABELS) == set(ReviewReason)


def test_it_is_filtered_by_reason_endpoint_and_member(manager: Browser, gym: Gym) -> None:
    membership = gym.join("sub_ada")
    part(gym)
    pay(gym, "in_lost", "sub_lost", 3)
    for asked, shown in (
        ("reason=part", {"in_part"}),
        ("reason=unmatched", {"in_lost"}),
        ("endpoint=stripe", {"in_part", "in_lost"}),
        ("endpoint=standard", set()),
        (f"member={membership.member_id}", {"in_part"}),
        ("reason=nonsense", {"in_part", "in_lost"}),
    ):
        assert manager.get(f"/review/?{asked}").status_code == 200
        assert {name for name in ("in_part", "in_lost") if f">{name}<" in manager.page} == shown, asked


def test_a_long_list_is_leafed_through(manager: Browser, gym: Gym) -> None:
    tell(gym.session, *(paid(f"in_{place:02}", f"sub_{place}") for place in range(30)))
    manager.get("/review/?reason=unmatched")
    assert manager.page.count("<article") == 25
    (following,) = {part.split('"')[0] for part in manager.page.split('href="')[1:] if "after=" in part.split('"')[0]}
    manager.get(following.replace("&amp;", "&"))
    assert manager.page.count("<article") == 5
    assert "First page" in manager.text


def test_who_paid_is_read_from_the_event_and_masked(
    manager: Browser, gym: Gym, engine: Engine, settings: Settings
) -> None:
    who = {"customer_name": "Grace Hopper", "customer_email": "grace@example.com"}
    what = "Gold, card 4242 4242 4242 4242"
    make = sessions(engine)
    scene.arrive(make, scene.paid("in_lost", "sub_lost", **who, description=what))
    Crediting(settings, make).drain()
    manager.get("/review/")
    assert "Grace Hopper, grace@example.com" in manager.text
    assert "Gold, card **** **** **** 4242" in manager.text
    assert "4242 4242 4242" not in manager.text


class TestLink:
    def test_the_desk_gives_it_to_whom_it_suggests(self, log_in: LogIn, gym: Gym, session: Session) -> None:
        membership = gym.join()
        pay(gym, "in_lost", "sub_lost", 1)
        desk = log_in(Role.DESK)
        desk.get("/review/")
        path = f"/review/{number(session, 'in_lost')}/link"
        assert f'href="{path}"' in desk.page
        desk.get(path)
        assert "Gold at Downtown · dues of this amount" in desk.text
        desk.post(path, reference="sub_lost", membership=str(membership.id))
        assert "sub_lost is Ada's. 1 payment that had waited for it is settled now." in desk.text
        assert held(session, membership) == {"Spin": 8, "Training": 2}
        assert in_review(session) == []

    def test_a_member_is_searched_for(self, log_in: LogIn, gym: Gym, session: Session) -> None:
        membership = gym.join("sub_ada")
        pay(gym, "in_lost", "sub_lost", 1)
        desk = log_in(Role.DESK)
        path = f"/review/{number(session, 'in_lost')}/link"
        desk.get(path)
        assert "Nobody is like this payer." in desk.text
        desk.get(f"{path}?q={membership.member.email}")
        assert "Gold at Downtown · found by e-mail" in desk.text
        desk.post(f"{path}?q={membership.member.email}", reference="sub_lost", membership=str(membership.id))
        assert held(session, membership) == {"Spin": 8, "Training": 2}

    def test_one_has_to_be_chosen(self, manager: Browser, gym: Gym, session: Session) -> None:
        pay(gym, "in_lost", "sub_lost", 1)
        path = f"/review/{number(session, 'in_lost')}/link"
        manager.get(path)
        for fields in ({}, {"membership": "x"}):
            assert manager.post(path, reference="sub_lost", **fields).status_code == 422
            assert "Choose whose it is." in manager.text
        assert manager.post(path, reference="sub_lost", membership="99999").status_code == 422
        assert "There is no membership 99999." in manager.text
        assert in_review(session) == ["in_lost"]

    def test_a_reference_that_it_does_not_wait_for_is_refused(
        self, manager: Browser, gym: Gym, session: Session
    ) -> None:
        membership = gym.join()
        pay(gym, "in_lost", "sub_lost", 1)
        path = f"/review/{number(session, 'in_lost')}/link"
        manager.get(path)
        assert manager.post(path, reference="sub_other", membership=str(membership.id)).status_code == 422
        assert in_review(session) == ["in_lost"]

    def test_a_product_is_nobodys_own(self, manager: Browser, gym: Gym, session: Session) -> None:
        gym.join("sub_ada")
        lines = Line(("sub_ada",), 9000), Line(("sub_else", "si_1", "price_1", "prod_1"), 1500)
        tell(gym.session, replace(paid("in_locker", "sub_ada", amount=10500), lines=lines))
        manager.get(f"/review/{number(session, 'in_locker')}/link")
        assert re.findall(r'<option[^>]*value="([^"]+)"', manager.page.split("<dialog")[1]) == ["sub_else", "si_1"]

    def test_what_is_settled_waits_for_nothing(self, manager: Browser, gym: Gym, session: Session) -> None:
        gym.join("sub_ada")
        part(gym)
        path = f"/review/{number(session, 'in_part')}/link"
        manager.get(path)
        assert "It waits for no billing reference: it has found its membership." in manager.text
        assert manager.get("/review/999/link").status_code == 404

    def test_a_search_for_the_payment_leads_there(self, log_in: LogIn, gym: Gym, session: Session) -> None:
        pay(gym, "in_lost", "sub_lost", 1)
        path = f"/review/{number(session, 'in_lost')}/link"
        for role, sees in ((Role.DESK, True), (Role.OPERATOR, True), (Role.VIEWER, False)):
            person = log_in(role)
            person.get("/members/?q=in_lost")
            assert "was paid, but belongs to no membership yet" in person.text
            assert (f'href="{path}"' in person.page) == sees


class TestAccept:
    def test_it_leaves_the_list_with_a_reason(self, manager: Browser, gym: Gym, session: Session) -> None:
        pay(gym, "in_cafe", "sub_cafe", 1)
        path = f"/review/{number(session, 'in_cafe')}/accept"
        manager.get("/review/")
        assert f'href="{path}"' in manager.page
        manager.get(path)
        assert manager.post(path, reason=" ").status_code == 422
        assert "Say why" in beside(manager, "reason")
        manager.post(path, reason="the cafe's")
        assert "in_cafe is accepted as it is." in manager.text
        assert in_review(session) == []
        act = session.scalars(select(Action).where(Action.verb == "accept payment")).one()
        assert (act.reason, act.actor) == ("the cafe's", "manager@example.com")
        manager.get(path)
        assert manager.post(path, reason="again").status_code == 422
        assert "is not in review, so it cannot be accepted." in manager.text

    def test_all_of_a_kind_at_once_if_they_are_as_many_as_were_shown(
        self, manager: Browser, gym: Gym, session: Session
    ) -> None:
        gym.join("sub_ada")
        part(gym, "in_1")
        part(gym, "in_2")
        pay(gym, "in_lost", "sub_lost", 1)
        path = "/review/accept-all?reason=part"
        manager.get("/review/?reason=part")
        assert f'href="{path}"' in manager.page
        manager.get(path)
        assert "2 payments in review as “Part” stay as they are" in manager.text
        part(gym, "in_3")
        assert manager.post(path, reason="trial months", count="2").status_code == 422
        assert "There are 3 now, not the 2 that you confirmed: look at them again." in manager.text
        assert 'value="3"' in manager.page
        manager.post(path, reason="trial months", count="3")
        assert "3 payments accepted." in manager.text
        assert in_review(session) == ["in_lost"]
        assert manager.get("/review/accept-all").status_code == 404

    def test_only_who_may_answer_sees_the_answers(self, log_in: LogIn, gym: Gym, session: Session) -> None:
        gym.join("sub_ada")
        part(gym)
        for role, answers in (
            (Role.VIEWER, set()),
            (Role.DESK, {"Give sessions", "Take sessions"}),
            (Role.MANAGER, {"Give sessions", "Take sessions", "Not dues", "Accept"}),
            (Role.OPERATOR, {"Accept"}),
        ):
            person = log_in(role)
            person.get("/review/")
            seen = {
                each for each in ("Give sessions", "Take sessions", "Not dues", "Accept") if f">{each}<" in person.page
            }
            assert seen == answers, role


class TestByHand:
    def test_sessions_are_given_for_a_payment_which_is_accepted_with_that(
        self, manager: Browser, gym: Gym, session: Session
    ) -> None:
        membership = gym.join("sub_ada")
        part(gym)
        path = f"/members/{membership.member_id}/adjust?reason=part&payment={number(session, 'in_part')}&sign=plus"
        manager.get("/review/?reason=part")
        assert path.replace("&", "&amp;") in manager.page
        manager.get(path)
        assert "Payment in_part of $9.00: $9.00 for 10% of what dues" in manager.text
        before = held(session, membership)["Training"]
        key = manager.page.split('name="key"')[1].split('value="')[1].split('"')[0]
        fields = {"item_id": str(gym.training.id), "sign": "plus", "quantity": "1", "note": "a gift", "key": key}
        answer = manager.post(path, follow=False, **fields, reason="goodwill", never="y", accepts="y")
        assert answer.headers["Location"] == "/review/?reason=part"
        assert held(session, membership)["Training"] == before + 1
        assert in_review(session) == []

    def test_the_desk_gives_them_and_leaves_the_payment_to_a_manager(
        self, log_in: LogIn, gym: Gym, session: Session
    ) -> None:
        membership = gym.join("sub_ada")
        part(gym)
        desk = log_in(Role.DESK)
        path = f"/members/{membership.member_id}/adjust?payment={number(session, 'in_part')}&sign=minus"
        desk.get(path)
        assert "the payment is accepted" not in desk.text
        key = desk.page.split('name="key"')[1].split('value="')[1].split('"')[0]
        fields = {"item_id": str(gym.training.id), "sign": "plus", "quantity": "1", "note": "a gift", "key": key}
        desk.post(path, **fields, reason="goodwill", accepts="y")
        assert in_review(session) == ["in_part"]

    def test_a_payment_of_somebody_else_is_not_taken_along(self, manager: Browser, gym: Gym, session: Session) -> None:
        gym.join("sub_ada")
        other = gym.join("sub_ben")
        part(gym)
        manager.get(f"/members/{other.member_id}/adjust?payment={number(session, 'in_part')}")
        assert "in_part" not in manager.page


class TestNotDues:
    def test_what_was_billed_is_marked_and_takes_its_sessions_back(
        self, manager: Browser, gym: Gym, session: Session
    ) -> None:
        membership = gym.join("sub_ada")
        part(gym)
        path = f"/review/{number(session, 'in_part')}/not-dues"
        manager.get(path)
        assert "sub_ada: everything that is billed by it" in manager.text
        assert "sessions that they gave for it are taken back" in manager.text
        assert manager.post(path, reason="a locker").status_code == 422
        manager.get(path, query_string={"what": "sub_ada"})
        said = "sub_ada is no dues. 1 payment of 1 member is judged again: 2 sessions are taken back."
        assert said in manager.text
        assert "1 Spin session: 0 instead of 1 left" in manager.text
        assert in_review(session) == ["in_part"], "a preview changes nothing"
        manager.post(path, what="sub_ada", reason="a locker")
        assert said in manager.text
        assert in_review(session) == []
        assert sum(held(session, membership).values()) == 0
        manager.get("/review/not-dues")
        assert "sub_ada stripe" in manager.text
        assert "a locker" in manager.text

    def test_a_mark_is_taken_back(self, manager: Browser, gym: Gym, session: Session) -> None:
        gym.join("sub_ada")
        part(gym)
        path = f"/review/{number(session, 'in_part')}/not-dues"
        manager.get(path)
        manager.get(path, query_string={"what": "sub_ada"})
        manager.post(path, what="sub_ada", reason="a locker")
        manager.get("/review/not-dues")
        (undo,) = [part.split('"')[0] for part in manager.page.split('href="') if part.split('"')[0].endswith("/undo")]
        manager.get(undo)
        manager.post(undo, reason="it was dues after all")
        assert (
            "sub_ada counts as dues again. 1 payment of 1 member is judged again: 2 sessions are given again."
            in manager.text
        )
        assert "Nothing is marked" in manager.text
        assert manager.get(undo).status_code == 404


def test_a_reference_is_shared_in_a_family_if_that_is_ticked(log_in: LogIn, gym: Gym, session: Session) -> None:
    one, other = gym.join("sub_family"), gym.join()
    gym.session.commit()
    desk = log_in(Role.DESK)
    desk.get(f"/memberships/{other.id}")
    path = f"/memberships/{other.id}/billing"
    assert "Share it with" not in desk.text
    assert desk.post(path, endpoint="stripe", reference="sub_family").status_code == 422
    assert "already belongs to membership" in desk.text
    assert "Share it with the membership that has it" in desk.text
    assert "later payments with it are divided equally" in desk.text
    desk.post(path, endpoint="stripe", reference="sub_family", shared="y")
    assert f"shared equally with membership {one.id} of Ada" in desk.text
    tell(gym.session, paid("in_1", "sub_family", at=datetime.now(UTC)), now=datetime.now(UTC))
    assert [held(session, each).get("Spin") for each in (one, other)] == [4, 4]
