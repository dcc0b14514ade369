"""Dues that failed: what the desk sees, how it lets somebody in all the same, and how a manager ends it."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect
from sqlalchemy import text

from local import stripe_bodies
from models.staff.accounts import Role
from tests.browser import sample
from tests.browser.conftest import Enter
from tests.browser.site import Site
from tests.worker.scene import event, run


@pytest.fixture
def strict(site: Site) -> str:
    """Eve's page, whose dues failed, in a club that asks for a reason; the sample's members owe nothing."""
    now = datetime.now(UTC)
    with site.make.begin() as session:
        ben = session.execute(text("SELECT min(id) FROM memberships WHERE member_id = 2")).scalar_one()
        session.execute(
            text("INSERT INTO billing_references VALUES ('stripe', 'sub_late', :ben) ON CONFLICT DO NOTHING"),
            {"ben": ben},
        )
    body = stripe_bodies.invoice("in_late", "sub_late", int(now.timestamp()))
    sample._tell(site.make, now, event("evt_late", "invoice.payment_failed", body, now - timedelta(days=1)))
    run(site.make, "UPDATE clubs SET use_while_overdue = 'strict'")
    return "/members/2"


def test_the_desk_lets_somebody_in_with_a_reason_and_a_manager_clears_it(enter: Enter, strict: str) -> None:
    page = enter(Role.DESK)
    page.goto("/members/?standing=overdue")
    expect(page.get_by_role("row")).to_have_count(2)
    page.goto(strict)
    expect(page.get_by_text("Overdue since")).to_be_visible()
    page.get_by_role("button", name="Redeem").first.click()
    expect(page.get_by_text("dues are overdue since")).to_be_visible()
    page.get_by_label("Why, although dues are overdue").first.fill("New card on Friday")
    page.get_by_role("button", name="Redeem").first.click()
    expect(page.get_by_text("redeemed")).to_be_visible()
    page = enter(Role.MANAGER)
    page.goto(strict)
    page.get_by_role("list").get_by_role("link", name="All In").first.click()
    page.get_by_label("Why nothing is owed any more").fill("Paid in cash")
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_text("Its dues are not overdue any more")).to_be_visible()
    expect(page.get_by_text("Overdue since")).to_have_count(0)
