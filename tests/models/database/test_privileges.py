"""What each role may do in the database, and what none of them may, as PostgreSQL sees it."""

import re
from collections import defaultdict
from collections.abc import Iterator

import pytest
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import ProgrammingError

from local.home import ROLES
from local.servers import Postgres
from models.database.engine import make_engine
from models.database.migrations import upgrade
from models.database.privileges import MAY, grant
from models.errors import RoleNotMade
from runtime.settings import DatabaseRole
from tests.database_roles import as_role

KEPT_FOR_EVER = (
    "payment_facts",
    "ledger_entries",
    "actions",
    "audits",
    "entry_chain",
    "membership_terms",
    "pinned_terms",
    "life_acts",
)
NEVER_DELETED = (*KEPT_FOR_EVER, "webhook_events", "payments", "credit_grants", "members", "memberships", "redemptions")
PEOPLE = ("members", "staff", "api_tokens", "login_failures", "actions", "adjustments")

_GRANTED = text("""
    SELECT c.relname, acl.privilege_type, CAST(NULL AS name) AS attname
    FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) acl
    WHERE c.relnamespace = 'public'::regnamespace AND acl.grantee = CAST(:role AS regrole)
    UNION ALL
    SELECT c.relname, acl.privilege_type, a.attname
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid CROSS JOIN LATERAL aclexplode(a.attacl) acl
    WHERE c.relnamespace = 'public'::regnamespace AND acl.grantee = CAST(:role AS regrole)
""")


def granted(connection: Connection, role: str) -> dict[str, set[str]]:
    """By table, what PostgreSQL lets the role do: SELECT, UPDATE (column), ..."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for table, privilege, column in connection.execute(_GRANTED, {"role": role}):
        found[table].add(f"{privilege} ({column})" if column else privilege)
    return found


def decided(role: DatabaseRole) -> dict[str, set[str]]:
    """The same, as models/database/privileges.py has it."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for table, may in MAY.items():
        for privilege, columns in re.findall(r"([A-Z]+)(?: \(([^)]*)\))?", may.get(role, "")):
            found[table] |= {f"{privilege} ({column})" for column in columns.split(", ")} if columns else {privilege}
    return found


@pytest.fixture
def superuser(shared_engine: Engine) -> Iterator[Connection]:
    with shared_engine.connect() as connection:
        yield connection


def test_every_table_is_decided_on(superuser: Connection) -> None:
    known = inspect(superuser)
    assert set(MAY) == {*known.get_table_names(), *known.get_view_names()}


@pytest.mark.parametrize("role", DatabaseRole)
def test_a_role_may_do_what_is_decided_and_nothing_else(superuser: Connection, role: DatabaseRole) -> None:
    assert granted(superuser, f"{ROLES}_{role}") == decided(role)


@pytest.mark.parametrize("table", NEVER_DELETED)
def test_nobody_deletes_what_is_kept(table: str) -> None:
    for may in MAY[table].values():
        assert "DELETE" not in may
        assert table not in KEPT_FOR_EVER or "UPDATE" not in may


def test_the_web_role_adds_events_and_what_keeps_receiving_going_and_sees_no_person() -> None:
    may = {table: roles[DatabaseRole.WEB] for table, roles in MAY.items() if DatabaseRole.WEB in roles}
    assert {table for table, privileges in may.items() if privileges != "SELECT"} == {
        "webhook_events",
        "delivery_counts",
        "heartbeats",
        "learned_certificates",
    }
    assert may["webhook_events"] == "SELECT, INSERT"
    assert not set(PEOPLE) & set(may)


def test_facts_are_the_workers_alone() -> None:
    assert [role for role, may in MAY["payment_facts"].items() if "INSERT" in may] == [DatabaseRole.WORKER]


REFUSED = [
    "ALTER TABLE ledger_entries DISABLE TRIGGER ALL",
    "DROP TRIGGER append_only ON ledger_entries",
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "SET session_replication_role = replica",
    "TRUNCATE webhook_events CASCADE",
    "DROP TABLE audits",
    "ALTER TABLE payments ADD COLUMN x int",
    "CREATE TABLE mine (id int)",
    "UPDATE ledger_entries SET note = 'x'",
    "DELETE FROM payment_facts",
    "UPDATE actions SET actor = 'x'",
    "DELETE FROM audits",
    "UPDATE life_acts SET undone = true",
    "UPDATE entry_chain SET hash = hash",
    "UPDATE credit_grants SET first_quantity = 1",
    "UPDATE webhook_events SET event_id = 'x' WHERE false AND pg_sleep(0) IS NULL",
    "DELETE FROM webhook_events",
    "SELECT * FROM pg_authid",
    f"SET ROLE {ROLES}_worker",
    "SET ROLE postgres",
]


@pytest.mark.parametrize("role", [DatabaseRole.WEB, DatabaseRole.CONSOLE])
@pytest.mark.parametrize("statement", REFUSED)
def test_what_no_role_may(postgres: Postgres, shared_engine: Engine, role: DatabaseRole, statement: str) -> None:
    engine = make_engine(as_role(postgres.url("shared"), role))
    try:
        with engine.connect() as connection, pytest.raises(ProgrammingError) as refused:
            connection.exec_driver_sql(statement)
    finally:
        engine.dispose()
    assert isinstance(refused.value.orig, InsufficientPrivilege)


@pytest.fixture
def names(postgres: Postgres) -> Iterator[str]:
    """What the names of roles of the test's own begin with; dropped when its databases are gone."""
    yield "own"
    engine = make_engine(postgres.url(), autocommit=True)
    with engine.connect() as connection:
        for role in DatabaseRole:
            connection.exec_driver_sql(f"DROP ROLE IF EXISTS own_{role}")
    engine.dispose()


def test_what_was_granted_by_hand_is_taken_back(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(f"GRANT ALL ON members, webhook_events TO {ROLES}_web")
        connection.exec_driver_sql(f"GRANT UPDATE (note) ON ledger_entries TO {ROLES}_console")
        connection.exec_driver_sql("GRANT CREATE ON SCHEMA public TO PUBLIC")
        grant(connection, ROLES)
        grant(connection, ROLES)
        for role in DatabaseRole:
            assert granted(connection, f"{ROLES}_{role}") == decided(role)
        assert not connection.scalar(text(f"SELECT has_schema_privilege('{ROLES}_web', 'public', 'CREATE')"))


def test_the_passwords_are_set_and_never_sent_in_the_clear(names: str, engine: Engine) -> None:
    sent: list[str] = []
    with engine.begin() as connection:
        grant(connection, names)
        log = text("SELECT rolpassword FROM pg_authid WHERE rolname = 'own_web'")
        assert connection.scalar(log) is None
        real = connection.exec_driver_sql
        connection.exec_driver_sql = lambda statement: (sent.append(statement), real(statement))[1]
        grant(connection, names, {DatabaseRole.WEB: "päss' word"})
        assert str(connection.scalar(log)).startswith("SCRAM-SHA-256$")
    assert any("PASSWORD" in statement for statement in sent)
    assert not any("word'" in statement for statement in sent)


@pytest.fixture
def owner_url(names: str, postgres: Postgres) -> Iterator[str]:
    """A database whose owner is no superuser, as where PostgreSQL is hosted."""
    engine = make_engine(postgres.url(), autocommit=True)
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE ROLE an_owner LOGIN")
        connection.exec_driver_sql("CREATE DATABASE owned OWNER an_owner")
    yield postgres.url("owned").replace("postgres@", "an_owner@")
    postgres.drop("owned")
    with engine.connect() as connection:
        # They were made by it.
        connection.exec_driver_sql("REASSIGN OWNED BY an_owner TO postgres")
        for role in DatabaseRole:
            connection.exec_driver_sql(f"DROP ROLE IF EXISTS {names}_{role}")
        connection.exec_driver_sql("DROP ROLE an_owner")
    engine.dispose()


def test_an_owner_that_is_no_superuser_makes_roles_where_it_may_and_else_says_what_to_do(
    names: str, owner_url: str, engine: Engine
) -> None:
    upgrade(owner_url)
    owner = make_engine(owner_url)
    with owner.begin() as connection, pytest.raises(RoleNotMade, match="CREATE ROLE own_web LOGIN PASSWORD"):
        grant(connection, names, {DatabaseRole.WEB: "secret"})
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER ROLE an_owner CREATEROLE")
    with owner.begin() as connection:
        grant(connection, names, dict.fromkeys(DatabaseRole, "secret"))
        grant(connection, names, dict.fromkeys(DatabaseRole, "other"))
        for role in DatabaseRole:
            assert granted(connection, f"{names}_{role}") == decided(role)
    owner.dispose()
    web = make_engine(owner_url.replace("an_owner@", "own_web@"))
    with web.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM webhook_events")) == 0
    web.dispose()
