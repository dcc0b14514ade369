"""PURE: is money turning into sessions? All that keeps a paid payment from its sessions until somebody acts.

Page, API, command line and alarms say it in these numbers and words.
"""

from collections.abc import Mapping
from typing import NamedTuple

from models.operations.figures import EndpointFigures
from models.wording import duration
from runtime.language import Texts, grouped, say, say_n

_WAITING: Texts = {
    "late": "{n} waiting too long",
    "paused_due": "{n} paused",
    "dead": "{n} failed",
    "quarantined": "{n} quarantined",
    "in_review": "{n} in review",
}
"""By figure. The first four are of events, each of which may be a payment."""
_WITHOUT_SESSIONS: Texts = {
    "unmatched": "{n} unmatched",
    "held": "{n} held",
    "nothing": "{n} that gave nothing",
    "extra": "{n} beside the dues",
    "frozen": "{n} paid while frozen",
    "ended": "{n} for a time after the end",
    "erased": "{n} of erased members",
    "payer_only": "{n} of which only the payer is known",
}
"""Of the payments in review, those that gave no sessions."""
_STATES = {"late": "pending", "paused_due": "pending", "dead": "dead", "quarantined": "quarantined"}


class Part(NamedTuple):
    """A number of payments or events that wait for somebody."""

    figure: str
    """The name of the figure that counts them."""
    number: int
    what: str
    """`3 unmatched`"""

    @property
    def state(self) -> str | None:
        """The state of these events; None of payments in review."""
        return _STATES.get(self.figure)

    @property
    def reason(self) -> str | None:
        """The reason for which these payments stand in review; None of all of them, and of events."""
        return self.figure if self.figure in _WITHOUT_SESSIONS else None


class Headline(NamedTuple):
    """What waits for somebody; all of it empty where nothing does."""

    parts: list[Part]
    without_sessions: list[Part]
    """Of the payments in review, those that gave no sessions, by why."""
    since_s: float | None
    """For how long the first of them has waited."""

    @property
    def number(self) -> int:
        """How many wait."""
        return sum(one.number for one in self.parts)

    @property
    def total(self) -> str:
        """`9 payments or events need somebody`; empty where none does."""
        if not self.number:
            return ""
        return say_n("{n} payment or event needs somebody", "{n} payments or events need somebody", self.number)

    @property
    def age(self) -> str:
        """`the first for 3 h`; empty where it is not known."""
        return "" if self.since_s is None else say("the first for {time}", time=duration(int(self.since_s)))

    def __str__(self) -> str:
        """`3 payments or events need somebody: 1 failed, 2 in review (without sessions: 1 unmatched)`."""
        if not self.parts:
            return ""
        parts = ", ".join(one.what for one in self.parts)
        nothing = ", ".join(one.what for one in self.without_sessions)
        return f"{self.total}: {parts}" + (say(" (without sessions: {what})", what=nothing) if nothing else "")


def without_sessions(figures: EndpointFigures) -> list[Part]:
    """The paid payments that gave no sessions and that nobody has answered, by kind; often none."""
    return _parts(figures, _WITHOUT_SESSIONS)


def headline(figures: EndpointFigures) -> Headline:
    """What these figures say."""
    known = (
        figures.oldest_late_s, figures.oldest_dead_s, figures.oldest_quarantined_s, figures.oldest_in_review_s
    )  # fmt: skip
    ages = [age for age in known if age is not None]
    return Headline(_parts(figures, _WAITING), without_sessions(figures), max(ages, default=None))


def _parts(figures: EndpointFigures, words: Mapping[str, str]) -> list[Part]:
    found = {figure: getattr(figures, figure) for figure in words}
    return [Part(figure, count, say(words[figure], n=grouped(count))) for figure, count in found.items() if count]
