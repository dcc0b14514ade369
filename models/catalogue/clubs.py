"""Making, changing and deleting clubs."""

from zoneinfo import available_timezones

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.catalogue.tables import Club, ShortfallPolicy
from models.database.naming import name_given, named_once, unless_in_use
from models.errors import ClubInUse, WrongTimeZone
from models.wording import counted, currency_code

_MEMBERSHIPS = text("SELECT count(*) FROM memberships WHERE club_id = :club")

_NO_PLACES = {"Factory", "localtime"}
"""In the time zone database of some machines, but on no clock that a member can read."""


def create_club(
    session: Session, *, name: str, time_zone: str, currency: str, shortfall_policy: ShortfallPolicy
) -> Club:
    """Makes a club. Raises NameMissing, TextTooLong, NameTaken, WrongTimeZone or WrongCurrencyCode."""
    club = Club(
        name=name_given(name),
        time_zone=zone_name(time_zone),
        currency=currency_code(currency),
        shortfall_policy=shortfall_policy.value,
    )
    with named_once(session, "a club", club.name):
        session.add(club)
    return club


def edit_club(
    session: Session, club: Club, *, name: str, time_zone: str, currency: str, shortfall_policy: ShortfallPolicy
) -> None:
    """Changes a club; its currency only while it has no memberships.

    Raises NameMissing, TextTooLong, NameTaken, WrongTimeZone, WrongCurrencyCode or ClubInUse.
    """
    given, zone, code = name_given(name), zone_name(time_zone), currency_code(currency)
    if club.currency != code:
        session.refresh(club, with_for_update=True)  # nobody signs up there before this is committed
        if held := _memberships(session, club.id):
            consequence = f"its currency stays {club.currency}"
            raise ClubInUse(club=club.name, memberships=counted(held, "membership"), consequence=consequence)
    with named_once(session, "a club", given):
        club.name, club.time_zone, club.currency = given, zone, code
        club.shortfall_policy = shortfall_policy.value


def delete_club(session: Session, club: Club) -> None:
    """Deletes a club at which nobody has signed up. Raises ClubInUse."""
    club_id, name = club.id, club.name

    def refusal() -> ClubInUse:
        held = counted(_memberships(session, club_id), "membership")
        return ClubInUse(club=name, memberships=held, consequence="it cannot be deleted")

    with unless_in_use(session, refusal):
        session.delete(club)


def zone_name(typed: str) -> str:
    """The IANA name of a time zone. Raises WrongTimeZone."""
    name = typed.strip()
    if name not in available_timezones() - _NO_PLACES:
        raise WrongTimeZone(name=name)
    return name


def _memberships(session: Session, club_id: int) -> int:
    return int(session.scalars(_MEMBERSHIPS, {"club": club_id}).one())
