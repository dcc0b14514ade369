"""The chain over the entries: what was changed, taken away or slipped in is found, and the first such row is named."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.audit import chain, results
from models.audit.chain import Head
from models.audit.checks import Finding, audit
from models.audit.results import Audit
from models.database.engine import make_engine, sessions
from models.ledger import adjustments, expiry, expiry_undo
from models.ledger.adjustments import AdjustmentReason
from models.ledger.expiry import Breaker
from models.ledger.redemptions import give_back, redeem
from models.payments.facts import Reversed
from models.staff.actions import Actor
from tests.models.gym import BY, DUES, NOW, PAID_AT, Gym, fresh, paid, tell


@contextmanager
def without_triggers(session: Session) -> Iterator[None]:
    """As somebody who owns the database could."""
    tables = (
        "ledger_entries",
        "entry_chain",
        "credit_grants",
        "payment_facts",
        "actions",
        "adjustments",
        "redemptions",
    )
    for table in tables:
        session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
    yield
    for table in tables:
        session.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))


def aged(session: Session, hours: int = 2) -> None:
    """As if all entries had been written hours ago."""
    with without_triggers(session):
        session.execute(
            text("UPDATE ledger_entries SET recorded_at = recorded_at - make_interval(hours => :h)"), {"h": hours}
        )


def entry_ids(session: Session) -> list[int]:
    return list(session.scalars(text("SELECT id FROM ledger_entries ORDER BY id")))


@pytest.fixture
def sealed(gym: Gym, session: Session) -> list[int]:
    """The ids of a dozen sealed entries."""
    member = gym.join("sub").member_id
    tell(session, *(paid(f"in_{number}", "sub") for number in range(5)))
    for _ in range(2):
        redeem(session, member_id=member, item_id=gym.spin.id, quantity=1, key=fresh("key"), by=BY, now=NOW)
    aged(session)
    assert list(audit(session)) == []
    ids = entry_ids(session)
    assert len(ids) == 12
    return ids


def head_kept(session: Session) -> Audit:
    """An audit that found nothing, with the head as it is."""
    end = chain.head(session)
    assert end
    kept = Audit(
        started_at=datetime.now(UTC), entries=12, head_entry=end.entry_id, head=end.hash, findings=0, first_findings=[]
    )
    session.add(kept)
    session.flush()
    return kept


def found(session: Session, batch: int = 1000) -> list[Finding]:
    """What concerns entries."""
    return [finding for finding in audit(session, batch=batch) if finding.entry_id]


def test_every_entry_is_sealed_with_the_one_before_it(sealed: list[int], session: Session) -> None:
    canonical = session.execute(
        text(
            "SELECT id, jsonb_strip_nulls(to_jsonb(e))::text, hash, cause FROM ledger_entries e"
            " JOIN entry_chain c ON c.entry_id = e.id ORDER BY id"
        )
    ).all()
    previous = bytes(32)
    for _, content, stored, cause in canonical:
        previous = sha256(previous + content.encode() + cause).digest()
        assert bytes(stored) == previous
    assert chain.head(session) == Head(sealed[-1], previous)


def test_the_hash_covers_every_column(sealed: list[int], session: Session) -> None:
    """Each that has a value; what has none has no key, so that a further column changes no seal."""
    columns = session.scalars(
        text("SELECT column_name FROM information_schema.columns WHERE table_name = 'ledger_entries'")
    ).all()
    covered = set(
        session.scalars(text("SELECT DISTINCT jsonb_object_keys(jsonb_strip_nulls(to_jsonb(e))) FROM ledger_entries e"))
    )
    assert covered <= set(columns)
    assert {"id", "grant_id", "kind", "quantity", "expires_at", "occurred_at", "recorded_at", "action_id"} <= covered


@pytest.mark.parametrize("batch", [1, 3, 1000])
@pytest.mark.parametrize(
    "change",
    [
        "quantity = quantity + 1",
        "note = 'x'",
        "occurred_at = occurred_at + interval '1 us'",
        "shortfall = 1",
        "recorded_at = recorded_at - interval '1 us'",
        "grant_id = grant_id + 1",
        "expires_at = NULL",
    ],
)
def test_a_changed_entry_is_named_first(sealed: list[int], session: Session, change: str, batch: int) -> None:
    changed, again = sealed[2], sealed[6]
    grant, member = session.execute(
        text(
            "SELECT g.id, g.member_id FROM ledger_entries e JOIN credit_grants g ON g.id = e.grant_id WHERE e.id = :e"
        ),
        {"e": changed},
    ).one()
    with without_triggers(session):
        session.execute(text("UPDATE ledger_entries SET note = 'y' WHERE id = :e"), {"e": again})
        session.execute(text(f"UPDATE ledger_entries SET {change} WHERE id = :e"), {"e": changed})
    first, *_ = audit(session, batch=batch)
    now_of = grant + 1 if change.startswith("grant_id") else grant
    assert (first.entry_id, first.grant_id) == (changed, now_of)
    assert first.what.startswith(f"entry {changed}, of grant {now_of} and member {member}, is not what was sealed")
    assert [one.entry_id for one in found(session, batch)] == [changed, again]


@pytest.fixture
def causes(gym: Gym, session: Session) -> Gym:
    """Sealed entries of every kind of cause."""
    membership = gym.join("sub")
    member = membership.member_id
    gym.join("other")
    tell(session, paid("in_1", "sub"), paid("in_2", "sub"))
    used = redeem(session, member_id=member, item_id=gym.spin.id, quantity=2, key=fresh("key"), by=BY, now=NOW)
    give_back(session, redemption_id=used.redemption_id, quantity=1, key=fresh("key"), by=BY, now=NOW)
    tell(session, Reversed("in_2", PAID_AT, "refund of in_2:re", DUES, "USD"))
    for quantity, alone_up_to in ((3, 20), (-2, 20), (4, 0)):
        asked = adjustments.adjust(
            session,
            member_id=member,
            item_id=gym.training.id,
            quantity=quantity,
            last_day=None,
            reason=AdjustmentReason.GOODWILL,
            note="the shower was cold",
            alone_up_to=alone_up_to,
            key=fresh("key"),
            by=BY,
            now=NOW,
        )
    adjustments.decide(session, asked.id, approve=True, by=Actor("bob@example.com", "192.0.2.8"), now=NOW)
    while expiry.step(session, as_of=datetime.now(UTC), breaker=Breaker(1000, 5)).more:
        pass
    aged(session)
    assert list(audit(session)) == []
    return gym


@pytest.mark.parametrize("batch", [1, 1000])
@pytest.mark.parametrize(
    ("what", "column", "table", "change", "entries"),
    [
        ("fact", "fact_id", "payment_facts", "amount_minor = amount_minor - 1", 2),
        ("fact", "fact_id", "payment_facts", "occurred_at = occurred_at + interval '1 us'", 2),
        ("action", "action_id", "actions", "reason = 'because'", 1),
        ("action", "action_id", "actions", "actor = 'mallory@example.com'", 1),
        ("redemption", "redemption_id", "redemptions", "occurred_at = occurred_at - interval '1 day'", 1),
        ("redemption", "redemption_id", "redemptions", "member_id = (SELECT max(id) FROM members)", 1),
        ("adjustment", "adjustment", "adjustments", "reason = 'correction'", 1),
        ("adjustment", "adjustment", "adjustments", "note = 'the sauna was cold'", 1),
        ("adjustment", "adjustment", "adjustments", "decided_by = 'mallory@example.com'", 1),
        ("expiry run", "expiry_run_id", "expiry_runs", "as_of = as_of + interval '1 day'", 1),
        ("grant", "grant_id", "credit_grants", "member_id = (SELECT max(id) FROM members)", None),
    ],
)
def test_a_changed_cause_is_found_with_its_entries(
    causes: Gym, session: Session, what: str, column: str, table: str, change: str, entries: int | None, batch: int
) -> None:
    of_entry = "(SELECT d.id FROM adjustments d WHERE d.action_id = e.action_id)" if what == "adjustment" else column
    cause, first = session.execute(
        text(f"SELECT {of_entry}, e.id FROM ledger_entries e WHERE {of_entry} IS NOT NULL ORDER BY e.id LIMIT 1")
    ).one()
    with without_triggers(session):
        session.execute(text(f"UPDATE {table} SET {change} WHERE id = :id"), {"id": cause})
    of_it = f"SELECT e.id FROM ledger_entries e WHERE {of_entry} = :id ORDER BY e.id"
    concerned = list(session.scalars(text(of_it), {"id": cause}))
    findings = found(session, batch)
    assert [one.entry_id for one in findings] == concerned
    assert concerned[0] == first
    assert entries is None or len(concerned) >= entries
    for one in findings:
        assert " has not the cause that was sealed: changed was " in one.what
        assert re.search(rf"\b{what} {cause}\b", one.what)


def test_a_fact_that_is_gone_is_found(causes: Gym, session: Session) -> None:
    fact = session.scalars(text("SELECT min(fact_id) FROM ledger_entries")).one()
    session.execute(text("SET LOCAL session_replication_role = replica"))
    session.execute(text("DELETE FROM payment_facts WHERE id = :id"), {"id": fact})
    session.execute(text("SET LOCAL session_replication_role = origin"))
    assert {one.what.rpartition(" ")[2] for one in found(session)} == {str(fact)}


def test_what_may_happen_to_a_cause_afterwards_breaks_no_seal(causes: Gym, session: Session) -> None:
    """Sessions used, grants extended, an expiry run undone, a redemption returned."""
    run = session.scalars(text("SELECT min(expiry_run_id) FROM ledger_entries")).one()
    day = datetime.now(UTC).date() + timedelta(days=7)
    expiry_undo.undo(session, run, last_day=day, reason="Wrong days", by=BY, now=datetime.now(UTC))
    while expiry_undo.step(session, now=datetime.now(UTC)):
        pass
    used = session.scalars(text("SELECT min(redemption_id) FROM ledger_entries")).one()
    give_back(session, redemption_id=used, key=fresh("key"), by=BY, now=NOW)
    assert list(audit(session)) == []


def test_a_seal_whose_cause_is_forged_with_it_is_found(causes: Gym, session: Session) -> None:
    """Or left out, as seals of older versions have none."""
    first = entry_ids(session)[0]
    for forged in ("sha256('x')", "NULL"):
        with without_triggers(session), session.begin_nested() as attempt:
            session.execute(text(f"UPDATE entry_chain SET cause = {forged} WHERE entry_id = :e"), {"e": first})
            assert [one.entry_id for one in found(session)] == [first]
            attempt.rollback()


def test_seals_of_before_causes_were_sealed_stay_good(causes: Gym, session: Session) -> None:
    """And cover what they did then: the entry alone."""
    previous, seals = bytes(32), []
    for entry, content in session.execute(
        text("SELECT id, jsonb_strip_nulls(to_jsonb(e))::text FROM ledger_entries e ORDER BY id")
    ):
        previous = sha256(previous + content.encode()).digest()
        seals.append({"e": entry, "hash": previous})
    fact = session.scalars(text("SELECT min(fact_id) FROM ledger_entries")).one()
    with without_triggers(session):
        session.execute(text("UPDATE entry_chain SET cause = NULL, hash = :hash WHERE entry_id = :e"), seals)
        assert found(session) == []
        session.execute(text("UPDATE payment_facts SET amount_minor = 1 WHERE id = :id"), {"id": fact})
        assert found(session) == []
        session.execute(text("UPDATE ledger_entries SET note = 'x' WHERE id = :e"), {"e": seals[3]["e"]})
        assert [one.entry_id for one in found(session)] == [seals[3]["e"]]


def test_what_is_sealed_beside_an_audit_is_no_finding(open_gym: Gym, database_url: str) -> None:
    """Between what the walk reads of the ledger and what it reads of the chain."""
    engine, session = make_engine(database_url), open_gym.session
    make = sessions(engine)
    open_gym.join("sub")
    tell(session, paid("in_1", "sub"), paid("in_2", "sub"))
    aged(session)
    chain.seal(session, limit=1)
    session.commit()
    sealing: list[int] = []

    def seal_beside(*arguments: object) -> None:
        if "SELECT entry_id, hash, cause" in str(arguments[2]) and not sealing:
            sealing.append(0)
            with make.begin() as other:
                sealing.append(chain.seal(other))

    event.listen(engine, "before_cursor_execute", seal_beside)
    with make.begin() as session:
        walked = chain.walk(session, 0)
    with make.begin() as session:
        after = chain.walk(session, 0)
    engine.dispose()
    assert sealing == [0, 3]
    assert (walked.broken, walked.entries) == ([], 1)
    assert (after.broken, after.entries) == ([], 4)


@pytest.mark.parametrize("batch", [1, 3, 1000])
@pytest.mark.parametrize("place", [0, 5, -1])
def test_a_missing_entry_is_named_first(sealed: list[int], session: Session, place: int, batch: int) -> None:
    gone = sealed[place]
    with without_triggers(session):
        session.execute(text("DELETE FROM ledger_entries WHERE id = :e"), {"e": gone})
    first, *_ = audit(session, batch=batch)
    assert (first.entry_id, first.what) == (gone, f"entry {gone} is gone")
    assert len(found(session, batch)) == 1


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_an_entry_slipped_in_is_named_first(sealed: list[int], session: Session, batch: int) -> None:
    """Taken in place of one that is gone, as ids are handed out once."""
    place = sealed[4]
    with without_triggers(session):
        session.execute(text("DELETE FROM entry_chain WHERE entry_id = :e"), {"e": place})
    first, *_ = audit(session, batch=batch)
    assert first.entry_id == place
    assert "was slipped in" in first.what
    # Those after it were sealed with it, so it is told that one of them does not follow.
    assert [one.entry_id for one in found(session, batch)] == [place, sealed[5]]


def test_an_entry_slipped_in_with_a_seal_of_its_own_is_found(sealed: list[int], session: Session) -> None:
    slipped = sealed[0] - 1
    with without_triggers(session):
        session.execute(
            text(
                "INSERT INTO ledger_entries (id, grant_id, kind, quantity, occurred_at, recorded_at, action_id)"
                " OVERRIDING SYSTEM VALUE SELECT :id, grant_id, 'adjustment', 1, now(), now() - interval '2 h',"
                " (SELECT max(id) FROM actions) FROM ledger_entries LIMIT 1"
            ),
            {"id": slipped},
        )
    content = session.scalars(
        text("SELECT jsonb_strip_nulls(to_jsonb(e))::text FROM ledger_entries e WHERE id = :e"), {"e": slipped}
    ).one()
    seal = {"e": slipped, "hash": sha256(bytes(32) + content.encode()).digest()}
    session.execute(text("INSERT INTO entry_chain (entry_id, hash) VALUES (:e, :hash)"), seal)
    first, *_ = audit(session)
    assert first.entry_id == sealed[0]
    assert "one before it slipped in" in first.what


@pytest.mark.parametrize("batch", [1, 5, 1000])
def test_the_last_hour_is_not_sealed_yet(sealed: list[int], gym: Gym, session: Session, batch: int) -> None:
    gym.join("new")
    tell(session, paid("in_new", "new"))
    assert list(audit(session, batch=batch)) == []
    assert chain.head(session) == Head(sealed[-1], chain.head(session).hash)
    aged(session, hours=0)
    with without_triggers(session):
        session.execute(
            text("UPDATE ledger_entries SET recorded_at = now() - interval '61 min' WHERE id > :e"), {"e": sealed[-1]}
        )
    assert list(audit(session, batch=batch)) == []
    end = chain.head(session)
    assert end
    assert end.entry_id == entry_ids(session)[-1] > sealed[-1]


def test_a_younger_entry_holds_up_those_after_it(gym: Gym, session: Session) -> None:
    """Its transaction may not have been the last of its time to commit."""
    gym.join("sub")
    tell(session, paid("in_1", "sub"), paid("in_2", "sub"))
    aged(session)
    ids = entry_ids(session)
    with without_triggers(session):
        session.execute(text("UPDATE ledger_entries SET recorded_at = now() WHERE id = :e"), {"e": ids[1]})
    assert list(audit(session)) == []
    end = chain.head(session)
    assert end
    assert end.entry_id == ids[0]


def test_the_zone_of_a_connection_makes_no_difference(sealed: list[int], session: Session) -> None:
    session.execute(text("SET LOCAL timezone = 'Asia/Tokyo'"))
    assert found(session) == []


def test_a_chain_rewritten_as_a_whole_no_longer_has_the_head_that_was_kept(sealed: list[int], session: Session) -> None:
    kept = head_kept(session)
    assert results.lost_heads(session) == []
    with without_triggers(session):
        session.execute(text("UPDATE ledger_entries SET note = 'forged' WHERE id = :e"), {"e": sealed[3]})
        session.execute(text("DELETE FROM entry_chain"))
    findings = found(session)
    assert [replace(one, what="") for one in findings] == [Finding(None, None, "", kept.head_entry)]
    assert findings[0].what == f"entry {kept.head_entry}: the chain is not what audit {kept.id} kept; it was rewritten"


@pytest.mark.parametrize("change", ["UPDATE entry_chain SET hash = hash", "DELETE FROM audits", "TRUNCATE entry_chain"])
def test_seals_and_audits_stay(sealed: list[int], session: Session, change: str) -> None:
    with pytest.raises(IntegrityError, match="is append-only"), session.begin_nested():
        session.execute(text(change))


def test_a_tail_cut_off_no_longer_has_the_head_that_was_kept(sealed: list[int], session: Session) -> None:
    """Which the chain alone cannot tell: what is left of it is whole."""
    kept = head_kept(session)
    with without_triggers(session):
        for table, column in (("ledger_entries", "id"), ("entry_chain", "entry_id")):
            session.execute(text(f"DELETE FROM {table} WHERE {column} > :e"), {"e": sealed[-3]})
    (finding,) = found(session)
    assert (finding.entry_id, "was rewritten" in finding.what) == (kept.head_entry, True)
