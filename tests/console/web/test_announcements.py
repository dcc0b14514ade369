"""What the payment provider says of a subscription, on the pages where staff apply or dismiss it."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select

from models.catalogue.clubs import Club
from models.members import life
from models.members.memberships import Membership
from models.payments.facts import Announced, Change
from models.staff.accounts import Role
from models.staff.actions import Action
from tests.console.web.conftest import Browser
from tests.models.gym import Gym, paid, tell

LogIn = Callable[[Role], Browser]
TOLD, ENDS = datetime(2026, 10, 5, 18, tzinfo=UTC), datetime(2028, 1, 31, 18, tzinfo=UTC)
SAYS = "Stripe says that this subscription ends on Jan 31, 2028."


@pytest.fixture
def membership(gym: Gym) -> Membership:
    """Ada's, of which an end was announced."""
    membership = gym.join("sub_1")
    tell(gym.session, Announced("sub_1", TOLD, Change.ENDS, ENDS))
    return membership


def press(page: Browser, what: str, **changes: str) -> int:
    """Presses the only button of that act on the page."""
    (path,) = re.findall(rf'action="(/announcements/\d+/\d+/{what})"', page.page)
    form = page.page[page.page.index(path) :]
    sent = dict(re.findall(r'type="hidden" name="(does|to|member)" value="([^"]*)"', form)[:3])
    return page.post(path, **{**sent, **changes}).status_code


def lived(gym: Gym, membership: Membership) -> list[tuple[str, date | None]]:
    gym.session.commit()
    return [(act.kind, act.last_day) for act in life.in_force(gym.session, membership_id=membership.id)]


@pytest.mark.parametrize("path", ["/memberships/{0.id}", "/members/{0.member_id}"])
def test_one_button_ends_the_membership(log_in: LogIn, gym: Gym, membership: Membership, path: str) -> None:
    page = log_in(Role.MANAGER)
    page.get(path.format(membership))
    assert f"{SAYS} sub_1 End the membership then Dismiss" in page.text
    assert press(page, "apply") == 200
    assert "The membership ends on Jan 31, 2028 (Ada)." in page.text
    assert SAYS not in page.text
    assert lived(gym, membership) == [("end", date(2028, 1, 31))]
    act = gym.session.scalars(select(Action).where(Action.verb == "end membership")).one()
    assert (act.actor, act.reason) == ("manager@example.com", SAYS.removesuffix("."))


def test_it_says_what_it_moved(log_in: LogIn, gym: Gym) -> None:
    held, now = gym.join("sub_2"), datetime.now(UTC)
    tell(gym.session, paid("in_1", "sub_2", at=now - timedelta(days=9)), now=now)
    tell(gym.session, Announced("sub_2", now - timedelta(days=3), Change.PAUSED))
    page = log_in(Role.MANAGER)
    page.get(f"/memberships/{held.id}")
    assert press(page, "apply") == 200
    assert "8 Spin sessions: usable without an end instead of" in page.text


def test_dismissed_it_is_gone(log_in: LogIn, gym: Gym, membership: Membership) -> None:
    page = log_in(Role.MANAGER)
    page.get("/announcements/")
    assert "Oct 5, 2026 Ada Downtown Stripe says that this subscription ends on Jan 31, 2028." in page.text
    assert press(page, "dismiss") == 200
    assert "Dismissed: the membership of Ada stays as it is." in page.text
    assert "Nothing to look at" in page.text
    assert lived(gym, membership) == []


def test_operations_count_them_and_lead_there(log_in: LogIn, membership: Membership) -> None:
    page = log_in(Role.VIEWER)
    page.get("/operations/")
    assert "Announcements 1 to look at" in page.text
    page.get("/announcements/")
    assert "Jan 31, 2028" in page.text


def test_only_managers_have_the_buttons(log_in: LogIn, gym: Gym, membership: Membership) -> None:
    page = log_in(Role.DESK)
    page.get(f"/memberships/{membership.id}")
    assert SAYS in page.text
    assert "/apply" not in page.page
    path = f"/announcements/1/{membership.id}"
    assert page.post(f"{path}/apply", does="end").status_code == 403
    assert page.post(f"{path}/dismiss", does="end").status_code == 403
    assert lived(gym, membership) == []


def test_a_button_of_before_changes_nothing(log_in: LogIn, gym: Gym, membership: Membership) -> None:
    page = log_in(Role.MANAGER)
    page.get(f"/memberships/{membership.id}")
    assert press(page, "apply", does="freeze") == 200
    assert "This announcement is not open any more" in page.text
    assert press(page, "apply", does="whatever") == 400
    assert lived(gym, membership) == []


def test_a_club_says_that_ends_apply_by_themselves(log_in: LogIn, gym: Gym) -> None:
    page = log_in(Role.MANAGER)
    page.get(f"/clubs/{gym.club.id}")
    fields = {"name": "Downtown", "time_zone": "America/Chicago", "currency": "USD", "shortfall_policy": "repay"}
    fields |= {"refund_fee_percent": "5", "refund_fee": "10.00", "was": "{}"}
    fields |= {"use_while_overdue": "warn", "overdue_grace_days": "7", "locale": "en_US"}
    page.post(f"/clubs/{gym.club.id}", **fields, apply_announcements="y")
    gym.session.expire_all()
    assert gym.session.get_one(Club, gym.club.id).apply_announcements
