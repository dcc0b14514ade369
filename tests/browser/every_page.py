"""Every page that the console has, and what the sample gym needs beside for each to have something to show."""

from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

from flask import Flask
from sqlalchemy import text

from models.members import life
from models.members.life import Scope
from models.members.memberships import Membership
from models.moving import imports, working
from models.moving.columns import Kind
from models.staff.actions import Actor
from tests.worker.scene import Make

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


def paths(app: Flask, make: Make) -> list[str]:
    """Where each page is, with ids that the sample gym has."""
    rules = [
        rule
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ())
        and rule.endpoint not in NO_PAGES
        and not rule.endpoint.endswith("static")
        and not rule.rule.startswith("/api/")
        and not rule.rule.endswith(".csv")
    ]
    with make() as session:
        ids = {name: session.scalar(text(query)) for name, query in IDS.items()}
        unmapped = session.scalar(text("SELECT max(id) FROM imports WHERE state = 'unmapped'"))
    built = [rule.build({name: ids[name] for name in rule.arguments}, append_unknown=False) for rule in rules]
    return [*sorted(path for _, path in filter(None, built)), *FURTHER, f"/imports/{unmapped}"]


def prepare(make: Make) -> None:
    """Add to the sample gym a freeze, closures, and files that are imported."""
    _freeze_and_close(make)
    _import_files(make)


def _freeze_and_close(make: Make) -> None:
    """The first membership, and its club; so late that nothing moves."""
    now = datetime.now(UTC)
    first, by = now.date() + timedelta(days=400), Actor("tests", "command line")
    days: dict[str, Any] = {"first": first, "last": first + timedelta(days=9), "reason": "Far away", "by": by}
    with make.begin() as session:
        membership = session.get_one(Membership, 1)
        life.freeze(session, membership, **days, now=now)
        life.close(session, membership.club, scope=Scope.CLASS, **days, now=now)
        over = first - timedelta(days=500)
        life.close(session, membership.club, scope=Scope.ALL, **{**days, "first": over, "last": over}, now=now)


def _import_files(make: Make) -> None:
    """One with a row that is refused, and one whose columns are to be chosen."""
    for name in ("email", "E-mail"):
        file = (
            f"{name},name,club,offer,picks,joined,credits from\nx@example.com,X,Nowhere,All In,,2024-03-01,2026-11-01\n"
        )
        with make.begin() as session:
            by = Actor("tests", "command line")
            imports.upload(session, Kind.PEOPLE, BytesIO(file.encode()), file_name="x.csv", by=by)
    while working.step(make, endpoints=("stripe",)):
        pass
