"""What an event would come to if it counted: its facts beside those that are known, judged as settling judges them.

Read only, so that the console can say it before a person decides; it may not record facts.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database.arrays import Batch, array
from models.payments import positions, recorded
from models.payments.facts import Announced, Claimed, DuesFailed, Fact, KnownFact, Linked
from models.payments.positions import Position
from models.payments.recorded import FACTS_PER_EVENT, EventFacts
from models.payments.references import Locked, PaymentState, lock
from models.retelling import retold
from models.wording import joined, sessions_of
from runtime.language import say


class ForeseenKind(StrEnum):
    """What it comes to."""

    GIVES = "gives"
    TAKES = "takes"
    SAME = "same"
    """It changes no sessions."""
    HELD = "held"
    """Its payment cannot settle."""
    UNMATCHED = "unmatched"
    UNREADABLE = "unreadable"
    """It goes back into quarantine."""
    IGNORED = "ignored"
    WAITS = "waits"
    FAILS = "fails"


class Foreseen(NamedTuple):
    """What one event would come to."""

    kind: ForeseenKind
    what: str
    """In one or two sentences."""
    payment: str | None = None
    """The reference of its payment, where that is in review afterwards."""
    member_id: int | None = None
    """Whose page helps where it cannot settle."""


_ROOTS = Batch(
    """
    SELECT p.reference, p.root_id FROM payments p
    JOIN ROWS ON (p.endpoint, p.reference) = (new.endpoint, new.reference)
    """,
    endpoint="text", reference="text",
)  # fmt: skip

_NAMES = text("""
    SELECT m.id, n.name FROM memberships m JOIN members n ON n.id = m.member_id WHERE m.id = ANY(CAST(:ids AS bigint[]))
""")
_ITEMS = text("SELECT id, name FROM items WHERE id = ANY(CAST(:ids AS bigint[]))")


def foresee(session: Session, event: EventFacts, now: datetime) -> Foreseen:
    """What the facts of this event would come to if they counted. Locks their payments, and writes nothing."""
    about = [fact for fact in event.facts if not isinstance(fact, DuesFailed | Announced | Claimed)]
    if not about:
        what = say("It says nothing of a payment that was made, so it gives and takes no sessions.")
        return Foreseen(ForeseenKind.SAME, what)
    read = [_position(session, event, group, now) for group in _groups(about)]
    positions.judge(session, read)
    positions.read_grants(session, [position for position in read if position.payment.root > 0])
    found = [_foreseen(session, position) for position in read]
    # A payment that cannot settle matters more than one that can.
    order = [ForeseenKind.HELD, ForeseenKind.UNMATCHED, ForeseenKind.GIVES, ForeseenKind.TAKES, ForeseenKind.SAME]
    first = min(found, key=lambda one: order.index(one.kind))
    return first._replace(what=" ".join(dict.fromkeys([first.what, *(one.what for one in found)])))


def _groups(facts: Iterable[Fact]) -> list[list[Fact]]:
    """The facts by payment; those of references that are linked are together."""
    of: dict[str, list[Fact]] = {}
    for fact in facts:
        ours = of.setdefault(fact.payment, [])
        ours.append(fact)
        if isinstance(fact, Linked) and (theirs := of.get(fact.other)) is not ours:
            ours += theirs or []
            of |= {name: ours for name, group in of.items() if group is theirs} | {fact.other: ours}
    return list({id(group): group for group in of.values()}.values())


def _position(session: Session, event: EventFacts, facts: Sequence[Fact], now: datetime) -> Position:
    """The payment with these facts beside its known ones, not judged yet."""
    names = {fact.payment for fact in facts} | {fact.other for fact in facts if isinstance(fact, Linked)}
    roots = {root for _, root in _ROOTS.execute(session, [(event.endpoint, name) for name in sorted(names)])}
    first, *others = lock(session, roots) or [
        Locked(-1, event.endpoint, PaymentState.HEARD_OF, [], [], settle_again=False)
    ]
    for other in others:
        first.ids += other.ids
        first.memberships += [one for one in other.memberships if one not in first.memberships]
    known = [fact for _, fact in recorded.of_payments(session, first.ids)] if first.root > 0 else []
    counting = [one for one in known if not isinstance(one.fact, DuesFailed | Announced | Claimed)]
    there = {one.fact for one in counting}
    first_id = event.event_id * FACTS_PER_EVENT
    new = [KnownFact(first_id + place, fact, now) for place, fact in enumerate(facts) if fact not in there]
    return Position(first, [*counting, *new])


def _foreseen(session: Session, position: Position) -> Foreseen:
    if position.paid is None:
        what = say("Its payment is not paid as far as is known, so it gives no sessions yet.")
        return Foreseen(ForeseenKind.SAME, what)
    paid, why = position.paid.fact, "; ".join(retold(one.what) for one in position.reasons)
    if position.state == PaymentState.HELD:
        members = [match.member_id for match in position.memberships.values()]
        what = say(
            "Its payment cannot settle: {why}. It gives no sessions, and stands in review.",
            why=retold(position.problem) or why,
        )
        return Foreseen(ForeseenKind.HELD, what, paid.payment, members[0] if len(members) == 1 else None)
    if position.state == PaymentState.UNMATCHED:
        what = say(
            "Its payment is nobody's yet: {why}. It gives no sessions until somebody links it in review.", why=why
        )
        return Foreseen(ForeseenKind.UNMATCHED, what, paid.payment)
    moved: Counter[tuple[int | None, int]] = Counter()
    for owed in position.owed:
        moved[owed.membership_id, owed.item_id] += owed.quantity - owed.reversed
    for grant in position.grants:
        moved[grant.membership_id, grant.item_id] -= grant.quantity - grant.reversed
    gives, takes = _moved(session, moved), _moved(session, Counter({key: -n for key, n in moved.items()}))
    sentences = [
        say("It gives {sessions} to {member}.", sessions=sessions, member=member)
        if member
        else say("It gives {sessions}.", sessions=sessions)
        for sessions, member in gives
    ]
    sentences += [
        say("It takes back {sessions} from {member}.", sessions=sessions, member=member)
        if member
        else say("It takes back {sessions}.", sessions=sessions)
        for sessions, member in takes
    ]
    sentences = sentences or [say("It changes no sessions.")]
    sentences += [say("Its payment stands in review: {why}.", why=why)] if why else []
    kind = ForeseenKind.GIVES if gives else ForeseenKind.TAKES if takes else ForeseenKind.SAME
    return Foreseen(kind, " ".join(sentences), paid.payment if why else None)


def _moved(session: Session, moved: Counter[tuple[int | None, int]]) -> list[tuple[str, str | None]]:
    """`8 Spin sessions` and whose they are, for each membership with a number above zero."""
    more = {key: number for key, number in moved.items() if number > 0}
    if not more:
        return []
    names = {row.id: row.name for row in session.execute(_NAMES, {"ids": array({one for one, _ in more if one})})}
    items = {row.id: row.name for row in session.execute(_ITEMS, {"ids": array({item for _, item in more})})}
    owners = dict.fromkeys(membership for membership, _ in more)
    return [
        (
            joined([sessions_of(items[item], number) for (one, item), number in more.items() if one == owner]),
            names.get(owner),
        )
        for owner in owners
    ]
