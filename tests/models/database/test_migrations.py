"""The schema's history: it can be run again, keeps what is there, and ends in what the models declare."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

import models.database.migrations
from local.servers import Postgres
from models.audit.checks import audit
from models.database.base import Base
from models.database.engine import make_engine, sessions
from models.database.migrations import is_current, upgrade
from models.errors import SchemaTooOld
from models.ledger import expiry
from models.ledger.redemptions import give_back, redeem
from models.payments import reviewing
from models.payments.facts import Reversed
from models.schema import differences
from models.statements import statement
from tests.models.database.older import ROWS_0012, make, schema, tables
from tests.models.gym import BY, fresh, paid, tell

FIRST_EXPIRY = datetime(2024, 4, 1, 5, tzinfo=UTC)


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


def test_the_migrated_database_has_every_constraint_index_and_default_of_the_models(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA declared"))
        # `public` is for the function that an index uses.
        connection.execute(text("SET LOCAL search_path = declared, public"))
        Base.metadata.create_all(connection, checkfirst=False)
        declared = tables(connection, "declared")
        connection.execute(text("SET LOCAL search_path = public"))
        views = {f"{view}." for view in inspect(connection).get_view_names()} | {"alembic_version"}
        migrated = {one for one in tables(connection) if not any(name in one[1] for name in views)}
        assert len(declared) > 400
        assert migrated == declared


@pytest.mark.parametrize("revision", ["0012", "0013"])
class TestFromBeforeTheBaseline:
    @pytest.fixture
    def migrated(self, empty_url: str, revision: str) -> Iterator[Session]:
        """A database that had these rows at that revision, migrated to the newest."""
        engine = make_engine(empty_url)
        make(engine, revision, ROWS_0012)
        upgrade(empty_url)
        with sessions(engine)() as session:
            yield session
        engine.dispose()

    def test_it_has_the_very_schema_of_a_new_database(self, migrated: Session, shared_engine: Engine) -> None:
        with shared_engine.connect() as new:
            assert schema(migrated.connection()) == schema(new)
        assert differences(migrated.connection()) == []
        assert is_current(migrated.connection())

    def test_every_payment_has_its_root(self, migrated: Session) -> None:
        rows = migrated.execute(text("SELECT reference, root_id FROM payments ORDER BY id"))
        assert list(rows) == [("in_1", 1), ("in_2", 2), ("in_3", 3), ("ch_3", 3), ("ch_2", 2)]
        assert [(one.payment, one.amount_minor) for one in reviewing.page(migrated)] == [("ch_3", 7000)]
        migrated.execute(text("INSERT INTO payments (endpoint, reference) VALUES ('stripe', 'in_9')"))
        assert migrated.scalar(text("SELECT root_id = id FROM payments WHERE reference = 'in_9'"))

    def test_what_was_renamed_keeps_its_rows(self, migrated: Session) -> None:
        (run,) = expiry.page(migrated, limit=2).runs
        assert (run.grants, run.sessions, run.undone_grants) == (1, 6, 0)
        kept = migrated.execute(text("SELECT verb, total, asked_by FROM bulk_actions")).all()
        assert [tuple(row) for row in kept] == [("replay", 3, "ada")]

    def test_members_are_shown_what_they_had(self, migrated: Session) -> None:
        now = datetime(2024, 4, 2, tzinfo=UTC)
        shown = [(row.item, row.usable) for row in statement.balances(migrated, 1, now)]
        assert shown == [("Spin", 8 + 2), ("Training", 4)]
        grants = statement.grants(migrated, 1, now)
        assert [(grant.payment, grant.club) for grant in grants if grant.item == "Spin"] == [
            ("in_1", "Downtown"),
            ("in_2", "Downtown"),
            ("ch_2", "Downtown"),
            (None, None),
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
        half = Reversed("ch_2", now, "refund of in_2:re", 4500, "USD")
        tell(migrated, half, paid("in_4", "sub", at=now), now=now)
        grants = migrated.execute(text("SELECT quantity, reversed, remaining FROM credit_grants ORDER BY id"))
        assert list(grants) == [(8, 0, 1), (2, 0, 2), (8, 4, 3), (8, 8, 0), (2, 0, 2), (2, 1, 1), (8, 0, 8), (2, 0, 2)]
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
    def test_the_record_is_append_only_still(self, migrated: Session, change: str) -> None:
        with pytest.raises(IntegrityError, match="is append-only"), migrated.begin_nested():
            migrated.execute(text(change))


def test_an_older_database_is_refused_with_what_to_do(empty_url: str, connection: Connection) -> None:
    make(connection.engine, "0012")
    connection.execute(text("UPDATE alembic_version SET version_num = '0011'"))
    connection.commit()
    with pytest.raises(SchemaTooOld, match=r"(?s)at revision 0011, which is too old .*Run `spp migrate` of the last"):
        upgrade(empty_url)
    assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "0011"
