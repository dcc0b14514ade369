"""Hands that stay on the keyboard, eyes that like it dark; and that a window's trouble is noticed at all."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from models.staff.accounts import Role
from tests.browser import sample
from tests.browser.conftest import Enter
from tests.browser.places import balance
from tests.browser.site import Site, visit

POLICY = "Content Security Policy"
INSIDE = "document.activeElement === document.body || document.activeElement.closest('dialog') !== null"


def test_a_window_keeps_the_focus_and_escape_closes_it(page: Page) -> None:
    page.goto("/offers/1")
    page.get_by_role("link", name="Manage Session Buckets").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Minimum Required Session Buckets")).to_be_focused()
    for _ in range(20):
        page.keyboard.press("Tab")
        assert page.evaluate(INSIDE)
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile(r"/offers/1$"))
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_from_a_slash_to_a_redemption(page: Page, site: Site) -> None:
    sample.newcomer(site.make, "Kim")
    page.goto("/offers/1")
    page.keyboard.press("/")
    search = page.get_by_role("searchbox", name="Find a member")
    expect(search).to_be_focused()
    expect(search).to_have_value("")
    page.keyboard.type("sub_kim/")
    expect(search).to_have_value("sub_kim/")
    page.keyboard.press("Backspace")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Kim")).to_be_visible()
    page.get_by_label("Yoga sessions to redeem").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("2")
    page.keyboard.press("Enter")
    expect(balance(page, "Yoga")).to_contain_text("3 available")


def test_the_first_tab_skips_to_the_content(page: Page) -> None:
    page.goto("/inventory/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()


def test_picks_are_counted_as_they_are_ticked(page: Page) -> None:
    page.goto("/sign-up/")
    picks = page.get_by_role("group", name="Session items")
    yoga, spin = picks.get_by_role("checkbox", name="Yoga"), picks.get_by_role("checkbox", name="Spin")
    expect(picks).to_contain_text("1 of 2 picked; choose between 1 and 2.")
    yoga.focus()
    page.keyboard.press("Space")
    expect(picks).to_contain_text("2 of 2 picked")
    expect(spin).to_be_disabled()
    page.keyboard.press("Space")
    expect(spin).to_be_enabled()


@pytest.mark.parametrize(("scheme", "other"), [("light", "dark"), ("dark", "light")])
def test_the_theme_is_the_systems_until_one_is_chosen(enter: Enter, scheme: str, other: str) -> None:
    page = enter(Role.VIEWER, scheme=scheme)
    html = page.locator("html")
    expect(html).to_have_attribute("data-bs-theme", scheme)
    page.get_by_role("button", name="Light or dark").click()
    expect(html).to_have_attribute("data-bs-theme", other)
    page.reload()
    expect(html).to_have_attribute("data-bs-theme", other)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("console.error('as a library would')", "as a library would"),
        ("setTimeout(() => missing())", "missing is not defined"),
        (
            "document.body.append(Object.assign(document.createElement('script'), {text: '1'}))",
            POLICY,
        ),
        ("document.body.setAttribute('style', 'color: red')", POLICY),
        ("return fetch('/static/missing.js')", "404 from"),
    ],
    ids=["error", "exception", "inline script", "inline style", "missing file"],
)
def test_trouble_is_noticed(browser: Browser, site: Site, script: str, told: str) -> None:
    window = visit(browser, site)
    window.page.goto("/login")
    assert window.trouble == []
    window.page.evaluate(f"() => {{ {script} }}")
    window.page.wait_for_function("() => true")
    window.page.goto("/login")
    assert told in " ".join(window.trouble)
    window.page.context.close()
