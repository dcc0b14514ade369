"""What is asked of imports, done: judging, writing and undoing, each in one transaction. Main verbs: `step` and `run`.

A process that does it holds an advisory lock on the import while its transaction lasts; one at a time writes or
undoes. If it is killed, PostgreSQL rolls back and lets go of the lock, and whoever looks next begins anew: nothing is
ever half done. Tries are counted outside the transaction, so that a file which kills its workers is given up.
"""

from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic, sleep

from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from models.database.base import prose
from models.errors import SppError
from models.moving.judging import judge
from models.moving.tables import WORKING, Import, ImportState
from models.moving.undoing import undo
from models.moving.writing import ChangedMeanwhileError, write
from runtime.language import stored

TRIES = 3
_CHANGED = stored("Somebody else has changed one of its members at the same moment. Write it again.")
_JUDGED_OTHERWISE = stored("What is here has changed since it was judged: look at it again.")
_ENDED = stored("the process that did it ended")
_GIVEN_UP = stored("Given up after {tries} tries: {why}")
_SHOW_EVERY_S, _LOOK_EVERY_S = 1.0, 0.5

_MINE = text("SELECT pg_try_advisory_xact_lock(hashtext('spp import'), CAST(:id AS int))")
_ALONE = text("SELECT pg_try_advisory_xact_lock(hashtext('spp imports that change'))")
# A statement over a whole file takes longer than one of a request may; others who hold a row are waited for.
_PATIENT = text("""
    SELECT set_config('statement_timeout', '10min', true), set_config('lock_timeout', '60s', true)
""")
_TRIED = text("UPDATE imports SET attempts = attempts + 1 WHERE id = :id RETURNING attempts")
_FAILED = prose("UPDATE imports SET problem = :problem WHERE id = :id", "problem")
_SHOW = text("UPDATE imports SET done = :done WHERE id = :id")


def step(make: sessionmaker[Session], *, endpoints: Collection[str]) -> bool:
    """Do what is asked of the oldest import that no other process is at. Returns whether there was one."""
    with make.begin() as session:
        asked = session.scalars(select(Import.id).where(Import.state.in_(WORKING)).order_by(Import.id)).all()
    return any(run(make, import_id, endpoints=endpoints) for import_id in asked)


def run(make: sessionmaker[Session], import_id: int, *, endpoints: Collection[str]) -> bool:
    """Do what is asked of that import, in this process. Returns False if nothing is, or another process is at it."""
    with make.begin() as session:
        if not session.scalar(_MINE, {"id": import_id % 2**31}):
            return False
        made = session.get(Import, import_id)
        if made is None or not made.is_working:
            return False
        # What one file brings is there for the next one to be judged by: two at once would bring the same twice.
        if made.state != ImportState.JUDGING and not session.scalar(_ALONE):
            return False
        with make.begin() as other:
            tries = other.scalars(_TRIED, {"id": import_id}).one()
        if tries > TRIES:
            _give_up(session, made)
            return True
        session.execute(_PATIENT)
        try:
            # The import's own row is written last: locked, it could not show how far it is.
            with session.no_autoflush:
                return _try(session, made, endpoints, _Shown(make, import_id))
        except Exception as error:
            session.rollback()
            with suppress(SQLAlchemyError), make.begin() as other:
                other.execute(_FAILED, {"id": import_id, "problem": f"{type(error).__name__}: {error}"[:500]})
            raise


def finish(make: sessionmaker[Session], import_id: int, *, endpoints: Collection[str]) -> None:
    """Do what is asked of that import, or wait while another process is at it."""
    while not run(make, import_id, endpoints=endpoints):
        with make.begin() as session:
            made = session.get(Import, import_id)
            if made is None or not made.is_working:
                return
        sleep(_LOOK_EVERY_S)


class _Shown:
    """How many rows are done, written down at most once a second in transactions of their own."""

    def __init__(self, make: sessionmaker[Session], import_id: int) -> None:
        self._make, self._import_id, self._at = make, import_id, 0.0

    def __call__(self, done: int) -> None:
        if monotonic() - self._at >= _SHOW_EVERY_S:
            with self._make.begin() as session:
                session.execute(_SHOW, {"id": self._import_id, "done": done})
            self._at = monotonic()


def _try(session: Session, made: Import, endpoints: Collection[str], show: Callable[[int], None]) -> bool:
    """Do it in a savepoint; what the rules refuse is undone, and stored as its problem."""
    before = ImportState.WRITTEN if made.state == ImportState.UNDOING else ImportState.JUDGED
    import_id, wanted = made.id, ImportState(made.state)
    try:
        with session.begin_nested():
            state, problem = _do(session, made, wanted, endpoints, show)
            session.flush()
    except SppError as error:
        state, problem = before, str(error)
    except ChangedMeanwhileError:
        state, problem = before, _CHANGED
    made = session.get_one(Import, import_id, with_for_update=True, populate_existing=True)
    _end(session, made, state, problem)
    return True


def _do(
    session: Session, made: Import, wanted: ImportState, endpoints: Collection[str], show: Callable[[int], None]
) -> tuple[ImportState, str | None]:
    now = datetime.now(UTC)
    if wanted == ImportState.UNDOING:
        undo(session, made, now=now)
        return ImportState.UNDONE, None
    is_written, confirmed = wanted == ImportState.WRITING, made.new_rows
    half = 2 if is_written else 1
    judge(session, made, endpoints=frozenset(endpoints), now=now, progress=lambda done: show(done // half))
    if not is_written:
        return ImportState.JUDGED, None
    if made.refused_rows or made.conflict_rows or made.new_rows != confirmed:
        return ImportState.JUDGED, _JUDGED_OTHERWISE
    write(session, made, now=now, progress=lambda done: show((made.rows + done) // half))
    return ImportState.WRITTEN, None


def _end(session: Session, made: Import, state: ImportState, problem: str | None) -> None:
    made.state, made.problem, made.attempts, made.done = state.value, problem, 0, made.rows
    made.reason = None
    if state in (ImportState.WRITTEN, ImportState.UNDONE, ImportState.FAILED):
        made.finished_at = session.scalars(select(func.clock_timestamp())).one()
    session.flush()


def _give_up(session: Session, made: Import) -> None:
    why = made.problem or _ENDED
    state = ImportState.WRITTEN if made.state == ImportState.UNDOING else ImportState.FAILED
    _end(session, made, state, _GIVEN_UP.format(tries=TRIES, why=why))
