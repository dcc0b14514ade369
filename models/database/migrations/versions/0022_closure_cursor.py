"""Closures: how far the payments that one reaches are settled again; audits: what they could not judge."""

from alembic import op

revision = '0022'
down_revision = '0021'

SCRIPT = """
CREATE TABLE closure_walks (
    act_id BIGINT NOT NULL,
    done_to BIGINT NOT NULL,
    up_to BIGINT NOT NULL,
    CONSTRAINT pk_closure_walks PRIMARY KEY (act_id),
    CONSTRAINT fk_closure_walks_act_id_life_acts FOREIGN KEY(act_id) REFERENCES life_acts (id)
);
ALTER TABLE audits ADD COLUMN left_out BIGINT NOT NULL DEFAULT 0;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCRIPT)
