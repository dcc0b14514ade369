"""Dues count in minor units of ISO 4217 in every currency; bucket terms are of session items that are used."""

import sqlalchemy as sa
from alembic import op

revision = '0008'
down_revision = '0007'

ISO_DIGITS = """
    VALUES ('AFN', 2), ('ALL', 2), ('IQD', 3), ('IRR', 2), ('KPW', 2), ('LAK', 2), ('LBP', 2), ('MGA', 2), ('MMK', 2),
           ('RSD', 2), ('SOS', 2), ('SYP', 2), ('YER', 2)
"""
"""Currencies whose dues were typed and shown without decimals, as CLDR has them, and how many ISO 4217 gives them."""


def upgrade() -> None:
    op.execute(f"""
        UPDATE payment_terms SET dues_minor = dues_minor * power(10, digits)::bigint
        FROM ({ISO_DIGITS}) AS iso (code, digits) WHERE currency = code
    """)
    # Almost nowhere is there any, and then nobody waits for a lock on the table of terms.
    agreed = f"FROM memberships m JOIN ({ISO_DIGITS}) AS iso (code, digits) ON m.currency = code"
    if op.get_bind().scalar(sa.text(f"SELECT EXISTS (SELECT {agreed})")):
        op.execute("ALTER TABLE membership_terms DISABLE TRIGGER append_only")
        op.execute(f"""
            UPDATE membership_terms SET dues_minor = dues_minor * power(10, digits)::bigint {agreed}
            WHERE m.id = membership_id
        """)
        op.execute("ALTER TABLE membership_terms ENABLE TRIGGER append_only")

    op.execute("DELETE FROM bucket_terms WHERE quantity = 0")
    op.drop_constraint(op.f('ck_bucket_terms_no_days_without_sessions'), 'bucket_terms')
    op.drop_constraint(op.f('ck_bucket_terms_quantity'), 'bucket_terms')
    op.create_check_constraint(op.f('ck_bucket_terms_quantity'), 'bucket_terms', 'quantity BETWEEN 1 AND 10000')
