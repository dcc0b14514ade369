"""What acts of the API have answered under their idempotency keys."""

import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = '0009'


def upgrade() -> None:
    op.create_table(
        'kept_answers',
        sa.Column('idempotency_key', sa.String(length=255), nullable=False),
        sa.Column('content', sa.LargeBinary(), nullable=False),
        sa.Column('location', sa.String(), server_default='', nullable=False),
        sa.Column('answer', sa.String(), server_default='', nullable=False),
        sa.Column('recorded_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
        sa.CheckConstraint('length(content) = 32', name=op.f('ck_kept_answers_content')),
        sa.PrimaryKeyConstraint('idempotency_key', name=op.f('pk_kept_answers')),
    )
