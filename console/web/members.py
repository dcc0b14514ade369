"""Members: finding them, and the page of each."""

from datetime import UTC, datetime
from itertools import dropwhile, islice
from uuid import uuid4

from flask import Blueprint, redirect, render_template, request, url_for
from flask.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue

from console.request import database
from console.web import adjustments, entries, member_page, sessions
from console.web.access import needs
from console.web.fields import query_id
from models import wording
from models.ledger import adjustments as adjusting
from models.members import search as finding
from models.members.search import Reason
from models.staff.accounts import Role
from models.statements import entry_wording, statement

pages = Blueprint("members", __name__, url_prefix="/members")
for part in (sessions, adjustments, entries):
    pages.register_blueprint(part.pages)

LISTED = 50
"""Members, or grants, on one page."""
SOUGHT = 255
"""Characters of a search that count."""


@pages.record_once
def words(state: BlueprintSetupState) -> None:
    """Give templates the words for entries and grants."""
    told = (
        wording.sessions_of, entry_wording.entered_later, entry_wording.entry_told, entry_wording.fact_told,
        entry_wording.grant_states, entry_wording.note_told, entry_wording.reason_told, entry_wording.repayment_told,
        entry_wording.shortfall_told,
    )  # fmt: skip
    state.app.jinja_env.globals.update({function.__name__: function for function in told}, new_key=uuid4)


@pages.get("/")
@needs(Role.VIEWER)
def search() -> ResponseReturnValue:
    """Members found by the text; without one, all by name. A reference leads straight to its member."""
    session = database()
    sought = request.args.get("q", "").strip()[:SOUGHT]
    asked = adjusting.count_waiting(session)
    if not sought:
        leaf = finding.browse(session, limit=LISTED, after=query_id("after"), before=query_id("before"))
        return render_template("members/list.html", sought="", leaf=leaf, people=leaf.members, asked=asked)
    found = finding.search(session, sought, LISTED + 1)
    if len(found) == 1 and found[0].reason in (Reason.BILLING_REFERENCE, Reason.PAYMENT):
        return redirect(url_for("members.show", member_id=found[0].member_id))
    known = finding.with_memberships(session, [row.member_id for row in found[:LISTED]])
    return render_template(
        "members/list.html", sought=sought, leaf=None, people=[known[row.member_id] for row in found[:LISTED]],
        found={row.member_id: row for row in found}, more=len(found) > LISTED, asked=asked,
        unclaimed=finding.waiting(session, sought, LISTED),
    )  # fmt: skip


@pages.get("/<id:member_id>")
@needs(Role.VIEWER)
def show(member_id: int) -> ResponseReturnValue:
    """One member, now or as of a moment."""
    return member_page.show(member_id)


@pages.get("/<id:member_id>/grants")
@needs(Role.VIEWER)
def grants(member_id: int) -> ResponseReturnValue:
    """Every grant that the member ever had, newest first."""
    now = datetime.now(UTC)
    member = member_page.find(member_id)
    before = query_id("before")
    every = reversed(statement.grants(database(), member_id, now))
    if before:
        every = islice(dropwhile(lambda grant: grant.grant_id != before, every), 1, None)
    shown = list(islice(every, LISTED + 1))
    return render_template(
        "members/grants.html", member=member, zone=member_page.zone_of(member), now=now, grants=shown[:LISTED],
        older=shown[LISTED - 1].grant_id if len(shown) > LISTED else None, before=before,
    )  # fmt: skip
