"""Every page on a phone, a tablet and a desk: it fits, it can be touched, and axe-core finds nothing against it.

Axe judges by WCAG 2.2 at A and AA: all of a page on the phone, what depends on the size at the other two, and the
colours of every sixth page in the dark.
"""

from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page
from pydantic import SecretStr
from sqlalchemy import text
from werkzeug.routing import Rule

from console.web.app import create_app
from models.members import life
from models.members.life import Scope
from models.members.memberships import Membership
from models.moving import imports, working
from models.moving.columns import Kind
from models.staff.accounts import Role
from models.staff.actions import Actor
from runtime.settings import Settings
from tests.browser.conftest import Enter
from tests.browser.layout import misfits
from tests.browser.site import Site

IDS = {
    "act_id": "SELECT min(id) FROM bulk_actions",
    "adjustment_id": "SELECT min(id) FROM adjustments",
    "audit_id": "SELECT min(id) FROM audits",
    "bucket_id": "SELECT min(id) FROM session_buckets",
    "closure_id": "SELECT min(id) FROM life_in_force WHERE kind = 'closure'",
    "club_id": "SELECT club_id FROM memberships ORDER BY id LIMIT 1",
    "event_id": "SELECT min(id) FROM webhook_events WHERE state = 'quarantined'",
    "entry_id": "SELECT min(entry.id) FROM ledger_entries entry JOIN credit_grants g ON g.id = grant_id"
    " WHERE g.member_id = 1",
    "gone_id": "SELECT max(id) FROM members",
    "import_id": "SELECT max(id) FROM imports WHERE state = 'judged'",
    "grant_id": "SELECT max(id) FROM credit_grants WHERE expires_at > now() AND member_id = 1",
    "item_id": "SELECT min(id) FROM items",
    "life_id": "SELECT min(id) FROM life_in_force WHERE kind = 'freeze' AND membership_id = 1",
    "member_id": "SELECT min(id) FROM members",
    "membership_id": "SELECT min(id) FROM memberships",
    "name": "SELECT 'stripe'",
    "offer_id": "SELECT min(id) FROM offers",
    "mark_id": "SELECT min(action_id) FROM not_dues",
    "payment_id": "SELECT min(id) FROM payments WHERE state = 'unmatched'",
    "redemption_id": "SELECT min(id) FROM redemptions WHERE member_id = 1",
    "run_id": "SELECT min(id) FROM expiry_runs",
    "staff_id": "SELECT min(id) FROM staff",
    "term_id": "SELECT min(id) FROM payment_terms",
    "token_id": "SELECT min(id) FROM api_tokens",
}
"""What stands in a page's path, and how the sample has it."""
NO_PAGES = {
    "check_in.suggestions",
    "start.home",
    "start.healthz",
    "start.readyz",
    "start.answer",
    "login.log_in",
    "login.ask_code",
    "password_links.ask",
    "password_links.set_password",
    "review.accept_all",
    "expiry.export",
    "exports.download",
    "imports.template",
    "members.sheets.download",
    "offers.terms.preview",
}
FURTHER = [
    "/check-in/?q=nobody",
    "/check-in/?done=1",
    "/exports/?as_of=soon",
    "/members/?q=Ann",
    "/members/?q=nobody",
    "/members/?q=in_nobody",
    "/members/1?as_of=2026-01-01T12:00",
    "/members/1?as_of=soon",
    "/members/1?item=2",
    "/members/1/merge?q=a",
    "/members/1/merge?with=2",
    "/members/3",
    "/offers/?state=retired",
    "/memberships/1/freeze?first_day=soon",
    "/nowhere",
    "/review/?reason=unmatched&endpoint=stripe",
    "/review/?reason=noted",
    "/review/accept-all?reason=unmatched",
    "/operations/events/?state=dead",
    "/operations/events/?state=quarantined",
    "/operations/events/?since=nonsense&attempts=x",
    "/operations/acts/discard-all?state=dead",
    "/members/adjustments?",
    "/sign-up/?club=1&offer=1&term=1",
]
"""Where one page has several faces."""
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


@pytest.fixture(scope="module")
def rules() -> list[Rule]:
    """Of all pages that the console has."""
    secret = SecretStr("of these tests, which nobody keeps")
    app = create_app(Settings(database_url="postgresql+psycopg://", broker_url="unused://", console_secret=secret))
    every = [rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())]
    return [
        rule
        for rule in every
        if rule.endpoint not in NO_PAGES
        and not rule.endpoint.endswith("static")
        and not rule.rule.startswith("/api/")
        and not rule.rule.endswith(".csv")
    ]


def paths(site: Site, rules: list[Rule]) -> list[str]:
    with site.make() as session:
        ids = {name: session.scalar(text(query)) for name, query in IDS.items()}
    built = [rule.build({name: ids[name] for name in rule.arguments}, append_unknown=False) for rule in rules]
    return sorted(path for _, path in filter(None, built))


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


def freeze_and_close(site: Site) -> None:
    """The first membership, and its club; so late that nothing moves."""
    now = datetime.now(UTC)
    first, by = now.date() + timedelta(days=400), Actor("tests", "command line")
    days: dict[str, Any] = {"first": first, "last": first + timedelta(days=9), "reason": "Far away", "by": by}
    with site.make.begin() as session:
        membership = session.get_one(Membership, 1)
        life.freeze(session, membership, **days, now=now)
        life.close(session, membership.club, scope=Scope.CLASS, **days, now=now)
        over = first - timedelta(days=500)
        life.close(session, membership.club, scope=Scope.ALL, **{**days, "first": over, "last": over}, now=now)


def import_files(site: Site) -> None:
    """One with a row that is refused, and one whose columns are to be chosen."""
    for name in ("email", "E-mail"):
        file = (
            f"{name},name,club,offer,picks,joined,credits from\nx@example.com,X,Nowhere,All In,,2024-03-01,2026-11-01\n"
        )
        with site.make.begin() as session:
            by = Actor("tests", "command line")
            imports.upload(session, Kind.PEOPLE, BytesIO(file.encode()), file_name="x.csv", by=by)
    while working.step(site.make, endpoints=("stripe",)):
        pass


def test_every_page(enter: Enter, site: Site, rules: list[Rule]) -> None:
    freeze_and_close(site)
    import_files(site)
    page = enter(Role.ADMIN)
    make_token(page)
    page.evaluate(AXE_SCRIPT)
    found = {"a token that was made": faults(page)}
    with site.make() as session:
        unmapped = session.scalar(text("SELECT max(id) FROM imports WHERE state = 'unmapped'"))
    for number, path in enumerate([*paths(site, rules), *FURTHER, f"/imports/{unmapped}"]):
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
