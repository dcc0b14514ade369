"""Review in a browser: the desk gives a payment that is nobody's to a member whom it finds."""

from datetime import UTC, datetime, timedelta

from playwright.sync_api import expect

from models.staff.accounts import Role
from tests.browser import sample
from tests.browser.conftest import Enter
from tests.browser.places import go
from tests.browser.site import Site


def test_a_payment_of_nobody_is_linked_by_a_search(enter: Enter, site: Site) -> None:
    sample.newcomer(site.make, "Lina")
    sample.pay(site.make, "in_linked", "sub_linked", datetime.now(UTC) - timedelta(hours=3))
    page = enter(Role.DESK)
    go(page, "Review")
    payment = page.get_by_role("article").filter(has_text="in_linked")
    expect(payment).to_contain_text("No membership has sub_linked.")
    payment.get_by_role("link", name="Link in_linked").click()
    window = page.get_by_role("dialog", name="Whose is this payment?")
    window.get_by_role("searchbox").fill("lina")
    window.get_by_role("button", name="Find").click()
    window.get_by_label("Lina").check()
    window.get_by_role("button", name="Link").click()
    expect(page.get_by_text("sub_linked is Lina's.")).to_be_visible()
    expect(payment).to_have_count(0)
