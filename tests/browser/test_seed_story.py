"""From an empty database to credited sessions as a gym's people do it, by clicking: with JavaScript, and without.

Building the offer follows the client's page, sentence by sentence: "Using Sessions Per Payment".
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Locator, Page, expect

from local import stripe_bodies
from models.staff.accounts import Role
from tests.browser.conftest import Enter, Open
from tests.browser.places import MINUS, WITHOUT, balance, go, rows, written
from tests.browser.site import Site
from tests.worker.scene import event, paid, post, until, value

ITEMS = {
    "Personal Training": ("Personal Training", 4, 30),
    "Group Class": ("Class", 8, 0),
    "Yoga": ("Class", 5, 45),
    "Spin": ("Class", 0, 0),
}
"""Item -> type, sessions per payment, days to expire."""
SENTENCE = (
    "Each $89.00 monthly payment gives 4 Personal Training sessions (30 days), 8 Group Class sessions "
    "(never expiring), and 5 Yoga sessions (45 days); the member picks at most 2 of these."
)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(True, id="with JavaScript"),
        # The windows without it have tests of their own; the whole story takes a minute more.
        WITHOUT,
    ],
)
def java_script(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def site(open_site: Open, java_script: bool) -> Iterator[Site]:
    """Everything, on an empty database."""
    with open_site("web", "worker") as site:
        yield site


def test_dues_become_sessions(enter: Enter, site: Site, java_script: bool) -> None:
    page = enter(Role.ADMIN, java_script=java_script)
    make_club(page)
    make_items(page)
    make_offer(page)
    make_payment_term(page)
    manage_session_buckets(page)
    set_up_sessions(page)
    publish(page)
    sign_up(page, java_script)
    add_billing_reference(page)

    paid_at = datetime.now(UTC) - timedelta(minutes=1)
    pay(site, "in_1", paid_at)
    page.get_by_role("link", name="Ann Archer").click()
    sees_sessions(page, paid_at)
    expect(page.get_by_role("region", name="First steps")).to_have_count(0)
    redeem_classes(page)
    sees_where_they_came_from(page)

    refund(site, "in_1")
    sees_the_shortfall(page)
    pay(site, "in_2", datetime.now(UTC))
    page.reload()
    expect(balance(page, "Group Class")).to_contain_text("5 available")
    expect(balance(page, "Group Class")).not_to_contain_text("reversed")
    expect(rows(page, "Statement").filter(has_text="Shortfall of another grant repaid")).to_contain_text(f"{MINUS}3")


def next_step(page: Page, what: str) -> Locator:
    """The link of the checklist to what has to be done next."""
    return page.get_by_role("region", name="First steps").get_by_role("paragraph").get_by_role("link", name=what)


def make_club(page: Page) -> None:
    go(page, "Clubs")
    expect(page.get_by_text("There is no club yet.")).to_be_visible()
    next_step(page, "Add your club").click()
    window = page.get_by_role("dialog", name="New club")
    window.get_by_label("Name").fill("Harbour")
    window.get_by_label("Time zone").select_option("America/New_York")
    window.get_by_label("Currency").select_option("USD")
    window.get_by_role("button", name="Save").click()
    expect(page.get_by_role("row", name="Harbour")).to_contain_text("Eastern Time")


def make_items(page: Page) -> None:
    """ "Before sessions can be added to a membership, they first need to be created in Inventory Management." """
    go(page, "Inventory Management")
    expect(page).to_have_title(re.compile("^Inventory Management"))
    expect(page.get_by_role("heading", name="Inventory Management")).to_be_visible()
    expect(page.get_by_text("There are no items yet.")).to_be_visible()
    next_step(page, "Add the session items").click()
    for name in [*ITEMS, "Towel"]:
        window = page.get_by_role("dialog", name="New item")
        window.get_by_label("Name").fill(name)
        if name in ITEMS:
            window.get_by_label("Session type").select_option(ITEMS[name][0])
        else:
            window.get_by_label("Other:").check()
        window.get_by_role("button", name="Save").click()
        expect(page.get_by_role("row", name=name)).to_be_visible()
        if name != "Towel":
            page.get_by_role("link", name="New item").first.click()


def make_offer(page: Page) -> None:
    """ "Navigate to the offer in Offer Builder that you wish to add the sessions to." """
    go(page, "Offer Builder")
    expect(page.get_by_text("There are no offers yet.")).to_be_visible()
    next_step(page, "Publish an offer").click()
    page.get_by_role("dialog", name="New offer").get_by_label("Name").fill("All In")
    page.get_by_role("button", name="Make the draft").click()
    expect(page.get_by_role("heading", name="All In")).to_be_visible()


def make_payment_term(page: Page) -> None:
    """The offer that the client's page begins with has its payment terms already."""
    page.get_by_role("link", name="Add payment term").click()
    window = page.get_by_role("dialog", name="Add payment term")
    window.get_by_label("Name").fill("Monthly")
    window.get_by_label("Dues", exact=True).fill("89.00")
    window.get_by_role("button", name="Save").click()
    expect(page.get_by_role("article", name="Monthly")).to_contain_text("$89.00 every month")


def manage_session_buckets(page: Page) -> None:
    """ "Scroll down to the Payment Terms section. Start by selecting Manage Session Buckets." """
    terms = page.get_by_role("region", name="Payment Terms")
    terms.get_by_role("link", name="Manage Session Buckets").click()
    window = page.get_by_role("dialog", name="Manage Session Buckets")
    # "First, we will need to set the Minimum Required Session Buckets and the Maximum Allowed Session Buckets."
    minimum = window.get_by_label("Minimum Required Session Buckets")
    maximum = window.get_by_label("Maximum Allowed Session Buckets")
    minimum.fill("1")
    # "You cannot make the Maximum Allowed Session Buckets less than the Minimum Required Session Buckets."
    maximum.fill("0")
    window.get_by_role("button", name="Add New").click()
    refusal = "Maximum allowed session buckets (0) cannot be less than minimum required (1)."
    expect(maximum).to_have_accessible_description(refusal)
    expect(minimum).to_have_value("1")
    expect(maximum).to_have_value("0")
    maximum.fill("2")
    added: list[str] = []
    for name, (kind, _, _) in ITEMS.items():
        # "Next, we will need to add the actual session items. To do this, click Add New." No Save comes before.
        window.get_by_role("button", name="Add New").click()
        adding = page.get_by_role("dialog", name="Add New Session Bucket")
        # "This will display a list of inventory items that were set up as Scheduler Buckets."
        expect(adding.get_by_role("radio")).to_have_count(len(ITEMS) - len(added))
        expect(adding.get_by_role("radio", name="Towel")).to_have_count(0)
        # "Simply select the item. You will also be able to indicate if this is a Required item. Be sure to click Save."
        adding.get_by_role("radio", name=f"{name} ({kind})").check()
        adding.get_by_role("checkbox", name="Required").set_checked(name == "Personal Training")
        adding.get_by_role("button", name="Save").click()
        added.append(name)
        expect(window.get_by_role("row", name=name)).to_contain_text("Yes" if name == "Personal Training" else "No")
        expect(minimum).to_have_value("1")
        expect(maximum).to_have_value("2")
    # "Once you've added all session items needed, you can close the Manage Session Buckets window."
    window.get_by_role("button", name="Close").last.click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("region", name="Session Buckets")).to_contain_text(
        re.compile(r"Minimum Required Session Buckets\s*1\s*Maximum Allowed Session Buckets\s*2")
    )


def set_up_sessions(page: Page) -> None:
    """ "Start by selecting the payment term you need to edit and scroll down to the Session Buckets section." """
    page.get_by_role("article", name="Monthly").get_by_role("link", name="Monthly", exact=True).click()
    window = page.get_by_role("dialog", name="Edit Monthly")
    section = window.get_by_role("region", name="Session Buckets")
    # "Here, you should now find the session items that you added in the Manage Session Buckets window."
    expect(section.get_by_role("row")).to_have_count(1 + len(ITEMS))
    for name, (_, quantity, days) in ITEMS.items():
        # "For any session items that are NOT going to be used ..., be sure to set both fields to 0." Spin is one.
        section.get_by_label(f"Session Quantity of {name}").fill(str(quantity))
        section.get_by_label(f"Days to Expire of {name}").fill(str(days))
    # "Once both quantities are set up for all Session Buckets, be sure to click Save for the payment term."
    window.get_by_role("button", name="Save").click()
    term = page.get_by_role("article", name="Monthly")
    expect(term).to_contain_text(SENTENCE)
    expect(term.get_by_role("row", name="Yoga")).to_contain_text(re.compile(r"5\s*45"))
    expect(term.get_by_role("row", name="Spin")).to_contain_text("not used")


def publish(page: Page) -> None:
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_role("status").first).to_contain_text("All In is on sale.")


def sign_up(page: Page, java_script: bool) -> None:
    go(page, "Sign-up")
    expect(page.get_by_role("radio", name="Monthly")).to_have_accessible_description(SENTENCE)
    picks = page.get_by_role("group", name="Session items")
    training, classes, yoga = (picks.get_by_role("checkbox", name=name) for name in list(ITEMS)[:3])
    expect(training).to_be_checked()
    expect(training).to_be_disabled()
    expect(picks.get_by_role("checkbox")).to_have_count(3)
    expect(picks.get_by_role("checkbox", name="Spin")).to_have_count(0)
    page.get_by_label("E-mail").fill("ann@example.com")
    page.get_by_label("Name", exact=True).fill("Ann Archer")
    classes.check()
    if java_script:
        expect(picks).to_contain_text("2 of 2 picked")
        expect(yoga).to_be_disabled()
    else:
        yoga.check()
        page.get_by_role("button", name="Sign up").click()
        expect(picks).to_contain_text("'All In' allows at most 2 session items; 3 picked.")
        yoga.uncheck()
    page.get_by_role("button", name="Sign up").click()
    expect(page.get_by_role("status").first).to_contain_text("Signed up: Ann Archer, All In, Monthly.")


def add_billing_reference(page: Page) -> None:
    next_step(page, "Give a membership its billing reference").click()
    page.get_by_role("textbox", name="Billing reference").fill("sub_1")
    page.get_by_role("button", name="Add billing reference").click()
    expect(page.get_by_role("status").first).to_contain_text("Payments with sub_1 count for this membership.")
    expect(next_step(page, "No payment has come yet")).to_be_visible()


def pay(site: Site, payment: str, at: datetime) -> None:
    """Stripe tells over HTTP that the dues were paid; and the worker takes it in."""
    link = stripe_bodies.invoice_payment(payment, f"pi_{payment}")
    tell(site, paid(payment, "sub_1", at=at))
    tell(site, event(f"evt_link_{payment}", "invoice_payment.paid", link, at))


def refund(site: Site, payment: str) -> None:
    now = datetime.now(UTC)
    body = stripe_bodies.refund(f"re_{payment}", f"pi_{payment}", int(now.timestamp()), 8900)
    tell(site, event(f"evt_re_{payment}", "refund.created", body, now))


def tell(site: Site, body: bytes) -> None:
    assert post(site.stack.port, body) == 200
    until(lambda: value(site.make, "SELECT count(*) = 0 FROM webhook_events WHERE state <> 'processed'"))


def sees_sessions(page: Page, paid_at: datetime) -> None:
    bought = paid_at.astimezone(ZoneInfo("America/New_York")).date()
    expect(balance(page, "Group Class")).to_contain_text("8 available")
    expect(balance(page, "Group Class")).to_contain_text("never expires")
    expect(balance(page, "Personal Training")).to_contain_text("4 available")
    last_day = bought + timedelta(days=30)
    for name, lasts, number in (("Group Class", "never", "8"), ("Personal Training", written(last_day), "4")):
        grant = rows(page, "Grants").filter(has_text=name)
        expect(grant.get_by_role("cell")).to_contain_text([written(bought), name, "payment $89.00", lasts, number])


def redeem_classes(page: Page) -> None:
    page.get_by_label("Group Class sessions to redeem").fill("3")
    page.get_by_role("button", name="Redeem Group Class").click()
    expect(page.get_by_role("status").first).to_contain_text("3 Group Class sessions redeemed")
    expect(balance(page, "Group Class")).to_contain_text("5 available")
    statement = rows(page, "Statement").filter(has_text="Group Class")
    expect(statement).to_contain_text(
        [re.compile(f"Redeemed.*admin@.*{MINUS}3.*5", re.DOTALL), re.compile(r"\+8\s+8\s")]
    )


def sees_where_they_came_from(page: Page) -> None:
    entry = rows(page, "Statement").filter(has_text="Group Class").filter(has_text="credited")
    entry.get_by_role("link", name="Payment credited").click()
    steps = page.get_by_role("main").get_by_role("listitem")
    for place, told in enumerate(("+8 Group Class", "$89.00", "Paid", "evt_in_1")):
        expect(steps.nth(place)).to_contain_text(told)
    expect(steps.nth(3)).to_contain_text('"type": "invoice.paid"')
    page.get_by_role("link", name="Ann Archer").first.click()


def sees_the_shortfall(page: Page) -> None:
    page.reload()
    expect(balance(page, "Group Class")).to_contain_text("0 available")
    expect(balance(page, "Group Class")).to_contain_text("3 sessions were used before they were taken back")
    taken = rows(page, "Statement").filter(has_text="Taken back").filter(has_text="Group Class")
    expect(taken).to_contain_text(f"{MINUS}5")
