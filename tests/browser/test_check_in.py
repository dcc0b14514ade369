"""A check-in that says when and what for, and the reason beside what cannot be used."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from playwright.sync_api import expect

from models.staff.accounts import Role
from tests.browser.conftest import Enter
from tests.browser.places import WITH_AND_WITHOUT, balance, rows


@WITH_AND_WITHOUT
def test_a_check_in_says_when_and_what_for(enter: Enter, java_script: bool) -> None:
    """With the page's scripts and without."""
    page = enter(Role.MANAGER, java_script=java_script)
    page.goto("/members/1")
    card = page.get_by_role("region", name="Sessions").locator(".balance").filter(has=page.get_by_role("button")).first
    item = card.get_by_role("heading").inner_text()
    card = balance(page, item)
    expect(card.get_by_label("Trainer")).to_be_hidden()
    card.get_by_text("When and what for").click()
    card.get_by_label("When", exact=True).fill("2199-01-01T18:00")
    card.get_by_label("Class", exact=True).fill("Pilates")
    card.get_by_label("Trainer").fill("Kim")
    card.get_by_role("button", name="Redeem").click()
    expect(card).to_contain_text("That is in the future")
    expect(card.get_by_label("Trainer")).to_have_value("Kim")
    at = datetime.now(ZoneInfo("America/Chicago")) - timedelta(minutes=2)
    card.get_by_label("When", exact=True).fill(at.strftime("%Y-%m-%dT%H:%M"))
    card.get_by_role("button", name="Redeem").click()
    expect(page.get_by_role("status")).to_contain_text(f"redeemed for {at:%b %-d, %Y}")
    said = f"Pilates, {at:%a} {at:%-I:%M} {at:%p} {at:%Z}, with Kim, checked in by "
    expect(rows(page, "Statement").filter(has_text=said)).to_have_count(1)
