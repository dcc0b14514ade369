"""The database as a process meets it."""

from models.errors.base import SppError


class DatabaseUnreachable(SppError, status=503):
    """The database of DATABASE_URL is not reachable: {reason}"""


class MigrationLockedOut(SppError):
    """The database is as it was: after {tries} tries, others still lock a table that the migration has to change.
    `SELECT * FROM pg_stat_activity WHERE state <> 'idle' ORDER BY xact_start` shows them; then `spp migrate` again."""


class SchemaTooOld(SppError):
    """The database is at revision {revision}, which is too old for this version of the code: it migrates from 0012 on.
    Run `spp migrate` of the last version that brings it to 0012 first, then `spp migrate` of this one."""


class RoleNotMade(SppError):
    """The database role {role} could not be created, or its password could not be set: {why} Ask a database
    administrator to run `CREATE ROLE {role} LOGIN PASSWORD '...'`, remove its password file from `spp migrate`, and
    migrate again."""


class WrongDatabaseUrl(SppError):
    """DATABASE_URL is not the URL of a PostgreSQL database: postgresql://USER:PASSWORD@HOST:PORT/DATABASE."""
