"""PURE: is money turning into sessions? The paid payments that gave none, and the events that may be such payments."""

from collections.abc import Mapping
from typing import NamedTuple

from models.operations.figures import EndpointFigures
from models.wording import counted

_WITHOUT_SESSIONS = {
    "unmatched": "{:,} unmatched",
    "held": "{:,} held",
    "nothing": "{:,} that gave nothing",
    "extra": "{:,} beside the dues",
    "frozen": "{:,} paid while frozen",
    "ended": "{:,} for a time after the end",
    "erased": "{:,} of erased members",
    "payer_only": "{:,} of which only the payer is known",
}
_WITHOUT_EFFECT = {"dead": "{:,} dead", "quarantined": "{:,} in quarantine"}


class Part(NamedTuple):
    """A number of payments or events that give no sessions until somebody acts."""

    figure: str
    """The name of the figure that counts them."""
    number: int
    what: str
    """`3 unmatched`."""


def without_sessions(figures: EndpointFigures) -> list[Part]:
    """The paid payments that gave no sessions and that nobody has answered, by kind; often none."""
    return _parts(figures, _WITHOUT_SESSIONS)


def without_effect(figures: EndpointFigures) -> list[Part]:
    """The events that have no effect until somebody acts, by kind; often none. Each may be a payment."""
    return _parts(figures, _WITHOUT_EFFECT)


def _parts(figures: EndpointFigures, words: Mapping[str, str]) -> list[Part]:
    found = {figure: getattr(figures, figure) for figure in words}
    return [Part(figure, count, words[figure].format(count)) for figure, count in found.items() if count]


class Headline(NamedTuple):
    """The answer in two sentences without their end, each with its parts; an empty sentence where there are none."""

    payments: str
    of_payments: list[Part]
    events: str
    of_events: list[Part]

    def __str__(self) -> str:
        """`9 paid payments gave no sessions: 8 unmatched, 1 held; 1 event has no effect yet: 1 dead`."""
        both = (self.payments, self.of_payments), (self.events, self.of_events)
        return "; ".join(f"{text}: {', '.join(one.what for one in parts)}" for text, parts in both if parts)


def headline(figures: EndpointFigures) -> Headline:
    """What these figures say of paid payments without sessions, and of events without effect."""
    payments, events = without_sessions(figures), without_effect(figures)
    paid, may_be = (sum(one.number for one in parts) for parts in (payments, events))
    return Headline(
        f"{counted(paid, 'paid payment')} gave no sessions" if paid else "",
        payments,
        f"{counted(may_be, 'event')} {'has' if may_be == 1 else 'have'} no effect yet" if may_be else "",
        events,
    )
