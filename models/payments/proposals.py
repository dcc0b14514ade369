"""PURE: what the processor announced of a subscription or mandate, as a proposal for a membership.

Of each billing reference the latest word counts, by the processor's clock: one on its end, and one on its pauses. A
word that arrives again is the same word, so it needs no second answer. A proposal is open until a person has answered
it for that membership, or the acts on the membership's life say the same already. So it does not matter in which order
words, memberships and acts were recorded.
"""

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import groupby
from typing import NamedTuple

from models.catalogue.days import ONE_DAY, local_day
from models.payments.facts import Announced, Change
from models.wording import day_of
from runtime.language import Texts, noted, say

A_MOMENT = timedelta(microseconds=1)
OF_AN_END = frozenset({Change.ENDS, Change.GOES_ON})


class Act(NamedTuple):
    """A freeze or an end that counts."""

    id: int
    is_end: bool
    first_day: date | None
    last_day: date | None

    def covers(self, day: date) -> bool:
        """Whether that day is frozen by it."""
        first, last = self.first_day, self.last_day
        return not self.is_end and first is not None and first <= day and (last is None or day <= last)


class Word(NamedTuple):
    """An announcement, with the id of its fact."""

    fact_id: int
    announced: Announced


class Does(StrEnum):
    """What the answer *apply* does to the membership."""

    END = "end"
    MOVE_END = "move_end"
    REOPEN = "reopen"
    FREEZE = "freeze"
    END_FREEZE = "end_freeze"
    UNDO_FREEZE = "undo_freeze"


UNDOES = frozenset({Does.REOPEN, Does.UNDO_FREEZE})
OF_ENDS = frozenset({Does.END, Does.MOVE_END, Does.REOPEN})


_BUTTONS: Texts = {
    Does.END: "End the membership then",
    Does.MOVE_END: "Change the membership's last day to {last}",
    Does.REOPEN: "Reopen the membership",
    Does.FREEZE: "Freeze it from {first} to {last}",
    Does.END_FREEZE: "End the freeze on {last}",
    Does.UNDO_FREEZE: "Undo the freeze",
}
_DONE: Texts = {
    Does.END: "The membership ends on {last}",
    Does.MOVE_END: "The membership's last day is {last} now",
    Does.REOPEN: "The membership is reopened",
    Does.FREEZE: "The membership is frozen from {first} to {last}",
    Does.END_FREEZE: "The freeze ends on {last}",
    Does.UNDO_FREEZE: "The freeze is undone",
}


class Proposal(NamedTuple):
    """What the life of a membership would be if it followed the processor."""

    does: Does
    facts: tuple[int, ...]
    """The facts that say so, the latest first: one announcement that may have arrived again."""
    announced_at: datetime
    first_day: date | None = None
    """Of a freeze, in local days of the club; and its last day, or that of the membership."""
    last_day: date | None = None
    act: int | None = None
    """The act in force that it changes or undoes."""

    @property
    def fact_id(self) -> int:
        """By which it is answered."""
        return self.facts[0]

    @property
    def effect(self) -> tuple[object, ...]:
        """What applying it does; two proposals with the same effect are one."""
        return self.does, self.first_day, self.last_day, self.act

    def sentence(self, who: str, today: date) -> str:
        """What the processor announced: `Stripe says that this subscription ends on Jan 31, 2027`."""
        match self.does:
            case Does.END | Does.MOVE_END if self.last_day and self.last_day < today:
                what = noted("{who} says that this subscription ended on {last}")
            case Does.END | Does.MOVE_END:
                what = noted("{who} says that this subscription ends on {last}")
            case Does.REOPEN:
                what = noted("{who} says that this subscription goes on: its end was taken back")
            case Does.FREEZE if self.last_day:
                what = noted("{who} says that this subscription was paused from {first} to {last}")
            case Does.FREEZE:
                what = noted("{who} says that this subscription is paused since {first}")
            case Does.END_FREEZE:
                what = noted("{who} says that this subscription goes on after a pause, which ended on {last}")
            case Does.UNDO_FREEZE:
                what = noted("{who} says that this subscription goes on: it was paused for less than a day")
        return self._worded(what, who=who)

    @property
    def button(self) -> str:
        """What one button does."""
        if self.does == Does.FREEZE and not self.last_day:
            return self._worded(noted("Freeze it from {first} on"))
        return self._worded(_BUTTONS[self.does])

    @property
    def done(self) -> str:
        """What the button has done, as the start of a sentence."""
        if self.does == Does.FREEZE and not self.last_day:
            return self._worded(noted("The membership is frozen from {first} on"))
        return self._worded(_DONE[self.does])

    def _worded(self, what: str, **more: str) -> str:
        return say(what, first=day_of(self.first_day), last=day_of(self.last_day), **more)


def proposals(words: Sequence[Word], answered: Collection[int], acts: Sequence[Act], zone: str) -> list[Proposal]:
    """The open proposals of one billing reference for one membership, whose club has that time zone.

    `answered` are the facts that were answered for it, `acts` its freezes and its end that count.
    """
    of_end = [word for word in words if word.announced.what in OF_AN_END]
    of_pause = [word for word in words if word.announced.what not in OF_AN_END]
    found = [_of_end(_runs(of_end, zone), answered, acts), _of_pause(_runs(of_pause, zone), answered, acts)]
    return [one for one in found if one]


class _Run(NamedTuple):
    """Words in a row, by the processor's clock, that say the same."""

    what: Change
    day: date
    """The last local day of what ends; else the one of the first word."""
    facts: tuple[int, ...]
    announced_at: datetime


def _runs(words: Sequence[Word], zone: str) -> list[_Run]:
    """The words by the processor's clock, the same ones in a row together."""
    ordered = sorted((one.occurred_at, *_certain(one), fact_id, one) for fact_id, one in words)
    days = [(one, fact_id, _day(one, zone)) for *_, fact_id, one in ordered]
    runs = []
    for (what, day), same in groupby(days, lambda one: (one[0].what, one[2] if one[0].what == Change.ENDS else None)):
        every = list(same)
        facts = tuple(fact_id for _, fact_id, _ in reversed(every))
        runs.append(_Run(what, day or every[0][2], facts, every[-1][0].occurred_at))
    return runs


def _certain(one: Announced) -> tuple[bool, float]:
    """Of words of one moment that counts as the last which ends or pauses it, and the earlier end."""
    return one.what in (Change.ENDS, Change.PAUSED), -one.at.timestamp() if one.at else 0


def _day(one: Announced, zone: str) -> date:
    return local_day(one.at - A_MOMENT if one.at else one.occurred_at, zone)


def _of_end(runs: Sequence[_Run], answered: Collection[int], acts: Sequence[Act]) -> Proposal | None:
    if not runs or not set(runs[-1].facts).isdisjoint(answered):
        return None
    last = runs[-1]
    end = next((act for act in acts if act.is_end), None)
    # Another end than the processor ever spoke of is the club's own: what ends or goes on after it is no news.
    is_theirs = end is not None and end.last_day in {run.day for run in runs if run.what == Change.ENDS}
    if last.what == Change.GOES_ON:
        return Proposal(Does.REOPEN, last.facts, last.announced_at, act=end.id) if end and is_theirs else None
    if end is None:
        return Proposal(Does.END, last.facts, last.announced_at, last_day=last.day)
    if end.last_day == last.day or (end.last_day and end.last_day < last.day and not is_theirs):
        return None
    return Proposal(Does.MOVE_END, last.facts, last.announced_at, last_day=last.day, act=end.id)


def _of_pause(runs: Sequence[_Run], answered: Collection[int], acts: Sequence[Act]) -> Proposal | None:
    if not runs or not set(runs[-1].facts).isdisjoint(answered):
        return None
    paused = next((run for run in reversed(runs) if run.what == Change.PAUSED), None)
    if paused is None:
        return None
    last, freezes = runs[-1], [act for act in acts if act.covers(paused.day)]
    is_new = not freezes and set(paused.facts).isdisjoint(answered)
    if last is paused:
        return Proposal(Does.FREEZE, last.facts, last.announced_at, first_day=last.day) if is_new else None
    until = last.day - ONE_DAY
    if is_new and until >= paused.day:
        return Proposal(Does.FREEZE, last.facts, last.announced_at, first_day=paused.day, last_day=until)
    longer = next((act for act in freezes if act.last_day is None or act.last_day > until), None)
    if longer is None:
        return None
    if longer.first_day and until < longer.first_day:
        return Proposal(Does.UNDO_FREEZE, last.facts, last.announced_at, act=longer.id)
    return Proposal(Does.END_FREEZE, last.facts, last.announced_at, last_day=until, act=longer.id)
