"""Databases as they were before the baseline, and what they differ in from another."""

import re
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, text

from models.database import migrations

FOLDER = Path(__file__).parent
SCHEMA_0012 = (FOLDER / "revision_0012.sql").read_text()
ROWS_0012 = (FOLDER / "rows_0012.sql").read_text()
ROWS_0014 = (FOLDER / "rows_0014.sql").read_text()

RENAMES_OF_0013 = """
    ALTER TABLE expiry_runs RENAME COLUMN lots TO grants;
    ALTER TABLE expiry_runs RENAME COLUMN undone_lots TO undone_grants;
    ALTER TABLE expiry_runs RENAME COLUMN left_lots TO left_grants;
    ALTER INDEX ix_credit_grants_lapsing RENAME TO ix_credit_grants_expiring;
    ALTER TABLE bulk_acts RENAME TO bulk_actions;
    ALTER TABLE bulk_actions RENAME CONSTRAINT pk_bulk_acts TO pk_bulk_actions;
    ALTER TABLE bulk_actions RENAME CONSTRAINT ck_bulk_acts_verb TO ck_bulk_actions_verb;
    ALTER INDEX ix_bulk_acts_unfinished RENAME TO ix_bulk_actions_unfinished;
    ALTER SEQUENCE bulk_acts_id_seq RENAME TO bulk_actions_id_seq;
    UPDATE alembic_version SET version_num = '0013';
"""


def make(engine: Engine, revision: str, rows: str = "") -> None:
    """Give an empty database the schema of revision 0012 or 0013, with these rows."""
    with engine.begin() as connection:
        for script in (SCHEMA_0012, rows, RENAMES_OF_0013 if revision == "0013" else ""):
            if script:
                connection.exec_driver_sql(script.replace("%", "%%"))


def make_baseline(engine: Engine) -> None:
    """Give an empty database the schema of the baseline, 0014, with the rows of both files."""
    make(engine, "0013", ROWS_0012)
    config = Config()
    config.set_main_option("script_location", str(migrations.FOLDER))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0014")
        connection.exec_driver_sql(ROWS_0014)


_SCHEMA = text("""
    SELECT 'column', format('%s.%s %s%s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
                            CASE WHEN a.attnotnull THEN ' not null' ELSE '' END,
                            coalesce(pg_get_expr(d.adbin, d.adrelid), a.attidentity::text))
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = to_regnamespace(:schema) AND c.relkind IN ('r', 'v')
    UNION ALL
    SELECT 'constraint', format('%s %s %s', c.relname, k.conname, pg_get_constraintdef(k.oid))
    FROM pg_class c JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype <> 'n'
    WHERE c.relnamespace = to_regnamespace(:schema)
    UNION ALL
    SELECT 'index', pg_get_indexdef(i.indexrelid)
    FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid WHERE c.relnamespace = to_regnamespace(:schema)
""")

_MADE_BY_MIGRATIONS = text("""
    SELECT 'trigger', pg_get_triggerdef(t.oid) || t.tgenabled::text
    FROM pg_class c JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal
    WHERE c.relnamespace = to_regnamespace('public')
    UNION ALL
    SELECT 'function', regexp_replace(pg_get_functiondef(p.oid), '\\s+', ' ', 'g')
    FROM pg_proc p WHERE p.pronamespace = to_regnamespace('public')
    UNION ALL
    SELECT 'view', c.relname || array_to_string(c.reloptions, ' ') || pg_get_viewdef(c.oid)
    FROM pg_class c WHERE c.relnamespace = to_regnamespace('public') AND c.relkind = 'v'
    UNION ALL
    SELECT 'sequence', sequencename FROM pg_sequences WHERE schemaname = 'public'
""")


def tables(connection: Connection, schema: str = "public") -> set[tuple[str, str]]:
    """Every column, constraint and index of the schema, as PostgreSQL writes it down."""
    found = connection.execute(_SCHEMA, {"schema": schema})
    return {(kind, _plain(definition.replace(f"{schema}.", ""))) for kind, definition in found}


def _plain(definition: str) -> str:
    """Without parentheses and casts, which a definition gains when it comes out of a dump."""
    return re.sub(r"[()]|::[a-z ]+(\[\])?", "", definition)


def schema(connection: Connection) -> set[tuple[str, str]]:
    """The same, with triggers, functions, views and sequences."""
    return tables(connection) | {(kind, what) for kind, what in connection.execute(_MADE_BY_MIGRATIONS)}
