"""Thin events and what was fetched for them, backfilled events, and how far each endpoint was reconciled."""

import sqlalchemy as sa
from alembic import op
revision = '0002'
down_revision = '0001'


def upgrade() -> None:
    op.add_column('webhook_events', sa.Column('source', sa.String(), server_default='webhook', nullable=False))
    op.add_column('webhook_events', sa.Column('thin', sa.Boolean(), server_default='false', nullable=False))
    op.add_column('webhook_events', sa.Column('resource', sa.LargeBinary(), nullable=True))
    op.create_check_constraint(op.f('ck_webhook_events_source'), 'webhook_events', "source IN ('webhook', 'backfill')")
    for name, attempts in (('ix_webhook_events_due', '= 0'), ('ix_webhook_events_due_again', '> 0')):
        op.drop_index(name, 'webhook_events')
        op.create_index(
            name, 'webhook_events', ['next_attempt_at'],
            postgresql_where=sa.text(f"state = 'pending' AND NOT thin AND attempts {attempts}"),
        )
    op.create_index(
        'ix_webhook_events_due_for_fetching', 'webhook_events', ['endpoint', 'next_attempt_at'],
        postgresql_where=sa.text("state = 'pending' AND thin"),
    )
