"""A person who is here twice is merged, and a person who asks for it is erased."""

import pytest
from playwright.sync_api import Page, expect

from models.staff.accounts import Role
from tests.browser.conftest import Enter
from tests.browser.places import balance


def find(page: Page, name: str) -> None:
    page.goto("/members/")
    page.get_by_role("link", name=name).first.click()


@pytest.mark.parametrize("java_script", [True, False])
def test_two_members_are_merged_and_parted_again(enter: Enter, java_script: bool) -> None:
    """With the page's scripts and without."""
    page = enter(Role.MANAGER, java_script=java_script)
    find(page, "Cem")
    stays = page.url
    page.get_by_role("link", name="Merge", exact=True).click()
    window = page.get_by_role("dialog")
    window.get_by_role("searchbox").fill("ben@example.com")
    window.get_by_role("button", name="Find").click()
    window.get_by_role("link", name="ben@example.com").click()
    expect(window).to_contain_text("1 membership, 8 billing references, and")
    expect(window).to_contain_text("move from Ben")
    window.get_by_role("button", name="Merge").click()
    expect(window).to_contain_text("Say why.")
    window.get_by_label("Why").fill("signed up twice")
    window.get_by_role("button", name="Merge").click()
    expect(page.get_by_role("status").last).to_contain_text("is merged into this one")
    assert page.url == stays
    page.get_by_role("link", name="Undo the merge").click()
    page.get_by_role("dialog").get_by_label("Why").fill("they are two")
    page.get_by_role("dialog").get_by_role("button", name="Undo the merge").click()
    expect(page.get_by_role("status").last).to_contain_text("is a member of their own again")
    expect(page.get_by_role("heading", name="Ben Bishop", level=1)).to_be_visible()


def test_a_person_is_erased(enter: Enter) -> None:
    page = enter(Role.MANAGER)
    find(page, "Cem")
    sessions = balance(page, "Personal Training").locator(".count").text_content()
    page.get_by_role("link", name="Erase").click()
    window = page.get_by_role("dialog")
    window.get_by_label("Who asked, and how").fill("Cem, by letter")
    window.get_by_label("E-mail address of the member").fill("cem@example.org")
    window.get_by_role("button", name="Erase").click()
    expect(window).to_contain_text("Type the member's e-mail address exactly as it stands here")
    window.get_by_label("E-mail address of the member").fill("cem@example.com")
    window.get_by_role("button", name="Erase").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Erased member")
    expect(page.get_by_text("Erased on ")).to_be_visible()
    expect(balance(page, "Personal Training").locator(".count")).to_have_text(sessions or "")
    expect(page.get_by_role("button", name="Redeem")).to_have_count(0)
    page.goto("/members/?q=cem")
    expect(page.locator("main")).not_to_contain_text("cem@example.com")
