"""A database at the baseline, with a past: what the next revision makes of it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from local.servers import Postgres
from models.audit.checks import audit
from models.database.engine import make_engine, sessions
from models.database.migrations import upgrade
from models.members.memberships import Membership, add_billing_reference
from models.payments import reviewing, settlement
from models.payments.reviews import ReviewReason
from models.schema import differences
from models.statements import dues, payment_story, statement
from tests.models.database.older import make_baseline, schema
from tests.models.gym import BY, fresh

NOW = datetime(2024, 4, 2, tzinfo=UTC)


@pytest.fixture
def migrated(postgres: Postgres) -> Iterator[Session]:
    """Migrated from 0014 to the newest revision."""
    name = fresh("baseline")
    postgres.create(name)
    engine = make_engine(postgres.url(name))
    make_baseline(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "0014"
    upgrade(postgres.url(name))
    with sessions(engine)() as session:
        yield session
    engine.dispose()
    postgres.drop(name)


def rows(session: Session, query: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in session.execute(text(query))]


def test_it_has_the_very_schema_of_a_new_database(migrated: Session, newest: Connection) -> None:
    assert schema(migrated.connection()) == schema(newest)
    assert differences(migrated.connection()) == []


def test_every_grant_has_its_membership_and_what_it_was_made_of(migrated: Session) -> None:
    """Also the one whose payment turned out to be another reference's; not the one that was given by hand."""
    found = rows(
        migrated,
        "SELECT payment_id, membership_id, tranche, first_quantity = quantity FROM credit_grants ORDER BY id",
    )
    assert found == [
        (1, 1, 0, True),
        (1, 1, 0, True),
        (2, 1, 0, True),
        (5, 1, 0, True),
        (None, None, 0, True),
        (2, 1, 0, True),
    ]


def test_pinned_terms_have_the_interval_of_their_payment_term(migrated: Session) -> None:
    found = rows(
        migrated,
        "SELECT membership_id, payment_term_id, interval, interval_count, partial, release, release_times"
        " FROM membership_terms ORDER BY membership_id",
    )
    monthly = ("month", 1, "proportional", "at_once", None)
    assert found == [(1, 1, *monthly), (2, 1, *monthly), (3, 1, *monthly), (4, 2, "week", 2, *monthly[2:])]


def test_what_waited_stands_in_review_and_what_was_set_aside_is_answered(migrated: Session) -> None:
    standing = {one.payment: (one.reasons[0][0], [*one.waits_for]) for one in reviewing.page(migrated)}
    assert standing == {
        "ch_3": (ReviewReason.UNMATCHED, ["sub_other"]),
        "in_7": (ReviewReason.HELD, []),
        "in_8": (ReviewReason.UNMATCHED, ["sub_new", "cus_new"]),
    }
    answered = rows(migrated, "SELECT payment_id, reason, answered_by FROM payment_reviews WHERE answered_by > 0")
    assert answered == [(6, "unmatched", 4)]


def test_what_members_were_shown_is_the_same(migrated: Session) -> None:
    spin, training = statement.balances(migrated, 1, NOW)
    assert (spin.usable, training.usable, spin.coming, training.coming) == (10, 4, 0, 0)
    assert [(one.reference, one.gave[0].quantity) for one in dues.page(migrated, 1, limit=9).payments] == [
        ("in_2", 16),
        ("in_1", 8),
    ]
    [held] = payment_story.page(migrated, payment_story.named("in_7"), limit=9).payments
    assert [one.membership_id for one in held.memberships] == [4]
    assert list(audit(migrated)) == []


def test_what_waited_settles_when_its_reference_is_known(migrated: Session) -> None:
    """Settling what nobody touched changes nothing: what was set aside stays answered."""
    add_billing_reference(migrated, migrated.get_one(Membership, 2), "stripe", "cus_new", by=BY)
    assert settlement.settle_matched(migrated, now=NOW, late_credit=timedelta(0)) == 1
    grants = rows(migrated, "SELECT membership_id, item_id, quantity, tranche FROM credit_grants WHERE payment_id = 8")
    assert grants == [(2, 1, 6, 0)]
    reviews = "SELECT payment_id, what, answered_by FROM payment_reviews ORDER BY payment_id"
    before = rows(migrated, "SELECT count(*) FROM ledger_entries"), rows(migrated, reviews)
    settlement.settle(migrated, range(1, 9), now=NOW, late_credit=timedelta(0))
    assert (rows(migrated, "SELECT count(*) FROM ledger_entries"), rows(migrated, reviews)) == before
    assert list(audit(migrated)) == []


@pytest.fixture
def newest(postgres: Postgres, template: str) -> Iterator[Connection]:
    """To a new database."""
    name = fresh("new")
    postgres.create(name, template)
    engine = make_engine(postgres.url(name))
    with engine.connect() as connection:
        yield connection
    engine.dispose()
    postgres.drop(name)
