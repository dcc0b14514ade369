"""A process that ends while it works on a file leaves nothing half done, and another goes on."""

import signal
import subprocess
import sys

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from models.inbox.erasing import erase
from models.members.memberships import Member, Membership, add_billing_reference
from models.moving import imports, working, writing
from models.moving.columns import Kind
from models.moving.imports import ImportState
from models.moving.judging import judge
from tests.models.gym import BY, NOW, Gym
from tests.models.moving.conftest import ENDPOINTS, Moved
from tests.models.moving.test_people import file, row

ROWS = 60
PEOPLE = file(
    *(
        row(f"m{number}@example.com", f"Member {number}", endpoint="stripe", billing_references=f"sub_{number}")
        for number in range(ROWS)
    )
)
TABLES = ("members", "memberships", "membership_terms", "pinned_terms", "billing_references", "actions")


def found(make: sessionmaker[Session]) -> list[int]:
    with make() as session:
        return [session.scalar(text(f"SELECT count(*) FROM {table}")) for table in TABLES]


def asked(make: sessionmaker[Session], import_id: int) -> None:
    with make.begin() as session:
        imports.write(session, import_id, expected=ROWS, reason="we move in", by=BY)


def test_cut_off_at_any_statement_nothing_is_written_and_the_next_process_writes_it_all(
    open_gym: Gym, bring: Moved, make: sessionmaker[Session], engine: Engine
) -> None:
    made = bring(Kind.PEOPLE, PEOPLE)
    before, cut, run = found(make), 0, True
    while run:
        asked(make, made.id)
        cut += 1
        left = [cut]

        def drop(connection, cursor, statement, *_: object, left: list[int] = left) -> None:
            left[0] -= "INSERT INTO" in statement or "UPDATE" in statement or "LOCK" in statement
            if not left[0]:
                left[0] = -1
                cursor.connection.close()

        event.listen(engine, "before_cursor_execute", drop)
        try:
            working.run(make, made.id, endpoints=ENDPOINTS)
            run = False
        except DBAPIError:
            assert found(make) == before
            with make.begin() as session:
                assert imports.the_import(session, made.id).state == ImportState.WRITING
                session.execute(text("UPDATE imports SET state = 'judged', attempts = 0"))
        finally:
            event.remove(engine, "before_cursor_execute", drop)
    assert cut > 10
    with make() as session:
        assert imports.the_import(session, made.id).state == ImportState.WRITTEN
    assert found(make)[:3] == [ROWS] * 3


def test_the_same_file_twice_at_once_is_written_once(
    open_gym: Gym, bring: Moved, make: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = bring(Kind.PEOPLE, PEOPLE), bring(Kind.PEOPLE, PEOPLE)
    asked(make, first.id)
    asked(make, second.id)
    meanwhile = []

    def and_the_other(session: Session, made: imports.Import, **more: object) -> None:
        writing.write(session, made, **more)
        if made.id == first.id:
            meanwhile.append(working.run(make, second.id, endpoints=ENDPOINTS))

    monkeypatch.setattr(working, "write", and_the_other)
    assert [working.run(make, one.id, endpoints=ENDPOINTS) for one in (first, second)] == [True, True]
    assert meanwhile == [False]
    assert found(make)[:3] == [ROWS] * 3
    with make() as session:
        assert imports.the_import(session, second.id).problem.startswith("What is here has changed")


def test_a_process_that_is_killed_is_followed_by_another(
    open_gym: Gym, bring: Moved, make: sessionmaker[Session], database_url: str
) -> None:
    """Killed by the system in the middle of its transaction; three such ends, and the file is given up."""
    made = bring(Kind.PEOPLE, PEOPLE)
    before = found(make)
    asked(make, made.id)
    script = f"""
import os, signal
from models.database.engine import make_engine, sessions
from models.moving import working, writing
from models.schema import TABLES
def end(*_): os.kill(os.getpid(), signal.SIGKILL)
writing._keep_members = end
working.run(sessions(make_engine({database_url!r})), {made.id}, endpoints=("stripe",))
"""
    for _ in range(working.TRIES):
        with make() as session:
            assert imports.the_import(session, made.id).state == ImportState.WRITING
        assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
        assert found(make) == before
    working.finish(make, made.id, endpoints=ENDPOINTS)
    with make.begin() as session:
        given_up = imports.the_import(session, made.id)
        assert given_up.state == ImportState.FAILED
        assert given_up.problem == "Given up after 3 tries: the process that did it ended"
        imports.judge_again(session, made.id, by=BY)
    working.step(make, endpoints=ENDPOINTS)
    asked(make, made.id)
    assert working.step(make, endpoints=ENDPOINTS)
    assert not working.step(make, endpoints=ENDPOINTS)
    assert found(make)[0] == ROWS


def test_two_processes_do_not_work_on_one_file_and_progress_is_seen_meanwhile(
    open_gym: Gym, bring: Moved, make: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bring(Kind.PEOPLE, PEOPLE)
    asked(make, made.id)
    seen = []

    def look(session: Session, *_: object) -> None:
        assert not working.run(make, made.id, endpoints=ENDPOINTS)
        with make() as other:
            now = imports.the_import(other, made.id)
            seen.append((now.state, now.done, found(make)[0]))

    monkeypatch.setattr("models.moving.writing._keep_members", look)
    assert working.run(make, made.id, endpoints=ENDPOINTS)
    assert seen == [(ImportState.WRITING, ROWS // 2, 0)]
    assert found(make)[0] == ROWS


def test_what_has_changed_since_it_was_judged_is_seen_before_anything_is_written(
    open_gym: Gym, bring: Moved, make: sessionmaker[Session]
) -> None:
    made = bring(Kind.PEOPLE, PEOPLE)
    asked(make, made.id)
    open_gym.join("sub_7")
    open_gym.session.commit()
    working.step(make, endpoints=ENDPOINTS)
    with make() as session:
        now = imports.the_import(session, made.id)
        assert (now.state, now.new_rows, now.refused_rows) == (ImportState.JUDGED, ROWS - 1, 1)
        assert now.problem == "What is here has changed since it was judged: look at it again."
    assert found(make)[0] == 1


def test_what_somebody_does_at_the_same_moment_is_not_overrun(
    open_gym: Gym, bring: Moved, make: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reference that is given, and a member who is signed up, between the judging and the commit."""
    known = open_gym.join()
    open_gym.session.commit()
    made = bring(Kind.PEOPLE, PEOPLE)
    before = found(make)

    def give_reference(*_: object) -> None:
        with make.begin() as other:
            add_billing_reference(other, other.get_one(Membership, known.id), "stripe", "sub_7", by=BY)

    def add_member(*more: object, **named: object) -> None:
        judge(*more, **named)
        with make.begin() as other:
            other.add(Member(email="M9@example.com", name="Somebody else"))

    asked(make, made.id)
    with monkeypatch.context() as patch:
        patch.setattr("models.moving.writing._keep_members", give_reference)
        working.run(make, made.id, endpoints=ENDPOINTS)
    with make.begin() as session:
        refused = imports.the_import(session, made.id)
        assert refused.state == ImportState.JUDGED
        assert "'sub_7' on endpoint 'stripe' already belongs to membership 1." in (refused.problem or "")
        session.execute(text("DELETE FROM billing_references"))
    assert found(make)[:4] == before[:4]
    asked(make, made.id)
    with monkeypatch.context() as patch:
        patch.setattr(working, "judge", add_member)
        working.run(make, made.id, endpoints=ENDPOINTS)
    with make() as session:
        refused = imports.the_import(session, made.id)
        assert refused.problem == "Somebody else has changed one of its members at the same moment. Write it again."
    assert found(make)[:2] == [before[0] + 1, before[1]]


def test_nobodys_data_stays_in_rows_that_are_written_old_or_of_somebody_who_was_erased(
    open_gym: Gym, bring: Moved, make: sessionmaker[Session]
) -> None:
    ada = open_gym.join().member
    open_gym.session.commit()
    written = bring(Kind.PEOPLE, file(row("m1@example.com", "Mia")), write=True)
    old, naming = (bring(Kind.PEOPLE, file(row("m2@example.com", name))) for name in ("Eve", "Ada"))
    with make.begin() as session:
        kept = text("SELECT CAST(array_agg(r) AS text) FROM import_rows r WHERE import_id = :id")
        assert "Mia" not in session.scalar(kept, {"id": written.id})
        erase(session, ada.id, confirm=ada.email, request="by letter", asked_on=NOW.date(), by=BY, now=NOW)
        assert "Ada" not in (session.scalar(kept, {"id": naming.id}) or "")
        assert imports.the_import(session, naming.id).state == ImportState.DISCARDED
        assert imports.prune(session) == 0
        session.execute(text("UPDATE imports SET uploaded_at = uploaded_at - interval '31 days'"))
        assert [imports.prune(session), imports.prune(session)] == [1, 0]
        assert session.scalar(kept, {"id": old.id}) is None
        assert imports.the_import(session, old.id).state == ImportState.DISCARDED
        assert imports.the_import(session, written.id).state == ImportState.WRITTEN
