"""What was typed is kept, whichever button comes next, and the browser asks before it is lost."""

import re

import pytest
from playwright.sync_api import Dialog, Locator, Page, expect

from models.staff.accounts import Role
from tests.browser.conftest import Enter
from tests.browser.places import rows

WITH_AND_WITHOUT = pytest.mark.parametrize("java_script", [True, False], ids=["with JavaScript", "without JavaScript"])


def draft(page: Page, name: str) -> Locator:
    """The window Manage Session Buckets of a new draft, which allows 0 to 1 and has Yoga."""
    page.goto("/offers/new")
    page.get_by_role("dialog").get_by_label("Name").fill(name)
    page.get_by_role("button", name="Make the draft").click()
    page.get_by_role("link", name="Manage Session Buckets").click()
    page.get_by_role("button", name="Add New").click()
    page.get_by_role("radio", name="Yoga (Class)").check()
    page.get_by_role("button", name="Save").click()
    window = page.get_by_role("dialog", name="Manage Session Buckets")
    expect(window.get_by_role("row", name="Yoga")).to_be_visible()
    return window


def set_limits(window: Locator, minimum: int, maximum: int) -> None:
    window.get_by_label("Minimum Required Session Buckets").fill(str(minimum))
    window.get_by_label("Maximum Allowed Session Buckets").fill(str(maximum))


def has_limits(page: Page, minimum: int, maximum: int) -> None:
    said = re.compile(rf"Minimum Required Session Buckets\s*{minimum}\s*Maximum Allowed Session Buckets\s*{maximum}\b")
    expect(page.locator(".limits")).to_contain_text(said)


@WITH_AND_WITHOUT
def test_every_button_of_the_window_keeps_the_limits(enter: Enter, java_script: bool) -> None:
    page = enter(Role.MANAGER, java_script=java_script)
    window = draft(page, f"Kept {java_script}")
    set_limits(window, 1, 2)
    window.get_by_role("button", name="Add New").click()
    expect(page.get_by_role("dialog", name="Add New Session Bucket")).to_be_visible()
    page.get_by_role("link", name="Cancel").click()
    has_limits(page, 1, 2)
    set_limits(window, 1, 3)
    window.get_by_role("button", name="Make required: Yoga").click()
    expect(window.get_by_role("row", name="Yoga")).to_contain_text("Yes")
    has_limits(page, 1, 3)
    set_limits(window, 0, 4)
    window.get_by_role("button", name="Remove: Yoga").click()
    expect(page.get_by_role("dialog", name="Remove Yoga?")).to_be_visible()
    page.get_by_role("link", name="Cancel").click()
    has_limits(page, 0, 4)
    set_limits(window, 0, 5)
    window.get_by_label("Maximum Allowed Session Buckets").press("Enter")
    expect(window.get_by_role("status")).to_contain_text("A member picks between 0 and 5 session items.")
    set_limits(window, 0, 6)
    window.get_by_role("button", name="Close").first.click()  # the cross
    expect(page.get_by_role("dialog")).to_have_count(0)
    has_limits(page, 0, 6)


@WITH_AND_WITHOUT
def test_limits_that_are_refused_come_back_as_they_were_typed(enter: Enter, java_script: bool) -> None:
    page = enter(Role.MANAGER, java_script=java_script)
    window = draft(page, f"Refused {java_script}")
    set_limits(window, 3, 2)
    window.get_by_role("button", name="Close").last.click()
    maximum = window.get_by_label("Maximum Allowed Session Buckets")
    refusal = "Maximum allowed session buckets (2) cannot be less than minimum required (3)."
    expect(maximum).to_have_accessible_description(refusal)
    expect(maximum).to_have_value("2")
    expect(window.get_by_label("Minimum Required Session Buckets")).to_have_value("3")
    window.get_by_role("link", name="Close without saving").click()
    has_limits(page, 0, 1)


def test_escape_keeps_the_limits_too(enter: Enter) -> None:
    page = enter(Role.MANAGER)
    set_limits(draft(page, "Escaped"), 1, 2)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    has_limits(page, 1, 2)


@WITH_AND_WITHOUT
def test_an_item_keeps_its_new_name_when_it_is_retired(enter: Enter, java_script: bool) -> None:
    page, name = enter(Role.MANAGER, java_script=java_script), f"Aqua {java_script}"
    page.goto("/inventory/new")
    page.get_by_label("Name").fill("Aqua")
    page.get_by_label("Session type").select_option("Class")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Aqua", exact=True).click()
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Retire").click()
    expect(page.get_by_role("row", name=name)).to_contain_text("Retired")


@WITH_AND_WITHOUT
def test_a_filter_that_is_typed_goes_with_every_button_of_the_list(enter: Enter, java_script: bool) -> None:
    page = enter(Role.OPERATOR, java_script=java_script)
    page.goto("/operations/events/?state=dead")
    page.locator("summary", has_text="Filter").click()
    page.get_by_label("Find", exact=True).fill("evt_in_dead1")
    page.get_by_role("button", name="Replay all").click()
    expect(page.get_by_role("main")).to_contain_text("1 event in state “failed”, with the id evt_in_dead1")
    page.get_by_role("link", name="Cancel").click()
    page.locator("summary", has_text="Filter").click()
    page.get_by_label("Find", exact=True).fill("evt_in_twice")
    page.get_by_role("button", name="Quarantined").click()
    expect(page.get_by_label("Find", exact=True)).to_have_value("evt_in_twice")
    expect(page.get_by_role("button", name="Quarantined")).to_have_attribute("aria-current", "true")
    expect(page.get_by_role("row").filter(has_text="evt_in_twice")).to_have_count(1)
    page.locator("summary", has_text="Filter").click()
    page.get_by_label("Endpoint").select_option("stripe")
    page.get_by_label("Find", exact=True).press("Enter")
    expect(page).to_have_url(re.compile("state=quarantined.*endpoint=stripe"))


@WITH_AND_WITHOUT
def test_the_moment_and_the_item_of_a_statement_keep_each_other(enter: Enter, java_script: bool) -> None:
    page = enter(Role.DESK, java_script=java_script)
    page.goto("/members/1")
    page.get_by_label("As of").fill("2026-01-01T12:00")
    page.get_by_label("Item").select_option("Group Class")
    if not java_script:
        page.get_by_role("region", name="Statement").get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile(r"as_of=2026-01-01T12%3A00&item=\d+#statement$"))
    expect(page.get_by_label("As of")).to_have_value("2026-01-01T12:00")


@WITH_AND_WITHOUT
def test_a_sign_up_keeps_what_was_typed_when_another_payment_term_is_chosen(enter: Enter, java_script: bool) -> None:
    page = enter(Role.ADMIN, java_script=java_script)
    offer_with_two_terms(page, f"Duo {java_script}")
    page.goto("/sign-up/?club=1")
    page.get_by_label("Offer").select_option(f"Duo {java_script}")
    choose(page, java_script)
    page.get_by_label("E-mail").fill("nora@example.com")
    page.get_by_label("Name", exact=True).fill("Nora New")
    page.get_by_label("Billing reference").fill("sub_nora")
    expect(page.get_by_text("Choose a payment term: it says which session items there are to pick.")).to_be_visible()
    page.get_by_role("radio", name="Both").check()
    choose(page, java_script)
    picks = page.get_by_role("group", name="Session items")
    picks.get_by_role("checkbox", name="Yoga").check()
    page.get_by_role("radio", name="Only Spin").check()
    choose(page, java_script)
    expect(page.get_by_role("radio", name="Only Spin")).to_be_focused()
    expect(page.get_by_text("No longer picked, because Only Spin gives no sessions of it: Yoga.")).to_be_visible()
    expect(picks.get_by_role("checkbox")).to_have_count(1)
    expect(page.get_by_label("E-mail")).to_have_value("nora@example.com")
    expect(page.get_by_label("Name", exact=True)).to_have_value("Nora New")
    expect(page.get_by_label("Billing reference")).to_have_value("sub_nora")
    page.goto("/offers/")
    page.get_by_role("link", name=f"Duo {java_script}").click()
    page.get_by_role("button", name="Retire", exact=True).first.click()
    expect(page.get_by_role("status").first).to_contain_text("is off sale")


def choose(page: Page, java_script: bool) -> None:
    """What JavaScript does by itself after a choice."""
    if java_script:
        page.wait_for_load_state()
    else:
        page.get_by_role("button", name="Continue").last.click()


def offer_with_two_terms(page: Page, name: str) -> None:
    """Both gives sessions of Yoga and Spin, Only Spin of Spin alone."""
    window = draft(page, name)
    window.get_by_role("button", name="Add New").click()
    page.get_by_role("radio", name="Spin (Class)").check()
    page.get_by_role("button", name="Save").click()
    set_limits(window, 1, 2)
    window.get_by_role("button", name="Close").last.click()
    for term, yoga in (("Both", 5), ("Only Spin", 0)):
        page.get_by_role("link", name="Add payment term").click()
        adding = page.get_by_role("dialog", name="Add payment term")
        adding.get_by_label("Name").fill(term)
        adding.get_by_label("Dues", exact=True).fill("50")
        adding.get_by_label("Session Quantity of Yoga").fill(str(yoga))
        adding.get_by_label("Session Quantity of Spin").fill("3")
        adding.get_by_role("button", name="Save").click()
        expect(page.get_by_role("article", name=term)).to_be_visible()
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_role("status").first).to_contain_text("is on sale")


class TestTheBrowserAsks:
    """Before a slip loses what was typed; not where somebody says that it is not wanted."""

    @pytest.fixture
    def asked(self) -> list[str]:
        return []

    @pytest.fixture
    def page(self, enter: Enter, asked: list[str]) -> Page:
        """In the window Adjust of a member; whoever is asked whether to leave stays."""
        page = enter(Role.DESK)
        page.goto("/members/2/adjust")

        def stay(dialog: Dialog) -> None:
            asked.append(dialog.type)
            dialog.dismiss()

        page.on("dialog", stay)
        return page

    def test_escape_does_not_lose_a_note(self, page: Page, asked: list[str]) -> None:
        page.get_by_role("dialog").get_by_label("Note").press_sequentially("Counted twice")
        page.keyboard.press("Escape")
        page.wait_for_function("() => true")
        expect(page.get_by_role("dialog").get_by_label("Note")).to_have_value("Counted twice")
        assert asked == ["beforeunload"]

    def test_cancel_goes_without_asking(self, page: Page, asked: list[str]) -> None:
        page.get_by_role("dialog").get_by_label("Note").press_sequentially("Counted twice")
        page.get_by_role("link", name="Cancel").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        assert asked == []

    def test_escape_goes_where_nothing_was_typed(self, page: Page, asked: list[str]) -> None:
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        assert asked == []

    def test_another_button_of_the_window_does_not_lose_a_password(self, enter: Enter, asked: list[str]) -> None:
        page = enter(Role.ADMIN)
        enter(Role.VIEWER)
        page.goto("/staff/")
        page.get_by_role("link", name="Viewer Example").click()
        page.once("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
        page.get_by_label("New password").press_sequentially("correct horse battery staple")
        page.get_by_role("button", name="Save role").click()
        page.wait_for_function("() => true")
        expect(page.get_by_label("New password")).to_have_value("correct horse battery staple")
        assert asked == ["beforeunload"]

    def test_what_is_sent_is_not_lost(self, page: Page, asked: list[str]) -> None:
        last_day = page.get_by_role("dialog").get_by_label("Last usable day")
        of_another_item = last_day.input_value()
        page.get_by_role("dialog").get_by_label("Item").select_option("Yoga")
        expect(last_day).not_to_have_value(of_another_item)
        page.get_by_role("dialog").get_by_label("Sessions", exact=True).fill("11")
        page.get_by_role("dialog").get_by_label("Note").press_sequentially("A free class each")
        page.get_by_role("button", name="Adjust").click()
        expect(page.get_by_role("status").first).to_contain_text("It waits until a second person")
        rows(page, "Adjustments that wait for a second person").get_by_role("button", name="Withdraw").first.click()
        expect(page.get_by_role("status").first).to_contain_text("withdrawn")
        assert asked == []
