"""PURE: what a payment term can say: how often dues fall due, what a part of them gives, when sessions are released.

`summary` says all of it in one sentence, for a payment term and for the terms that were pinned from it.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Protocol

from models.errors import NotReleased, OnEndDaysMissing, ReleaseTimesMissing
from models.wording import Given, counted, every, joined, lasting, money, sessions_of
from runtime.language import Texts, noted, say, say_n


class Interval(StrEnum):
    """How often dues fall due; the count beside it multiplies it."""

    WEEK = "week"
    MONTH = "month"
    YEAR = "year"
    ONCE = "once"


class Partial(StrEnum):
    """What a payment for a part of the interval gives."""

    PROPORTIONAL = "proportional"
    """The same part of the sessions, rounded up."""
    FULL = "full"
    NONE = "none"


class Release(StrEnum):
    """When the sessions of one payment can be used; each release has its own days to expire."""

    AT_ONCE = "at_once"
    MONTHLY = "monthly"
    """The session quantity each month of the interval, on the day of the month on which it begins."""
    WEEKLY = "weekly"
    """The session quantity each Monday of the interval."""
    TIMES = "times"
    """The session quantity so many times, spread over the interval."""


class FrozenDues(StrEnum):
    """What a payment gives that is made on a day on which the membership is frozen."""

    NOTHING = "nothing"
    """It is the fee of the freeze."""
    PART = "part"
    """Of the sessions, what its money is of the dues."""
    FULL = "full"
    """What it would give at any other time."""


class OnEnd(StrEnum):
    """Until when unused sessions can be used after the last day of a membership."""

    KEEP = "keep"
    """Until their own day."""
    LAST_DAY = "last_day"
    """Until the last day of the membership at most."""
    DAYS = "days"
    """For so many days after it at most."""


MAX_RELEASE_TIMES, MAX_ON_END_DAYS = 60, 730

RULES = (
    "dues_minor", "interval", "interval_count", "partial", "release", "release_times", "frozen_dues", "on_end",
    "on_end_days",
)  # fmt: skip
"""What a payment term says beside its sessions, and what is pinned of it."""


class TermRules(Protocol):
    """What a payment term, and the terms pinned from it, say beside their sessions."""

    @property
    def dues_minor(self) -> int:
        """What is paid each time."""

    @property
    def interval(self) -> str:
        """An `Interval`."""

    @property
    def interval_count(self) -> int:
        """Every so many intervals."""

    @property
    def partial(self) -> str:
        """A `Partial`."""

    @property
    def release(self) -> str:
        """A `Release`."""

    @property
    def release_times(self) -> int | None:
        """How many times, if the release is `times`."""

    @property
    def frozen_dues(self) -> str:
        """A `FrozenDues`."""

    @property
    def on_end(self) -> str:
        """An `OnEnd`."""

    @property
    def on_end_days(self) -> int | None:
        """How many days, if `on_end` is `days`."""


def release_times(interval: Interval, interval_count: int, release: Release, times: int | None) -> int | None:
    """The number to keep beside the release: that of `times`, None for the others.

    Raises NotReleased where the interval is too short for the release, or ReleaseTimesMissing.
    """
    is_several = interval_count > 1
    fits = {
        Release.MONTHLY: interval == Interval.YEAR or (interval == Interval.MONTH and is_several),
        Release.WEEKLY: interval in (Interval.MONTH, Interval.YEAR) or (interval == Interval.WEEK and is_several),
        Release.TIMES: interval != Interval.ONCE,
    }
    if not fits.get(release, True):
        needs = {
            Release.MONTHLY: noted("dues for more than a month"),
            Release.WEEKLY: noted("dues for more than a week"),
        }
        advice = needs.get(release, noted("dues that fall due again and again"))
        raise NotReleased(how=say(RELEASES[release]).lower(), every=every(interval, interval_count), needs=advice)
    if release != Release.TIMES:
        return None
    if times is None or not 2 <= times <= MAX_RELEASE_TIMES:
        raise ReleaseTimesMissing(most=MAX_RELEASE_TIMES, value=say("not set") if times is None else times)
    return times


def on_end_days(on_end: OnEnd, days: int | None) -> int | None:
    """The number to keep beside the rule: that of `days`, None for the others. Raises OnEndDaysMissing."""
    if on_end != OnEnd.DAYS:
        return None
    if days is None or not 1 <= days <= MAX_ON_END_DAYS:
        raise OnEndDaysMissing(most=MAX_ON_END_DAYS, value=say("not set") if days is None else days)
    return days


RELEASES: Texts = {
    Release.AT_ONCE.value: "At once",
    Release.MONTHLY.value: "Monthly",
    Release.WEEKLY.value: "Weekly",
    Release.TIMES.value: "Several times",
}
"""Each release as people call it."""
PART_PAYMENTS: Texts = {
    Partial.PROPORTIONAL.value: "The same part of the sessions, rounded up",
    Partial.FULL.value: "All the sessions",
    Partial.NONE.value: "No sessions",
}
"""What a payment for a part of the interval gives."""


FROZEN_DUES: Texts = {
    FrozenDues.NOTHING.value: "Nothing: it is the fee of the freeze",
    FrozenDues.PART.value: "The part of the sessions that it pays for",
    FrozenDues.FULL.value: "As at any other time",
}
"""What a payment on a frozen day gives."""
ON_END: Texts = {
    OnEnd.KEEP.value: "Usable until their own day",
    OnEnd.LAST_DAY.value: "Usable until the last day of the membership",
    OnEnd.DAYS.value: "Usable for some days after the last day of the membership",
}
"""What becomes of unused sessions when a membership ends."""


def on_end_words(terms: TermRules) -> str:
    """What becomes of unused sessions at the end, as people call it."""
    if terms.on_end == OnEnd.DAYS:
        return say_n(
            "Usable for {n} day after the last day of the membership",
            "Usable for {n} days after the last day of the membership",
            terms.on_end_days or 0,
        )
    return say(ON_END[terms.on_end])


def frozen_words(terms: TermRules) -> str:
    """What dues give that are paid while a membership is frozen, in a sentence."""
    match FrozenDues(terms.frozen_dues):
        case FrozenDues.NOTHING:
            return say("Dues paid while the membership is frozen give no sessions: they are the fee of the freeze.")
        case FrozenDues.PART:
            return say("Dues paid while the membership is frozen give the part of the sessions that they pay for.")
        case FrozenDues.FULL:
            return say("Dues paid while the membership is frozen give sessions as at any other time.")


def ended_words(terms: TermRules) -> str:
    """What becomes of unused sessions when a membership ends, in a sentence."""
    match OnEnd(terms.on_end):
        case OnEnd.KEEP:
            return say("When the membership ends, unused sessions are usable until their own day.")
        case OnEnd.LAST_DAY:
            return say("When the membership ends, unused sessions are usable until the last day of the membership.")
        case OnEnd.DAYS:
            return say_n(
                "When the membership ends, unused sessions are usable for {n} day after the last day of "
                "the membership.",
                "When the membership ends, unused sessions are usable for {n} days after the last day of "
                "the membership.",
                terms.on_end_days or 0,
            )


def life_words(terms: TermRules) -> str:
    """What the terms say of a freeze and of the end, in sentences."""
    return f"{frozen_words(terms)} {ended_words(terms)}"


def summary(terms: TermRules, currency: str, given: Iterable[Given]) -> str:
    """All of it in plain words.

    `Each $89.00 monthly payment gives 4 Spin sessions (30 days).` `Each $1,188.00 yearly payment gives 8 Class
    sessions a month, 12 times (30 days each).`
    """
    parts = [gives(terms, part) for part in given if part.quantity]
    sentence = say(
        "{payment} gives {sessions}.", payment=payment(terms, currency), sessions=joined(parts) or say("no sessions")
    )
    return sentence[0].upper() + sentence[1:]


def payment(terms: TermRules, currency: str) -> str:
    """The payment that is due each time: `each $89.00 monthly payment`."""
    dues = money(terms.dues_minor, currency)
    if terms.interval == Interval.ONCE:
        return say("the one-time {dues} payment", dues=dues)
    if terms.interval_count > 1:
        return say("each {dues} payment {every}", dues=dues, every=every(terms.interval, terms.interval_count))
    match Interval(terms.interval):
        case Interval.WEEK:
            return say("each {dues} weekly payment", dues=dues)
        case Interval.MONTH:
            return say("each {dues} monthly payment", dues=dues)
        case _:
            return say("each {dues} yearly payment", dues=dues)


def gives(terms: TermRules, part: Given) -> str:
    """The sessions of one item that each payment gives: `8 Class sessions a month, 12 times (30 days each)`."""
    return f"{sessions_of(part.item, part.quantity)}{released(terms, part.days_to_expire)}"


def release_words(terms: TermRules) -> str:
    """The release as people call it: `4 times`, `Monthly`."""
    if terms.release == Release.TIMES:
        return counted(terms.release_times or 0, "time")
    return say(RELEASES[terms.release])


def released(terms: TermRules, days_to_expire: int) -> str:
    """When they are released and how long they last, to follow the sessions: ` a month, 12 times (30 days each)`."""
    lasts = lasting(days_to_expire)
    if days_to_expire and terms.release != Release.AT_ONCE:
        lasts = say("{days} each", days=lasts)
    return f"{released_when(terms)} ({lasts})"


def released_when(terms: TermRules) -> str:
    """When they are released, to follow the sessions: ` a month, 12 times`; empty where all are at once."""
    match terms.release:
        case Release.MONTHLY:
            months = terms.interval_count * (12 if terms.interval == Interval.YEAR else 1)
            return say(" a month, {n} times", n=months)
        case Release.WEEKLY:
            return say(" a week, on Mondays")
        case Release.TIMES:
            count, times = terms.interval_count, terms.release_times
            match Interval(terms.interval):
                case Interval.WEEK:
                    return say_n(
                        ", {times} times over the week", ", {times} times over the {n} weeks", count, times=times
                    )
                case Interval.MONTH:
                    return say_n(
                        ", {times} times over the month", ", {times} times over the {n} months", count, times=times
                    )
                case _:
                    return say_n(
                        ", {times} times over the year", ", {times} times over the {n} years", count, times=times
                    )
        case _:
            return ""
