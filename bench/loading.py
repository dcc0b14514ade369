"""Databases to measure on: who is a member, what waits to be credited, and what lies behind.

Member M of `memberships` is found by subscription M; every payment brings ten
classes and two hours of personal training. Statistics are refreshed after each
load: PostgreSQL would go on with plans made for empty tables.
"""

from datetime import UTC, datetime

import psycopg
from celery import Celery
from sqlalchemy import create_engine

from bench import stripe_events
from bench.site import Site
from bench.tutorial.models import Base as TutorialBase
from models.database import migrations

_COPY_EVENTS = b"COPY webhook_events (endpoint, type, api_version, event_id, body) FROM STDIN"


def our_database(
    site: Site, database: str, memberships: int, *, interval: str = "month", release: str = "at_once"
) -> None:
    """A migrated database of ours with that many memberships, whose dues pay for that interval."""
    site.postgres.create(database)
    migrations.upgrade(site.postgres.url(database))
    values = {
        "memberships": memberships,
        "endpoint": stripe_events.ENDPOINT,
        "amount": stripe_events.AMOUNT_CENTS,
        "interval": interval,
        "release": release,
    }
    site.run_sql(database, "memberships.sql", values)
    tidy(site, database)


def tutorial_database(site: Site, database: str, memberships: int) -> None:
    """A database of the tutorial's with that many memberships."""
    site.postgres.create(database)
    engine = create_engine(site.postgres.url(database))
    TutorialBase.metadata.create_all(engine)
    engine.dispose()
    site.run_sql(database, "tutorial_memberships.sql", {"memberships": memberships})
    tidy(site, database)


def past(site: Site, database: str, *, events: int, memberships: int, until: datetime, bodies: bool = True) -> None:
    """Fills a fresh database with credited payments of the 20 days before `until`, two grants each.

    All grants still hold sessions and are good for 30 or 60 days. Without `bodies`
    the events' bodies are empty, where nothing will read them.
    """
    body = stripe_events.body(0, 1, int(until.timestamp())).decode() if bodies else ""
    values = {
        "events": events,
        "memberships": memberships,
        "until": until,
        "endpoint": stripe_events.ENDPOINT,
        "api_version": stripe_events.API_VERSION,
        "amount": stripe_events.AMOUNT_CENTS,
        "body": body,
    }
    site.run_sql(database, "past.sql", values)
    tidy(site, database)


def forget(site: Site, database: str, *, events: int) -> None:
    """Takes the database back to the past of that many events, as `past` made it; members stay."""
    site.run_sql(database, "forget.sql", {"events": events})
    tidy(site, database)


def our_backlog(connection: psycopg.Connection, first: int, count: int, memberships: int) -> None:
    """Stores due events as the web app would have; due when the caller commits."""
    fixed = (stripe_events.ENDPOINT, "invoice.paid", stripe_events.API_VERSION)
    at = int(datetime.now(UTC).timestamp())
    with connection.cursor() as cursor:
        with cursor.copy(_COPY_EVENTS) as rows:
            for n in range(first, first + count):
                rows.write_row((*fixed, stripe_events.event_id(n), stripe_events.body(n, memberships, at)))
        cursor.execute("ANALYZE webhook_events")


def tutorial_backlog(connection: psycopg.Connection, broker_url: str, first: int, count: int, memberships: int) -> None:
    """Stores events as the tutorial's web app would have, commits, and sends a message for each."""
    at = int(datetime.now(UTC).timestamp())
    with connection.cursor() as cursor:
        with cursor.copy("COPY events (stripe_id, type, payload) FROM STDIN") as rows:
            for n in range(first, first + count):
                body = stripe_events.body(n, memberships, at).decode()
                rows.write_row((stripe_events.event_id(n), "invoice.paid", body))
        cursor.execute("ANALYZE events")
        cursor.execute("SELECT id FROM events WHERE processed_at IS NULL ORDER BY id")
        ids = [row[0] for row in cursor.fetchall()]
    connection.commit()
    with Celery(broker=broker_url) as sender:
        for event_id in ids:
            sender.send_task("bench.tutorial.tasks.process_event", args=[event_id])


def tidy(site: Site, database: str) -> None:
    """Vacuums, analyzes and checkpoints, so that what one peer left to do does not fall on the next."""
    with site.connect(database) as connection:
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
