"""A person who is here twice is merged, and a person who asks for it is erased."""

from playwright.sync_api import expect

from models.staff.accounts import Role
from tests.browser import sample
from tests.browser.conftest import Enter
from tests.browser.places import WITH_AND_WITHOUT, balance
from tests.browser.site import Site


@WITH_AND_WITHOUT
def test_two_members_are_merged_and_parted_again(enter: Enter, site: Site, java_script: bool) -> None:
    """With the page's scripts and without."""
    page = enter(Role.MANAGER, java_script=java_script)
    stays, gone = (sample.newcomer(site.make, f"{name}{java_script}") for name in ("Nora", "Noah"))
    page.goto(f"/members/{stays}")
    page.get_by_role("link", name="Merge", exact=True).click()
    window = page.get_by_role("dialog")
    window.get_by_role("searchbox").fill(f"noah{java_script}@example.com".lower())
    window.get_by_role("button", name="Find").click()
    window.get_by_role("link", name=f"noah{java_script}@example.com".lower()).click()
    expect(window).to_contain_text("1 membership, 1 billing reference, and")
    expect(window).to_contain_text(f"move from Noah{java_script}")
    window.get_by_role("button", name="Merge").click()
    expect(window).to_contain_text("Say why.")
    window.get_by_label("Why").fill("signed up twice")
    window.get_by_role("button", name="Merge").click()
    expect(page.get_by_role("status").last).to_contain_text("is merged into this one")
    assert page.url.endswith(f"/members/{stays}")
    page.get_by_role("link", name="Undo the merge").click()
    page.get_by_role("dialog").get_by_label("Why").fill("they are two")
    page.get_by_role("dialog").get_by_role("button", name="Undo the merge").click()
    expect(page.get_by_role("status").last).to_contain_text("is a member of their own again")
    assert page.url.endswith(f"/members/{gone}")
    expect(page.get_by_role("heading", name=f"Noah{java_script}", level=1)).to_be_visible()


def test_a_person_is_erased(enter: Enter, site: Site) -> None:
    page = enter(Role.MANAGER)
    page.goto(f"/members/{sample.newcomer(site.make, 'Dora')}")
    sessions = balance(page, "Personal Training").locator(".count").text_content()
    page.get_by_role("link", name="Erase").click()
    window = page.get_by_role("dialog")
    window.get_by_label("Who asked, and how").fill("Dora, by letter")
    window.get_by_label("E-mail address of the member").fill("dora@example.org")
    window.get_by_role("button", name="Erase").click()
    expect(window).to_contain_text("Type the member's e-mail address exactly as it stands here")
    window.get_by_label("E-mail address of the member").fill("dora@example.com")
    window.get_by_role("button", name="Erase").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Erased member")
    expect(page.get_by_text("Erased on ")).to_be_visible()
    expect(balance(page, "Personal Training").locator(".count")).to_have_text(sessions or "")
    expect(page.get_by_role("button", name="Redeem")).to_have_count(0)
    page.goto("/members/?q=dora")
    expect(page.locator("main")).not_to_contain_text("dora@example.com")
