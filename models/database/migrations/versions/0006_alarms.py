"""Alarms: which rule has fired, since when, and who was told; what a worker last did; indexes for the figures."""

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'


def upgrade() -> None:
    op.add_column('heartbeats', sa.Column('memory_bytes', sa.BigInteger(), nullable=True))
    op.add_column('heartbeats', sa.Column('doing', sa.String(length=200), nullable=True))
    op.create_index(
        'ix_webhook_events_finished_at', 'webhook_events', ['finished_at'],
        postgresql_using='brin', postgresql_with={'pages_per_range': 32, 'autosummarize': 'on'},
    )
    op.create_index('ix_payments_held', 'payments', ['id'], postgresql_where=sa.text("state = 'held'"))
    op.create_index('ix_delivery_counts_hour', 'delivery_counts', ['hour'])
    op.create_table(
        'alarms',
        sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column('rule', sa.String(length=40), nullable=False),
        sa.Column('endpoint', sa.String(length=63), server_default='', nullable=False),
        sa.Column('severity', sa.String(), nullable=False),
        sa.Column('message', sa.String(), nullable=False),
        sa.Column('since', sa.DateTime(timezone=True), nullable=False),
        sa.Column('seen_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('resolved_at', sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("severity IN ('critical', 'warning')", name=op.f('ck_alarms_severity')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_alarms')),
    )
    op.create_index(
        'uq_alarms_open', 'alarms', ['rule', 'endpoint'], unique=True, postgresql_where=sa.text('resolved_at IS NULL')
    )
    op.create_index(op.f('ix_alarms_resolved_at'), 'alarms', ['resolved_at'])
    op.create_table(
        'notices',
        sa.Column('alarm_id', sa.BigInteger(), nullable=False),
        sa.Column('channel', sa.String(length=20), nullable=False),
        sa.Column('told_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('told_end', sa.Boolean(), server_default='false', nullable=False),
        sa.ForeignKeyConstraint(['alarm_id'], ['alarms.id'], name=op.f('fk_notices_alarm_id_alarms')),
        sa.PrimaryKeyConstraint('alarm_id', 'channel', name=op.f('pk_notices')),
    )
