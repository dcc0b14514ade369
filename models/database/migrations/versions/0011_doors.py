"""Heartbeats of web processes; logins that end when their person logs out."""

import sqlalchemy as sa
from alembic import op

revision = '0011'
down_revision = '0010'


def upgrade() -> None:
    op.add_column('heartbeats', sa.Column('kind', sa.String(), server_default='worker', nullable=False))
    op.create_check_constraint(op.f('ck_heartbeats_kind'), 'heartbeats', "kind IN ('worker', 'receiver', 'console')")
    op.create_table(
        'logins',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('staff_id', sa.BigInteger(), nullable=False),
        sa.Column('password_changed_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('began_at', sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(['staff_id'], ['staff.id'], name=op.f('fk_logins_staff_id_staff')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_logins')),
    )
    op.create_index(op.f('ix_logins_staff_id'), 'logins', ['staff_id'])
    op.create_index(op.f('ix_logins_began_at'), 'logins', ['began_at'])
