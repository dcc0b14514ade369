"""The action log: who did what, when, from where, and why."""

from datetime import date, datetime, timedelta
from typing import ClassVar

from flask import request
from sqlalchemy import select
from wtforms import SelectField, StringField
from wtforms.validators import Length, Optional

from console import bounds
from console.request import database
from console.web.access import Answer, Pages, Role, club_ids
from console.web.event_filter import choices
from console.web.fields import Day, day_in_range, query_id
from console.web.formats import house_zone, link, who
from console.web.forms import QueryForm, page
from models.catalogue.days import end_of
from models.errors import NotFound, SppError
from models.members.lookup import the_member
from models.members.memberships import Member, with_merged
from models.staff import actions
from models.staff.theirs import Kind
from runtime.language import Texts, noted, say

pages = Pages("log", __name__, url_prefix="/log")

PAGE_SIZE = 50
"""Acts on one page."""


VERBS: Texts = {
    "adjust": "Adjust",
    "approve": "Approve",
    "share billing reference": "Share billing reference",
    "freeze": "Freeze",
    "end membership": "End membership",
    "close club": "Close club",
    "change freeze": "Change freeze",
    "change end": "Change end",
    "change closure": "Change closure",
    "undo freeze": "Undo freeze",
    "undo end": "Undo end",
    "undo closure": "Undo closure",
    "replay": "Replay",
    "release": "Release",
    "discard": "Discard",
    "replay all": "Replay all",
    "release all": "Release all",
    "discard all": "Discard all",
    "stop replay all": "Stop replay all",
    "stop release all": "Stop release all",
    "stop discard all": "Stop discard all",
}
"""The verbs that are no texts of their own where they are logged."""


class FilterForm(QueryForm):
    """A filter of acts; sent with GET."""

    own_names: ClassVar = {"email": "member"}

    member = StringField("Member", [Length(max=320)], render_kw={"placeholder": noted("E-mail or id")})
    actor = SelectField("Who", validate_choice=False)
    verb = SelectField("What", validate_choice=False)
    since = Day("From", [Optional(), day_in_range])
    until = Day("Until", [Optional(), day_in_range])


@pages.page("/", Role.MANAGER)
def overview() -> Answer:
    """The acts that match the filter, newest first."""
    session, zone = database(), house_zone()
    form = FilterForm(request.args)
    form.validate()
    form.actor.choices = choices(say("Everybody"), actions.actors(session), form.actor.data, who)
    form.verb.choices = choices(say("Everything"), actions.verbs(session), form.verb.data, _verb)
    member = None
    if named := form.text("member"):
        try:
            member = the_member(session, named)
            if not bounds.sees(Kind.MEMBER, member.id):
                raise NotFound(field="email", what="member", name=named)
        except SppError as error:
            form.refuse(error)
    if form.errors:
        return page("log/list.html", True, form=form, acts=[], people={}, older=None)
    found = actions.page(
        session,
        limit=PAGE_SIZE,
        before=query_id("before"),
        actor=form.actor.data or None,
        verb=form.verb.data or None,
        member_ids=with_merged(session, member.id) if member else None,
        since=_start_of(form.since.data, zone),
        until=form.until.data and end_of(form.until.data, zone),
        club_ids=club_ids(),
    )
    ids = {act.member_id for act in found.acts}
    people = {member.id: member for member in session.scalars(select(Member).where(Member.id.in_(ids)))}
    older = found.older and link(".overview", **{**request.args, "before": found.older})
    return page("log/list.html", form=form, acts=found.acts, people=people, older=older)


def _verb(verb: str) -> str:
    label = say(VERBS.get(verb, verb.capitalize()))
    return f"{label[:1].lower()}{label[1:]}"


def _start_of(day: date | None, zone: str) -> datetime | None:
    return end_of(day - timedelta(days=1), zone) if day else None
