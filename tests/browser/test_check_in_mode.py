"""A check-in at a busy desk: by keys, by a scanner that types, by touch, and without scripts."""

import re

from playwright.sync_api import Browser, Page, expect

from models.ledger.tables import CreditGrant
from models.members.memberships import Member, Membership
from models.staff.accounts import Role
from tests.browser import sample
from tests.browser.conftest import Enter
from tests.browser.places import WITH_AND_WITHOUT
from tests.browser.site import Site, log_in, visit

TRAINING, YOGA = "Personal Training", "Yoga"


def press(page: Page, *keys: str) -> int:
    """Presses them one after the other, as a person does; how many."""
    for key in keys:
        page.keyboard.press(key)
    return len(keys)


def left(site: Site, member_id: int) -> int:
    with site.make() as session:
        return sum(one.remaining for one in session.query(CreditGrant).filter_by(member_id=member_id))


def test_under_ten_keys_from_a_name_to_a_check_in_and_back(enter: Enter, site: Site) -> None:
    """Accents and case do not matter; Enter and Enter check in; what is left is said, and a key undoes it."""
    member_id = sample.newcomer(site.make, "Zora")
    with site.make.begin() as session:
        session.get_one(Member, member_id).name = "Zoë Núñez"
    page = enter(Role.DESK)
    box = page.get_by_role("combobox")
    expect(page).to_have_url(re.compile("/check-in/$"))
    expect(box).to_be_focused()
    keys = press(page, "N", "u", "n")
    expect(page.get_by_role("option")).to_have_count(1)
    keys += press(page, "Enter")
    button = page.get_by_role("button", name="Check in")
    expect(button).to_be_focused()
    expect(page.get_by_role("radio", checked=True)).to_have_count(1)
    # The second item by its number, and by the arrow the first again.
    keys += press(page, "2", "ArrowDown")
    expect(page.get_by_role("radio", name=TRAINING)).to_be_checked()
    keys += press(page, "Enter")
    assert keys < 10
    expect(page.get_by_role("status")).to_contain_text("Zoë Núñez has 3 Personal Training left")
    expect(box).to_be_focused()
    assert left(site, member_id) == 8
    page.reload()
    assert left(site, member_id) == 8
    press(page, "Control+z")
    expect(page.get_by_role("status")).to_contain_text("1 Personal Training session given back. Zoë Núñez has 4")
    assert left(site, member_id) == 9
    expect(page.get_by_role("option").first).to_contain_text("Zoë")
    press(page, "ArrowDown", "Enter")
    expect(page.get_by_role("heading", name="Zoë")).to_be_visible()
    page.goto("/offers/1")
    press(page, "/")
    assert page.evaluate("document.querySelectorAll('input[type=search]').length") == 1
    expect(page.get_by_role("searchbox")).to_be_focused()


def test_a_scanner_opens_the_member_and_never_checks_in_the_one_before(enter: Enter, site: Site) -> None:
    ids = [sample.newcomer(site.make, name) for name in ("Scanned", "Before")]
    with site.make() as session:
        code = session.query(Membership).filter_by(member_id=ids[0]).one().code
    page = enter(Role.DESK)
    for line_end in ("\n", ""):
        for text in (code, code.upper()):
            page.goto(f"/check-in/{ids[1]}")
            expect(page.get_by_role("button", name="Check in")).to_be_focused()
            page.keyboard.type(text + line_end)
            expect(page.get_by_role("heading", name="Scanned")).to_be_visible()
            expect(page).to_have_url(re.compile(f"/check-in/{ids[0]}$"))
    assert [left(site, one) for one in ids] == [9, 9]


@WITH_AND_WITHOUT
def test_by_touch(browser: Browser, site: Site, java_script: bool) -> None:
    member_id = sample.newcomer(site.make, "Tapped")
    window = visit(browser, site, java_script=java_script, width=390)
    page = window.page
    log_in(page, site.account(Role.DESK))
    page.get_by_label("Name, e-mail, card").fill("tap")
    if java_script:
        page.get_by_role("option", name="Tapped").click()
    else:
        page.get_by_role("button", name="Find").click()
    page.get_by_label(YOGA).check()
    page.get_by_role("button", name="Check in").click()
    expect(page.get_by_role("status")).to_contain_text("Tapped has 4 Yoga left")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("status")).to_contain_text("given back")
    assert left(site, member_id) == 9
    assert window.trouble == []
    page.context.close()


def test_the_lists_filter_and_order_stay_in_the_address(enter: Enter, site: Site) -> None:
    """Chosen by keys; the next page and a reload keep them."""
    sample.newcomer(site.make, "Listed")
    page = enter(Role.VIEWER)
    page.goto("/members/")
    page.get_by_text("Filter and sort").press("Enter")
    page.get_by_label("Expiring").select_option("30")
    page.get_by_label("Sort by").select_option("joined")
    page.get_by_role("button", name="Show").press("Enter")
    expect(page).to_have_url(re.compile("expiring=30.*order=joined"))
    expect(page.get_by_role("row").nth(1)).to_contain_text("Listed")
    expect(page.get_by_role("row").nth(1)).to_contain_text("4 Personal Training")
    page.reload()
    expect(page.get_by_label("Expiring")).to_have_value("30")
    page.get_by_label("Sessions left").select_option("none")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("cell", name="Listed")).to_have_count(0)
