"""A closure: grants per second that get their new last day, from the act to the last batch of the sweep.

The club of 50,000 members closes for some days, and each of their 100,000 grants gets an entry; then that is undone,
which moves them all back. Nothing is credited while the act is recorded: how long that takes is measured beside it.
"""

import time
from datetime import UTC, datetime, timedelta

import psycopg
from sqlalchemy import Engine, select

from bench import loading, report
from bench.site import Site
from models.catalogue.clubs import Club
from models.catalogue.days import local_day
from models.database.engine import make_engine, sessions
from models.members import life
from models.members.life import Scope
from models.payments import settlement
from models.staff.actions import Actor

DATABASE = "closure"
GRANTS = 100_000
BY = Actor("bench", "command line")


def measure(site: Site, grants: int = GRANTS) -> list[report.Result]:
    """closure_grants_per_s."""
    payments = grants // 2
    loading.our_database(site, DATABASE, payments)
    loading.past(site, DATABASE, events=payments, memberships=payments, until=datetime.now(UTC), bodies=False)
    engine = make_engine(site.postgres.url(DATABASE))
    series, held = report.Series("ours", "/s", []), report.Series("the act, which holds up crediting,", "ms", [])
    with site.connect(DATABASE) as connection:
        # The first one warms up; it also brings what was loaded to what its terms and midnights say.
        for number in range(1 + site.rounds):
            loading.tidy(site, DATABASE)
            before = _entries(connection)
            begin = time.perf_counter()
            _close_or_open(engine, datetime.now(UTC))
            recorded = time.perf_counter()
            _sweep(engine)
            seconds = time.perf_counter() - begin
            moved = _entries(connection) - before
            if not number:
                continue
            if moved != grants:
                raise ValueError(f"{moved} of {grants} grants moved")
            series.values.append(grants / seconds)
            held.values.append((recorded - begin) * 1000)
    engine.dispose()
    return [report.Result("closure_grants_per_s", series.median, (series, held))]


def _close_or_open(engine: Engine, now: datetime) -> None:
    """Close the club for three days from tomorrow on, or undo that."""
    with sessions(engine).begin() as session:
        club = session.scalars(select(Club)).one()
        known = list(life.in_force(session, club_id=club.id))
        if known:
            life.undo(session, known[0], reason="a mistake", by=BY, now=now)
            return
        first = local_day(now, club.time_zone) + timedelta(days=1)
        last = first + timedelta(days=2)
        life.close(session, club, scope=Scope.ALL, first=first, last=last, reason="holidays", by=BY, now=now)


def _sweep(engine: Engine) -> None:
    """As the worker does, batch by batch."""
    more = True
    while more:
        with sessions(engine).begin() as session:
            more = settlement.settle_closures(session, now=datetime.now(UTC), late_credit=timedelta(0))


def _entries(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM ledger_entries").fetchone()
    connection.rollback()
    assert row is not None
    return int(row[0])
