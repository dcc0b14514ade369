"""Staff: a second factor at login, and recovery codes for who loses it."""

from alembic import op

revision = '0028'
down_revision = '0027'

SCRIPT = """
ALTER TABLE staff
    ADD COLUMN second_factor BYTEA,
    ADD COLUMN second_factor_step BIGINT,
    ADD CONSTRAINT ck_staff_second_factor
        CHECK ((second_factor IS NULL) = (second_factor_step IS NULL) AND length(second_factor) = 20) NOT VALID;
ALTER TABLE staff VALIDATE CONSTRAINT ck_staff_second_factor;

CREATE TABLE recovery_codes (
    staff_id BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    CONSTRAINT pk_recovery_codes PRIMARY KEY (staff_id, hash),
    CONSTRAINT ck_recovery_codes_hash CHECK (length(hash) = 32),
    CONSTRAINT fk_recovery_codes_staff_id_staff FOREIGN KEY (staff_id) REFERENCES staff (id)
);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCRIPT.replace('%', '%%'))
