"""Thin events, what was fetched for them, backfilled events, reconciliations, and the action log."""

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
    op.create_table(
        'reconciliations',
        sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column('endpoint', sa.String(length=63), nullable=False),
        sa.Column('since', sa.DateTime(timezone=True), nullable=False),
        sa.Column('until', sa.DateTime(timezone=True), nullable=False),
        sa.Column('reached', sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False)
          for name in ('seen', 'known', 'added', 'differing', 'without_effect')),
        sa.Column('started_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
        sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('error', sa.String(), nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_reconciliations')),
    )
    op.create_index('ix_reconciliations_endpoint', 'reconciliations', ['endpoint'])
    op.create_table(
        'actions',
        sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column('recorded_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
        sa.Column('actor', sa.String(length=200), nullable=False),
        sa.Column('verb', sa.String(length=40), nullable=False),
        sa.Column('subject', sa.String(length=600), nullable=False),
        sa.Column('reason', sa.String(length=2000), nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_actions')),
    )
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON actions "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
