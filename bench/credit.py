"""Crediting: payments per second from a backlog, two grants and two entries each.

Ours and the hand-written SQL drain 50,000 events of 50,000 memberships per round;
the tutorial drains fewer, since only its rate counts, and that from its first
commit to its last, so that its start is not held against it. Each warms up on a
small backlog first: PostgreSQL plans badly for tables that were empty just now.

Beside it dues for a year that are released by the month: 24 grants and 24 entries each.
"""

import time
from contextlib import AbstractContextManager, nullcontext

from celery import Celery

from bench import commits, loading, peers, report
from bench.commits import OURS, TUTORIAL
from bench.processes import resident_mb
from bench.site import SQL, Site
from runtime.broker import CREDIT_SESSIONS, EVENTS, celery_config

DATABASE, YEARLY = "credit_ours", "credit_yearly"
MEMBERSHIPS = 50_000
BACKLOG, YEARLY_BACKLOG = 50_000, 5_000
TRANCHES = 24
"""Of a year: 12 of each of 2 items."""
TUTORIAL_BACKLOG = 3_000
WARMUP = 1_000
TIMEOUT_S = 120
NOTHING: AbstractContextManager[object] = nullcontext()


def measure(site: Site) -> list[report.Result]:
    """credit_over_tutorial, credit_over_sql, credit_tranches_per_s, worker_rss_mb."""
    loading.our_database(site, DATABASE, MEMBERSHIPS)
    loading.our_database(site, "credit_sql", MEMBERSHIPS)
    loading.tutorial_database(site, "credit_tutorial", MEMBERSHIPS)
    ours, sql, tutorial = (report.Series(name, "/s", []) for name in ("ours", "SQL", "tutorial"))
    stack = site.our_stack(DATABASE, worker_concurrency=1)
    try:
        stack.start("worker")
        stack.wait_ready()
        for peer in (_tutorial, drain, _sql):
            peer(site, WARMUP)
        for _ in range(site.rounds):
            tutorial.values.append(_tutorial(site, TUTORIAL_BACKLOG))
            ours.values.append(drain(site, BACKLOG))
            sql.values.append(_sql(site, BACKLOG))
        memory_mb = resident_mb(stack.process("worker"))
    finally:
        stack.stop()
    return [
        report.ratio("credit_over_tutorial", ours, tutorial),
        report.ratio("credit_over_sql", ours, sql),
        _tranches(site),
        report.Result("worker_rss_mb", memory_mb, ()),
    ]


def _tranches(site: Site) -> report.Result:
    """How many grants a second our worker makes of dues for a year."""
    loading.our_database(site, YEARLY, MEMBERSHIPS, interval="year", release="monthly")
    series = report.Series("ours", "/s", [])
    stack = site.our_stack(YEARLY, worker_concurrency=1)
    try:
        stack.start("worker")
        stack.wait_ready()
        drain(site, WARMUP, database=YEARLY, each=TRANCHES)
        for _ in range(site.rounds):
            series.values.append(TRANCHES * drain(site, YEARLY_BACKLOG, database=YEARLY, each=TRANCHES))
    finally:
        stack.stop()
    return report.Result("credit_tranches_per_s", series.median, (series,))


def drain(
    site: Site, count: int, rings: int = 1, meanwhile: AbstractContextManager[object] = NOTHING, *,
    database: str = DATABASE, each: int = 2,
) -> float:  # fmt: skip
    """How many payments a second our worker credits from a backlog of that many, `meanwhile` around it.

    Each ring wakes a process of the worker; `each` payment has so many entries.
    """
    ring = Celery()
    ring.conf.update(celery_config(site.our_environment(database)["BROKER_URL"]))
    with site.connect(database) as connection, ring:
        newest = commits.newest_entry(connection, OURS)
        loading.our_backlog(connection, site.numbers(count), count, MEMBERSHIPS)
        connection.commit()
        begin = time.time()
        with meanwhile:
            for _ in range(rings):
                ring.send_task(CREDIT_SESSIONS, queue=EVENTS)
            committed = commits.wait_for(connection, OURS, newest, count, TIMEOUT_S, each=each)
    loading.tidy(site, database)
    return count / (max(committed.values()) - begin)


def _sql(site: Site, count: int) -> float:
    statement = (SQL / "credit.sql").read_bytes()
    with site.connect("credit_sql") as connection:
        newest = commits.newest_entry(connection, OURS)
        loading.our_backlog(connection, site.numbers(count), count, MEMBERSHIPS)
        connection.commit()
        begin = time.time()
        while connection.execute(statement).rowcount:
            connection.commit()
        seconds = time.time() - begin
        commits.wait_for(connection, OURS, newest, count, 0)
    loading.tidy(site, "credit_sql")
    return count / seconds


def _tutorial(site: Site, count: int) -> float:
    environment = site.tutorial_environment("credit_tutorial")
    with site.connect("credit_tutorial") as connection:
        newest = commits.newest_entry(connection, TUTORIAL)
        first = site.numbers(count)
        loading.tutorial_backlog(connection, environment["BROKER_URL"], first, count, MEMBERSHIPS)
        with peers.tutorial_worker(environment, site.folder):
            committed = commits.wait_for(connection, TUTORIAL, newest, count, TIMEOUT_S)
    loading.tidy(site, "credit_tutorial")
    return (count - 1) / (max(committed.values()) - min(committed.values()))
