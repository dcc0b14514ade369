"""Members: finding them, and the page of each."""

from inspect import getmembers, isfunction
from itertools import dropwhile, islice
from uuid import uuid4

from flask import abort, redirect, request, url_for
from flask.blueprints import BlueprintSetupState

from console.request import database, utc_now
from console.web import adjustments, clocks, member_page, persons, record, sessions, sheets
from console.web.access import Answer, Pages, Role, club_ids
from console.web.fields import query_id
from console.web.forms import page
from console.web.member_filter import ListForm, kept_counts
from models.inbox import masking
from models.ledger import adjustments as adjusting
from models.ledger import good_at
from models.members import search as finding
from models.statements import entry_wording, explanation, member_list, statement
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
    """Members found by the text, or the list by its filters. A code or a reference leads straight to its member."""
    session, now, clubs = database(), utc_now(), club_ids()
    sought = request.args.get("q", "").strip()[:SOUGHT]
    asked = adjusting.count_waiting(session, clubs)
    if not sought:
        form = ListForm(request.args)
        counts = kept_counts(clubs)
        form.ask(counts)
        wanted, order = form.wanted, form.sorted_by
        leaf = member_list.page(
            session, wanted, now=now, limit=PAGE_SIZE, order=order, after=query_id("after"), before=query_id("before"),
            club_ids=clubs,
        )  # fmt: skip
        every = wanted == member_list.EVERYBODY
        total = counts.all if every else member_list.count(session, wanted, now=now, club_ids=clubs)
        rows = member_list.rows(session, leaf.member_ids, now=now)
        return page("members/list.html", sought="", leaf=leaf, rows=rows, form=form, asked=asked, total=total)
    found = finding.search(session, sought, PAGE_SIZE + 1, club_ids=clubs)
    if len(found) == 1 and found[0].reason in finding.SURE:
        return redirect(url_for("members.show", member_id=found[0].member_id))
    ids = [row.member_id for row in found[:PAGE_SIZE]]
    unclaimed = finding.waiting(session, sought, PAGE_SIZE)
    return page(
        "members/list.html",
        sought=sought,
        rows=member_list.rows(session, ids, now=now),
        found={row.member_id: row for row in found},
        more=len(found) > PAGE_SIZE,
        asked=asked,
        unclaimed=unclaimed,
        paid=member_page.paid(unclaimed),
    )


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
    only_at = good_at.only_at(database(), [grant.grant_id for grant in shown[:PAGE_SIZE]])
    return page("members/grants.html", member=member, zone=zone, now=member.clock(now), only_at=only_at, **found)


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
