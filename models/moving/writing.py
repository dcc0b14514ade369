"""Writing a judged file: statements over thousands of rows each, all in one transaction. Main verb: `write`.

Nothing here decides anything: what the rows say was judged in the same transaction.
"""

from collections.abc import Callable, Iterator
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.catalogue.terms import RULES
from models.errors import ReferenceTaken
from models.ledger import clawback, entries, held_grants
from models.ledger.clawback import Grant
from models.ledger.entries import Opening
from models.moving.balances import USED_BEFORE
from models.moving.columns import Kind
from models.moving.judging import hashed
from models.moving.tables import Import
from models.staff import actions
from models.wording import counted

BATCH = 5_000


class ChangedMeanwhileError(Exception):
    """Somebody has made one of the members at the same moment: what was judged does not hold any more."""


def write(session: Session, made: Import, *, now: datetime, progress: Callable[[int], object] = lambda _: None) -> None:
    """Write all new rows. Raises ReferenceTaken or ChangedMeanwhileError; then nothing may be committed."""
    noun = Kind(made.kind).noun
    subject = f"import {made.id} of {noun}, {made.file_name}: {counted(made.new_rows, 'new row')} of {made.rows:,}"
    made.action_id = actions.log(session, made.by, "write import", subject, reason=made.reason)
    if made.kind == Kind.PEOPLE:
        with hashed(session):
            _write_people(session, made, progress)
    else:
        _write_balances(session, made, now, progress)
    session.execute(_FORGET, {"id": made.id})


_BATCHES = text("""
    SELECT min(number) AS first, max(number) AS last, count(*) AS rows FROM (
        SELECT number FROM import_rows WHERE import_id = :id AND number > :after ORDER BY number LIMIT :limit
    ) next HAVING count(*) > 0
""")


def batches(session: Session, made: Import) -> Iterator[tuple[dict[str, object], int]]:
    """The import's rows in ranges, as parameters, each with how many rows it has."""
    after = 0
    while found := session.execute(_BATCHES, {"id": made.id, "after": after, "limit": BATCH}).one_or_none():
        after = found.last
        yield {"id": made.id, "first": found.first, "last": found.last}, found.rows


RANGE = "r.import_id = :id AND r.number BETWEEN :first AND :last AND r.verdict = 'new'"

_MEMBERS = text(f"""
    WITH new AS (
        INSERT INTO members (email, name, shares_email)
        SELECT r.parsed ->> 'email', r.parsed ->> 'name',
               r.shares_address OR (CAST(r.parsed ->> 'shares' AS boolean) AND EXISTS (
                   SELECT FROM members m WHERE lower(m.email) = lower(r.parsed ->> 'email')))
        FROM import_rows r WHERE {RANGE} AND r.made_by = r.number
        ORDER BY r.number
        ON CONFLICT DO NOTHING
        RETURNING id, email, name
    )
    UPDATE import_rows r SET member_id = new.id
    FROM new
    WHERE {RANGE} AND r.made_by = r.number
      AND (new.email, new.name) = (r.parsed ->> 'email', r.parsed ->> 'name')
""")

_FURTHER = text("""
    UPDATE import_rows r SET member_id = maker.member_id
    FROM import_rows maker
    WHERE r.import_id = :id AND r.verdict = 'new' AND r.made_by <> r.number
      AND maker.import_id = :id AND maker.number = r.made_by
""")

_NOT_MADE = text("""
    SELECT count(*) FROM import_rows WHERE import_id = :id AND verdict = 'new' AND member_id IS NULL
""")

# Kept from being merged or erased until the transaction ends, as by everybody who acts on a member.
_KEEP = text(f"""
    SELECT count(*) FROM (
        SELECT merged_into, erased_at FROM members
        WHERE id IN (SELECT r.member_id FROM import_rows r WHERE {RANGE})
        ORDER BY id FOR SHARE
    ) kept WHERE merged_into IS NOT NULL OR erased_at IS NOT NULL
""")


def _keep_members(session: Session, values: dict[str, object]) -> None:
    if session.scalar(_KEEP, values):
        raise ChangedMeanwhileError


# The key lets no second process write a row again, whatever else goes wrong.
_KEY = "'import ' || r.import_id || ' row ' || r.number"

_MEMBERSHIPS = text(f"""
    WITH new AS (
        INSERT INTO memberships
            (idempotency_key, member_id, club_id, offer_id, payment_term_id, currency, credits_from)
        SELECT {_KEY}, r.member_id, CAST(r.parsed ->> 'club_id' AS bigint), CAST(r.parsed ->> 'offer_id' AS bigint),
               CAST(r.parsed ->> 'term_id' AS bigint), r.parsed ->> 'currency',
               CAST(r.parsed ->> 'credits_from' AS timestamptz)
        FROM import_rows r WHERE {RANGE}
        ORDER BY r.number
        RETURNING id, idempotency_key
    )
    UPDATE import_rows r SET membership_id = new.id FROM new WHERE {RANGE} AND new.idempotency_key = {_KEY}
""")

_TERMS = text(f"""
    WITH new AS (
        INSERT INTO membership_terms (membership_id, since, payment_term_id, {", ".join(RULES)})
        SELECT r.membership_id, CAST(r.parsed ->> 'since' AS timestamptz), t.id,
               {", ".join(f"t.{rule}" for rule in RULES)}
        FROM import_rows r JOIN payment_terms t ON t.id = CAST(r.parsed ->> 'term_id' AS bigint)
        WHERE {RANGE}
        ORDER BY r.number
        RETURNING id, membership_id
    )
    INSERT INTO pinned_terms (terms_id, item_id, quantity, days_to_expire)
    SELECT new.id, CAST(pin ->> 0 AS bigint), CAST(pin ->> 1 AS int), CAST(pin ->> 2 AS int)
    FROM new JOIN import_rows r ON r.membership_id = new.membership_id
    CROSS JOIN LATERAL jsonb_array_elements(r.parsed -> 'pins') AS pin
    WHERE {RANGE}
""")

_LIVES = text(f"""
    INSERT INTO life_acts (kind, membership_id, first_day, last_day, undone, action_id)
    SELECT 'freeze', r.membership_id, CAST(r.parsed ->> 'frozen_from' AS date),
           CAST(r.parsed ->> 'frozen_to' AS date), false, :act
    FROM import_rows r WHERE {RANGE} AND r.parsed ->> 'frozen_from' IS NOT NULL
    UNION ALL
    SELECT 'end', r.membership_id, NULL, CAST(r.parsed ->> 'ends' AS date), false, :act
    FROM import_rows r WHERE {RANGE} AND r.parsed ->> 'ends' IS NOT NULL
""")

_BILLING = text(f"""
    INSERT INTO billing_references (endpoint, reference, membership_id)
    SELECT split_part(one, ':', 1), substr(one, strpos(one, ':') + 1), r.membership_id
    FROM import_rows r CROSS JOIN LATERAL unnest(r.billing) AS one
    WHERE {RANGE}
    ORDER BY 1, 2
""")

# Others who add a reference wait from here on; what they have added before is seen below.
_ALONE = text("LOCK TABLE billing_references IN SHARE ROW EXCLUSIVE MODE")

# Materialized, so that they are hashed: without statistics a planner would compare each with each.
_TAKEN = text("""
    WITH mine AS MATERIALIZED (
        SELECT one AS key, r.membership_id, r.payer IS NULL AS alone
        FROM import_rows r CROSS JOIN LATERAL unnest(r.billing) AS one
        WHERE r.import_id = :id AND r.verdict = 'new'
    ), held AS MATERIALIZED (
        SELECT endpoint || ':' || reference AS key, endpoint, reference, membership_id FROM billing_references
    )
    SELECT held.endpoint, held.reference, held.membership_id
    FROM mine JOIN held ON held.key = mine.key AND held.membership_id <> mine.membership_id
    LEFT JOIN mine other ON other.membership_id = held.membership_id AND NOT other.alone
    WHERE mine.alone AND other.membership_id IS NULL
    LIMIT 1
""")


def _write_people(session: Session, made: Import, progress: Callable[[int], object]) -> None:
    for values, _ in batches(session, made):
        session.execute(_MEMBERS, values)
    session.execute(_FURTHER, {"id": made.id})
    if session.scalar(_NOT_MADE, {"id": made.id}):
        raise ChangedMeanwhileError
    done = 0
    for values, rows in batches(session, made):
        _keep_members(session, values)
        for statement in (_MEMBERSHIPS, _TERMS, _LIVES, _BILLING):
            session.execute(statement, {**values, "act": made.action_id} if statement is _LIVES else values)
        done += rows
        progress(done)
    session.execute(_ALONE)
    taken = session.execute(_TAKEN, {"id": made.id}).one_or_none()
    if taken:
        raise ReferenceTaken(reference=taken.reference, endpoint=taken.endpoint, membership=taken.membership_id)


_OPENINGS = text(f"""
    SELECT r.number, r.member_id, CAST(r.parsed ->> 'item_id' AS bigint), CAST(r.parsed ->> 'of' AS int),
           CAST(r.parsed ->> 'used' AS int), CAST(r.parsed ->> 'effective_at' AS timestamptz),
           CAST(r.parsed ->> 'expires_at' AS timestamptz), r.parsed ->> 'note'
    FROM import_rows r
    WHERE {RANGE}
    ORDER BY r.number
""")


_OPENED = text("""
    UPDATE import_rows r SET grant_id = new.grant_id
    FROM unnest(CAST(:numbers AS int[]), CAST(:grants AS bigint[])) AS new (number, grant_id)
    WHERE r.import_id = :id AND r.number = new.number
""")

_SHORT = text(f"""
    SELECT DISTINCT r.member_id, g.item_id
    FROM import_rows r JOIN credit_grants g ON g.member_id = r.member_id AND g.shortfall > 0
    WHERE {RANGE}
""")


def _write_balances(session: Session, made: Import, now: datetime, progress: Callable[[int], object]) -> None:
    assert made.action_id is not None  # noqa: S101 -- narrows the type
    done = 0
    for values, rows in batches(session, made):
        with hashed(session):
            _keep_members(session, values)
            openings = [Opening(*row) for row in session.execute(_OPENINGS, values)]
            short = {(row.member_id, row.item_id) for row in session.execute(_SHORT, values)}
            grants = entries.open_balances(
                session, openings, action_id=made.action_id, used_before=USED_BEFORE, now=now
            )  # fmt: skip
        session.execute(_OPENED, {"id": made.id, "numbers": list(grants), "grants": list(grants.values())})
        for one in openings:
            if (one.member_id, one.item_id) in short:
                _repay(session, one, grants[one.number], now)
        done += rows
        progress(done)


def _repay(session: Session, one: Opening, grant_id: int, now: datetime) -> None:
    """Like any other sessions, they first repay an open shortfall of their item."""
    debts = held_grants.open_debts(session, one.member_id, one.item_id)
    left = one.quantity - one.used
    grant = Grant(
        grant_id, None, one.member_id, None, one.item_id, 0, one.quantity, left, 0, 0, one.expires_at, now, now
    )  # fmt: skip
    entries.post(session, list(clawback.repay(grant, left, debts, now)))


# Of people only the ids stay, by which the import can be undone.
_FORGET = text("""
    UPDATE import_rows
    SET cells = NULL, problems = NULL, parsed = NULL, address = NULL, person = NULL, payer = NULL, billing = NULL,
        row_key = NULL
    WHERE import_id = :id
""")
