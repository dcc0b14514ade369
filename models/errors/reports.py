"""Reports."""

from models.errors.base import SppError


class DayNotOver(SppError, field="day"):
    """{day} is not over yet at every club. Choose {latest} or an earlier day."""


class WrongPeriod(SppError, field="until"):
    """The period ends on {until}, before it begins on {since}."""


class PeriodTooLong(SppError, field="since"):
    """Choose a period of at most {most} days."""


class ReportTooSlow(SppError, status=503):
    """The report took too long, and was stopped. Choose one club, one item or a shorter period, or try again later."""
