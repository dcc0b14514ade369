"""How late a grant may be credited stands on it; facts may undo an expiry; payments can be set aside."""

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'

KIND_AND_SIGN = (
    "CASE kind WHEN 'grant' THEN quantity > 0 WHEN 'redemption' THEN quantity < 0"
    " WHEN 'return' THEN quantity > 0"
    " WHEN 'expiry' THEN quantity < 0 OR (quantity > 0 AND num_nonnulls(fact_id, action_id) = 1)"
    " WHEN 'clawback' THEN quantity <= 0 AND reversed > 0"
    " WHEN 'reinstatement' THEN quantity >= 0 AND reversed < 0"
    " WHEN 'debt_repayment' THEN counter_grant_id IS NOT NULL"
    " WHEN 'extension' THEN quantity = 0 AND (expires_at IS NOT NULL OR expiry_run_id IS NOT NULL)"
    " ELSE true END"
)


def upgrade() -> None:
    op.add_column('credit_grants', sa.Column('late_after_s', sa.Integer(), server_default='0', nullable=False))
    # What was credited late so far was by the setting's default.
    op.execute("""
        UPDATE credit_grants g SET late_after_s = 86400 FROM ledger_entries e
        WHERE e.grant_id = g.id AND e.kind = 'grant' AND e.note LIKE 'credited late%'
    """)
    op.drop_constraint(op.f('ck_ledger_entries_kind_and_sign'), 'ledger_entries')
    op.create_check_constraint(op.f('ck_ledger_entries_kind_and_sign'), 'ledger_entries', KIND_AND_SIGN)
    op.add_column('payments', sa.Column('set_aside_by', sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f('fk_payments_set_aside_by_actions'), 'payments', 'actions', ['set_aside_by'], ['id'])
    op.add_column('webhook_events', sa.Column('let_through', sa.Boolean(), server_default='false', nullable=False))
