"""Members and memberships by what people call them: an e-mail address or an id."""

import re
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.errors import NotFound, SeveralMembers, SeveralMemberships
from models.members.memberships import Member, Membership, current


def with_email(session: Session, email: str) -> Sequence[Member]:
    """The members with that address, in any case: several, where they share it.

    The address of a merged one leads to the one that it is now; that of an erased one to nobody.
    """
    same = func.lower(Member.email) == func.lower(email.strip())
    found = session.scalars(select(Member).where(same, Member.erased_at.is_(None)).order_by(Member.id)).all()
    return list(dict.fromkeys(current(session, one) for one in found))


def find_member(session: Session, named: str) -> Member | None:
    """The member with that e-mail address, in any case, or with that id: `12`, `#12`. Raises SeveralMembers."""
    found = _named(session, named)
    return the_one(found, named) if found else None


def the_member(session: Session, named: str) -> Member:
    """The member with that e-mail address or id. Raises NotFound or SeveralMembers."""
    found = find_member(session, named)
    if found is None:
        raise NotFound(field="email", what="member", name=named)
    return found


def the_one(members: Sequence[Member], named: str) -> Member:
    """The only one of these. Raises SeveralMembers, which lists them."""
    if len(members) > 1:
        names = ", ".join(f"{one.id} ({one.name})" for one in members)
        raise SeveralMembers(email=named, members=names)
    return members[0]


def _named(session: Session, named: str) -> Sequence[Member]:
    if (member_id := id_given(named)) is None:
        return with_email(session, named)
    found = session.get(Member, member_id)
    return [current(session, found)] if found else []


def id_given(named: str) -> int | None:
    """The id, where a member is named by it: `12`, `#12`. No e-mail address is a number."""
    found = re.fullmatch("#?([0-9]{1,18})", named.strip(), re.ASCII)
    return int(found[1]) if found else None


def the_membership(session: Session, email: str, membership_id: int | None = None, *, now: datetime) -> Membership:
    """The only membership of the member with that address or id, or the one with that id.

    Raises NotFound, or SeveralMembers or SeveralMemberships if there are several and no id is given.
    """
    people = _named(session, email)
    if not people:
        raise NotFound(field="email", what="member", name=email)
    if membership_id is None:
        the_one(people, email)
    held = {membership.id: membership for person in people for membership in person.memberships}
    if membership_id is None and len(held) > 1:
        choice = ", ".join(f"{number} ({one.plan_at(now).offer.name}, {one.club.name})" for number, one in held.items())
        raise SeveralMemberships(email=email, memberships=choice)
    membership = held.get(membership_id) if membership_id else next(iter(held.values()), None)
    if membership is None:
        raise NotFound(field="email", what=f"membership of {email}", name=membership_id or "at all")
    return membership
