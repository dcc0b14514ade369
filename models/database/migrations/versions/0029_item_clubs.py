"""At which clubs sessions are good: of an item, and pinned in each grant."""

from alembic import op

revision = '0029'
down_revision = '0028'

SCRIPT = """
-- NULL is every club: what is there already stays good wherever it was. Neither statement rewrites a table.
ALTER TABLE items ADD COLUMN club_ids BIGINT[];
ALTER TABLE credit_grants ADD COLUMN club_ids BIGINT[];
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCRIPT.replace('%', '%%'))
