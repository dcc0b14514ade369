"""The chain covers causes, and its head is sent; an adjustment names the act that applied it; redemptions never change."""

import sqlalchemy as sa
from alembic import op

revision = '0012'
down_revision = '0011'


def upgrade() -> None:
    # Seals of before have none, and are verified as they were made: heads that were kept stay good.
    op.add_column('entry_chain', sa.Column('cause', sa.LargeBinary(), nullable=True))
    op.create_check_constraint(op.f('ck_entry_chain_cause'), 'entry_chain', 'length(cause) = 32')

    op.add_column('adjustments', sa.Column('action_id', sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f('fk_adjustments_action_id_actions'), 'adjustments', 'actions', ['action_id'], ['id'])
    op.execute("ALTER TABLE adjustments DISABLE TRIGGER decided_once")
    op.execute(
        """
        UPDATE adjustments d SET action_id = a.id FROM actions a
        WHERE d.approved AND a.verb IN ('adjust', 'approve')
          AND d.id = CAST(substring(a.subject FROM '^adjustment ([0-9]+):') AS bigint)
        """
    )
    op.execute("ALTER TABLE adjustments ENABLE TRIGGER decided_once")
    op.create_unique_constraint(op.f('uq_adjustments_action_id'), 'adjustments', ['action_id'])

    op.create_table(
        'audit_notices',
        sa.Column('audit_id', sa.BigInteger(), nullable=False),
        sa.Column('channel', sa.String(length=20), nullable=False),
        sa.Column('sent_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
        sa.ForeignKeyConstraint(['audit_id'], ['audits.id'], name=op.f('fk_audit_notices_audit_id_audits')),
        sa.PrimaryKeyConstraint('audit_id', 'channel', name=op.f('pk_audit_notices')),
    )

    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON redemptions "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
