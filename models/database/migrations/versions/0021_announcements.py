"""Announcements: what the processor says of subscriptions, and the answers that staff gave."""

from alembic import op

revision = '0021'
down_revision = '0020'

SCRIPT = """
ALTER TABLE payment_facts
    DROP CONSTRAINT ck_payment_facts_kind,
    DROP CONSTRAINT ck_payment_facts_complete,
    ADD CONSTRAINT ck_payment_facts_kind CHECK (kind IN
        ('paid', 'reversed', 'restored', 'linked', 'line_refunded', 'noted', 'replaced', 'dues_failed',
         'announced')) NOT VALID,
    ADD CONSTRAINT ck_payment_facts_complete CHECK (CASE
        WHEN kind = 'paid' THEN coalesce(settled_minor, amount_minor) > 0
            AND currency IS NOT NULL AND billing_references IS NOT NULL
        WHEN kind IN ('linked', 'replaced') THEN other_payment_id IS NOT NULL
        WHEN kind = 'dues_failed' THEN billing_references IS NOT NULL
        WHEN kind IN ('noted', 'announced') THEN shape IS NOT NULL ELSE cause IS NOT NULL END) NOT VALID;
ALTER TABLE payment_facts VALIDATE CONSTRAINT ck_payment_facts_kind;
ALTER TABLE payment_facts VALIDATE CONSTRAINT ck_payment_facts_complete;
CREATE INDEX ix_payment_facts_announced ON payment_facts (payment_id) WHERE kind = 'announced';

CREATE TABLE announcement_answers (
    fact_id BIGINT NOT NULL,
    membership_id BIGINT NOT NULL,
    action_id BIGINT NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_announcement_answers PRIMARY KEY (fact_id, membership_id),
    CONSTRAINT fk_announcement_answers_fact_id_payment_facts FOREIGN KEY(fact_id) REFERENCES payment_facts (id),
    CONSTRAINT fk_announcement_answers_membership_id_memberships
        FOREIGN KEY(membership_id) REFERENCES memberships (id),
    CONSTRAINT fk_announcement_answers_action_id_actions FOREIGN KEY(action_id) REFERENCES actions (id)
);
CREATE INDEX ix_announcement_answers_membership_id ON announcement_answers (membership_id);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON announcement_answers
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

ALTER TABLE clubs ADD COLUMN apply_announcements BOOLEAN NOT NULL DEFAULT false;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCRIPT.replace('%', '%%'))
