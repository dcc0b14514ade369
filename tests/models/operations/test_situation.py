"""The lookout: everything that the rules look at, as PostgreSQL has it, once for many viewers."""

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session, sessionmaker

from models.database.engine import sessions
from models.inbox import pauses
from models.operations import heartbeats
from models.operations.alarms import RULES
from models.operations.heartbeats import ProcessKind
from models.operations.situation import Lookout
from runtime.settings import Endpoint, Settings
from tests.models.gym import BY

LIVE = Endpoint(name="stripe", processor="stripe", mode="live", secrets=("whsec",))


@pytest.fixture
def make(engine: Engine) -> sessionmaker[Session]:
    return sessions(engine)


@pytest.fixture
def broker() -> list[str]:
    """Why the broker does not answer, if anything is in it."""
    return []


@pytest.fixture
def lookout(make: sessionmaker[Session], settings: Settings, broker: list[str]) -> Lookout:
    only = settings.model_copy(update={"endpoints": (LIVE,)})
    return Lookout(make, only, now_s=60, broker=lambda: "".join(broker) or None)


def run(make: sessionmaker[Session], *statements: str) -> None:
    with make.begin() as session:
        for statement in statements:
            session.execute(text(statement))


def test_an_installation_of_which_nothing_runs_has_these_alarms_alone(lookout: Lookout) -> None:
    assert [alarm.rule for alarm in lookout.alarms()] == ["no_worker", "no_receiver"]


def test_without_an_endpoint_nobody_misses_a_receiver(make: sessionmaker[Session], settings: Settings) -> None:
    lookout = Lookout(make, settings.model_copy(update={"endpoints": ()}), now_s=60)
    assert [alarm.rule for alarm in lookout.alarms()] == ["no_worker"]


def test_with_a_worker_and_a_receiver_that_live_all_is_well(lookout: Lookout, make: sessionmaker[Session]) -> None:
    with make.begin() as session:
        heartbeats.beat(session, "host:1", 0)
        heartbeats.beat(session, "host:2", 0, kind=ProcessKind.RECEIVER)
    assert lookout.alarms() == []


def test_every_rule_fires_on_what_there_is(lookout: Lookout, make: sessionmaker[Session], broker: list[str]) -> None:
    broker.append("Connection refused")
    with make.begin() as session:
        pauses.pause(session, "paused", "their refunds are wrong", by=BY)
    run(
        make,
        "UPDATE pauses SET paused_at = now() - interval '25 hours'",
        "INSERT INTO heartbeats (worker, kind, started_at, seen_at) VALUES"
        " ('host:1', 'worker', now() - interval '2 hours', now() - interval '20 s'),"
        " ('host:2', 'receiver', now() - interval '2 hours', now() - interval '40 s')",
        "INSERT INTO webhook_events (endpoint, event_id, type, body, state, next_attempt_at) VALUES"
        " ('stripe', 'a', 't', '', 'pending', now() - interval '31 s'), ('stripe', 'b', 't', '', 'dead', now()),"
        " ('stripe', 'c', 't', '', 'quarantined', now())",
        "INSERT INTO webhook_events (endpoint, event_id, type, body, attempts, error, received_at, next_attempt_at)"
        " VALUES ('stripe', 'e', 't', '', 3, 'KeyError', now() - interval '6 minutes', now() + interval '1 hour')",
        "INSERT INTO webhook_events (endpoint, event_id, type, body, thin, waits_since, next_attempt_at) VALUES"
        " ('stripe', 'd', 't', '', true, now() - interval '25 hours', now() + interval '1 hour')",
        "INSERT INTO delivery_counts VALUES ('other', date_trunc('hour', now()), 'bad_signature', 6)",
        "INSERT INTO payments (endpoint, reference, state) VALUES ('stripe', 'in_1', 'unmatched')",
        "INSERT INTO payment_reviews (payment_id, reason, what, recorded_at)"
        " SELECT id, 'unmatched', 'no membership has sub_1', now() FROM payments",
        "INSERT INTO expiry_runs (state, as_of, due, usual) VALUES ('stopped', now(), 9000, 40)",
        "INSERT INTO audits (started_at, entries, findings, first_findings) VALUES"
        " (now(), 5, 2, ARRAY['grant 7: remaining is 2', 'grant 8'])",
        "INSERT INTO clubs (name, time_zone, currency, shortfall_policy) VALUES ('A', 'UTC', 'USD', 'repay')",
        "INSERT INTO offers (name, state, min_buckets, max_buckets) VALUES ('Gold', 'draft', 0, 0)",
        "INSERT INTO payment_terms (offer_id, name, dues_minor, currency, interval, interval_count)"
        " SELECT id, 'Weekly', 900, 'USD', 'week', 1 FROM offers",
        "INSERT INTO members (email, name) VALUES ('ann@example.com', 'Ann')",
        "INSERT INTO memberships (member_id, club_id, offer_id, payment_term_id, currency)"
        " SELECT m.id, c.id, t.offer_id, t.id, 'USD' FROM members m, clubs c, payment_terms t",
        "INSERT INTO membership_terms (membership_id, since, payment_term_id, dues_minor, interval, interval_count)"
        " SELECT id, now() - interval '9 days', payment_term_id, 900, 'week', 1 FROM memberships",
        "INSERT INTO billing_references (endpoint, reference, membership_id, recorded_at)"
        " SELECT 'stripe', 'sub', id, now() - interval '9 days' FROM memberships",
    )
    found = {alarm.rule: alarm for alarm in lookout.alarms()}
    # No payment is credited twice here: that takes a broken ledger; and a database that is away tells nothing.
    assert found.keys() == RULES.keys() - {"double_credits", "database"}
    assert "sweep" in found["late_jobs"].message
    assert "9,000 grants would expire, usual are 40" in found["stopped_expiry"].message
    assert found["audit"].message.endswith("2 differences, first: grant 7: remaining is 2")
    assert {found[rule].endpoint for rule in ("silence", "dead_letters", "review")} == {"stripe"}
    assert (found["bad_signatures"].endpoint, found["long_paused"].endpoint) == ("other", "paused")


def test_an_allowed_run_and_a_later_clean_audit_end_their_alarms(lookout: Lookout, make: sessionmaker[Session]) -> None:
    run(
        make,
        "INSERT INTO heartbeats (worker, kind) VALUES ('host:1', 'worker'), ('host:2', 'receiver')",
        "INSERT INTO expiry_runs (state, as_of, due, usual, finished_at) VALUES ('finished', now(), 9000, 40, now())",
        "INSERT INTO audits (started_at, entries, findings, first_findings) VALUES"
        " (now(), 5, 2, ARRAY['grant 7']), (now(), 5, 0, '{}')",
    )
    assert lookout.alarms() == []


def test_many_viewers_cost_one_query(lookout: Lookout, engine: Engine) -> None:
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *said: statements.append(said[2]))
    first = lookout.now()
    asked = len(statements)
    assert asked > 5
    assert lookout.now() is first
    lookout.alarms()
    assert len(statements) == asked
