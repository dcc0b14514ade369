"""A membership's page: its terms beside the current ones, its billing references and payments."""

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.catalogue.tables import SessionBucket
from models.members.memberships import BillingReference, Membership
from models.payments.facts import Reversed
from models.staff.accounts import Role
from models.staff.actions import Action
from tests.console.web.conftest import Browser
from tests.models.gym import DUES, PAID_AT, Gym, grants_of, paid, session_item, tell

LogIn = Callable[[Role], Browser]
DAY = timedelta(days=1)


@pytest.fixture
def membership(gym: Gym) -> Membership:
    """Ada's, with both session items, found by sub_1."""
    membership = gym.join("sub_1")
    gym.session.commit()
    return membership


def bucket(gym: Gym, name: str) -> SessionBucket:
    return next(one for one in gym.offer.buckets if one.item.name == name)


def change_terms(gym: Gym) -> None:
    """Dues of $99.00, 10 classes for 45 days, no more training, and Yoga on offer."""
    gym.term.dues_minor = 9900
    gym.term.set_bucket(bucket(gym, "Spin"), quantity=10, days_to_expire=45)
    gym.term.set_bucket(bucket(gym, "Training"), quantity=1, days_to_expire=0)
    yoga = session_item("Yoga")
    gym.session.add(yoga)
    gym.session.flush()
    added = gym.offer.add_bucket(yoga)
    gym.session.flush()
    gym.term.set_bucket(added, quantity=5, days_to_expire=0)
    gym.session.commit()


def today() -> datetime:
    return datetime.now(ZoneInfo("America/Chicago"))


class TestTerms:
    def test_terms_that_are_the_offers_say_so(self, log_in: LogIn, membership: Membership) -> None:
        page = log_in(Role.VIEWER)
        page.get(f"/memberships/{membership.id}")
        assert "Gold, Monthly Downtown · since" in page.text
        assert "times are Central Time" in page.text
        assert "Each $90.00 monthly payment gives 8 Spin sessions (30 days) and 2 Training sessions" in page.text
        assert "Dues $90.00 every month $90.00 every month Release" in page.text
        assert "Release At once At once Part" in page.text
        assert "Part payments Proportional Proportional Dues" in page.text
        assert "Spin 8 sessions (30 days) 8 sessions (30 days) Training" in page.text

    def test_pinned_terms_stand_beside_the_current_ones(self, log_in: LogIn, gym: Gym, membership: Membership) -> None:
        change_terms(gym)
        page = log_in(Role.VIEWER)
        page.get(f"/memberships/{membership.id}")
        assert "Each $90.00 monthly payment gives 8 Spin sessions (30 days) and 2 Training sessions" in page.text
        assert "Dues $90.00 every month $99.00 every month Changed" in page.text
        assert "8 sessions (30 days) 10 sessions (45 days) 2 more sessions; 45 days instead of 30 days" in page.text
        assert "2 sessions (never expiring) 1 session (never expiring) 1 fewer session" in page.text
        assert "Yoga — 5 sessions (never expiring) Not picked" in page.text

    def test_what_belongs_to_no_membership_is_not_found(self, log_in: LogIn, gym: Gym) -> None:
        page = log_in(Role.ADMIN)
        for path in ("/memberships/77", "/memberships/0", "/memberships/9" + "9" * 30, "/memberships/77/plan"):
            assert page.get(path).status_code == 404

    @pytest.mark.parametrize("cursor", ["x", "-1", "9" * 30])
    def test_a_garbled_cursor_is_not_found(self, log_in: LogIn, membership: Membership, cursor: str) -> None:
        assert log_in(Role.VIEWER).get(f"/memberships/{membership.id}?before={cursor}").status_code == 404


class TestBilling:
    def test_payments_that_waited_are_settled_at_once_and_shown(
        self, log_in: LogIn, gym: Gym, session: Session, membership: Membership
    ) -> None:
        tell(session, paid("in_1", "sub_9"))
        desk = log_in(Role.DESK)
        desk.get(f"/memberships/{membership.id}")
        assert "No payments yet." in desk.text
        desk.post(f"/memberships/{membership.id}/billing", endpoint="stripe", reference="sub_9")
        told = "Payments with sub_9 count for this membership. 1 payment that had waited for it is settled now."
        assert told in desk.text
        assert "in_1 Mar 1, 2024, 9:00 AM CST 8 Spin 2 Training" in desk.text
        assert len(grants_of(session, membership)) == 2
        act = session.scalars(select(Action).order_by(Action.id.desc()).limit(1)).one()
        assert (act.actor, act.verb, act.member_id) == (
            "desk@example.com",
            "add billing reference",
            membership.member_id,
        )

    def test_again_is_no_change(self, log_in: LogIn, session: Session, membership: Membership) -> None:
        desk = log_in(Role.DESK)
        desk.get(f"/memberships/{membership.id}")
        assert (
            desk.post(f"/memberships/{membership.id}/billing", endpoint="stripe", reference="sub_1").status_code == 200
        )
        assert len(session.scalars(select(BillingReference)).all()) == 1

    @pytest.mark.parametrize(
        ("endpoint", "reference", "told"),
        [
            ("stripe", "sub_2", "'sub_2' on endpoint 'stripe' already belongs to membership "),
            ("nowhere", "sub_3", "Choose the endpoint that the reference is of."),
            ("stripe", "", "Type the reference as the processor has it."),
            ("stripe", "   ", "Type the reference as the processor has it."),
            ("stripe", "r" * 256, "Field cannot be longer than 255 characters."),
        ],
    )
    def test_what_is_refused_stands_beside_the_field(
        self,
        log_in: LogIn,
        gym: Gym,
        session: Session,
        membership: Membership,
        endpoint: str,
        reference: str,
        told: str,
    ) -> None:
        gym.join("sub_2")
        session.commit()
        desk = log_in(Role.DESK)
        desk.get(f"/memberships/{membership.id}")
        answer = desk.post(f"/memberships/{membership.id}/billing", endpoint=endpoint, reference=reference)
        assert answer.status_code == 422
        assert told in desk.text
        assert len(session.scalars(select(BillingReference)).all()) == 2

    def test_viewers_see_no_form(self, log_in: LogIn, membership: Membership) -> None:
        viewer = log_in(Role.VIEWER)
        viewer.get(f"/memberships/{membership.id}")
        assert "sub_1 stripe" in viewer.text
        assert "Add billing reference" not in viewer.text
        assert "Change plan" not in viewer.text
        assert viewer.post(f"/memberships/{membership.id}/billing", endpoint="stripe", reference="x").status_code == 403


class TestPayments:
    def test_the_latest_paid_come_first_in_pages(self, log_in: LogIn, session: Session, membership: Membership) -> None:
        order = [*range(5, 27), 0, 1, 2, 3, 4]  # told out of order
        for number in order:
            tell(session, paid(f"in_{number:02}", "sub_1", at=PAID_AT + number * DAY), now=PAID_AT + 30 * DAY)
        page = log_in(Role.VIEWER)
        page.get(f"/memberships/{membership.id}")
        shown = [f"in_{number:02}" for number in range(27) if f"in_{number:02}" in page.text]
        assert shown == [f"in_{number:02}" for number in range(2, 27)]
        assert page.text.index("in_26") < page.text.index("in_04") < page.text.index("in_02")
        [link] = [part.split('"')[0] for part in page.page.split('href="') if "before=" in part.split('"')[0]]
        page.get(link.replace("&amp;", "&").partition("#")[0])
        assert [f"in_{number:02}" for number in range(27) if f"in_{number:02}" in page.text] == ["in_00", "in_01"]
        assert "Earlier payments" not in page.text

    def test_what_was_taken_back_is_told(self, log_in: LogIn, session: Session, membership: Membership) -> None:
        tell(session, paid("in_1", "sub_1"), Reversed("in_1", PAID_AT + DAY, "refund of in_1:re_1", DUES // 2, "USD"))
        page = log_in(Role.VIEWER)
        page.get(f"/memberships/{membership.id}")
        assert (
            "in_1 Mar 1, 2024, 9:00 AM CST 8 Spin · 4 taken back, because the money went back 2 Training · 1 taken back"
            in page.text
        )

    def test_a_held_payment_says_why(self, log_in: LogIn, session: Session, membership: Membership) -> None:
        tell(session, paid("in_1", "sub_1", currency="EUR"))
        page = log_in(Role.VIEWER)
        page.get(f"/memberships/{membership.id}")
        assert "€90.00, Mar 1, 2024, Stripe in_1 Mar 1, 2024, 9:00 AM CST In review paid in EUR, but" in page.text

    def test_one_that_events_contradict_leads_to_them(
        self, log_in: LogIn, session: Session, membership: Membership
    ) -> None:
        tell(session, paid("in_1", "sub_1"), paid("in_1", "sub_1", amount=9900))
        desk, operator = log_in(Role.DESK), log_in(Role.OPERATOR)
        for path in (f"/memberships/{membership.id}", f"/members/{membership.member_id}"):
            desk.get(path)
            assert "by another. Ask an operator." in desk.text
            operator.get(path)
            assert 'href="/operations/events/?find=in_1&amp;by=payment"' in operator.page

    def test_only_its_own_are_shown(self, log_in: LogIn, gym: Gym, session: Session, membership: Membership) -> None:
        other = gym.join("sub_2")
        session.commit()
        tell(session, paid("in_1", "sub_1"), paid("in_2", "sub_2"))
        page = log_in(Role.VIEWER)
        page.get(f"/memberships/{other.id}")
        assert "in_2" in page.text
        assert "in_1" not in page.text
