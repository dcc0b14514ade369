"""Languages: the locale of a club, and the one that a person chose."""

from alembic import op

revision = '0033'
down_revision = '0031'

SCRIPT = """
ALTER TABLE clubs
    ADD COLUMN locale VARCHAR(5) NOT NULL DEFAULT 'en_US',
    ADD CONSTRAINT ck_clubs_locale CHECK (locale IN ('en_US', 'en_GB', 'es')) NOT VALID;
ALTER TABLE clubs VALIDATE CONSTRAINT ck_clubs_locale;
ALTER TABLE staff
    ADD COLUMN locale VARCHAR(5),
    ADD CONSTRAINT ck_staff_locale CHECK (locale IN ('en_US', 'en_GB', 'es')) NOT VALID;
ALTER TABLE staff VALIDATE CONSTRAINT ck_staff_locale;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCRIPT)
