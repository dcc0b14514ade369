"""The terms of a membership beside those that a payment term has now, and how they differ, in words."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

from models.catalogue import on_sale
from models.catalogue.days import local_day
from models.catalogue.tables import PaymentTerm
from models.catalogue.terms import (
    FROZEN_DUES,
    RULES,
    Partial,
    TermRules,
    gives,
    on_end_words,
    payment,
    release_words,
    released,
    released_when,
    summary,
)
from models.members.memberships import Membership, MembershipTerms
from models.wording import Given, day_of, joined, lasting, price, sessions_named, sessions_of
from runtime.language import Texts, grouped, say, say_n


class Compared(NamedTuple):
    """One session item: the sessions that payments give by the membership's terms, and by the current ones."""

    item_id: int
    item: str
    pinned: Given | None
    """None where the membership does not have it."""
    current: Given | None
    """None where the offer does not have it any more."""

    @property
    def differs(self) -> bool:
        """Whether moving the membership to the current terms, with the same items, would change anything."""
        return self.pinned is not None and self.pinned[1:] != (self.current or (None, 0, 0))[1:]

    @property
    def difference(self) -> str:
        """`2 more sessions; 45 days instead of 30 days`."""
        if self.current is None:
            return say("Not in the offer any more")
        if self.pinned is None:
            return say("Not picked")
        parts = []
        if (more := self.current.quantity - self.pinned.quantity) > 0:
            parts.append(say_n("{n} more session", "{n} more sessions", more))
        elif more:
            parts.append(say_n("{n} fewer session", "{n} fewer sessions", -more))
        if self.pinned.quantity and self.current.quantity and self.current.days_to_expire != self.pinned.days_to_expire:
            now, before = lasting(self.current.days_to_expire), lasting(self.pinned.days_to_expire)
            parts.append(say("{now} instead of {before}", now=now, before=before))
        return "; ".join(parts) or say("The same")


class ComparedRule(NamedTuple):
    """One thing that terms say beside their sessions."""

    what: str
    pinned: str
    current: str

    @property
    def differs(self) -> bool:
        """Whether moving the membership to the current terms would change it."""
        return self.pinned != self.current

    @property
    def difference(self) -> str:
        """`Changed`, or `The same`."""
        return say("Changed") if self.differs else say("The same")


def pinned(terms: MembershipTerms) -> dict[int, Given]:
    """The sessions that each release gives by a membership's terms, by item id."""
    return {pin.item_id: Given(pin.item.name, pin.quantity, pin.days_to_expire) for pin in terms.pinned}


def current(term: PaymentTerm) -> dict[int, Given]:
    """The sessions that each release gives by a payment term now, by item id."""
    return on_sale.given(term)


def compare(pinned: Mapping[int, Given], current: Mapping[int, Given]) -> list[Compared]:
    """Every item of either, by name; both are by item id."""
    both = {**current, **pinned}
    lines = [
        Compared(item_id, given.item, pinned.get(item_id), current.get(item_id)) for item_id, given in both.items()
    ]
    return sorted(lines, key=lambda line: (line.pinned is None, line.item))


_PARTIALS: Texts = {Partial.PROPORTIONAL: "Proportional", Partial.FULL: "Full", Partial.NONE: "None"}


def compare_rules(pinned: TermRules, current: TermRules, currency: str) -> list[ComparedRule]:
    """Dues, release and part payments of both."""
    prices = [price(one.dues_minor, currency, one.interval, one.interval_count) for one in (pinned, current)]
    return [
        ComparedRule(say("Dues"), *prices),
        ComparedRule(say("Release"), release_words(pinned), release_words(current)),
        ComparedRule(say("Part payments"), *(say(_PARTIALS[one.partial]) for one in (pinned, current))),
        ComparedRule(say("Dues while frozen"), *(say(FROZEN_DUES[one.frozen_dues]) for one in (pinned, current))),
        ComparedRule(say("When it ends"), on_end_words(pinned), on_end_words(current)),
    ]


def is_outdated(terms: MembershipTerms, term: PaymentTerm) -> bool:
    """Whether moving a membership from these terms to those of the payment term, with its items, changes anything."""
    return any(line.differs for line in compare(pinned(terms), current(term))) or any(
        getattr(terms, name) != getattr(term, name) for name in RULES
    )


def ahead(membership: Membership, now: datetime) -> list[str]:
    """What its payments give from now on, and from each planned change on, in sentences."""
    zone, currency = membership.club.time_zone, membership.currency
    in_force, later = membership.terms_at(now), [one for one in membership.terms_over_time if one.since > now]
    sentences = [summary(one, currency, pinned(one).values()) for one in (in_force, *later)]
    days = [day_of(local_day(one.since, zone)) for one in later]
    planned = zip(days, sentences[1:], strict=True)
    return [sentences[0], *(say("From {day}: {sentence}", day=day, sentence=sentence) for day, sentence in planned)]


def change_in_words(
    old: TermRules, had: Sequence[Given], new: TermRules, gets: Sequence[Given], currency: str, day: date | None
) -> str:
    """What a change of terms from a day on means; None is from now on.

    `From Dec 1, 2026, each $149.00 monthly payment gives 12 Class sessions (30 days) instead of 8; payments made before
    then keep 8 Class sessions.`
    """
    before, after = ({part.item: part for part in parts if part.quantity} for parts in (had, gets))
    parts = [_beside(old, before.get(item), new, part) for item, part in after.items()]
    parts += [
        say("no {sessions} instead of {before}", sessions=sessions_named(item), before=grouped(part.quantity))
        for item, part in before.items()
        if item not in after
    ]
    kept = [sessions_of(part.item, part.quantity) + released_when(old) for part in before.values()]
    values = {
        "payment": payment(new, currency),
        "given": joined(parts, apart=True) or say("no sessions"),
        "kept": joined(kept) or say("none"),
    }
    sentence = (
        say(
            "From {day}, {payment} gives {given}; payments made before then keep {kept}.",
            day=day_of(day),
            **values,
        )
        if day
        else say("From now on, {payment} gives {given}; payments made before now keep {kept}.", **values)
    )
    now, then = (price(one.dues_minor, currency, one.interval, one.interval_count) for one in (new, old))
    return sentence if now == then else f"{sentence} {say('Dues are {now} instead of {before}.', now=now, before=then)}"


def _beside(old: TermRules, had: Given | None, new: TermRules, gets: Given) -> str:
    """What an item will give, beside what it gave before."""
    sessions = gives(new, gets)
    if had is None:
        return say("{sessions} instead of none", sessions=sessions)
    same = released(old, had.days_to_expire) == released(new, gets.days_to_expire)
    if same and had.quantity == gets.quantity:
        return say("{sessions} as now", sessions=sessions)
    before = grouped(had.quantity) + ("" if same else released(old, had.days_to_expire))
    return say("{sessions} instead of {before}", sessions=sessions, before=before)
