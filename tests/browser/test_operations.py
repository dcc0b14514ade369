"""Operations in a browser: the overview changes by itself, and a dead letter is repaired by one click."""

from datetime import UTC, datetime

from playwright.sync_api import expect
from sqlalchemy import select

from models.inbox import queue
from models.inbox.events import EventState, WebhookEvent
from models.staff.accounts import Role
from tests.browser.conftest import Enter
from tests.browser.places import go
from tests.browser.site import Site
from tests.worker.scene import arrive, paid, value

DEAD = "SELECT count(*) FROM webhook_events WHERE state = 'dead'"


def dead(site: Site, payment: str) -> int:
    """A payment of somebody's whose event was given up; its number."""
    arrive(site.make, paid(payment, "sub_ann", at=datetime.now(UTC)))
    with site.make.begin() as session:
        number = session.scalars(select(WebhookEvent.id).where(WebhookEvent.event_id == f"evt_{payment}")).one()
        queue.fail(session, number, "RuntimeError: a bug of ours", max_attempts=0, base_s=1, cap_s=1)
    return number


def test_the_overview_changes_by_itself(enter: Enter, site: Site) -> None:
    page = enter(Role.VIEWER)
    go(page, "Operations")
    figure = page.locator(".figure", has_text="Failed").locator(".value")
    before = value(site.make, DEAD)
    # What the page shows at first may be from before another test's change.
    expect(figure).to_have_text(str(before))
    page.evaluate("window.stayed = true")
    with page.expect_response("**/operations/") as refreshed:
        dead(site, "in_refreshed")
    assert refreshed.value.header_value("set-cookie") is None, "it may come after the answer to the next page"
    expect(figure).to_have_text(str(before + 1))
    assert page.evaluate("window.stayed")


def test_a_dead_letter_is_replayed_by_one_click(enter: Enter, site: Site) -> None:
    number = dead(site, "in_replayed")
    page = enter(Role.OPERATOR)
    go(page, "Operations")
    page.locator(".figure", has_text="Failed").click()
    row = page.get_by_role("row", name="evt_in_replayed")
    expect(row).to_contain_text("RuntimeError: a bug of ours")
    row.get_by_role("button", name=f"Replay event {number}").click()
    expect(page.get_by_text(f"Event {number} is due again.")).to_be_visible()
    expect(row).to_have_count(0)
    with site.make() as session:
        assert session.get_one(WebhookEvent, number).state == EventState.PENDING
