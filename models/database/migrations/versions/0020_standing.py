"""Standing: failed attempts to collect dues, whose they are, and what a club allows meanwhile."""

from alembic import op

revision = '0020'
down_revision = '0019'

SCRIPT = """
ALTER TABLE clubs
    ADD COLUMN use_while_overdue VARCHAR NOT NULL DEFAULT 'warn',
    ADD COLUMN overdue_grace_days INTEGER NOT NULL DEFAULT 7,
    ADD CONSTRAINT ck_clubs_use_while_overdue CHECK (use_while_overdue IN ('warn', 'grace', 'strict')),
    ADD CONSTRAINT ck_clubs_overdue_grace_days CHECK (overdue_grace_days BETWEEN 1 AND 90);

ALTER TABLE payment_facts
    DROP CONSTRAINT ck_payment_facts_kind,
    DROP CONSTRAINT ck_payment_facts_complete,
    ADD CONSTRAINT ck_payment_facts_kind CHECK (kind IN
        ('paid', 'reversed', 'restored', 'linked', 'line_refunded', 'noted', 'replaced', 'dues_failed')) NOT VALID,
    ADD CONSTRAINT ck_payment_facts_complete CHECK (CASE
        WHEN kind = 'paid' THEN coalesce(settled_minor, amount_minor) > 0
            AND currency IS NOT NULL AND billing_references IS NOT NULL
        WHEN kind IN ('linked', 'replaced') THEN other_payment_id IS NOT NULL
        WHEN kind = 'dues_failed' THEN billing_references IS NOT NULL
        WHEN kind = 'noted' THEN shape IS NOT NULL ELSE cause IS NOT NULL END) NOT VALID;
ALTER TABLE payment_facts VALIDATE CONSTRAINT ck_payment_facts_kind;
ALTER TABLE payment_facts VALIDATE CONSTRAINT ck_payment_facts_complete;

CREATE TABLE failed_dues (
    payment_id BIGINT NOT NULL,
    reference VARCHAR(255) NOT NULL,
    failed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    endpoint VARCHAR(63) NOT NULL,
    is_one_try BOOLEAN NOT NULL,
    amount_minor BIGINT,
    CONSTRAINT pk_failed_dues PRIMARY KEY (payment_id, reference, failed_at),
    CONSTRAINT fk_failed_dues_payment_id_payments FOREIGN KEY(payment_id) REFERENCES payments (id)
);
CREATE INDEX ix_failed_dues_endpoint_reference ON failed_dues (endpoint, reference);

CREATE TABLE cleared_dues (
    membership_id BIGINT NOT NULL,
    cleared_at TIMESTAMP WITH TIME ZONE NOT NULL,
    action_id BIGINT NOT NULL,
    CONSTRAINT pk_cleared_dues PRIMARY KEY (membership_id, cleared_at),
    CONSTRAINT fk_cleared_dues_membership_id_memberships FOREIGN KEY(membership_id) REFERENCES memberships (id),
    CONSTRAINT fk_cleared_dues_action_id_actions FOREIGN KEY(action_id) REFERENCES actions (id)
);
"""

VIEW = """
CREATE VIEW overdue_memberships WITH (security_invoker = true) AS
    SELECT named.membership_id, min(d.failed_at) AS since
    FROM (
        SELECT membership_id, endpoint, reference FROM billing_references
        UNION ALL
        SELECT b.membership_id, b.endpoint, new.reference
        FROM payment_facts f
        JOIN payments new ON new.id = f.other_payment_id
        JOIN payments old ON old.id = f.payment_id
        JOIN billing_references b ON (b.endpoint, b.reference) = (old.endpoint, old.reference)
        WHERE f.kind = 'replaced'
    ) named
    JOIN failed_dues d ON (d.endpoint, d.reference) = (named.endpoint, named.reference)
    WHERE (d.amount_minor IS NULL OR d.amount_minor IN (
        SELECT t.dues_minor FROM membership_terms t WHERE t.membership_id = named.membership_id
    )) AND NOT EXISTS (
        SELECT FROM cleared_dues c WHERE c.membership_id = named.membership_id AND c.cleared_at >= d.failed_at
    ) AND NOT (d.is_one_try AND EXISTS (
        SELECT FROM (
            SELECT id FROM payments WHERE membership_id = named.membership_id
            UNION ALL SELECT payment_id FROM payment_matches WHERE membership_id = named.membership_id
        ) theirs
        JOIN payments p ON p.root_id = theirs.id
        JOIN payment_facts f ON f.payment_id = p.id
        WHERE f.kind = 'paid' AND f.occurred_at >= d.failed_at
          AND (d.reference = ANY(f.billing_references) OR f.shape -> 'payer' ? d.reference)
    ))
    GROUP BY named.membership_id;
COMMENT ON VIEW overdue_memberships IS
    'Every membership whose dues failed and are owed still, with the earliest attempt that nothing has made up for.';
"""


def upgrade() -> None:
    for script in (SCRIPT, VIEW):
        op.get_bind().exec_driver_sql(script.replace('%', '%%'))
