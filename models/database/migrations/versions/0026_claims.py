"""Claims: the code of a membership, by which its first payment finds it, and a payment term's own payment link."""

from alembic import op

revision = '0026'
down_revision = '0025'

SCRIPT = """
CREATE FUNCTION membership_code() RETURNS text LANGUAGE sql VOLATILE AS $$
    -- 16 characters of 5 random bits; the bytes of a random UUID that say its version and variant are left out.
    SELECT 'm_' || string_agg(substr('abcdefghijklmnopqrstuvwxyz234567', 1 + (get_byte(random, place) & 31), 1), '')
    FROM (SELECT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) AS random) AS made,
         unnest(ARRAY[0, 1, 2, 3, 4, 5, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17]) AS place
$$;

ALTER TABLE memberships
    ADD COLUMN code VARCHAR(18) NOT NULL DEFAULT membership_code(),
    ADD CONSTRAINT uq_memberships_code UNIQUE (code);
ALTER TABLE payment_terms ADD COLUMN payment_link VARCHAR(2000);

ALTER TABLE payment_facts
    DROP CONSTRAINT ck_payment_facts_kind,
    ADD CONSTRAINT ck_payment_facts_kind CHECK (kind IN
        ('paid', 'reversed', 'restored', 'linked', 'line_refunded', 'noted', 'replaced', 'dues_failed', 'announced',
         'claimed')) NOT VALID;
ALTER TABLE payment_facts VALIDATE CONSTRAINT ck_payment_facts_kind;
CREATE INDEX ix_payment_facts_claimed ON payment_facts (cause) WHERE kind = 'claimed';

ALTER TABLE payment_reviews
    DROP CONSTRAINT ck_payment_reviews_reason,
    ADD CONSTRAINT ck_payment_reviews_reason CHECK (reason IN
        ('unmatched', 'claim', 'held', 'unplaced', 'nothing', 'frozen', 'ended', 'part', 'more', 'less', 'extra',
         'several', 'shape', 'payer_only', 'balance', 'not_dues_refund', 'cut_over', 'outside', 'noted', 'erased')) NOT VALID;
ALTER TABLE payment_reviews VALIDATE CONSTRAINT ck_payment_reviews_reason;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCRIPT.replace('%', '%%'))
