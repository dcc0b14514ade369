"""The schema's history: it can be run again, keeps what is there, and ends in what the models declare."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

import models.database.migrations
from local.servers import Postgres
from models.audit.checks import audit
from models.database.engine import make_engine, sessions
from models.database.migrations import is_current, upgrade
from models.ledger.redemptions import give_back, redeem
from models.members.memberships import Membership
from models.payments.entitlement import Terms
from models.payments.facts import Reversed
from models.schema import differences
from models.statements import statement
from models.wording import money
from tests.models.gym import BY, fresh, paid, tell


@pytest.fixture
def empty_url(postgres: Postgres) -> Iterator[str]:
    name = fresh("empty")
    postgres.create(name)
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture
def connection(empty_url: str) -> Iterator[Connection]:
    engine = make_engine(empty_url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_a_database_is_current_only_once_it_was_upgraded(empty_url: str, connection: Connection) -> None:
    assert not is_current(connection)
    connection.rollback()
    upgrade(empty_url)
    assert is_current(connection)


def test_an_older_database_is_not_current(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
        assert not is_current(connection)


def test_upgrading_again_changes_nothing(empty_url: str, connection: Connection) -> None:
    upgrade(empty_url)
    connection.execute(text("INSERT INTO items (name, kind) VALUES ('Towel', 'other')"))
    connection.commit()
    upgrade(empty_url)
    assert connection.scalar(text("SELECT count(*) FROM items")) == 1


def test_upgrades_at_once_wait_for_each_other(empty_url: str, connection: Connection) -> None:
    migrate = [
        sys.executable,
        "-c",
        "import sys; from models.database.migrations import upgrade; upgrade(sys.argv[1])",
        empty_url,
    ]
    root = Path(models.database.migrations.__file__).parents[3]
    running = [subprocess.Popen(migrate, cwd=root) for _ in range(3)]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    assert is_current(connection)


def test_the_migrated_database_is_what_the_models_declare(engine: Engine) -> None:
    with engine.connect() as connection:
        assert differences(connection) == []
        connection.execute(text("ALTER TABLE items ADD COLUMN colour text"))
        assert len(differences(connection)) == 1


AT_0002 = """
    INSERT INTO clubs (name, time_zone, currency, shortfall_policy)
        VALUES ('Downtown', 'America/Chicago', 'USD', 'repay');
    INSERT INTO items (name, kind, session_type)
        VALUES ('Spin', 'scheduler_bucket', 'class'), ('Training', 'scheduler_bucket', 'personal_training');
    INSERT INTO offers (name, state, min_buckets, max_buckets) VALUES ('Gold', 'published', 1, 2);
    INSERT INTO payment_terms (offer_id, name, dues_minor, currency, interval, interval_count)
        VALUES (1, 'Monthly', 9500, 'USD', 'month', 1);
    INSERT INTO members (email, name) VALUES ('ada@example.com', 'Ada'), ('ben@example.com', 'Ben');
    INSERT INTO memberships (member_id, club_id, offer_id, payment_term_id, dues_minor, currency, recorded_at)
        VALUES (1, 1, 1, 1, 9000, 'USD', '2024-02-20T12:00Z'), (2, 1, 1, 1, 9500, 'USD', '2024-02-21T12:00Z');
    INSERT INTO pinned_terms (membership_id, item_id, quantity, days_to_expire)
        VALUES (1, 1, 8, 30), (1, 2, 2, 0), (2, 1, 6, 30);
    INSERT INTO billing_references (endpoint, reference, membership_id) VALUES ('stripe', 'sub', 1);
    INSERT INTO webhook_events (endpoint, event_id, type, body, state)
        SELECT 'stripe', 'old_' || n, 'paid', 'x', 'processed' FROM generate_series(1, 3) AS n;
    INSERT INTO webhook_events (endpoint, event_id, type, body, thin, attempts, error)
        VALUES ('paypal', 'old_4', 'paid', 'x', true, 40, 'waits for paypal: 503'),
               ('paypal', 'old_5', 'paid', 'x', true, 1, NULL);
    INSERT INTO payments (endpoint, reference, state, membership_id)
        VALUES ('stripe', 'in_1', 'settled', 1), ('stripe', 'in_2', 'settled', 1);
    INSERT INTO payment_facts
            (id, event_id, payment_id, kind, occurred_at, amount_minor, currency, running_total, billing_references)
        VALUES (256, 1, 1, 'paid', '2024-03-01T15:00Z', 9000, 'USD', false, '{sub}'),
               (512, 2, 2, 'paid', '2024-03-05T15:00Z', 9000, 'USD', false, '{sub}'),
               (768, 3, 2, 'paid', '2024-03-03T15:00Z', 9000, 'USD', false, '{sub}');
    INSERT INTO credit_grants (payment_id, member_id, item_id, quantity, remaining, effective_at, expires_at)
        VALUES (1, 1, 1, 8, 0, '2024-03-01T15:00Z', '2024-04-01T05:00Z'), (1, 1, 2, 2, 2, '2024-03-01T15:00Z', NULL),
               (2, 1, 1, 8, 8, '2024-03-05T15:00Z', '2024-04-03T05:00Z'), (2, 1, 2, 2, 2, '2024-03-05T15:00Z', NULL);
    INSERT INTO redemptions (idempotency_key, member_id, item_id, quantity, undoes, occurred_at)
        VALUES ('use', 1, 1, 3, NULL, '2024-03-02T15:00Z'), ('back', 1, 1, 1, 1, '2024-03-02T16:00Z');
    INSERT INTO ledger_entries
            (grant_id, kind, quantity, expires_at, occurred_at, recorded_at, fact_id, redemption_id)
        VALUES (1, 'grant', 8, NULL, '2024-03-01T15:00Z', '2024-03-01T15:00Z', 256, NULL),
               (2, 'grant', 2, NULL, '2024-03-01T15:00Z', '2024-03-01T15:00Z', 256, NULL),
               (1, 'redemption', -3, NULL, '2024-03-02T15:00Z', '2024-03-02T15:00Z', NULL, 1),
               (1, 'return', 1, NULL, '2024-03-02T16:00Z', '2024-03-02T16:00Z', NULL, 2),
               (3, 'grant', 8, NULL, '2024-03-05T15:00Z', '2024-03-05T15:00Z', 512, NULL),
               (4, 'grant', 2, NULL, '2024-03-05T15:00Z', '2024-03-05T15:00Z', 512, NULL),
               (3, 'extension', 0, '2024-04-03T05:00Z', '2024-03-03T15:00Z', '2024-03-06T15:00Z', 768, NULL),
               (1, 'expiry', -6, NULL, '2024-04-01T05:00Z', '2024-04-01T05:00Z', NULL, NULL);
    INSERT INTO actions (actor, verb, subject, reason) VALUES ('root', 'discard', 'event 3', 'a test');
"""
"""Two members; one was paid for twice, of which the second telling of the second payment is the earlier one."""

FIRST_EXPIRY = datetime(2024, 4, 1, 5, tzinfo=UTC)


@pytest.fixture
def migrated(empty_url: str) -> Iterator[Session]:
    """A database that had these rows at revision 0002, at the newest."""
    engine = make_engine(empty_url)
    config = models.database.migrations._config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.exec_driver_sql(AT_0002)
    upgrade(empty_url)
    with sessions(engine)() as session:
        yield session
    engine.dispose()


class TestFrom0002:
    def test_memberships_keep_their_dues_and_what_they_give_since_their_sign_up(self, migrated: Session) -> None:
        shown = [
            (terms.since, terms.recorded_at, terms.dues_minor, terms.action_id,
             [Terms(pinned.item_id, pinned.quantity, pinned.days_to_expire) for pinned in terms.pinned])
            for member_id in (1, 2)
            for terms in migrated.get_one(Membership, member_id).versions
        ]  # fmt: skip
        signed_up = [datetime(2024, 2, day, 12, tzinfo=UTC) for day in (20, 21)]
        assert shown == [
            (signed_up[0], signed_up[0], 9000, None, [Terms(1, 8, 30), Terms(2, 2, 0)]),
            (signed_up[1], signed_up[1], 9500, None, [Terms(1, 6, 30)]),
        ]

    def test_what_waited_for_its_processor_has_all_its_tries_again(self, migrated: Session) -> None:
        waiting = migrated.execute(text("SELECT attempts, waits_since = received_at FROM webhook_events WHERE thin"))
        assert list(waiting) == [(0, True), (0, None)]

    def test_nobody_knows_who_redeemed_and_the_log_says_so(self, migrated: Session) -> None:
        acted = migrated.execute(
            text(
                "SELECT e.kind, a.actor, a.verb FROM ledger_entries e LEFT JOIN actions a ON a.id = e.action_id"
                " ORDER BY e.id"
            )
        )
        unknown = [(kind, actor, verb) for kind, actor, verb in acted if actor]
        assert unknown == [("redemption", "unknown", "redeem"), ("return", "unknown", "redeem")]
        kept = migrated.execute(text("SELECT actor, verb, subject, reason FROM actions WHERE id = 1")).one()
        assert kept == ("root", "discard", "event 3", "a test")

    def test_grants_begin_with_the_expiry_that_they_had(self, migrated: Session) -> None:
        """Where it is known: not of a grant that was dated anew since."""
        opened = migrated.scalars(text("SELECT expires_at FROM ledger_entries WHERE kind = 'grant' ORDER BY id"))
        assert list(opened) == [FIRST_EXPIRY, None, None, None]
        asked = FIRST_EXPIRY - timedelta(microseconds=1)
        assert [
            (row.item, row.usable, row.next_expiry) for row in statement.balances(migrated, 1, asked, as_of=asked)
        ] == [
            ("Spin", 6 + 8, FIRST_EXPIRY),
            ("Training", 4, None),
        ]
        assert statement.grants(migrated, 1, FIRST_EXPIRY, as_of=FIRST_EXPIRY) == statement.grants(
            migrated, 1, FIRST_EXPIRY
        )

    def test_the_ledger_is_right_and_goes_on(self, migrated: Session) -> None:
        assert list(audit(migrated)) == []
        now = datetime(2024, 4, 2, tzinfo=UTC)
        used = redeem(migrated, member_id=1, item_id=1, quantity=2, key="more", by=BY, now=now)
        give_back(migrated, redemption_id=used.redemption_id, key="more back", by=BY, now=now, quantity=1)
        give_back(migrated, redemption_id=1, key="the old", by=BY, now=now, quantity=1)
        half = Reversed("in_2", now, "refund of in_2:re", 4500, "USD")
        tell(migrated, paid("in_1", "sub"), half, paid("in_3", "sub", at=now), now=now)
        grants = migrated.execute(text("SELECT quantity, reversed, remaining FROM credit_grants ORDER BY id"))
        assert list(grants) == [(8, 0, 1), (2, 0, 2), (8, 4, 3), (2, 1, 1), (8, 0, 8), (2, 0, 2)]
        assert list(audit(migrated)) == []

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE ledger_entries SET note = note",
            "DELETE FROM ledger_entries",
            "UPDATE credit_grants SET action_id = action_id",
            "UPDATE membership_terms SET since = since",
            "DELETE FROM pinned_terms",
            "UPDATE actions SET actor = actor",
        ],
    )
    def test_the_record_is_append_only_again(self, migrated: Session, change: str) -> None:
        with pytest.raises(IntegrityError, match="is append-only"), migrated.begin_nested():
            migrated.execute(text(change))

    def test_it_is_what_the_models_declare(self, migrated: Session) -> None:
        assert differences(migrated.connection()) == []


AT_0006 = """
    INSERT INTO clubs (name, time_zone, currency, shortfall_policy) VALUES
        ('Belgrade', 'Europe/Belgrade', 'RSD', 'repay'), ('Baghdad', 'Asia/Baghdad', 'IQD', 'repay'),
        ('Tokyo', 'Asia/Tokyo', 'JPY', 'repay');
    INSERT INTO offers (name, state, min_buckets, max_buckets) VALUES ('Gold', 'published', 0, 1);
    INSERT INTO payment_terms (offer_id, name, dues_minor, currency, interval, interval_count)
        SELECT 1, currency, 4500, currency, 'month', 1 FROM clubs;
    INSERT INTO members (email, name) VALUES ('ada@example.com', 'Ada');
    INSERT INTO memberships (member_id, club_id, offer_id, payment_term_id, currency)
        SELECT 1, c.id, 1, t.id, c.currency FROM clubs c JOIN payment_terms t USING (currency);
    INSERT INTO membership_terms (membership_id, since, dues_minor) SELECT id, now(), 4000 FROM memberships;
    INSERT INTO items (name, kind, session_type)
        VALUES ('Spin', 'scheduler_bucket', 'class'), ('Yoga', 'scheduler_bucket', 'class');
    INSERT INTO session_buckets (offer_id, item_id, item_kind, required)
        SELECT 1, id, kind, false FROM items;
    INSERT INTO bucket_terms (payment_term_id, session_bucket_id, offer_id, quantity, days_to_expire)
        VALUES (1, 1, 1, 8, 30), (1, 2, 1, 0, 0);
    INSERT INTO adjustments (idempotency_key, member_id, item_id, quantity, reason, note, needs_second_person, asked_by,
                             decided_by, decided_at, approved)
        VALUES ('a', 1, 1, 3, 'goodwill', 'x', false, 'ada', 'ada', now(), true),
               ('b', 1, 1, 90, 'goodwill', 'x', true, 'ada', 'bob', now(), true),
               ('c', 1, 1, 80, 'goodwill', 'x', true, 'ada', 'bob', now(), false),
               ('d', 1, 1, 70, 'goodwill', 'x', true, 'ada', NULL, NULL, NULL);
    INSERT INTO actions (actor, verb, subject)
        VALUES ('ada', 'adjust', 'adjustment 1: +3 Spin'), ('ada', 'ask to adjust', 'adjustment 2: +90 Spin'),
               ('bob', 'approve', 'adjustment 2: +90 Spin'), ('bob', 'decline', 'adjustment 3: +80 Spin'),
               ('ada', 'ask to adjust', 'adjustment 4: +70 Spin'), ('ada', 'redeem', '1 Spin, redemption 1');
"""


class TestFrom0006:
    @pytest.fixture
    def session(self, empty_url: str) -> Iterator[Session]:
        engine, config = make_engine(empty_url), models.database.migrations._config()
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "0006")
            connection.exec_driver_sql(AT_0006)
        upgrade(empty_url)
        with sessions(engine)() as session:
            yield session
        engine.dispose()

    def test_bucket_terms_are_of_what_is_used(self, session: Session) -> None:
        left = session.execute(text("SELECT payment_term_id, session_bucket_id, quantity FROM bucket_terms"))
        assert list(left) == [(1, 1, 8)]
        assert differences(session.connection()) == []

    def test_adjustments_name_the_act_that_applied_them(self, session: Session) -> None:
        acts = session.execute(text("SELECT id, action_id FROM adjustments ORDER BY id"))
        assert [tuple(row) for row in acts] == [(1, 1), (2, 3), (3, None), (4, None)]
        with pytest.raises(IntegrityError, match="is append-only"), session.begin_nested():
            session.execute(text("UPDATE adjustments SET action_id = NULL WHERE id = 1"))

    def test_dues_typed_without_decimals_are_worth_what_they_were(self, session: Session) -> None:
        shown = {
            one.currency: (
                money(one.term.dues_minor, one.currency),
                money(one.versions[0].dues_minor, one.currency),
            )
            for one in session.scalars(select(Membership))
        }
        with pytest.raises(IntegrityError, match="is append-only"), session.begin_nested():
            session.execute(text("UPDATE membership_terms SET since = since"))
        assert {code: (now[-8:], then[-8:]) for code, (now, then) in shown.items()} == {
            "RSD": ("4,500.00", "4,000.00"), "IQD": (",500.000", ",000.000"), "JPY": ("¥4,500", "¥4,000"),
        }  # fmt: skip
