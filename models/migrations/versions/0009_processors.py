"""Since when an event waits for its processor; the certificates that were learned."""

import sqlalchemy as sa
from alembic import op

revision = '0009'
down_revision = '0006'


def upgrade() -> None:
    op.add_column('webhook_events', sa.Column('waits_since', sa.DateTime(timezone=True), nullable=True))
