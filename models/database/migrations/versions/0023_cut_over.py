"""The cut-over of a membership: what was paid before it has a state of its own, and gives nothing."""

from alembic import op

revision = '0023'
down_revision = '0022'

SCRIPT = """
ALTER TABLE memberships ADD COLUMN credits_from TIMESTAMP WITH TIME ZONE;

ALTER TABLE payments
    DROP CONSTRAINT ck_payments_state,
    DROP CONSTRAINT ck_payments_settled_is_matched,
    ADD CONSTRAINT ck_payments_state
        CHECK (state IN ('heard_of', 'unmatched', 'settled', 'not_dues', 'freeze_fee', 'before_cut_over', 'held'))
        NOT VALID,
    ADD CONSTRAINT ck_payments_settled_is_matched
        CHECK (state NOT IN ('settled', 'freeze_fee', 'before_cut_over') OR membership_id IS NOT NULL) NOT VALID;
ALTER TABLE payments VALIDATE CONSTRAINT ck_payments_state;
ALTER TABLE payments VALIDATE CONSTRAINT ck_payments_settled_is_matched;
ALTER TABLE payment_reviews DROP CONSTRAINT ck_payment_reviews_reason, ADD CONSTRAINT ck_payment_reviews_reason
    CHECK (reason IN ('unmatched', 'held', 'unplaced', 'nothing', 'frozen', 'ended', 'part', 'more', 'less', 'extra',
        'several', 'shape', 'payer_only', 'balance', 'not_dues_refund', 'cut_over', 'outside', 'noted', 'erased'))
    NOT VALID;
ALTER TABLE payment_reviews VALIDATE CONSTRAINT ck_payment_reviews_reason;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCRIPT.replace('%', '%%'))
