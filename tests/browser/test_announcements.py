"""An announced end in a browser: a manager sees it on the member's page, and ends the membership with one button."""

from datetime import UTC, datetime, timedelta

from playwright.sync_api import expect

from models.staff.accounts import Role
from tests.browser import sample
from tests.browser.conftest import Enter
from tests.browser.places import go
from tests.browser.site import Site


def test_a_membership_ends_as_the_provider_says(enter: Enter, site: Site) -> None:
    member_id, now = sample.newcomer(site.make, "Nora"), datetime.now(UTC)
    sample.announce_end(site.make, "sub_nora", now + timedelta(days=30), now - timedelta(hours=1))
    page = enter(Role.MANAGER)
    go(page, "Operations")
    page.get_by_role("link", name="Announcements", exact=True).click()
    expect(page.get_by_role("row").filter(has_text="Nora")).to_contain_text("this subscription ends on")
    page.goto(f"{site.url}/members/{member_id}")
    told = page.get_by_role("status").filter(has_text="Stripe says that this subscription ends on")
    told.get_by_role("button", name="End the membership then").click()
    expect(page.get_by_text("The membership ends on")).to_be_visible()
    expect(told).to_have_count(0)
