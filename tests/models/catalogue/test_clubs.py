"""Clubs: a zone and a currency that exist, and a currency that stays once members have signed up."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from models.catalogue import clubs
from models.catalogue.clubs import Club, ShortfallPolicy
from models.database.engine import sessions
from models.errors import ClubInUse, NameMissing, NameTaken, WrongCurrencyCode, WrongTimeZone
from tests.models.gym import Gym, wait_until_blocked

GIVEN: dict[str, Any] = {
    "name": "Berlin",
    "time_zone": "Europe/Berlin",
    "currency": "EUR",
    "shortfall_policy": ShortfallPolicy.FORGIVE,
}
DOWNTOWN: dict[str, Any] = {
    "name": "Downtown",
    "time_zone": "America/Chicago",
    "currency": "USD",
    "shortfall_policy": ShortfallPolicy.REPAY,
}


def kept(session: Session, club: Club) -> dict[str, Any]:
    session.expire_all()
    return {name: getattr(club, name) for name in GIVEN}


def test_a_club_is_made_and_changed(session: Session) -> None:
    club = clubs.create_club(session, **GIVEN | {"name": " Berlin ", "currency": "eur", "time_zone": "Europe/Berlin "})
    assert kept(session, club) == GIVEN
    clubs.edit_club(session, club, **DOWNTOWN)
    assert kept(session, club) == DOWNTOWN
    clubs.delete_club(session, club)
    assert session.get(Club, club.id) is None


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"name": " "}, NameMissing, "A name is required"),
        ({"name": "Downtown"}, NameTaken, "There is already a club 'Downtown': choose another name"),
        *(
            ({"time_zone": zone}, WrongTimeZone, "is not a time zone: give its IANA name")
            for zone in ("", "Chicago", "America", "../etc/passwd", "localtime", "Factory", "america/chicago", "x" * 99)
        ),
        *(({"currency": code}, WrongCurrencyCode, "is not a currency") for code in ("", "$", "ZZZ", "Euro")),
    ],
)
def test_what_cannot_be_is_refused(
    gym: Gym, session: Session, changed: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        clubs.create_club(session, **GIVEN | changed)
    club = clubs.create_club(session, **GIVEN)
    with pytest.raises(error, match=message):
        clubs.edit_club(session, club, **GIVEN | changed)
    assert kept(session, club) == GIVEN


def test_the_currency_stays_once_somebody_has_signed_up(gym: Gym, session: Session) -> None:
    gym.join()
    with pytest.raises(ClubInUse, match="'Downtown' has 1 membership, so its currency stays USD"):
        clubs.edit_club(session, gym.club, **DOWNTOWN | {"name": "Uptown", "currency": "EUR"})
    assert kept(session, gym.club) == DOWNTOWN
    changed = GIVEN | {"name": "Uptown", "currency": "USD"}
    clubs.edit_club(session, gym.club, **changed)
    assert kept(session, gym.club) == changed


def test_a_club_with_memberships_is_not_deleted(gym: Gym, session: Session) -> None:
    gym.join()
    gym.join()
    with pytest.raises(ClubInUse, match="'Downtown' has 2 memberships, so it cannot be deleted"):
        clubs.delete_club(session, gym.club)
    assert kept(session, gym.club) == DOWNTOWN


def test_the_currency_is_not_changed_under_somebody_who_is_just_signing_up(open_gym: Gym, engine: Engine) -> None:
    open_gym.join()

    def change() -> None:
        with sessions(engine).begin() as other:
            clubs.edit_club(other, other.get_one(Club, open_gym.club.id), **DOWNTOWN | {"currency": "EUR"})

    with ThreadPoolExecutor() as pool:
        changing = pool.submit(change)
        wait_until_blocked(engine, changing.done)
        open_gym.session.commit()
        with pytest.raises(ClubInUse, match="1 membership"):
            changing.result()
