"""Redemptions, returns and adjustments."""

from collections.abc import Mapping
from typing import Any

from models.errors.base import SppError


class TooFewSessions(SppError, field="quantity"):
    """{sessions} asked for, {usable} usable{then}: nothing was taken."""

    why_not: Mapping[str, Any] | None = None
    """Why no session can be used: the fields of a WhyNot."""

    def explain(self, why_not: Mapping[str, Any]) -> None:
        """Say why, and the way out, after what was refused."""
        self.why_not = why_not
        self.args = (f"{self} {why_not['sentence']} {why_not['way_out']}",)


class NotAtThisClub(SppError, field="club_id"):
    """Not at this club: {sessions} can be used at {club}, {elsewhere} more only at {clubs}. Nothing was taken."""


class InFuture(SppError, field="occurred_at"):
    """That is in the future: say when the sessions were used, or leave it out if it is now."""


class TooFarBack(SppError, field="occurred_at"):
    """You can date it back by {limit} at most{further}. What was before that needs an adjustment."""


class NothingToReturn(SppError, field="quantity"):
    """{sessions} cannot be returned: redemption {redemption} has {left} left to return."""


class KeyReused(SppError, status=409):
    """Idempotency key {key!r} was used before with other content: use a new key."""


class SentBefore(SppError, status=409):
    """This form was sent before, with other content: check what it did, and send it again if you want both."""


class NotPositive(SppError, field="quantity"):
    """{what} must be 1 or more (it is {value})."""


class ZeroQuantity(SppError, field="quantity"):
    """Say how many sessions: plus to give, minus to take."""


class ReasonMissing(SppError, field="reason"):
    """Say why: a note is required."""


class TextTooLong(SppError):
    """{what} can have at most {limit} characters (it has {length}): shorten it."""


class DayTooFar(SppError, field="last_day"):
    """{day} is too far away: choose a day up to {limit}, or let the sessions never expire."""


class DayOver(SppError, field="last_day"):
    """That day is over: choose a later one."""


class NothingExpired(SppError, field="last_day"):
    """Grant {grant} has no expired sessions that could come back: they were used, or taken back."""


class NeverExpires(SppError, field="last_day"):
    """Grant {grant} never expires."""


class NotLater(SppError, field="last_day"):
    """It can be used until {last_day} already: choose a later day."""


class NotYours(SppError, status=403):
    """Somebody else asked for adjustment {adjustment}: only they or a manager can decline it."""
