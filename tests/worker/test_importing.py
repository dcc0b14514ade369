"""A worker does what is asked of imports, as the role that it has, and credits what had waited for them."""

from collections.abc import Iterator
from datetime import date
from io import BytesIO

import pytest

from models.moving import imports
from models.moving.columns import Kind
from models.moving.imports import ImportState
from models.staff.actions import Actor
from runtime.settings import DatabaseRole, Settings
from tests.database_roles import as_role
from tests.worker.scene import Make, arrive, paid_now, rows, until, value
from worker.process import WorkerProcess

BY = Actor("ada@example.com", "192.0.2.7")
PEOPLE = b"""email,name,club,offer,picks,joined,endpoint,billing references,frozen from
dora@example.com,Dora,Riverside,All In,Personal Training,2024-03-01,stripe,sub_dora,
emil@example.com,Emil,Riverside,All In,Personal Training,2024-03-01,,,2026-03-01
"""
BALANCES = b"email,item,left,of,last day\nemil@example.com,Personal Training,3,10,2090-01-31\n"


@pytest.fixture
def worker(settings: Settings, make: Make) -> Iterator[WorkerProcess]:
    quick = settings.model_copy(update={"timer_every_s": 0.1, "sweep_every_s": 0.2})
    worker = WorkerProcess(as_role(quick, DatabaseRole.WORKER))
    yield worker
    worker.stop()


def test_a_worker_judges_writes_and_undoes_and_credits_what_had_waited(worker: WorkerProcess, make: Make) -> None:
    arrive(make, paid_now("in_1", "sub_dora"))

    def becomes(import_id: int, state: ImportState) -> None:
        until(lambda: value(make, "SELECT state FROM imports WHERE id = :id", id=import_id) == state)

    made = []
    for kind, content in ((Kind.PEOPLE, PEOPLE), (Kind.BALANCES, BALANCES)):
        with make.begin() as session:
            one = imports.upload(
                session, kind, BytesIO(content), file_name="f.csv", by=BY, credits_from=date(2020, 1, 1)
            )
        becomes(one.id, ImportState.JUDGED)
        with make.begin() as session:
            rows_seen = imports.the_import(session, one.id).new_rows
            imports.write(session, one.id, expected=rows_seen, reason="we move in", by=BY)
        becomes(one.id, ImportState.WRITTEN)
        made.append(one.id)
    until(lambda: value(make, "SELECT count(*) FROM payments WHERE state = 'settled'") == 1)
    assert rows(make, "SELECT verb, actor FROM actions WHERE verb = 'write import'") == [
        ("write import", BY.name), ("write import", BY.name)
    ]  # fmt: skip
    people, balances = made
    with make.begin() as session:
        imports.undo(session, balances, reason="the wrong file", by=BY)
    becomes(balances, ImportState.UNDONE)
    with make.begin() as session:
        imports.undo(session, people, reason="the wrong file", by=BY)
    until(lambda: "rows were used or changed since: 2." in str(value(make, "SELECT max(problem) FROM imports")))
    assert value(make, "SELECT sum(remaining) FROM credit_grants WHERE payment_id IS NULL") == 0


def test_a_worker_withdraws_people(worker: WorkerProcess, make: Make) -> None:
    with make.begin() as session:
        one = imports.upload(
            session, Kind.PEOPLE, BytesIO(PEOPLE), file_name="f.csv", by=BY, credits_from=date(2020, 1, 1)
        )
    state = "SELECT state FROM imports"
    until(lambda: value(make, state) == "judged")
    with make.begin() as session:
        imports.write(session, one.id, expected=2, reason="we move in", by=BY)
    until(lambda: value(make, state) == "written")
    with make.begin() as session:
        imports.undo(session, one.id, reason="the wrong file", by=BY)
    until(lambda: value(make, state) == "undone")
    assert value(make, "SELECT count(*) FROM memberships WHERE withdrawn_at IS NOT NULL") == 2
    assert value(make, "SELECT count(*) FROM members WHERE erased_at IS NULL") == 3
