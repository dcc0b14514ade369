"""Undoing a whole import while nothing of it was used. Main verb: `undo`.

Sessions go by counter-entries with the act of the undoing. Memberships are withdrawn: nothing shows or finds them, and
their billing references are free again. Members whom the import made are erased like any other erased member, so their
addresses are free too. What is append-only stays.
"""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database import locks
from models.errors import ImportUsed, UndoneBefore
from models.ledger import entries
from models.ledger.entries import Move
from models.ledger.kinds import EntryKind
from models.members.awaiting import withdrawal
from models.moving.columns import Kind
from models.moving.judging import hashed
from models.moving.tables import Import
from models.moving.writing import RANGE, batches
from models.staff import actions
from models.wording import counted, joined

UNDONE = "import undone"
"""The note of the counter-entries."""
_NAMED = 20
"""So many used rows are named."""


def undo(session: Session, made: Import, *, now: datetime) -> None:
    """Undo all that the import wrote. Raises ImportUsed, which names rows, or UndoneBefore; then commit nothing."""
    locks.change(session)  # no payment finds one of its memberships meanwhile
    subject = f"import {made.id} of {Kind(made.kind).noun}, {made.file_name}: {counted(made.new_rows, 'row')}"
    act = actions.log(session, made.by, "undo import", subject, reason=made.reason)
    if made.kind == Kind.PEOPLE:
        with hashed(session):
            _withdraw(session, made, now)
    else:
        _take_back(session, made, act, now)
    made.undone_by = act


def _refuse_used(made: Import, used: list[int]) -> None:
    if used:
        more = f" and {len(used) - _NAMED:,} more" if len(used) > _NAMED else ""
        raise ImportUsed(number=made.id, rows=", ".join(map(str, used[:_NAMED])) + more)


_LOCK = text(f"""
    SELECT count(*) FROM (
        SELECT FROM members WHERE id IN (SELECT r.member_id FROM import_rows r WHERE {RANGE})
        ORDER BY id FOR NO KEY UPDATE
    ) locked
""")

# Used is a membership that has anything which the import did not write, and a member made by it who has.
_USED_PEOPLE = text(f"""
    SELECT r.number
    FROM import_rows r
    JOIN memberships m ON m.id = r.membership_id
    JOIN members p ON p.id = m.member_id
    WHERE {RANGE} AND (
        EXISTS (SELECT FROM payments WHERE membership_id = m.id)
        OR EXISTS (SELECT FROM payment_matches WHERE membership_id = m.id)
        OR EXISTS (SELECT FROM former_references WHERE membership_id = m.id)
        OR EXISTS (SELECT FROM membership_terms WHERE membership_id = m.id AND action_id IS NOT NULL)
        OR EXISTS (SELECT FROM earlier_clubs WHERE membership_id = m.id)
        OR EXISTS (SELECT FROM life_acts WHERE membership_id = m.id AND action_id <> :act)
        OR EXISTS (SELECT FROM cleared_dues WHERE membership_id = m.id)
        OR EXISTS (SELECT FROM announcement_answers WHERE membership_id = m.id)
        OR m.first_member_id IS NOT NULL
        OR (r.made_by IS NOT NULL AND (
            EXISTS (SELECT FROM members other WHERE other.merged_into = p.id)
            OR EXISTS (SELECT FROM adjustments WHERE member_id = p.id)
            OR EXISTS (SELECT FROM credit_grants g LEFT JOIN imports i ON i.action_id = g.action_id
                       WHERE g.member_id = p.id AND i.undone_by IS NULL)
            OR EXISTS (SELECT FROM memberships other
                       WHERE other.member_id = p.id AND other.withdrawn_at IS NULL
                         AND coalesce(other.idempotency_key, '') NOT LIKE 'import ' || r.import_id || ' row %')
        ))
    )
    ORDER BY r.number
""")

# Other imports that stand, of what the members have whom this one made.
_STANDING = text(f"""
    SELECT i.id FROM import_rows r JOIN credit_grants g ON g.member_id = r.member_id
    JOIN imports i ON i.action_id = g.action_id AND i.undone_by IS NULL
    WHERE {RANGE} AND r.made_by IS NOT NULL
    UNION
    SELECT i.id FROM import_rows r
    JOIN memberships m ON m.member_id = r.member_id AND m.withdrawn_at IS NULL
                      AND m.idempotency_key LIKE 'import % row %'
    JOIN imports i ON CAST(i.id AS text) = split_part(m.idempotency_key, ' ', 2) AND i.action_id IS NOT NULL
    WHERE {RANGE} AND r.made_by IS NOT NULL AND i.id <> :id
""")

_WITHDRAW = text(f"""
    WITH {withdrawal(f"SELECT r.membership_id FROM import_rows r WHERE {RANGE}")}
    UPDATE members p
    SET name = 'Withdrawn member ' || p.id, email = 'withdrawn-' || p.id || '@erased.invalid', erased_at = :now
    FROM import_rows r
    WHERE {RANGE} AND r.made_by = r.number AND p.id = r.member_id AND p.erased_at IS NULL
""")


def _withdraw(session: Session, made: Import, now: datetime) -> None:
    used: list[int] = []
    standing: set[int] = set()
    for values, _ in batches(session, made):
        session.execute(_LOCK, values)
        standing |= {*session.scalars(_STANDING, values)}
        used += session.scalars(_USED_PEOPLE, {**values, "act": made.action_id})
        if len(used) > 10 * _NAMED:
            break
    if standing:
        raise UndoneBefore(number=made.id, imports=joined([f"import {one}" for one in sorted(standing)]))
    _refuse_used(made, used)
    for values, _ in batches(session, made):
        session.execute(_WITHDRAW, {**values, "now": now})


_GRANTS = text(f"""
    SELECT r.number, g.id, g.remaining, EXISTS (
        SELECT FROM ledger_entries e WHERE e.grant_id = g.id AND e.action_id IS DISTINCT FROM g.action_id) AS used
    FROM import_rows r JOIN credit_grants g ON g.id = r.grant_id
    WHERE {RANGE}
    ORDER BY g.id
    FOR UPDATE OF g
""")


def _take_back(session: Session, made: Import, act: int, now: datetime) -> None:
    used: list[int] = []
    for values, _ in batches(session, made):
        grants = session.execute(_GRANTS, values).all()
        used += [grant.number for grant in grants if grant.used]
        if not used:
            kind = EntryKind.ADJUSTMENT
            left = [grant for grant in grants if grant.remaining]
            moves = [Move(one.id, kind, -one.remaining, now, action_id=act, note=UNDONE) for one in left]
            entries.post(session, moves)
    _refuse_used(made, sorted(used))
