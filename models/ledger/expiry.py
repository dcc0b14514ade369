"""Expiry runs: each records what has expired by its time, and a run that would record far too much is stopped.

What members can use is exact by the clock, whether an expiry is recorded or not: a stopped run gives nobody an extra
session. It keeps a wrong mass expiry (an import, a term with the wrong days) out of the ledger until a person has
looked.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.catalogue import days
from models.catalogue.rules import MAX_DAYS_TO_EXPIRE
from models.database.base import Base, Id, RecordedAt, one_of
from models.database.paging import newest_first
from models.errors import DayTooFar, NotFound, WrongState
from models.ledger import entries
from models.staff import actions
from models.staff.actions import Actor
from runtime.language import say

BATCH = 20_000
"""Grants recorded in one transaction."""


class RunState(StrEnum):
    """The state of a run."""

    RUNNING = "running"
    STOPPED = "stopped"
    """By the breaker; a person has to allow it."""
    FINISHED = "finished"
    UNDOING = "undoing"
    UNDONE = "undone"


class ExpiryRun(Base):
    """One recording of what had expired by `as_of`. At most one run is open (running or stopped) at a time."""

    __tablename__ = "expiry_runs"
    __table_args__ = (
        CheckConstraint(one_of("state", RunState), "state"),
        CheckConstraint("(state IN ('undoing', 'undone')) = (undone_by IS NOT NULL)", "undone_by_a_person"),
        CheckConstraint("(state IN ('running', 'stopped')) = (finished_at IS NULL)", "finished"),
        Index("ix_expiry_runs_open", text("(true)"), unique=True, postgresql_where=text("finished_at IS NULL")),
        Index("ix_expiry_runs_undoing", "id", postgresql_where=text("state = 'undoing'")),
    )

    id: Mapped[Id]
    state: Mapped[str]
    as_of: Mapped[datetime]
    started_at: Mapped[RecordedAt] = mapped_column(index=True)
    finished_at: Mapped[datetime | None]
    due: Mapped[int] = mapped_column(BigInteger)
    """Grants that it found; counting stops at `COUNT_LIMIT`."""
    usual: Mapped[int] = mapped_column(BigInteger)
    """The most grants of one day (UTC) in the five weeks before."""
    grants: Mapped[int] = mapped_column(BigInteger, server_default="0")
    sessions: Mapped[int] = mapped_column(BigInteger, server_default="0")
    allowed_by: Mapped[int | None] = mapped_column(ForeignKey("actions.id"))
    """The action that let a stopped run go on."""
    undone_by: Mapped[int | None] = mapped_column(ForeignKey("actions.id"))
    """The action that had it undone."""
    undone_until: Mapped[date | None]
    """The last local day on which its sessions can be used again; NULL is for ever."""
    undone_up_to: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """The highest grant id that the undo has reached."""
    undone_at: Mapped[datetime | None]
    undone_grants: Mapped[int] = mapped_column(BigInteger, server_default="0")
    undone_sessions: Mapped[int] = mapped_column(BigInteger, server_default="0")
    left_grants: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Grants that the undo skipped because their payment was reversed."""


class Breaker(NamedTuple):
    """Limits per day: a run is stopped above both `grants_from` grants and `times` the usual maximum of a day."""

    grants_from: int
    times: int


class Step(NamedTuple):
    """What one transaction recorded; `more` is True if there may be more to do."""

    grants: int
    more: bool


# A run counts for the day on which it started. What a person has allowed does not count against the rest of its day.
_DAYS = text("""
    SELECT CAST(coalesce(max(grants) FILTER (WHERE day < today), 0) AS bigint),
           CAST(coalesce(max(unasked) FILTER (WHERE day = today), 0) AS bigint)
    FROM (
        SELECT CAST(started_at AS date) AS day, CAST(clock_timestamp() AS date) AS today, sum(grants) AS grants,
               sum(grants) FILTER (WHERE allowed_by IS NULL) AS unasked
        FROM expiry_runs
        WHERE started_at >= CAST(clock_timestamp() AS date) - 35 AND state NOT IN ('undoing', 'undone')
        GROUP BY 1
    ) days
""")

_COUNT = text("""
    SELECT count(*) FROM (
        SELECT FROM credit_grants
        WHERE remaining > 0 AND expires_at <= CAST(:as_of AS timestamptz) AND expires_at <= clock_timestamp()
        LIMIT :most
    ) expired
""")

_BEGIN = text("""
    INSERT INTO expiry_runs (state, as_of, due, usual)
    VALUES (:state, least(CAST(:as_of AS timestamptz), clock_timestamp()), :due, :usual)
""")

_FINISH = text("""
    UPDATE expiry_runs r SET state = 'finished', finished_at = clock_timestamp()
    WHERE id = :run AND state = 'running'
      AND NOT EXISTS (SELECT FROM credit_grants WHERE remaining > 0 AND expires_at <= r.as_of)
""")

COUNT_LIMIT = 1_000_000
"""The largest number of grants that is counted for a stopped run."""


def step(session: Session, *, as_of: datetime, breaker: Breaker, limit: int = BATCH) -> Step:
    """Record the expiry of up to `limit` grants: of the open run, or of a new one over what has expired by `as_of`.

    Before that, what has expired of test members by their own clocks, which counts in no run. While a run is stopped,
    nothing else is done. Commit, and call again while there is more. Safe to run concurrently and to
    kill: the next call continues the run.
    """
    entries.expire_tests(session, as_of=as_of)
    run = open_run(session) or _begun(session, as_of, breaker)
    if run is None or run.state == RunState.STOPPED:
        return Step(0, False)
    grants = entries.expire(session, as_of=run.as_of, limit=limit, run_id=run.id)
    if grants:
        return Step(grants, True)
    # If the run does not finish here, another process has locked some of its grants.
    return Step(0, session.connection().execute(_FINISH, {"run": run.id}).rowcount > 0)


def _begun(session: Session, as_of: datetime, breaker: Breaker) -> ExpiryRun | None:
    """A new run, if anything has expired; or the one that another process has just begun."""
    # Closes the race between counting and beginning: no other process begins and ends a run in between.
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext('spp expiry run'))"))
    if run := open_run(session):
        return run
    usual, today = session.execute(_DAYS).one()
    allowed = max(breaker.grants_from, breaker.times * usual)
    due = session.scalars(_COUNT, {"as_of": as_of, "most": COUNT_LIMIT}).one()
    if not due:
        return None
    state = RunState.STOPPED if today + due > allowed else RunState.RUNNING
    session.execute(_BEGIN, {"state": state.value, "as_of": as_of, "due": due, "usual": usual})
    return open_run(session)


def open_run(session: Session) -> ExpiryRun | None:
    """The run that is running or stopped, if there is one."""
    query = select(ExpiryRun).where(ExpiryRun.finished_at.is_(None))
    return session.scalar(query.execution_options(populate_existing=True))


def stopped(session: Session) -> ExpiryRun | None:
    """The run that the breaker has stopped and nobody has allowed yet, if there is one."""
    run = open_run(session)
    return run if run and run.state == RunState.STOPPED else None


def allow(session: Session, run_id: int, *, reason: str, by: Actor) -> ExpiryRun:
    """Let a stopped run go on, over the grants that had expired by its `as_of` and no others.

    Raises NotFound, WrongState, ReasonMissing or TextTooLong.
    """
    reason = actions.reason_given(reason)
    run = locked(session, run_id)
    if run.state != RunState.STOPPED:
        raise WrongState(what=say("Expiry run {number}", number=run_id), state=run.state, verb="allowed")
    run.allowed_by = actions.log(
        session, by, "allow expiry", f"expiry run {run_id}, {run.due} grants where {run.usual} are usual", reason=reason
    )
    run.state = RunState.RUNNING
    session.flush()
    return run


def locked(session: Session, run_id: int) -> ExpiryRun:
    """Lock and return the run. Raises NotFound."""
    run = session.get(ExpiryRun, run_id, with_for_update=True, populate_existing=True)
    if run is None:
        raise NotFound(what="expiry run", name=run_id)
    return run


def end_of(last_day: date, time_zone: str, now: datetime) -> datetime:
    """The expiry for a last usable day that staff chose. Raises DayTooFar."""
    limit = now.date() + timedelta(days=MAX_DAYS_TO_EXPIRE)
    if last_day > limit:
        raise DayTooFar(day=last_day, limit=limit)
    return days.end_of(last_day, time_zone)


class Page(NamedTuple):
    """Some runs, the newest first; `older` is the cursor of the page after it, None on the last."""

    runs: Sequence[ExpiryRun]
    older: int | None


def page(session: Session, *, limit: int, before: int | None = None) -> Page:
    """Up to `limit` runs older than the cursor `before`, the newest first."""
    return Page(*newest_first(session, select(ExpiryRun), ExpiryRun.id, limit=limit, before=before))
