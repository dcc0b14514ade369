"""Every page on a phone, a tablet and a desk: it fits, it can be touched, and axe-core finds nothing against it.

Axe judges by WCAG 2.2 at A and AA: all of a page on the phone, what depends on the size at the other two, and the
colours of every sixth page in the dark.
"""

from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page
from pydantic import SecretStr

from console.web.app import create_app
from models.staff.accounts import Role
from runtime.settings import Settings
from tests.browser import every_page
from tests.browser.conftest import Enter
from tests.browser.layout import misfits
from tests.browser.site import Site

PHONE = 390
WIDTHS = (1280, 800, PHONE)
A4 = 680
"""What is left of a page of paper between its margins."""
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
WHAT = """run => axe.run(
    document.querySelector("dialog.window") ? {include: [["dialog.window"]]} : document,
    {...run, preload: false, resultTypes: ["violations"]}
).then(found => found.violations.flatMap(
    rule => rule.nodes.map(node => rule.id + ": " + node.target.join(" ") + " " + node.html.slice(0, 200))))"""
"""A window is judged by itself: the page behind it has its own turn, and is out of reach meanwhile."""
BY_SIZE = ["target-size", "scrollable-region-focusable"]
SHOW = """async path => {
    const answer = await fetch(path, {headers: {"X-Shown": "yes"}});
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.title = next.title;
    document.body.replaceWith(document.adoptNode(next.body));
    return answer.status;
}"""
"""Shows a page in the window that is there, styles and axe included: that costs half of what going there does."""

TWICE = """() => [...document.querySelectorAll("[id]")].map(one => one.id)
    .filter((id, place, all) => all.indexOf(id) !== place).map(id => "id twice: " + id)
    .concat(document.querySelectorAll("input[type=search]").length > 1 ? ["two search boxes"] : [])"""
"""What axe leaves out: of two elements with one id, a label or a button of the second means the first."""


def faults(page: Page, *, dark_too: bool = True) -> list[str]:
    """What is wrong with the page that is shown, at three widths."""
    found: list[str] = page.evaluate(TWICE)
    for width in WIDTHS:
        found += misfits(page, width)
        runs: dict[str, Any] = (
            {"type": "tag", "values": LEVELS} if width == PHONE else {"type": "rule", "values": BY_SIZE}
        )
        found += [f"{width} px: {fault}" for fault in page.evaluate(WHAT, {"runOnly": runs})]
    if dark_too:
        page.emulate_media(color_scheme="dark")
        dark: list[str] = page.evaluate(WHAT, {"runOnly": {"type": "rule", "values": ["color-contrast"]}})
        page.emulate_media(color_scheme="light")
        found += [f"dark {fault}" for fault in dark]
    return found


def shown(page: Page, path: str, *, dark_too: bool = True) -> list[str]:
    assert page.evaluate(SHOW, path) in ({404} if path == "/nowhere" else {200, 422}), path
    return faults(page, dark_too=dark_too)


def make_token(page: Page) -> None:
    """The one page that only an answer to a form shows."""
    page.goto("/tokens/new")
    page.get_by_label("Name").fill("Check-in")
    page.get_by_role("dialog").get_by_role("button").click()
    page.get_by_text("Check-in").first.wait_for()


def test_every_page(enter: Enter, site: Site) -> None:
    every_page.prepare(site.make)
    page = enter(Role.ADMIN)
    make_token(page)
    page.evaluate(AXE_SCRIPT)
    found = {"a token that was made": faults(page)}
    secret = SecretStr("of these tests, which nobody keeps")
    app = create_app(Settings(database_url="postgresql+psycopg://", broker_url="unused://", console_secret=secret))
    for number, path in enumerate(every_page.paths(app, site.make)):
        # In the dark every page takes its colours from one palette: a sixth of them shows all of it.
        found[path] = shown(page, path, dark_too=number % 6 == 0)
    assert {path: faults for path, faults in found.items() if faults} == {}


def test_the_way_in(enter: Enter) -> None:
    page = enter(None)
    page.goto("/login")
    page.evaluate(AXE_SCRIPT)
    found = faults(page)
    page.get_by_label("E-mail").fill("nobody@example.com")
    page.get_by_label("Password").fill("not the right one")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("alert").wait_for()
    page.evaluate(AXE_SCRIPT)
    assert [*found, *faults(page)] == []


def test_a_statement_on_paper_is_a_black_table_also_from_a_dark_screen(enter: Enter) -> None:
    page = enter(Role.DESK)
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": A4, "height": 900})
    page.goto("/members/1/statement")
    looks = "one => [getComputedStyle(one).display, getComputedStyle(one).color]"
    assert page.locator("td").last.evaluate(looks) == ["table-cell", "rgb(0, 0, 0)"]
    assert page.evaluate("document.scrollingElement.scrollWidth") <= A4
