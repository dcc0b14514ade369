"""Since when an event waits for its processor; the certificates that were learned."""

import sqlalchemy as sa
from alembic import op

revision = '0009'
down_revision = '0008'


def upgrade() -> None:
    op.add_column('webhook_events', sa.Column('waits_since', sa.DateTime(timezone=True), nullable=True))
    # Until now each wait used up a try.
    op.execute(
        "UPDATE webhook_events SET attempts = 0, waits_since = CASE WHEN error IS NOT NULL THEN received_at END"
        " WHERE state = 'pending' AND thin"
    )
    op.create_table(
        'learned_certificates',
        sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('pem', sa.LargeBinary(), nullable=False),
        sa.Column('learned_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_learned_certificates')),
    )
    op.create_index(
        'uq_learned_certificates_name_pem', 'learned_certificates', ['name', sa.text('sha256(pem)')], unique=True
    )
