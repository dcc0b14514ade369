"""The words of the glossary: grants that expire, bulk actions."""

from alembic import op

revision = '0013'
down_revision = '0012'


def upgrade() -> None:
    for column in ('lots', 'undone_lots', 'left_lots'):
        op.alter_column('expiry_runs', column, new_column_name=column.replace('lots', 'grants'))
    op.execute('ALTER INDEX ix_credit_grants_lapsing RENAME TO ix_credit_grants_expiring')
    op.rename_table('bulk_acts', 'bulk_actions')
    op.execute('ALTER TABLE bulk_actions RENAME CONSTRAINT pk_bulk_acts TO pk_bulk_actions')
    op.execute('ALTER TABLE bulk_actions RENAME CONSTRAINT ck_bulk_acts_verb TO ck_bulk_actions_verb')
    op.execute('ALTER INDEX ix_bulk_acts_unfinished RENAME TO ix_bulk_actions_unfinished')
    op.execute('ALTER SEQUENCE bulk_acts_id_seq RENAME TO bulk_actions_id_seq')
