"""A test member at the desk: its clock goes forward a month, and its sessions expire by it."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from playwright.sync_api import expect

from models.staff.accounts import Role
from tests.browser import sample
from tests.browser.conftest import Enter
from tests.browser.places import balance, written
from tests.browser.site import Site


def test_a_month_goes_by_for_a_test_member(enter: Enter, site: Site) -> None:
    member_id = sample.newcomer(site.make, "Tess")
    page = enter(Role.MANAGER)
    page.goto(f"/members/{member_id}")
    page.get_by_role("link", name="Make test member").click()
    page.get_by_role("dialog").get_by_role("button", name="Make test member").click()
    expect(page.get_by_text("Test member: its clock has not been set forward.")).to_be_visible()
    balance(page, "Personal Training").get_by_role("button", name="Redeem").click()
    expect(balance(page, "Personal Training")).to_contain_text("3 available")
    page.get_by_role("link", name="Set the clock forward").click()
    page.get_by_role("dialog").get_by_role("button", name="Set the clock forward").click()
    later = written(datetime.now(ZoneInfo("America/Chicago")).date() + timedelta(days=31))
    expect(page.get_by_text(f"Test member: its clock is 31 days ahead ({later}).")).to_be_visible()
    expect(balance(page, "Personal Training")).to_contain_text("0 available")
    expect(balance(page, "Personal Training")).to_contain_text("The last 3 Personal Training sessions expired on")
    page.goto("/members/?q=tess")
    expect(page.get_by_role("row").filter(has_text="tess@example.com")).to_contain_text("Test")
