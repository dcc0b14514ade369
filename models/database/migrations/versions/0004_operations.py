"""Operations: pauses, the history of failed tries, where a delivery came from, acts on many events, pruned bodies."""

import sqlalchemy as sa
from alembic import op
revision = '0004'
down_revision = '0003'


def upgrade() -> None:
    op.drop_constraint(op.f('ck_staff_role'), 'staff')
    op.create_check_constraint(
        op.f('ck_staff_role'), 'staff', "role IN ('viewer', 'desk', 'manager', 'operator', 'admin')"
    )
    op.create_table(
        'pauses',
        sa.Column('endpoint', sa.String(length=63), nullable=False),
        sa.Column('paused_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
        sa.Column('paused_by', sa.String(length=200), nullable=False),
        sa.Column('reason', sa.String(length=1000), nullable=False),
        sa.PrimaryKeyConstraint('endpoint', name=op.f('pk_pauses')),
    )
    op.add_column('webhook_events', sa.Column('delivery', sa.String(length=32), nullable=True))
    op.add_column('webhook_events', sa.Column('headers', sa.String(), nullable=True))
    op.add_column('webhook_events', sa.Column('pruned_at', sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        'ix_webhook_events_received_at', 'webhook_events', ['received_at'],
        postgresql_using='brin', postgresql_with={'pages_per_range': 32, 'autosummarize': 'on'},
    )
    op.create_index(
        'ix_webhook_events_troubled', 'webhook_events', ['state', 'id'],
        postgresql_where=sa.text("state IN ('quarantined', 'dead')"),
    )
    op.create_index(
        'ix_webhook_events_prunable', 'webhook_events', ['received_at'],
        postgresql_where=sa.text("state IN ('processed', 'ignored') AND pruned_at IS NULL AND conflicts_with IS NULL"),
    )
    op.create_table(
        'event_errors',
        sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column('event_id', sa.BigInteger(), nullable=False),
        sa.Column('attempt', sa.Integer(), nullable=False),
        sa.Column('failed_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
        sa.Column('error', sa.String(), nullable=False),
        sa.ForeignKeyConstraint(['event_id'], ['webhook_events.id'], name=op.f('fk_event_errors_event_id_webhook_events')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_event_errors')),
    )
    op.create_index(op.f('ix_event_errors_event_id'), 'event_errors', ['event_id'])
    op.create_table(
        'bulk_acts',
        sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column('verb', sa.String(), nullable=False),
        sa.Column('filter', sa.String(), nullable=False),
        sa.Column('up_to', sa.BigInteger(), nullable=False),
        sa.Column('total', sa.BigInteger(), nullable=False),
        sa.Column('done', sa.BigInteger(), server_default='0', nullable=False),
        sa.Column('reached', sa.BigInteger(), server_default='0', nullable=False),
        sa.Column('reason', sa.String(length=1000), nullable=False),
        sa.Column('asked_by', sa.String(length=200), nullable=False),
        sa.Column('asked_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
        sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('cancelled', sa.Boolean(), server_default='false', nullable=False),
        sa.CheckConstraint("verb IN ('replay', 'discard')", name=op.f('ck_bulk_acts_verb')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_bulk_acts')),
    )
    op.create_index('ix_bulk_acts_unfinished', 'bulk_acts', ['id'], postgresql_where=sa.text('finished_at IS NULL'))
