"""What is on record of a member: the name and the e-mail address. Main verb: `edit_member`."""

from psycopg.errors import UniqueViolation
from sqlalchemy.orm import Session

from models.database.naming import email_given, name_given, refused_by
from models.errors import AddressKnown
from models.members.lookup import with_email
from models.members.memberships import MAX_EMAIL_LENGTH, Member, lock_member
from models.staff import actions
from models.staff.actions import Actor


def edit_member(
    session: Session, member: Member, *, by: Actor, name: str | None = None, email: str | None = None,
    another_person: bool = False, reason: str = "",
) -> list[str]:  # fmt: skip
    """Change a member's name or e-mail address; None leaves it. Returns what it changed, in words.

    An address that others have is refused, unless this is said to be `another_person`. The reason may be left out.
    Raises MemberErased, NameMissing, InvalidEmail, TextTooLong or AddressKnown.
    """
    lock_member(session, member.id, field=None)
    given = {
        "name": name_given(member.name if name is None else name),
        "email": email_given(member.email if email is None else email, MAX_EMAIL_LENGTH),
    }
    why = actions.reason_given(reason) if reason.strip() else None
    before = {what: getattr(member, what) for what in given}
    changed = [f"{what} {before[what]} -> {now}" for what, now in given.items() if before[what] != now]
    shares, same = member.shares_email, given["email"].lower() == member.email.lower()
    others = [] if same else with_email(session, given["email"])
    if others and not another_person:
        raise AddressKnown(known=others[0].id)

    def taken() -> AddressKnown:
        return AddressKnown(known=next(one.id for one in with_email(session, given["email"]) if not one.shares_email))

    with refused_by(session, UniqueViolation, taken):
        member.name, member.email = given["name"], given["email"]
        member.shares_email = shares if same else bool(others)
    for one in changed:
        actions.log(session, by, "edit member", f"member {member.id}: {one}", member_id=member.id, reason=why)
    return changed
