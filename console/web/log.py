"""The action log: who did what, when, from where, and why."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from urllib.parse import urlencode

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from wtforms import SelectChoice, SelectField, StringField
from wtforms.validators import Length, Optional, ValidationError

from console.web.access import database, needs
from console.web.formats import house_zone
from console.web.forms import Form
from console.web.member_forms import Day
from console.web.member_page import number
from models.catalogue.days import end_of
from models.errors import NotFound
from models.members.memberships import Member, find_member
from models.staff import actions
from models.staff.accounts import Role

pages = Blueprint("log", __name__, url_prefix="/log")

LISTED = 50
"""Acts on one page."""


def _sensible(form: Form, field: Day) -> None:  # noqa: ARG001 -- WTForms hands it over
    if field.data and not 2000 <= field.data.year < 2200:
        raise ValidationError("Write a date from the year 2000 on, such as 2026-11-30.")


class FilterForm(Form):
    """Which acts to show; sent with GET."""

    class Meta(Form.Meta):
        """It changes nothing."""

        csrf = False

    member = StringField("Member", [Length(max=320)], render_kw={"type": "email", "placeholder": "E-mail"})
    actor = SelectField("Who", validate_choice=False)
    verb = SelectField("What", validate_choice=False)
    since = Day("From", [Optional(), _sensible])
    until = Day("Until", [Optional(), _sensible])


@pages.get("/")
@needs(Role.MANAGER)
def overview() -> ResponseReturnValue:
    """The acts that are asked for, the newest first."""
    session, zone = database(), house_zone()
    form = FilterForm(request.args)
    form.validate()
    form.actor.choices = _choices("Everybody", actions.actors(session), form.actor.data)
    form.verb.choices = _choices("Everything", actions.verbs(session), form.verb.data)
    member = find_member(session, form.text("member")) if form.text("member") else None
    if form.text("member") and member is None:
        form.refuse(NotFound(what="member", name=form.text("member")), "member")
    if form.errors:
        return render_template("log/list.html", form=form, zone=zone, acts=[], people={}, older=None), 422
    page = actions.page(
        session, limit=LISTED, before=number("before"), actor=form.actor.data or None, verb=form.verb.data or None,
        member_id=member.id if member else None, since=_start_of(form.since.data, zone),
        until=form.until.data and end_of(form.until.data, zone),
    )  # fmt: skip
    ids = {act.member_id for act in page.acts}
    people = {member.id: member for member in session.scalars(select(Member).where(Member.id.in_(ids)))}
    asked = {name: text for name, text in request.args.items() if text and name != "before"}
    older = page.older and f"?{urlencode({**asked, 'before': page.older})}"
    return render_template("log/list.html", form=form, zone=zone, acts=page.acts, people=people, older=older)


def _choices(everything: str, known: Sequence[str], asked: str | None) -> list[SelectChoice]:
    """All that is known, and what is asked for even if it is not."""
    also = [asked] if asked and asked not in known else []
    return [SelectChoice("", everything), *(SelectChoice(text) for text in [*known, *also])]


def _start_of(day: date | None, zone: str) -> datetime | None:
    return end_of(day - timedelta(days=1), zone) if day else None
