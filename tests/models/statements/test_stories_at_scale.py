"""What is asked of one event, payment or member is found by indexes, however much there is of all others."""

from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.inbox import story
from models.inbox.events import WebhookEvent
from models.payments.references import Payment
from models.statements import paid_for, payment_story, statement
from tests.models.gym import NOW, Gym
from tests.models.members.test_search import plans

PAYMENTS = 10_000
MEMBERS = 500
"""Each with 20 payments."""

_HISTORY = """
    SET LOCAL session_replication_role = replica;
    INSERT INTO members (email, name)
    SELECT 'm' || m || '@example.com', 'M' FROM generate_series(1, :members) m;
    INSERT INTO memberships (member_id, club_id, offer_id, payment_term_id, currency)
    SELECT id, :club, :offer, :term, 'USD' FROM members ORDER BY id;
    CREATE TEMPORARY TABLE past ON COMMIT DROP AS
    SELECT i, i * CAST(256 AS bigint) AS fact, 1 + mod(i, :members) AS who, CAST(:now AS timestamptz) AS at
    FROM generate_series(1, :payments) i;
    INSERT INTO webhook_events (id, endpoint, event_id, type, body, state) OVERRIDING SYSTEM VALUE
    SELECT i, 'stripe', 'evt_' || i, 'paid', '', 'processed' FROM past;
    INSERT INTO payments (id, endpoint, reference, state, membership_id) OVERRIDING SYSTEM VALUE
    SELECT i, 'stripe', 'in_' || i, 'settled', who FROM past;
    INSERT INTO payment_facts (id, event_id, payment_id, kind, occurred_at, amount_minor, currency, running_total,
                               billing_references)
    SELECT fact, i, i, 'paid', at, 9000, 'USD', false, '{}' FROM past;
    INSERT INTO credit_grants (id, payment_id, member_id, membership_id, item_id, first_quantity, quantity,
                               remaining, effective_at)
    OVERRIDING SYSTEM VALUE SELECT i, i, who, who, :item, 8, 8, 8, at FROM past;
    INSERT INTO ledger_entries (id, grant_id, kind, quantity, occurred_at, fact_id) OVERRIDING SYSTEM VALUE
    SELECT i, i, 'grant', 8, at, fact FROM past;
    ANALYZE
"""


@pytest.fixture
def history(gym: Gym, session: Session) -> None:
    values = {
        "payments": PAYMENTS,
        "members": MEMBERS,
        "club": gym.club.id,
        "offer": gym.offer.id,
        "term": gym.term.id,
        "item": gym.spin.id,
        "now": NOW,
    }
    for sql in _HISTORY.split(";"):
        session.execute(text(sql), {name: value for name, value in values.items() if f":{name}" in sql})


def page_of_events(session: Session) -> object:
    return story.stories(session, session.scalars(select(WebhookEvent).order_by(WebhookEvent.id).limit(50)).all())


ASKED: dict[str, Callable[[Session], object]] = {
    "an event": partial(story.story, event_id=PAYMENTS // 2),
    "a page of events": page_of_events,
    "a payment": partial(payment_story.story, payment_id=PAYMENTS // 2),
    "payments of a member": lambda session: payment_story.page(session, paid_for.of_member(session, 7), limit=50),
    "payments of a membership": lambda session: payment_story.page(session, paid_for.is_for(session, [7]), limit=50),
    "unmatched payments": lambda session: payment_story.page(session, Payment.state == "unmatched", limit=50),
    "all payments": lambda session: payment_story.page(session, limit=50),
    "grants of a member": lambda session: statement.grant_page(session, 7, NOW, limit=50),
    "a grant": lambda session: statement.grant(session, 1 + PAYMENTS // 2 % MEMBERS, PAYMENTS // 2, NOW),
}


@pytest.mark.parametrize("asked", ASKED)
def test_nothing_reads_a_table_through(history: None, session: Session, asked: str) -> None:
    assert ASKED[asked](session)
    for node in plans(session, partial(ASKED[asked], session)):
        assert node["Node Type"] != "Seq Scan", node
        read = (
            node["Actual Rows"] + node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        )
        assert read * node["Actual Loops"] <= PAYMENTS // 10, node
