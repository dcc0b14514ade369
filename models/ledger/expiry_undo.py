"""Undoing an expiry run by counter-entries: its sessions come back and are usable to the end of a day that staff chose.

A worker does it in the background, one batch per transaction. The sum of the run's entries per grant shows what is
left to do, so it can be killed and continued, and never gives a session back twice.
"""

from datetime import date, datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.catalogue import days
from models.catalogue.clubs import Club
from models.errors import DayOver, WrongState
from models.ledger import entries
from models.ledger.entries import Move
from models.ledger.expiry import ExpiryRun, RunState, end_of, locked
from models.ledger.kinds import EntryKind
from models.staff import actions
from models.staff.actions import Action, Actor
from runtime.language import say

BATCH = 1000


def undo(session: Session, run_id: int, *, last_day: date | None, reason: str, by: Actor, now: datetime) -> ExpiryRun:
    """Have a finished run undone. Its sessions then expire after `last_day` at their club; None is never.

    Raises NotFound, WrongState, ReasonMissing, TextTooLong, DayOver or DayTooFar.
    """
    reason = actions.reason_given(reason)
    run = locked(session, run_id)
    if run.state != RunState.FINISHED:
        raise WrongState(what=say("Expiry run {number}", number=run_id), state=run.state, verb="undone")
    if last_day is not None:
        zones = session.scalars(select(Club.time_zone).distinct())
        if any(end_of(last_day, zone, now) <= now for zone in zones):
            raise DayOver
    until = f"usable to the end of {last_day}" if last_day else "never to expire"
    run.undone_by = actions.log(session, by, "undo expiry", f"expiry run {run_id}, {until}", reason=reason)
    run.undone_until = last_day
    run.state = RunState.UNDOING
    session.flush()
    return run


# Locked in the order of ids, to avoid deadlocks.
_GRANTS = text("""
    WITH expired AS (
        SELECT grant_id, -sum(quantity) AS quantity FROM ledger_entries
        WHERE expiry_run_id = :run AND grant_id > :after AND kind = 'expiry'
        GROUP BY grant_id HAVING sum(quantity) < 0
        ORDER BY grant_id LIMIT :limit
    )
    SELECT g.id, CAST(l.quantity AS int) AS quantity, g.reversed, g.expires_at, c.time_zone
    FROM expired l
    JOIN credit_grants g ON g.id = l.grant_id
    JOIN grant_clubs c ON c.grant_id = g.id
    ORDER BY g.id
    FOR UPDATE OF g
""")


def step(session: Session, *, now: datetime, limit: int = BATCH) -> bool:
    """Do the next batch of the oldest undo. Returns whether there may be more to do; commit, and call again.

    An undo that another process has locked is skipped.
    """
    query = select(ExpiryRun).where(ExpiryRun.state == RunState.UNDOING.value).order_by(ExpiryRun.id).limit(1)
    run = session.scalar(query.with_for_update(skip_locked=True).execution_options(populate_existing=True))
    if run is None or run.undone_by is None:
        return False
    rows = session.execute(_GRANTS, {"run": run.id, "after": run.undone_up_to, "limit": limit}).all()
    if not rows:
        run.state, run.undone_at = RunState.UNDONE, now
        session.flush()
        return True
    act = session.get_one(Action, run.undone_by)
    cause: dict[str, Any] = {"action_id": act.id, "note": act.reason, "expiry_run_id": run.id}
    done, moves = [row for row in rows if not row.reversed], list[Move]()
    for row in done:
        until = _until(run, row.expires_at, row.time_zone)
        moves.append(Move(row.id, EntryKind.EXPIRY, row.quantity, now, **cause))
        moves.append(Move(row.id, EntryKind.EXTENSION, 0, now, expires_at=until, **cause))
    entries.post(session, moves)
    run.undone_up_to = rows[-1].id
    run.undone_grants += len(done)
    run.undone_sessions += sum(row.quantity for row in done)
    run.left_grants += len(rows) - len(done)
    session.flush()
    return True


def _until(run: ExpiryRun, expires_at: datetime | None, time_zone: str) -> datetime | None:
    """The grant's new expiry; one that expires later already keeps its own."""
    if run.undone_until is None or expires_at is None:
        return None
    return max(expires_at, days.end_of(run.undone_until, time_zone))
