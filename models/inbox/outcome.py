"""What became of an event, in one sentence: what it did for whom, or why it did nothing. Read only."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.inbox import pauses
from models.inbox.events import EventState, WebhookEvent
from models.inbox.story import Caused, Story, stories
from models.ledger.kinds import EntryKind
from models.payments import reviewing
from models.payments.recorded import FactKind
from models.payments.references import Payment, PaymentState
from models.retelling import retold
from models.wording import joined
from runtime.language import Texts, say

_SESSIONS: Texts = {
    EntryKind.GRANT: "credited {sessions} to {member}",
    EntryKind.REINSTATEMENT: "gave {sessions} back to {member}",
    EntryKind.CLAWBACK: "took {sessions} back from {member}",
}
"""What entries of a kind did, in the order of the sentence."""


class Look(StrEnum):
    """Where people look at what became of the event."""

    EVENT = "event"
    MEMBER = "member"
    REVIEW = "review"


@dataclass(frozen=True)
class Outcome:
    """What became of one event."""

    event_id: int
    """The number of our row."""
    state: str
    what: str
    """`credited 8 Group Class to Ann Archer`; `in review: no membership has the reference sub_1`."""
    look: Look
    member_id: int | None
    """Where to look, if that is at a member."""
    is_resting: bool = False
    """Whether it waits for more than a worker: its endpoint is paused, or its last try failed."""

    @property
    def is_settled(self) -> bool:
        """Whether a worker is done with the event."""
        return self.state != EventState.PENDING


def outcomes(session: Session, event_ids: Sequence[int]) -> list[Outcome]:
    """What has become of these events, in their order."""
    found = {one.id: one for one in session.scalars(select(WebhookEvent).where(WebhookEvent.id.in_(event_ids)))}
    events = [found[event_id] for event_id in event_ids if event_id in found]
    return [_outcome(session, one) for one in stories(session, events)]


def _outcome(session: Session, story: Story) -> Outcome:
    event = story.event
    match event.state:
        case EventState.QUARANTINED:
            what = say("in quarantine: {why}", why=event.reason)
            return Outcome(event.id, event.state, what, Look.EVENT, None)
        case EventState.DEAD:
            what = say("given up after {tries} tries: {why}", tries=event.attempts, why=event.error)
            return Outcome(event.id, event.state, what, Look.EVENT, None)
        case EventState.IGNORED:
            what = say("without effect: {why}", why=event.reason)
            return Outcome(event.id, event.state, what, Look.EVENT, None)
        case EventState.PENDING:
            paused = event.endpoint in [pause.endpoint for pause in pauses.paused(session)]
            cause = say("{endpoint} is paused", endpoint=event.endpoint) if paused else event.error
            what = say("waiting: {why}", why=cause) if cause else say("waiting for a worker")
            return Outcome(event.id, event.state, what, Look.EVENT, None, bool(cause))
    did = _did(story.entries)
    why = list(_in_review(session, story))
    clauses = [*([joined(did)] if did else []), *([say("in review: {why}", why="; ".join(why))] if why else [])]
    if not clauses and _is_before_cut_over(session, story):
        clauses = [
            say("moved no sessions: it was paid before the cut-over, and an earlier system has given its sessions")
        ]
    member_id = story.entries[0].member_id if story.entries else None
    if not clauses and (given := _given_by_code(session, story)):
        member_id, sentence = given
        clauses = [sentence]
    look = Look.REVIEW if why else Look.MEMBER if member_id else Look.EVENT
    return Outcome(event.id, event.state, "; ".join(clauses) or say("moved no sessions"), look, member_id)


def _did(entries: Sequence[Caused]) -> list[str]:
    """`credited 8 Group Class and 4 Spin to Ann Archer`, for each kind of movement and each member."""
    moved: dict[tuple[str, int], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    names: dict[int, str] = {}
    for entry in entries:
        moved[entry.kind, entry.member_id][entry.item] += abs(entry.quantity)
        names[entry.member_id] = entry.member
    return [
        say(words, sessions=joined([f"{number} {item}" for item, number in items.items()]), member=names[member_id])
        for kind, words in _SESSIONS.items()
        for (moved_by, member_id), counts in moved.items()
        if moved_by == kind and (items := {item: number for item, number in counts.items() if number})
    ]


def _is_before_cut_over(session: Session, story: Story) -> bool:
    ids = {fact.payment_id for fact in story.facts}
    before = select(Payment.id).where(Payment.id.in_(ids), Payment.state == PaymentState.BEFORE_CUT_OVER)
    return session.scalar(before.limit(1)) is not None


def _given_by_code(session: Session, story: Story) -> tuple[int, str] | None:
    """The member to whose membership a code of the event gave a billing reference, and that in words."""
    for fact in story.facts:
        if fact.kind == FactKind.CLAIMED:
            asked = {"endpoint": story.event.endpoint, "reference": fact.payment, "code": fact.cause}
            if found := session.execute(_GIVEN, asked).first():
                sentence = say(
                    "gave {reference}, with all payments that name it, to {member}",
                    reference=fact.payment,
                    member=found.name,
                )
                return found.id, sentence
    return None


_GIVEN = text("""
    SELECT n.id, n.name FROM billing_references b
    JOIN memberships m ON m.id = b.membership_id JOIN members n ON n.id = m.member_id
    WHERE (b.endpoint, b.reference) = (:endpoint, :reference) AND m.code = :code
""")


def _in_review(session: Session, story: Story) -> Iterable[str]:
    """The sentences of every reason for which a payment of the event stands in review."""
    for payment_id in dict.fromkeys(fact.payment_id for fact in story.facts):
        one = reviewing.of_payment(session, payment_id)
        yield from (retold(what) for _, what in one.reasons) if one else ()


def find(session: Session, endpoint: str, event_id: str, body: bytes) -> WebhookEvent | None:
    """The row for an event that was delivered: of several with its id the one with this body, or else the first."""
    of_endpoint = select(WebhookEvent).where(WebhookEvent.endpoint == endpoint, WebhookEvent.event_id == event_id)
    first = session.scalar(of_endpoint.where(WebhookEvent.conflicts_with.is_(None)))
    if first is None:
        return None
    rows = [first, *session.scalars(select(WebhookEvent).where(WebhookEvent.conflicts_with == first.id))]
    return next((row for row in rows if row.body == body), first)
