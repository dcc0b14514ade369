"""Test members, with a clock that can be set forward for them alone."""

from alembic import op

revision = '0024'
down_revision = '0023'

SCRIPT = """
ALTER TABLE members
    ADD COLUMN is_test BOOLEAN NOT NULL DEFAULT false,
    ADD COLUMN clock_ahead INTERVAL NOT NULL DEFAULT '00:00:00',
    ADD CONSTRAINT ck_members_clock_ahead
        CHECK (clock_ahead BETWEEN '0' AND interval '1830 days' AND (is_test OR clock_ahead = '0')) NOT VALID;
ALTER TABLE members VALIDATE CONSTRAINT ck_members_clock_ahead;
CREATE INDEX ix_members_is_test ON members (id) WHERE is_test;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCRIPT.replace('%', '%%'))
