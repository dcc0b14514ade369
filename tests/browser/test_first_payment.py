"""A first payment in a browser: who awaits one is found, the code is copied, and it brings the payment home."""

from datetime import UTC, datetime, timedelta

from playwright.sync_api import expect

from models.staff.accounts import Role
from tests.browser import sample
from tests.browser.conftest import Enter
from tests.browser.places import go
from tests.browser.site import Site


def test_a_code_that_is_copied_brings_the_payment_home(enter: Enter, site: Site) -> None:
    sample.awaits(site.make, "Wanda")
    page = enter(Role.DESK)
    go(page, "Operations")
    page.get_by_role("link", name="Awaiting payment", exact=True).click()
    page.get_by_role("link", name="All", exact=True).click()
    page.get_by_role("row").filter(has_text="Wanda").get_by_role("link", name="All In").click()
    expect(page.get_by_text("Awaits its first payment")).to_be_visible()
    code = page.get_by_label("Code", exact=True).input_value()
    sample.pay_with_code(site.make, "in_wanda", "sub_wanda", code, datetime.now(UTC) - timedelta(minutes=1))
    page.reload()
    expect(page.get_by_text("Awaits its first payment")).to_have_count(0)
    expect(page.get_by_role("cell", name="sub_wanda")).to_be_visible()
    expect(page.get_by_text("4 Personal Training", exact=True)).to_be_visible()
