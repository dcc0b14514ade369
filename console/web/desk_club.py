"""Clubs that this browser remembers: where sessions are used at this desk, and where members sign up.

Each of the two is the last choice. A sign-up does not change where sessions count as used.
"""

from collections.abc import Iterable

from flask import session

from console.web.fields import chosen_id
from models.catalogue.clubs import Club

USED = "desk_club"
SIGN_UP = "sign_up_club"


def of(clubs: Iterable[Club], what: str = USED) -> Club | None:
    """The one of these clubs that was chosen last; None if none was."""
    return next((club for club in clubs if club.id == session.get(what)), None)


def remember(typed: object, what: str = USED) -> None:
    """Remember what was chosen; the choice of none too."""
    session[what] = chosen_id(typed) or None
