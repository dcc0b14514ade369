"""What is refused says what to do, beside the field that it is about; and what a role may not do is not offered."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from models.staff.accounts import Role
from tests.browser import sample
from tests.browser.conftest import Enter
from tests.browser.places import SIGN_UP, balance, rows
from tests.browser.site import Site
from tests.worker.scene import value

REDEEMED = "SELECT sum(quantity) FROM redemptions WHERE undoes IS NULL"


def refused(field: Locator, message: str) -> None:
    """The message belongs to the field, for eyes and for screen readers, and the field has the focus."""
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(message)
    expect(field).to_be_focused()
    expect(field.page.get_by_text(message)).to_be_visible()


def fresh_draft(page: Page, name: str) -> None:
    page.goto("/offers/new")
    page.get_by_role("dialog").get_by_label("Name").fill(name)
    page.get_by_role("button", name="Make the draft").click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()


def test_a_maximum_below_the_minimum(page: Page) -> None:
    page.goto("/offers/1/buckets")
    page.get_by_label("Minimum Required Session Buckets").fill("2")
    page.get_by_label("Maximum Allowed Session Buckets").fill("1")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    maximum = page.get_by_label("Maximum Allowed Session Buckets")
    refused(maximum, "Maximum allowed session buckets (1) cannot be less than minimum required (2).")
    expect(maximum).to_have_value("1")
    expect(page.get_by_label("Minimum Required Session Buckets")).to_have_value("2")


def test_days_without_sessions(page: Page) -> None:
    page.goto("/offers/1")
    page.get_by_role("link", name="Edit: Monthly").click()
    window = page.get_by_role("dialog", name="Edit Monthly")
    window.get_by_label("Session Quantity of Yoga").fill("0")
    window.get_by_label("Session Quantity of Spin").fill("7")
    window.get_by_label("Dues", exact=True).fill("95.00")
    window.get_by_role("button", name="Save").click()
    days = window.get_by_label("Days to Expire of Yoga")
    refused(days, "Days to expire is 45 but session quantity is 0: set both to 0 for an item not used under this term.")
    expect(window.get_by_label("Session Quantity of Spin")).to_have_value("7")
    expect(window.get_by_label("Dues", exact=True)).to_have_value("95.00")


def test_dues_that_are_no_amount(page: Page) -> None:
    page.goto("/offers/1/terms/new")
    page.get_by_label("Name").fill("Yearly")
    page.get_by_label("Dues", exact=True).fill("89,00")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    refused(page.get_by_label("Dues", exact=True), "'89,00' is not an amount in USD: type it like 89.00.")
    expect(page.get_by_label("Name")).to_have_value("Yearly")


def test_a_name_that_is_taken(page: Page) -> None:
    page.goto("/inventory/new")
    page.get_by_label("Name").fill("Yoga")
    page.get_by_label("Session type").select_option("Class")
    page.get_by_role("button", name="Save").click()
    refused(page.get_by_label("Name"), "There is already an item 'Yoga': choose another name.")


def test_an_offer_that_nobody_could_buy(page: Page) -> None:
    fresh_draft(page, "Bare")
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_role("alert")).to_contain_text("Nobody could buy 'Bare'")
    expect(page.get_by_text("Not on sale yet.")).to_be_visible()


def test_picks_below_the_minimum_and_no_address(page: Page) -> None:
    page.goto(SIGN_UP)
    page.get_by_role("button", name="Sign up").click()
    refused(page.get_by_label("E-mail"), "Type the member's e-mail address.")


def test_a_member_who_is_known(page: Page, site: Site) -> None:
    memberships = value(site.make, "SELECT count(*) FROM memberships")
    page.goto(f"{SIGN_UP}&email=BEN@example.com")
    expect(page.get_by_role("status").filter(has_text="Ben Bishop")).to_contain_text("gains a further membership")
    page.get_by_label("E-mail").fill("ann@example.com")
    page.get_by_label("Name", exact=True).fill("Annie")
    page.get_by_role("button", name="Sign up").click()
    expect(page.get_by_label("E-mail")).to_have_accessible_description(re.compile("Ann Archer has this address"))
    assert value(site.make, "SELECT count(*) FROM memberships") == memberships


def test_more_sessions_than_there_are(page: Page, site: Site) -> None:
    mia = sample.newcomer(site.make, "Mia")
    before = value(site.make, REDEEMED)
    page.goto(f"/members/{mia}")
    page.get_by_label("Yoga sessions to redeem").fill("99")
    page.get_by_role("button", name="Redeem Yoga").click()
    field = page.get_by_label("Yoga sessions to redeem")
    refused(field, "99 Yoga sessions asked for, 5 usable: nothing was taken.")
    assert value(site.make, REDEEMED) == before


def test_an_impatient_second_click(page: Page, site: Site) -> None:
    eli = sample.newcomer(site.make, "Eli")
    before = value(site.make, REDEEMED)
    page.goto(f"/members/{eli}")
    page.get_by_role("button", name="Redeem Personal Training").dblclick()
    expect(balance(page, "Personal Training")).to_contain_text("3 available")
    assert value(site.make, REDEEMED) == before + 1


def test_what_needs_a_second_person(enter: Enter, site: Site) -> None:
    ida, manager, admin = sample.newcomer(site.make, "Ida"), enter(Role.MANAGER), enter(Role.ADMIN)
    manager.goto(f"/members/{ida}/adjust")
    window = manager.get_by_role("dialog")
    window.get_by_label("Item").select_option("Yoga")
    window.get_by_label("Take sessions").check()
    window.get_by_label("Sessions", exact=True).fill("11")
    window.get_by_role("button", name="Adjust").click()
    refused(window.get_by_label("Note"), "Say why.")
    window.get_by_label("Note").fill("Counted twice")
    window.get_by_role("button", name="Adjust").click()
    refused(window.get_by_label("Sessions", exact=True), "11 Yoga sessions asked for, 5 usable: nothing was taken.")
    window.get_by_label("Give sessions").check()
    window.get_by_role("button", name="Adjust").click()
    expect(manager.get_by_role("status").first).to_contain_text("It waits until a second person")
    asked = "Adjustments that wait for a second person"
    expect(rows(manager, asked).get_by_role("button", name="Withdraw")).to_be_visible()
    expect(rows(manager, asked).get_by_role("button", name="Approve")).to_have_count(0)

    admin.goto(f"/members/{ida}")
    expect(rows(admin, asked).filter(has_text="Counted twice")).to_contain_text("+11")
    rows(admin, asked).get_by_role("button", name="Approve").click()
    expect(admin.get_by_role("status").first).to_contain_text("11 Yoga")
    expect(balance(admin, "Yoga")).to_contain_text("16 available")


@pytest.mark.parametrize(("role", "redeems", "builds"), [(Role.VIEWER, 0, 0), (Role.DESK, 2, 0), (Role.MANAGER, 2, 1)])
def test_a_role_is_offered_what_it_may_do(enter: Enter, role: Role, redeems: int, builds: int) -> None:
    page = enter(role)
    page.goto("/members/1")
    expect(page.get_by_role("heading", name="Ann Archer")).to_be_visible()
    expect(page.get_by_role("button", name="Redeem")).to_have_count(redeems)
    page.goto("/offers/1")
    expect(page.get_by_role("heading", name="Payment Terms")).to_be_visible()
    expect(page.get_by_role("link", name="Manage Session Buckets")).to_have_count(builds)
    expect(page.get_by_role("link", name="Edit: Monthly")).to_have_count(builds)


def test_a_wrong_password(enter: Enter) -> None:
    page = enter(None)
    page.goto("/members/1")
    page.get_by_label("E-mail").fill("admin@example.com")
    page.get_by_label("Password").fill("not the right one")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("The e-mail address or the password is wrong.")
    expect(page.get_by_label("Password")).to_have_value("")
