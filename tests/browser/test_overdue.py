"""Dues that failed: what the desk sees, how it lets somebody in all the same, and how a manager ends it."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from local import sample_gym, stripe_bodies
from local.sample_gym import PERSONAL_TRAINING, YOGA
from models.staff.accounts import Role
from tests.browser import sample
from tests.browser.conftest import Enter
from tests.browser.places import balance
from tests.browser.site import Site
from tests.worker.scene import event, run


@pytest.fixture
def eve(site: Site) -> Iterator[str]:
    """The page of Eve, whose dues of yesterday failed, in a club that asks for a reason."""
    now = datetime.now(UTC)
    with site.make.begin() as session:
        joined = sample_gym.join(session, "eve@example.com", "Eve", [PERSONAL_TRAINING, YOGA], [("stripe", "sub_eve")])
        member_id = joined.member_id
    sample.pay(site.make, "in_eve", "sub_eve", now - timedelta(days=9))
    body = stripe_bodies.invoice("in_eve2", "sub_eve", int(now.timestamp()))
    sample._tell(site.make, now, event("evt_eve2", "invoice.payment_failed", body, now - timedelta(days=1)))
    run(site.make, "UPDATE clubs SET use_while_overdue = 'strict'")
    yield f"/members/{member_id}"
    run(site.make, "UPDATE clubs SET use_while_overdue = 'warn'")


def test_the_desk_lets_somebody_in_with_a_reason_and_a_manager_clears_it(enter: Enter, eve: str) -> None:
    page = enter(Role.DESK)
    page.goto("/members/")
    page.locator("summary", has_text="Filter").click()
    page.get_by_label("Dues").select_option("overdue")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("row")).to_have_count(2)
    page.get_by_role("link", name="Eve").click()
    expect(page.get_by_text(re.compile("^Overdue since "))).to_be_visible()
    page.get_by_role("button", name="Redeem Yoga").click()
    yoga = balance(page, "Yoga")
    expect(yoga.get_by_text("0 usable and 5 withheld: dues are overdue since")).to_be_visible()
    yoga.get_by_label("Why, although dues are overdue").fill("New card on Friday")
    yoga.get_by_role("button", name="Redeem").click()
    expect(page.get_by_role("status").first).to_contain_text("1 Yoga session redeemed")

    page = enter(Role.MANAGER)
    page.goto(eve)
    page.get_by_role("link", name="All In, Monthly").click()
    page.get_by_label("Why nothing is owed any more").fill("Paid in cash")
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("status").first).to_contain_text("Its dues are not overdue any more")
    expect(page.get_by_text("Overdue since")).to_have_count(0)
