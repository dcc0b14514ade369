"""What became of the events of a bulk action, in numbers. It changes while workers run."""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.inbox.bulk import BulkAction, BulkVerb
from models.inbox.events import EventState
from models.payments.recorded import FACTS_PER_EVENT
from runtime.language import Texts, grouped, noted, say

# From the open reviews on, because they are few; facts know their event by their id.
_STATES = text("""
    WITH in_review AS (
        SELECT DISTINCT f.id / :each AS event_id
        FROM payment_reviews r
        JOIN payments p ON p.root_id = r.payment_id
        JOIN payment_facts f ON f.payment_id = p.id
        WHERE r.answered_by IS NULL
    )
    SELECT CASE WHEN e.state = 'processed' AND i.event_id IS NOT NULL THEN 'in_review' ELSE e.state END, count(*)
    FROM webhook_events e LEFT JOIN in_review i ON i.event_id = e.id
    WHERE e.bulk_action_id = :act
    GROUP BY 1
""")

_REPLAYED: Texts = {
    EventState.PROCESSED: "{n} credited",
    "in_review": "{n} in review",
    EventState.IGNORED: "{n} without effect",
    EventState.PENDING: "{n} waiting",
    EventState.DEAD: "{n} failed again",
    EventState.QUARANTINED: "{n} quarantined again",
}
_DISCARDED = {**_REPLAYED, EventState.IGNORED: noted("{n} discarded")}
_ALWAYS = {EventState.PROCESSED, EventState.DEAD}
"""The counts of a replay that are shown even if they are 0: `14 credited, 0 failed again`."""


class Part(NamedTuple):
    """A number of the action's events that came to the same."""

    kind: str
    """The state of these events, or `in_review`: processed, but a payment of theirs stands in review."""
    number: int
    what: str
    """`14 credited`"""


def outcome(session: Session, act: BulkAction) -> list[Part]:
    """What became of the events that it has reached."""
    rows = session.execute(_STATES, {"act": act.id, "each": FACTS_PER_EVENT})
    counts: Mapping[str, int] = {kind: number for kind, number in rows}  # noqa: C416 -- a Row is no pair to dict()
    words, always = (_DISCARDED, {EventState.IGNORED}) if act.verb == BulkVerb.DISCARD else (_REPLAYED, _ALWAYS)
    return [
        Part(str(kind), counts.get(kind, 0), say(word, n=grouped(counts.get(kind, 0))))
        for kind, word in words.items()
        if counts.get(kind) or kind in always
    ]


def is_settled(act: BulkAction, parts: list[Part]) -> bool:
    """Whether the action and the workers are done with all of its events."""
    return act.finished_at is not None and not any(one.kind == EventState.PENDING for one in parts)
