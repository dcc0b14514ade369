"""The club of this desk: where sessions are used, remembered in the browser from one redemption to the next."""

from collections.abc import Iterable

from flask import session

from console.web.fields import chosen_id
from models.catalogue.clubs import Club

_NAME = "desk_club"


def of(clubs: Iterable[Club]) -> Club | None:
    """The one of these clubs that was said last; None if none was."""
    return next((club for club in clubs if club.id == session.get(_NAME)), None)


def remember(typed: object) -> None:
    """Remember what was chosen; the choice of none too."""
    session[_NAME] = chosen_id(typed) or None
