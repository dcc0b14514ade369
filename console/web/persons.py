"""Who a member is: two members that are one person are merged, and a person is erased."""

from flask import abort, request, url_for
from wtforms import TextAreaField
from wtforms.validators import InputRequired, Length

from console.request import actor, database, utc_now
from console.web import member_page
from console.web.access import Answer, Pages, Role
from console.web.fields import Day, query_id, text_field
from console.web.formats import house_zone
from console.web.forms import Form, ReasonForm
from models.catalogue.days import local_day
from models.errors import SppError
from models.inbox import erasing
from models.ledger import merging
from models.members import search
from models.members.memberships import MAX_EMAIL_LENGTH, Member
from models.staff.actions import MAX_REASON_LENGTH
from models.wording import counted
from runtime.language import say

pages = Pages("persons", __name__)

OFFERED = 8
"""Members to choose from."""


@pages.form("/<id:member_id>/merge", Role.MANAGER)
def merge(member_id: int) -> Answer:
    """Let this member have all that another one has, which is the same person."""
    session, now, form = database(), utc_now(), ReasonForm()
    member_page.find(member_id)
    gone_id, sought = query_id("with"), request.args.get("q", "").strip()[:255]
    if gone_id is None:
        found = [one for one in search.search(session, sought, OFFERED + 1) if one.member_id != member_id][:OFFERED]
        bought = search.with_memberships(session, [one.member_id for one in found])
        offered = [(one, counted(len(bought[one.member_id].memberships), "membership")) for one in found]
        return member_page.show(member_id, window="members/merge.html", sought=sought, offered=offered)

    def act() -> tuple[str, str]:
        made = merging.merge(session, gone_id, member_id, reason=form.text("reason"), by=actor(), now=now)
        message = say("Member {number} is merged into this one. It can be undone for a day.", number=gone_id)
        return message, url_for("members.show", member_id=made.stays.id)

    if answer := form.submitted(act):
        return answer
    try:
        planned = merging.plan(session, gone_id, member_id, now=now)
    except SppError as error:
        planned = None
        if not form.errors:
            form.refuse(error)
    return member_page.show(member_id, window="members/merge.html", form=form, planned=planned, gone_id=gone_id)


@pages.form("/<id:member_id>/merged/<id:gone_id>/undo", Role.MANAGER)
def undo(member_id: int, gone_id: int) -> Answer:
    """Give a merged member back what the merge moved."""
    form, gone = ReasonForm(), database().get(Member, gone_id) or abort(404)

    def act() -> tuple[str, str]:
        merging.undo(database(), gone_id, reason=form.text("reason"), by=actor(), now=utc_now())
        message = say("Member {number} is a member of their own again.", number=gone_id)
        return message, url_for("members.show", member_id=gone_id)

    return form.submitted(act) or member_page.show(member_id, window="members/undo_merge.html", form=form, gone=gone)


class EraseForm(Form):
    """Who asked for it and when, and the address, typed to confirm it."""

    request = TextAreaField(
        "Who asked, and how",
        [InputRequired("Say who asked for it, and how."), Length(max=MAX_REASON_LENGTH)],
        description="Kept in the action log, without the name and the address.",
        render_kw={"rows": 2, "autofocus": True},
    )
    asked_on = Day("Asked on", [InputRequired("Choose the day on which it was asked for.")])
    confirm = text_field(
        "E-mail address of the member", "Type the address.", most=MAX_EMAIL_LENGTH, description="Type it to confirm."
    )


@pages.form("/<id:member_id>/erase", Role.MANAGER)
def erase(member_id: int) -> Answer:
    """Erase the person: the name, the address and the payer's data go, the ledger stays."""
    member, form = member_page.find(member_id), EraseForm()
    if request.method == "GET":
        form.asked_on.data = local_day(utc_now(), house_zone())

    def act() -> tuple[str, str]:
        erased = erasing.erase(
            database(),
            member.id,
            confirm=form.text("confirm"),
            request=form.text("request"),
            asked_on=form.asked_on.data,
            by=actor(),
            now=utc_now(),
        )
        return f"{erased.words[0].upper()}{erased.words[1:]}.", url_for("members.show", member_id=member_id)

    return form.submitted(act) or member_page.show(member_id, window="members/erase.html", form=form)
