"""The occasion of a redemption: when it happened, where, in which class, with whom."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from models.catalogue.clubs import Club
from models.database.naming import MAX_NAME_LENGTH, visible
from models.errors import InFuture, NotFound, TextTooLong, TooFarBack
from models.staff.actions import MAX_REASON_LENGTH
from models.wording import counted
from runtime.language import Texts, say

DESK_BACK, MANAGER_BACK = timedelta(days=1), timedelta(days=31)
CLOCKS_DIFFER = timedelta(minutes=1)
"""A moment that is no further ahead counts as now: a scheduler's clock is not ours."""
LENGTHS = {"class_reference": 255, "class_name": MAX_NAME_LENGTH, "trainer": MAX_NAME_LENGTH, "note": MAX_REASON_LENGTH}
"""The most characters of each text."""
_NAMED: Texts = {
    "class_reference": "The class reference", "class_name": "The class name", "trainer": "The trainer",
    "note": "The note",
}  # fmt: skip


class Occasion(NamedTuple):
    """What is known of it; everything can be missing."""

    occurred_at: datetime | None = None
    """When it happened; None is now."""
    club_id: int | None = None
    """The club where it was, which need not be the membership's."""
    class_reference: str | None = None
    """The class as the gym's scheduler calls it."""
    class_name: str | None = None
    trainer: str | None = None
    note: str | None = None

    @property
    def details(self) -> dict[str, int | str | None]:
        """All but the moment, by the names of their columns."""
        return {name: value for name, value in self._asdict().items() if name != "occurred_at"}


NOT_SAID = Occasion()
"""Nothing is known of it."""


def may_go_back(*, is_manager: bool) -> timedelta:
    """How long ago a redemption may have been that the desk, or a manager, dates back."""
    return MANAGER_BACK if is_manager else DESK_BACK


def kept(session: Session, occasion: Occasion) -> Occasion:
    """The occasion as it is kept. Raises NotFound or TextTooLong."""
    texts: dict[str, Any] = {}
    for name, limit in LENGTHS.items():
        texts[name] = given = visible(getattr(occasion, name) or "") or None
        if given and len(given) > limit:
            raise TextTooLong(field=name, what=_NAMED[name], limit=limit, length=len(given))
    if occasion.club_id is not None and session.get(Club, occasion.club_id) is None:
        raise NotFound(field="club_id", what="club", name=occasion.club_id)
    return occasion._replace(**texts)


def check_moment(at: datetime, *, now: datetime, back: timedelta) -> None:
    """Raise InFuture or, if it is longer ago than `back`, TooFarBack."""
    if at > now + CLOCKS_DIFFER:
        raise InFuture
    if at < now - back:
        most = counted(MANAGER_BACK.days, "day")
        further = say(", a manager by {days}", days=most) if back < MANAGER_BACK else ""
        raise TooFarBack(limit=counted(back.days, "day"), further=further)
