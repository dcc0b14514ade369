"""Staff: accounts that are bound to clubs. One without any sees all clubs."""

from alembic import op

revision = '0027'
down_revision = '0026'

SCRIPT = """
CREATE TABLE staff_clubs (
    staff_id BIGINT NOT NULL,
    club_id BIGINT NOT NULL,
    CONSTRAINT pk_staff_clubs PRIMARY KEY (staff_id, club_id),
    CONSTRAINT fk_staff_clubs_staff_id_staff FOREIGN KEY (staff_id) REFERENCES staff (id),
    CONSTRAINT fk_staff_clubs_club_id_clubs FOREIGN KEY (club_id) REFERENCES clubs (id)
);
CREATE INDEX ix_staff_clubs_club_id ON staff_clubs (club_id);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCRIPT.replace('%', '%%'))
