"""Freezes, closures, ends, and dues that failed."""

from models.errors.base import SppError


class DaysBackwards(SppError, field="last_day"):
    """The last day, {last}, is before the first, {first}. Choose a last day that is not."""


class YearWrong(SppError):
    """{day} is more than {years} years from today. Check the year."""


class TooLong(SppError, field="last_day"):
    """{what} from {first} to {last} is longer than {limit}. Check the year; record a longer one in parts."""


class LastDayMissing(SppError, field="last_day"):
    """Say the last day: only a freeze can go on until further notice."""


class EndsTooEarly(SppError, field="last_day"):
    """The membership began on {first}, so its last day cannot be {last}. Check the day and the year."""


class AlreadyEnded(SppError, field="last_day", status=409):
    """The membership has an end already: its last day is {day}. Reopen it first, or change that day."""


class AnnouncementOver(SppError, status=409):
    """This announcement is not open any more: somebody answered it, the membership says so by now, or the payment
    provider has said something else since. Look again."""


class NotChanged(SppError):
    """That is how it is already. Nothing was changed."""


class MembershipFrozen(SppError, status=409):
    """The {item} sessions are frozen until {last}: nothing was taken. End the freeze today, and they can be used from
    tomorrow on."""


class BringsBack(SppError, field="expected"):
    """{sessions} sessions that have expired could be used again, more than the {limit} that one person may give alone.
    Nothing was changed. Look at a preview; if it is right, say that you expect {sessions}."""


class OverdueSessions(SppError, field="override_reason"):
    """{sessions} asked for, {usable} usable and {withheld} withheld: dues are overdue since {since}.
    Nothing was taken. Say why they can be used all the same, or have the dues paid."""


class NothingOverdue(SppError):
    """No dues of membership {membership} are overdue: there is nothing to clear."""
