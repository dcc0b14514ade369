"""The life of a membership at the desk: a freeze, its early end, the end, reopening it, and closing a club."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from playwright.sync_api import Locator, Page, expect
from sqlalchemy import text

from models.catalogue.clubs import create_club
from models.members.memberships import Membership
from models.staff.accounts import Role
from tests.browser import sample
from tests.browser.conftest import Enter
from tests.browser.places import WITH_AND_WITHOUT, balance, rows, written
from tests.browser.site import Site


def day(site: Site, days: int) -> str:
    """The date so many days from the club's today, as a date field has it."""
    with site.make() as session:
        zone = session.scalar(text("SELECT time_zone FROM clubs ORDER BY id LIMIT 1"))
    return (datetime.now(ZoneInfo(zone)).date() + timedelta(days=days)).isoformat()


def said(site: Site, days: int) -> str:
    """The same as pages write it."""
    return written(datetime.fromisoformat(day(site, days)).date())


def membership_of(site: Site, member_id: int) -> int:
    with site.make() as session:
        return session.query(Membership).filter_by(member_id=member_id).one().id


def preview(page: Page, button: str, fields: dict[str, str]) -> Locator:
    """Opens a window by that link, fills it in, and asks for its preview."""
    page.get_by_role("link", name=button).first.click()
    window = page.get_by_role("dialog")
    for name, value in fields.items():
        window.get_by_label(name).fill(value)
    window.get_by_role("button", name="Preview").click()
    return window


def press(window: Locator, button: str, why: str) -> None:
    window.get_by_label("Why").fill(why)
    window.get_by_role("button", name=button, exact=True).click()


@WITH_AND_WITHOUT
def test_a_freeze_is_previewed_done_ended_early_and_undone(enter: Enter, site: Site, java_script: bool) -> None:
    """With the page's scripts and without."""
    member_id = sample.newcomer(site.make, f"Frida{java_script}")
    membership_id = membership_of(site, member_id)
    page = enter(Role.MANAGER, java_script=java_script)
    page.goto(f"/memberships/{membership_id}")
    days = {"First frozen day": day(site, 0), "Last frozen day": day(site, 9)}
    window = preview(page, "Freeze", days)
    expect(window).to_contain_text(f"Frozen from {said(site, 0)} to {said(site, 9)}. Sessions cannot be used")
    expect(window).to_contain_text("instead of")
    press(window, "Freeze", "Hurt her knee")
    expect(page.get_by_text(f"Frozen until {said(site, 9)}.", exact=True)).to_be_visible()
    expect(rows(page, "Freezes and end").nth(1)).to_contain_text("Hurt her knee")
    page.goto(f"/members/{member_id}")
    expect(balance(page, "Personal Training")).to_contain_text(f"4 frozen until {said(site, 9)}")
    expect(balance(page, "Personal Training").get_by_role("button", name="Redeem")).to_have_count(0)
    page.goto(f"/memberships/{membership_id}")
    page.get_by_role("link", name="End this freeze early").click()
    window = page.get_by_role("dialog")
    expect(window).to_contain_text(f"instead of from {said(site, 0)} to {said(site, 9)}")
    press(window, "Change last day", "Well again")
    expect(page.get_by_text(f"Frozen until {said(site, 0)}.", exact=True)).to_be_visible()
    page.get_by_role("link", name="Undo").click()
    press(page.get_by_role("dialog"), "Undo freeze", "It was somebody else")
    expect(page.get_by_role("status").first).to_contain_text("As if it had never been frozen")
    expect(rows(page, "Freezes and end").get_by_role("link", name="Undo")).to_have_count(0)
    page.get_by_text("Everything that was recorded").click()
    expect(page.get_by_role("row").filter(has_text="Freeze undone")).to_contain_text("It was somebody else")
    page.goto(f"/members/{member_id}")
    expect(balance(page, "Personal Training").get_by_role("button", name="Redeem")).to_be_visible()


def test_a_membership_ends_and_is_reopened(enter: Enter, site: Site) -> None:
    member_id = sample.newcomer(site.make, "Enid")
    page = enter(Role.MANAGER)
    page.goto(f"/memberships/{membership_of(site, member_id)}")
    window = preview(page, "End membership", {"Last day of the membership": day(site, 12)})
    expect(window).to_contain_text("unused sessions are usable until their own day. No sessions move.")
    press(window, "End membership", "Moves away")
    expect(page.get_by_text(f"Ends on {said(site, 12)}.", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="End membership")).to_have_count(0)
    window = preview(page, "Change last day", {"Last day of the membership": day(site, 20)})
    press(window, "Change last day", "Moves later")
    expect(page.get_by_text(f"Ends on {said(site, 20)}.", exact=True)).to_be_visible()
    page.goto(f"/members/{member_id}")
    expect(page.get_by_text(f"Ends on {said(site, 20)}")).to_be_visible()
    page.go_back()
    page.get_by_role("link", name="Reopen").click()
    window = page.get_by_role("dialog")
    expect(window).to_contain_text("The membership goes on")
    press(window, "Reopen", "Stays after all")
    expect(page.get_by_role("status").first).to_contain_text("as if it had not ended")
    expect(rows(page, "Freezes and end").get_by_role("link", name="Reopen")).to_have_count(0)
    expect(page.get_by_role("link", name="End membership")).to_be_visible()


def test_what_is_refused_stands_beside_the_day(enter: Enter, site: Site) -> None:
    member_id = sample.newcomer(site.make, "Fern")
    page = enter(Role.MANAGER)
    page.goto(f"/memberships/{membership_of(site, member_id)}")
    days = {"First frozen day": day(site, 9), "Last frozen day": day(site, 0)}
    window = preview(page, "Freeze", days)
    expect(window).to_contain_text("is before the first")
    expect(window.get_by_label("Last frozen day")).to_have_attribute("aria-invalid", "true")
    press(window, "Freeze", "Hurt")
    expect(window).to_contain_text("is before the first")
    expect(window.get_by_label("Why")).to_have_value("Hurt")


def test_a_club_closes_and_opens_again(enter: Enter, site: Site) -> None:
    with site.make.begin() as session:
        create_club(session, name="Harbor", time_zone="America/Chicago", currency="USD")
    page = enter(Role.MANAGER)
    page.goto("/clubs/")
    page.get_by_role("link", name="Closures of Harbor").click()
    page.get_by_role("link", name="Close the club").click()
    window = page.get_by_role("dialog")
    expect(window).to_contain_text("Choose, then press Preview.")
    window.get_by_label("First closed day").fill(day(site, 24))
    window.get_by_label("Last closed day").fill(day(site, 26))
    window.get_by_role("button", name="Preview").click()
    expect(window).to_contain_text("3 days do not count for classes. No sessions move.")
    press(window, "Close the club", "Holidays")
    closed = rows(page, "In force and to come").nth(1)
    expect(closed).to_contain_text(f"{said(site, 24)} to {said(site, 26)}")
    expect(closed).to_contain_text("Holidays")
    page.get_by_role("link", name="Undo the closure").click()
    press(page.get_by_role("dialog"), "Undo closure", "Open after all")
    expect(page.get_by_text("No closure is in force or to come.")).to_be_visible()
