"""The privileges of each database role, table by table. The role that migrates owns the tables; it is none of these.

These roles own nothing, so they cannot truncate a table, disable a trigger or change the schema. They can add to and
read what is kept for ever (facts, entries, the action log, audits, the chain), and nothing else.
"""

import re
from collections.abc import Mapping

from psycopg import sql
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from models.errors import RoleNotMade
from runtime.settings import DatabaseRole

READ, ADD, CHANGE = "SELECT", "SELECT, INSERT", "SELECT, INSERT, UPDATE"
ANY = "SELECT, INSERT, UPDATE, DELETE"
_PROJECTIONS = "UPDATE (quantity, remaining, shortfall, reversed, expires_at)"
"""The changing columns of a grant; its definition never changes."""
_OWNER = "UPDATE (member_id, first_member_id)"
"""Of what belongs to a member: a trigger lets only a merge of two members, and its undo, through."""
_LOCK = "UPDATE (recorded_at)"
"""PostgreSQL requires an UPDATE privilege to lock rows. A trigger refuses changes of a redemption."""
_STATE = (
    "UPDATE (state, reason, attempts, next_attempt_at, thin, error, waits_since, finished_at, let_through, "
    "bulk_action_id)"
)
"""The changing columns of an event; what the processor sent never changes."""

# Beside the inbox, the web process reads what the figures of /metrics are computed from: no table with a person's name
# or address.
WEB, WORKER, CONSOLE = DatabaseRole.WEB, DatabaseRole.WORKER, DatabaseRole.CONSOLE
MAY: Mapping[str, Mapping[DatabaseRole, str]] = {
    "actions": {WORKER: ADD, CONSOLE: ADD},
    "adjustments": {WORKER: READ, CONSOLE: CHANGE},
    "alarms": {CONSOLE: ANY},
    "alembic_version": {WEB: READ, CONSOLE: READ},
    "announcement_answers": {WORKER: ADD, CONSOLE: ADD},
    "api_tokens": {CONSOLE: CHANGE},
    "audit_notices": {CONSOLE: ADD},
    "audits": {WEB: READ, WORKER: ADD, CONSOLE: READ},
    "billing_references": {WEB: READ, WORKER: "SELECT, INSERT, DELETE", CONSOLE: "SELECT, INSERT, DELETE"},
    "bucket_terms": {WORKER: READ, CONSOLE: ANY},
    "bulk_actions": {WORKER: "SELECT, UPDATE", CONSOLE: CHANGE},
    "cleared_dues": {WORKER: READ, CONSOLE: ADD},
    "closure_walks": {WORKER: "SELECT, UPDATE, DELETE", CONSOLE: "SELECT, INSERT, DELETE"},
    "clubs": {WEB: READ, WORKER: READ, CONSOLE: ANY},
    "credit_grants": {
        WEB: READ, WORKER: f"SELECT, INSERT, {_PROJECTIONS}", CONSOLE: f"SELECT, INSERT, {_PROJECTIONS}, {_OWNER}"
    },
    "delivery_counts": {WEB: CHANGE, WORKER: "SELECT, DELETE", CONSOLE: READ},
    "earlier_clubs": {WORKER: READ, CONSOLE: ADD},
    "entry_chain": {WORKER: ADD},
    "event_errors": {WORKER: "SELECT, INSERT, DELETE", CONSOLE: READ},
    "expiry_runs": {WEB: READ, WORKER: CHANGE, CONSOLE: "SELECT, UPDATE"},
    "failed_dues": {WORKER: ANY, CONSOLE: ANY},
    "former_references": {WORKER: READ, CONSOLE: ADD},
    "frozen_memberships": {WORKER: READ, CONSOLE: READ},
    "grant_clubs": {WORKER: READ, CONSOLE: READ},
    "heartbeats": {WEB: ANY, WORKER: ANY, CONSOLE: ANY},
    "import_rows": {WORKER: "SELECT, UPDATE, DELETE", CONSOLE: ANY},
    "imports": {WORKER: "SELECT, UPDATE", CONSOLE: CHANGE},
    "items": {WORKER: READ, CONSOLE: ANY},
    "jobs": {WEB: READ, WORKER: CHANGE, CONSOLE: READ},
    "kept_answers": {CONSOLE: CHANGE},
    "learned_certificates": {WEB: ADD},
    "ledger_entries": {WORKER: ADD, CONSOLE: ADD},
    "life_acts": {WEB: READ, WORKER: ADD, CONSOLE: ADD},
    "life_in_force": {WEB: READ, WORKER: READ, CONSOLE: READ},
    "login_failures": {CONSOLE: ANY},
    "logins": {CONSOLE: ANY},
    "members": {
        WORKER: f"{ADD}, UPDATE (recorded_at, name, email, erased_at)",
        CONSOLE: f"{ADD}, UPDATE (name, email, shares_email, recorded_at, merged_into, merged_at, erased_at, is_test, "
        "clock_ahead)",
    },
    "membership_terms": {WEB: READ, WORKER: ADD, CONSOLE: ADD},
    "memberships": {
        WEB: READ, WORKER: f"{ADD}, UPDATE (withdrawn_at)",
        CONSOLE: f"{ADD}, UPDATE (member_id, first_member_id, club_id, credits_from, withdrawn_at)"
    },
    "not_dues": {WORKER: READ, CONSOLE: "SELECT, INSERT, DELETE"},
    "notices": {CONSOLE: ANY},
    "offers": {WORKER: READ, CONSOLE: ANY},
    "overdue_memberships": {WORKER: READ, CONSOLE: READ},
    "pauses": {WEB: READ, WORKER: READ, CONSOLE: "SELECT, INSERT, DELETE"},
    "paid_payments": {WORKER: READ, CONSOLE: READ},
    "payment_facts": {WEB: READ, WORKER: ADD, CONSOLE: READ},
    "payment_matches": {WEB: READ, WORKER: "SELECT, INSERT, DELETE", CONSOLE: ADD},
    "payment_reviews": {WEB: READ, WORKER: ANY, CONSOLE: ANY},
    "payment_terms": {WORKER: READ, CONSOLE: ANY},
    "payments": {WEB: READ, WORKER: CHANGE, CONSOLE: "SELECT, UPDATE"},
    "pinned_terms": {WORKER: ADD, CONSOLE: ADD},
    "reconciliations": {WORKER: CHANGE},
    "recovery_codes": {CONSOLE: "SELECT, INSERT, DELETE"},
    "redemptions": {WORKER: READ, CONSOLE: f"{ADD}, {_LOCK}"},
    "session_buckets": {WORKER: READ, CONSOLE: ANY},
    "staff": {CONSOLE: CHANGE},
    "staff_clubs": {CONSOLE: "SELECT, INSERT, DELETE"},
    "webhook_events": {WEB: ADD, WORKER: CHANGE, CONSOLE: f"SELECT, {_STATE}"},
}  # fmt: skip
"""By table or view, what each role may do; a role that is missing may do nothing.

A view is read with the reader's own rights (`security_invoker`), so it shows nobody more than its tables do.
"""


def grant(connection: Connection, prefix: str, passwords: Mapping[DatabaseRole, str] | None = None) -> None:
    """Make the roles that are missing, set their passwords if given, and grant them their privileges.

    `prefix` is the prefix of their names (SPP_DATABASE_ROLES). Idempotent, and safe while processes run. Raises
    RoleNotMade if the owner of the tables may not make roles.
    """
    raw = connection.connection.driver_connection
    assert raw is not None  # noqa: S101 -- narrows the type
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('spp migrations'))"))
    for role in DatabaseRole:
        name = f"{prefix}_{role}"
        known = connection.scalar(text("SELECT true FROM pg_roles WHERE rolname = :name"), {"name": name})
        password = (passwords or {}).get(role)
        change = sql.SQL("ALTER" if known else "CREATE") + sql.SQL(" ROLE {} LOGIN").format(sql.Identifier(name))
        if password:
            # Hashed here, so that the server's log never has the password.
            hashed = raw.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
            change += sql.SQL(" PASSWORD {}").format(sql.Literal(hashed))
        if password or not known:
            try:
                connection.exec_driver_sql(change.as_string())
            except ProgrammingError as error:
                if isinstance(error.orig, InsufficientPrivilege):
                    raise RoleNotMade(role=name, why=str(error.orig).strip()) from None
                raise
        for statement in _grants(connection, role, name):
            connection.exec_driver_sql(statement.as_string())


def _grants(connection: Connection, role: DatabaseRole, name: str) -> list[sql.Composed]:
    schema, database = connection.execute(text("SELECT current_schema(), current_database()")).one()
    names = {"role": sql.Identifier(name), "schema": sql.Identifier(schema), "database": sql.Identifier(database)}
    statements = [
        "REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC",
        "REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role}",
        "REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schema} FROM {role}",
        "GRANT CONNECT ON DATABASE {database} TO {role}",
        "GRANT USAGE ON SCHEMA {schema} TO {role}",
    ]
    statements += [f"GRANT {may[role]} ON {table} TO {{role}}" for table, may in sorted(MAY.items()) if role in may]
    return [sql.SQL(statement).format(**names) for statement in statements]


_MAY_NOW = text("""
    SELECT c.relname AS table, lower(acl.privilege_type) || coalesce(' ' || acl.attname, '') AS privilege
    FROM pg_class c
    CROSS JOIN LATERAL (
        SELECT (aclexplode(c.relacl)).*, CAST(NULL AS text) AS attname
        UNION ALL
        SELECT (aclexplode(a.attacl)).*, CAST(a.attname AS text) FROM pg_attribute a WHERE a.attrelid = c.oid
    ) acl
    JOIN pg_roles r ON r.oid = acl.grantee
    WHERE c.relnamespace = CAST(current_schema() AS regnamespace) AND r.rolname = :role
""")

_TOO_MIGHTY = text("""
    SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication
           OR EXISTS (SELECT FROM pg_auth_members m WHERE m.member = r.oid)
           OR EXISTS (SELECT FROM pg_class c WHERE c.relowner = r.oid)
    FROM pg_roles r WHERE rolname = :role
""")


def differences(connection: Connection, prefix: str) -> list[str]:
    """The differences between the roles' privileges in this database and `MAY`, a sentence each."""
    found = []
    for role in DatabaseRole:
        name = {"role": f"{prefix}_{role}"}
        mighty = connection.scalar(_TOO_MIGHTY, name)
        if mighty is None:
            found.append("{role} is not there".format(**name))
            continue
        if mighty:
            found.append("{role} has rights beside those on tables, or owns some".format(**name))
        now = {(row.table, row.privilege) for row in connection.execute(_MAY_NOW, name)}
        if tables := sorted({table for table, _ in now ^ _decided(role)}):
            found.append(f"{name['role']} may do more or less than it should with {', '.join(tables)}")
    return found


def _decided(role: DatabaseRole) -> set[tuple[str, str]]:
    words = (
        (table, *word) for table, may in MAY.items()
        for word in re.findall(r"([A-Z]+)(?: [(]([^)]*)[)])?", may.get(role, ""))
    )  # fmt: skip
    return {
        (table, " ".join(filter(None, [privilege.lower(), column])))
        for table, privilege, columns in words
        for column in columns.split(", ")
    }
