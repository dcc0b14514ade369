"""What is on record of a member: editing the name and the e-mail address."""

from collections.abc import Sequence

from flask import url_for
from wtforms import BooleanField, TextAreaField
from wtforms.validators import Length

from console.request import actor, database
from console.rows import row
from console.web import member_page
from console.web.access import Answer, Pages, Role
from console.web.fields import text_field
from console.web.forms import EditForm
from models.members import record
from models.members.lookup import with_email
from models.members.memberships import Member
from models.staff.actions import MAX_REASON_LENGTH
from models.wording import joined
from runtime.language import say, say_n

pages = Pages("record", __name__)


class RecordForm(EditForm):
    """The name and the address; whether others have that address is asked once it is known."""

    name = text_field("Name", autofocus=True)
    email = text_field("E-mail", most=320, type="email")
    another_person = BooleanField("It is another person with the same address")
    reason = TextAreaField(
        "Why (optional)",
        [Length(max=MAX_REASON_LENGTH)],
        default="",
        description="Kept in the action log, with what was there before.",
        render_kw={"rows": 2},
    )


@pages.form("/<id:member_id>/edit", Role.DESK)
def edit(member_id: int) -> Answer:
    """Change a member's name or e-mail address."""
    member = row(Member, member_id, lock=True)
    form, old = RecordForm(obj=member), member.email.lower()

    def act() -> tuple[str, str]:
        changed = record.edit_member(
            database(),
            member,
            name=form.text("name"),
            email=form.text("email"),
            another_person=form.another_person.data,
            reason=form.text("reason"),
            by=actor(),
        )
        saved = say("{name} <{email}> is saved.", name=member.name, email=member.email)
        return saved if changed else say("Nothing was changed."), url_for("members.show", member_id=member_id)

    if answer := form.submitted(act):
        return answer
    others = with_email(database(), form.text("email")) if form.text("email").lower() != old else []
    if others:
        form.another_person.description = say("{members} this address.", members=having(others))
    else:
        del form.another_person
    return member_page.show(member_id, window="members/edit.html", form=form)


def having(members: Sequence[Member]) -> str:
    """`Ann Lee (12) and Ben Lee (13) have`."""
    names = joined([f"{one.name} ({one.id})" for one in members])
    return say_n("{names} has", "{names} have", len(members), names=names)
