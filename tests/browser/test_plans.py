"""A payment term whose sentence follows what is typed, and a plan that changes after its preview."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from models.staff.accounts import Role
from models.wording import day_of
from tests.browser.conftest import Enter

SAID = "Each $1,188.00 yearly payment gives 8 Personal Training sessions a month, 12 times (30 days each)"


def test_the_sentence_follows_what_is_typed(page: Page) -> None:
    page.goto("/offers/1/terms/new")
    window = page.get_by_role("dialog")
    window.get_by_label("Name").fill("Yearly")
    window.get_by_label("Dues", exact=True).fill("1,188.00")
    window.get_by_label("Interval").select_option("year")
    window.get_by_label("Session Quantity of Personal Training").fill("8")
    window.get_by_label("Days to Expire of Personal Training").fill("30")
    with page.expect_response("**/preview?*release=monthly*") as previewed:
        window.get_by_label("Release").select_option("monthly")
    expect(window).to_contain_text(SAID)
    assert previewed.value.header_value("set-cookie") is None
    window.get_by_label("Interval").select_option("month")
    expect(window).not_to_contain_text("yearly payment gives")
    window.get_by_role("button", name="Save").click()
    expect(window).to_contain_text("Sessions are released monthly only of dues for more than a month")


@pytest.mark.parametrize("java_script", [True, False])
def test_a_plan_changes_after_its_preview(enter: Enter, java_script: bool) -> None:
    """With the page's scripts and without."""
    page = enter(Role.MANAGER, java_script=java_script)
    day = datetime.now(UTC).date() + timedelta(days=200 + java_script)
    page.goto("/memberships/3")
    page.get_by_role("link", name="Change plan").click()
    window = page.get_by_role("dialog")
    window.get_by_label("First day").fill(day.isoformat())
    for box in window.get_by_role("checkbox").all():
        if box.is_enabled() and box.is_checked():
            box.uncheck()
    window.get_by_role("button", name="Preview").click()
    expect(window).to_contain_text(
        f"From {day_of(day)}, each $89.00 monthly payment gives 4 Personal Training sessions"
    )
    window.get_by_label("Why").fill("only trainings")
    window.get_by_role("button", name="Change plan").click()
    expect(page.get_by_role("region", name="Terms", exact=True)).to_contain_text(f"Planned from {day_of(day)}: All In")
