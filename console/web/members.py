"""Members: finding them, and the page of each."""

from collections.abc import Sequence
from inspect import getmembers, isfunction
from itertools import dropwhile, islice
from uuid import uuid4

from flask import abort, redirect, request, url_for
from flask.blueprints import BlueprintSetupState

from console.request import database, utc_now
from console.web import adjustments, clocks, member_page, persons, record, sessions, sheets
from console.web.access import Answer, Pages, Role
from console.web.fields import query_id
from console.web.forms import page
from models.inbox import masking
from models.ledger import adjustments as adjusting
from models.members import overdue
from models.members import search as finding
from models.members.overdue import Overdue
from models.members.search import Reason
from models.statements import entry_wording, explanation, statement
from models.wording import sessions_of

pages = Pages("members", __name__, url_prefix="/members")
for part in (sessions, adjustments, persons, record, clocks, sheets):
    pages.register_blueprint(part.pages)

PAGE_SIZE = 50
"""Members, or grants, on one page."""
EXPLAINED = 100
"""Entries of the grant below the chain of one entry."""
SOUGHT = 255
"""Characters of a search that count."""


@pages.record_once
def words(state: BlueprintSetupState) -> None:
    """Give templates the words for entries and grants."""
    state.app.jinja_env.globals.update(getmembers(entry_wording, isfunction), sessions_of=sessions_of, new_key=uuid4)


@pages.page("/", Role.VIEWER)
def search() -> Answer:
    """Members found by the text; without one, all by name. A reference leads straight to its member."""
    session = database()
    sought = request.args.get("q", "").strip()[:SOUGHT]
    asked, only = adjusting.count_waiting(session), request.args.get("standing") == "overdue"
    if not sought:
        leaf = finding.browse(
            session, limit=PAGE_SIZE, after=query_id("after"), before=query_id("before"), only_overdue=only
        )
        late = _late([member.id for member in leaf.members])
        return page("members/list.html", sought="", leaf=leaf, people=leaf.members, asked=asked, late=late, only=only)
    found = finding.search(session, sought, PAGE_SIZE + 1)
    if len(found) == 1 and found[0].reason in (Reason.ID, Reason.BILLING_REFERENCE, Reason.PAYMENT, Reason.REDEMPTION):
        return redirect(url_for("members.show", member_id=found[0].member_id))
    ids = [row.member_id for row in found[:PAGE_SIZE]]
    known, unclaimed = finding.with_memberships(session, ids), finding.waiting(session, sought, PAGE_SIZE)
    return page(
        "members/list.html",
        sought=sought,
        people=[known[member_id] for member_id in ids],
        found={row.member_id: row for row in found},
        more=len(found) > PAGE_SIZE,
        asked=asked,
        late=_late(ids),
        unclaimed=unclaimed,
        paid=member_page.paid(unclaimed),
    )


def _late(member_ids: Sequence[int]) -> dict[int, Overdue]:
    """By membership of these members, since when its dues are overdue."""
    return {one.membership_id: one for one in overdue.of_members(database(), member_ids)}


@pages.page("/<id:member_id>", Role.VIEWER)
def show(member_id: int) -> Answer:
    """One member, now or as of a moment."""
    return member_page.show(member_id)


@pages.page("/<id:member_id>/grants", Role.VIEWER)
def grants(member_id: int) -> Answer:
    """Every grant that the member ever had, newest first."""
    now, member, before = utc_now(), member_page.find(member_id), query_id("before")
    every = reversed(statement.grants(database(), member_id, now))
    if before:
        every = islice(dropwhile(lambda grant: grant.grant_id != before, every), 1, None)
    shown = list(islice(every, PAGE_SIZE + 1))
    older, zone = shown[PAGE_SIZE - 1].grant_id if len(shown) > PAGE_SIZE else None, member_page.zone_of(member)
    found = {"grants": shown[:PAGE_SIZE], "paid": member_page.paid(shown), "before": before, "older": older}
    return page("members/grants.html", member=member, zone=zone, now=member.clock(now), **found)


@pages.page("/<id:member_id>/entries/<id:entry_id>", Role.VIEWER)
def explain(member_id: int, entry_id: int) -> Answer:
    """The chain behind an entry: its payment, payment fact and webhook event with its body; or the person's act."""
    session, now, member = database(), utc_now(), member_page.find(member_id)
    why = explanation.explain(session, member_id, entry_id, now) or abort(404)
    entries = statement.page(
        session, member_id, limit=EXPLAINED, grant_id=why.grant.grant_id, item_id=why.entry.item_id
    )
    return page(
        "members/entry.html",
        member=member,
        zone=member_page.zone_of(member),
        now=member.clock(now),
        why=why,
        entries=entries,
        paid=member_page.paid(entries.entries, [why.grant], [why.other] if why.other else []),
        shown=masking.shown,
    )
