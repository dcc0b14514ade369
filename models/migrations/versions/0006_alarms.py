"""Alarms: which rule has fired, since when, and who was told."""

revision = '0006'
down_revision = '0005'


def upgrade() -> None:
    pass
