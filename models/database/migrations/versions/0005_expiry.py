"""Expiry runs that can be stopped and undone, the chain over entries, audits, and when each job last ran."""

import sqlalchemy as sa
from alembic import op
revision = '0005'
down_revision = '0004'

KIND_AND_SIGN = (
    "CASE kind WHEN 'grant' THEN quantity > 0 WHEN 'redemption' THEN quantity < 0"
    " WHEN 'return' THEN quantity > 0"
    " WHEN 'expiry' THEN quantity < 0 OR (quantity > 0 AND action_id IS NOT NULL AND expiry_run_id IS NOT NULL)"
    " WHEN 'clawback' THEN quantity <= 0 AND reversed > 0"
    " WHEN 'reinstatement' THEN quantity >= 0 AND reversed < 0"
    " WHEN 'debt_repayment' THEN counter_grant_id IS NOT NULL"
    " WHEN 'extension' THEN quantity = 0 AND (expires_at IS NOT NULL OR expiry_run_id IS NOT NULL) ELSE true END"
)


def upgrade() -> None:
    op.create_table(
        'jobs',
        sa.Column('name', sa.String(length=40), nullable=False),
        sa.Column('started_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('summary', sa.String(length=200), nullable=True),
        sa.Column('error', sa.String(length=2000), nullable=True),
        sa.PrimaryKeyConstraint('name', name=op.f('pk_jobs')),
    )
    op.create_table(
        'expiry_runs',
        sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column('state', sa.String(), nullable=False),
        sa.Column('as_of', sa.DateTime(timezone=True), nullable=False),
        sa.Column('started_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
        sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('due', sa.BigInteger(), nullable=False),
        sa.Column('usual', sa.BigInteger(), nullable=False),
        sa.Column('lots', sa.BigInteger(), server_default='0', nullable=False),
        sa.Column('sessions', sa.BigInteger(), server_default='0', nullable=False),
        sa.Column('allowed_by', sa.BigInteger(), nullable=True),
        sa.Column('undone_by', sa.BigInteger(), nullable=True),
        sa.Column('undone_until', sa.Date(), nullable=True),
        sa.Column('undone_up_to', sa.BigInteger(), server_default='0', nullable=False),
        sa.Column('undone_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('undone_lots', sa.BigInteger(), server_default='0', nullable=False),
        sa.Column('undone_sessions', sa.BigInteger(), server_default='0', nullable=False),
        sa.Column('left_lots', sa.BigInteger(), server_default='0', nullable=False),
        sa.CheckConstraint(
            "state IN ('running', 'stopped', 'finished', 'undoing', 'undone')", name=op.f('ck_expiry_runs_state')
        ),
        sa.CheckConstraint(
            "(state IN ('undoing', 'undone')) = (undone_by IS NOT NULL)", name=op.f('ck_expiry_runs_undone_by_a_person')
        ),
        sa.CheckConstraint("(state IN ('running', 'stopped')) = (finished_at IS NULL)", name=op.f('ck_expiry_runs_finished')),
        sa.ForeignKeyConstraint(['allowed_by'], ['actions.id'], name=op.f('fk_expiry_runs_allowed_by_actions')),
        sa.ForeignKeyConstraint(['undone_by'], ['actions.id'], name=op.f('fk_expiry_runs_undone_by_actions')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_expiry_runs')),
    )
    op.create_index(
        'ix_expiry_runs_open', 'expiry_runs', [sa.text('(true)')], unique=True,
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_index('ix_expiry_runs_started_at', 'expiry_runs', ['started_at'])
    op.create_index(
        'ix_expiry_runs_undoing', 'expiry_runs', ['id'], postgresql_where=sa.text("state = 'undoing'")
    )
    op.add_column('ledger_entries', sa.Column('expiry_run_id', sa.BigInteger(), nullable=True))
    # Nothing refers to a run yet, so there is nothing to look through.
    op.execute(
        "ALTER TABLE ledger_entries ADD CONSTRAINT fk_ledger_entries_expiry_run_id_expiry_runs"
        " FOREIGN KEY (expiry_run_id) REFERENCES expiry_runs (id) NOT VALID"
    )
    op.create_index(
        'ix_ledger_entries_expiry_run_id', 'ledger_entries', ['expiry_run_id', 'grant_id'],
        postgresql_where=sa.text('expiry_run_id IS NOT NULL'),
    )
    op.drop_constraint(op.f('ck_ledger_entries_kind_and_sign'), 'ledger_entries')
    op.create_check_constraint(op.f('ck_ledger_entries_kind_and_sign'), 'ledger_entries', KIND_AND_SIGN)
    op.create_table(
        'entry_chain',
        sa.Column('entry_id', sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column('hash', sa.LargeBinary(), nullable=False),
        sa.CheckConstraint('length(hash) = 32', name=op.f('ck_entry_chain_hash')),
        sa.PrimaryKeyConstraint('entry_id', name=op.f('pk_entry_chain')),
    )
    op.create_table(
        'audits',
        sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column('started_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('finished_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
        sa.Column('entries', sa.BigInteger(), nullable=False),
        sa.Column('head_entry', sa.BigInteger(), nullable=True),
        sa.Column('head', sa.LargeBinary(), nullable=True),
        sa.Column('findings', sa.BigInteger(), nullable=False),
        sa.Column('first_findings', sa.ARRAY(sa.String()), nullable=False),
        sa.CheckConstraint('(head IS NULL) = (head_entry IS NULL)', name=op.f('ck_audits_head')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_audits')),
    )
    for table in ('entry_chain', 'audits'):
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
