"""Redemptions with their occasion: the club, the class, the trainer and a note; all of them may be missing."""

from alembic import op

revision = '0019'
down_revision = '0018'

OCCASIONS = """
ALTER TABLE redemptions
    ADD COLUMN club_id BIGINT,
    ADD COLUMN class_reference VARCHAR(255),
    ADD COLUMN class_name VARCHAR(200),
    ADD COLUMN trainer VARCHAR(200),
    ADD COLUMN note VARCHAR(1000);
ALTER TABLE redemptions
    ADD CONSTRAINT fk_redemptions_club_id_clubs FOREIGN KEY (club_id) REFERENCES clubs (id) NOT VALID,
    ADD CONSTRAINT ck_redemptions_occasion_of_a_use
        CHECK (undoes IS NULL OR num_nonnulls(club_id, class_reference, class_name, trainer, note) = 0) NOT VALID;
ALTER TABLE redemptions VALIDATE CONSTRAINT fk_redemptions_club_id_clubs;
ALTER TABLE redemptions VALIDATE CONSTRAINT ck_redemptions_occasion_of_a_use;
CREATE INDEX ix_redemptions_club_id ON redemptions (club_id) WHERE club_id IS NOT NULL;
CREATE INDEX ix_redemptions_class_reference ON redemptions (class_reference) WHERE class_reference IS NOT NULL;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(OCCASIONS)
