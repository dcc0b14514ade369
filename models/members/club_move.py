"""Moving a membership to another club of the same currency. Main verb: `move_club`.

A payment counts by the days and rules of the club that its membership had when it was paid, whenever it arrives. So
what was paid before the move keeps its days, also where it is settled again, and nothing has to be.
"""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.catalogue.clubs import Club, ShortfallPolicy
from models.database import locks
from models.errors import SameClub, WrongCurrency
from models.members.memberships import EarlierClub, Membership, lock_member
from models.staff import actions
from models.staff.actions import Actor
from runtime.language import Texts, say, say_n

_SHORTFALLS: Texts = {
    ShortfallPolicy.REPAY: "the next sessions of the item repay them",
    ShortfallPolicy.FORGIVE: "the club forgives them",
}

_GRANTS = text("SELECT count(*) FROM credit_grants WHERE membership_id = :membership AND remaining > 0")


def preview(session: Session, membership: Membership, club: Club) -> str:
    """What a move to that club would do, in words. Raises MemberErased, SameClub or WrongCurrency."""
    lock_member(session, membership.member_id, field=None)
    before = membership.club
    if club.id == before.id:
        raise SameClub(membership=membership.id, club=club.name)
    if club.currency != membership.currency:
        raise WrongCurrency(
            field="club_id", term_currency=membership.currency, club=club.name, club_currency=club.currency
        )
    return " ".join(
        (
            say(
                "Payments made from now on count by the days of {club}. If such a payment is reversed after its "
                "sessions were used, {consequence}.",
                club=club.name,
                consequence=say(_SHORTFALLS[club.shortfall_policy]),
            ),
            say_n(
                "Payments made before, also those that arrive later, keep the days and rules of {club}: {n} grant with "
                "sessions left keeps its last day.",
                "Payments made before, also those that arrive later, keep the days and rules of {club}: {n} grants "
                "with sessions left keep their last day.",
                session.scalars(_GRANTS, {"membership": membership.id}).one(),
                club=before.name,
            ),
            say("Terms and billing references stay."),
        )
    )


def move_club(session: Session, membership: Membership, club: Club, *, reason: str, by: Actor, now: datetime) -> str:
    """Move a membership to another club from now on. Returns what that does, in words.

    Raises ReasonMissing, TextTooLong, MemberErased, SameClub or WrongCurrency.
    """
    reason = actions.reason_given(reason)
    locks.change(session)
    session.refresh(membership, ["club_id"], with_for_update=True)
    session.expire(membership, ["club", "earlier_clubs"])
    session.refresh(club, with_for_update={"key_share": True, "read": True})  # its currency stays as it is
    words, before = preview(session, membership, club), membership.club
    subject = f"membership {membership.id} from club {before.id}, {before.name}, to club {club.id}, {club.name}"
    act = actions.log(session, by, "move club", subject, member_id=membership.member_id, reason=reason)
    # Not before an earlier move, whatever the clocks of two machines say.
    until = max([now, *(one.until for one in membership.earlier_clubs)])
    membership.earlier_clubs.append(EarlierClub(club_id=before.id, until=until, action_id=act))
    membership.club = club
    session.flush()
    return words
