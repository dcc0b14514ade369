"""What a payment is worth: its shape, tranches, several memberships, review, what is not dues, terms that pin more."""

from alembic import op

revision = '0015'
down_revision = '0014'

TERMS = """
ALTER TABLE payment_terms
    ADD COLUMN partial VARCHAR NOT NULL DEFAULT 'proportional',
    ADD COLUMN release VARCHAR NOT NULL DEFAULT 'at_once',
    ADD COLUMN release_times INTEGER,
    ADD CONSTRAINT ck_payment_terms_partial CHECK (partial IN ('proportional', 'full', 'none')),
    ADD CONSTRAINT ck_payment_terms_release CHECK (release IN ('at_once', 'monthly', 'weekly', 'times')),
    ADD CONSTRAINT ck_payment_terms_release_times
        CHECK ((release = 'times') = (release_times IS NOT NULL) AND release_times BETWEEN 2 AND 60);

ALTER TABLE membership_terms
    ADD COLUMN payment_term_id BIGINT,
    ADD COLUMN interval VARCHAR NOT NULL DEFAULT 'month',
    ADD COLUMN interval_count INTEGER NOT NULL DEFAULT 1,
    ADD COLUMN partial VARCHAR NOT NULL DEFAULT 'proportional',
    ADD COLUMN release VARCHAR NOT NULL DEFAULT 'at_once',
    ADD COLUMN release_times INTEGER;
ALTER TABLE membership_terms DISABLE TRIGGER append_only;
UPDATE membership_terms v SET payment_term_id = t.id, interval = t.interval, interval_count = t.interval_count
FROM memberships m JOIN payment_terms t ON t.id = m.payment_term_id WHERE m.id = v.membership_id;
ALTER TABLE membership_terms ENABLE TRIGGER append_only;
ALTER TABLE membership_terms
    ALTER COLUMN payment_term_id SET NOT NULL,
    ALTER COLUMN interval DROP DEFAULT,
    ALTER COLUMN interval_count DROP DEFAULT,
    ADD CONSTRAINT fk_membership_terms_payment_term_id_payment_terms
        FOREIGN KEY (payment_term_id) REFERENCES payment_terms (id);
CREATE INDEX ix_membership_terms_payment_term_id ON membership_terms (payment_term_id);

ALTER TABLE clubs
    ADD COLUMN refund_fee_percent INTEGER NOT NULL DEFAULT 5,
    ADD COLUMN refund_fee_most_minor BIGINT NOT NULL DEFAULT 1000,
    ADD CONSTRAINT ck_clubs_refund_fee CHECK (refund_fee_percent BETWEEN 0 AND 20 AND refund_fee_most_minor >= 0);
"""

FACTS = """
ALTER TABLE payment_facts
    ADD COLUMN settled_minor BIGINT,
    ADD COLUMN shape JSONB,
    DROP CONSTRAINT ck_payment_facts_kind,
    DROP CONSTRAINT ck_payment_facts_complete,
    ADD CONSTRAINT ck_payment_facts_kind CHECK (kind IN
        ('paid', 'reversed', 'restored', 'linked', 'line_refunded', 'noted', 'replaced')),
    ADD CONSTRAINT ck_payment_facts_complete CHECK (CASE
        WHEN kind = 'paid' THEN coalesce(settled_minor, amount_minor) > 0
            AND currency IS NOT NULL AND billing_references IS NOT NULL
        WHEN kind IN ('linked', 'replaced') THEN other_payment_id IS NOT NULL
        WHEN kind = 'noted' THEN shape IS NOT NULL ELSE cause IS NOT NULL END);
CREATE INDEX ix_payment_facts_replaced ON payment_facts (other_payment_id) WHERE kind = 'replaced';
"""

GRANTS = """
ALTER TABLE credit_grants ADD COLUMN membership_id BIGINT, ADD COLUMN tranche INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN first_quantity INTEGER;
UPDATE credit_grants SET first_quantity = quantity;
UPDATE credit_grants g SET membership_id = coalesce(p.membership_id, root.membership_id)
FROM payments p JOIN payments root ON root.id = p.root_id WHERE p.id = g.payment_id;
ALTER TABLE credit_grants
    ALTER COLUMN first_quantity SET NOT NULL,
    DROP CONSTRAINT uq_credit_grants_payment_id_item_id,
    ADD CONSTRAINT uq_credit_grants_payment_id_membership_id_item_id_tranche
        UNIQUE (payment_id, membership_id, item_id, tranche),
    ADD CONSTRAINT ck_credit_grants_paid_for_a_membership CHECK ((payment_id IS NULL) = (membership_id IS NULL)),
    ADD CONSTRAINT ck_credit_grants_tranche CHECK (tranche >= 0),
    ADD CONSTRAINT fk_credit_grants_membership_id_memberships FOREIGN KEY (membership_id) REFERENCES memberships (id);
DROP TRIGGER definition ON credit_grants;
CREATE TRIGGER definition BEFORE DELETE OR TRUNCATE
    OR UPDATE OF id, payment_id, membership_id, action_id, member_id, item_id, tranche, first_quantity, effective_at,
        recorded_at
    ON credit_grants FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""

PAYMENTS = """
ALTER TABLE billing_references
    DROP CONSTRAINT pk_billing_references,
    ADD CONSTRAINT pk_billing_references PRIMARY KEY (endpoint, reference, membership_id);

CREATE TABLE payment_matches (
    payment_id BIGINT NOT NULL,
    membership_id BIGINT NOT NULL,
    CONSTRAINT pk_payment_matches PRIMARY KEY (payment_id, membership_id),
    CONSTRAINT fk_payment_matches_payment_id_payments FOREIGN KEY(payment_id) REFERENCES payments (id),
    CONSTRAINT fk_payment_matches_membership_id_memberships FOREIGN KEY(membership_id) REFERENCES memberships (id)
);
CREATE INDEX ix_payment_matches_membership_id ON payment_matches (membership_id);

CREATE TABLE not_dues (
    endpoint VARCHAR(63) NOT NULL,
    reference VARCHAR(255) NOT NULL,
    action_id BIGINT NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_not_dues PRIMARY KEY (endpoint, reference),
    CONSTRAINT fk_not_dues_action_id_actions FOREIGN KEY(action_id) REFERENCES actions (id)
);

CREATE TABLE payment_reviews (
    payment_id BIGINT NOT NULL,
    reason VARCHAR NOT NULL,
    what VARCHAR NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    answered_by BIGINT,
    CONSTRAINT pk_payment_reviews PRIMARY KEY (payment_id, reason),
    CONSTRAINT ck_payment_reviews_reason CHECK (reason IN ('unmatched', 'held', 'unplaced', 'nothing', 'part',
        'more', 'less', 'extra', 'several', 'shape', 'payer_only', 'balance', 'not_dues_refund', 'outside', 'noted')),
    CONSTRAINT fk_payment_reviews_payment_id_payments FOREIGN KEY(payment_id) REFERENCES payments (id),
    CONSTRAINT fk_payment_reviews_answered_by_actions FOREIGN KEY(answered_by) REFERENCES actions (id)
);
CREATE INDEX ix_payment_reviews_open ON payment_reviews (recorded_at, payment_id) WHERE answered_by IS NULL;
CREATE INDEX ix_payment_reviews_fees ON payment_reviews (recorded_at) WHERE reason IN ('part', 'extra');

INSERT INTO payment_reviews (payment_id, reason, what, recorded_at, answered_by)
SELECT id, state, CASE state WHEN 'held' THEN coalesce(problem, 'its facts contradict each other')
    ELSE 'no membership has '
        || coalesce(nullif(array_to_string(billing_references, ' or '), ''), 'any of its references') END,
    clock_timestamp(), set_aside_by
FROM payments WHERE state IN ('unmatched', 'held') AND id = root_id;

DROP VIEW paid_payments;
DROP VIEW grant_clubs;
ALTER TABLE payments DROP CONSTRAINT ck_payments_state, ADD CONSTRAINT ck_payments_state
    CHECK (state IN ('heard_of', 'unmatched', 'settled', 'not_dues', 'held'));
ALTER TABLE payments DROP COLUMN set_aside_by, ADD COLUMN settle_again BOOLEAN NOT NULL DEFAULT false;
CREATE INDEX ix_payments_settle_again ON payments (id) WHERE settle_again;
CREATE INDEX ix_payments_partly_matched ON payments (id) WHERE state = 'settled' AND billing_references IS NOT NULL;
"""

VIEWS = """
CREATE VIEW paid_payments WITH (security_invoker = true) AS
    SELECT p.id, p.endpoint, paid.reference, paid.amount_minor, paid.currency, paid.paid_at,
           p.state, p.problem, p.membership_id, p.billing_references
    FROM payments p
    CROSS JOIN LATERAL (
        SELECT (array_agg(part.reference ORDER BY part.occurred_at, part.reference))[1] AS reference,
               CAST(sum(part.amount_minor) AS bigint) AS amount_minor,
               (array_agg(part.currency ORDER BY part.occurred_at, part.reference))[1] AS currency,
               min(part.occurred_at) AS paid_at
        FROM (
            SELECT DISTINCT ON (f.shape ->> 'part')
                   named.reference, coalesce(f.settled_minor, f.amount_minor) AS amount_minor, f.currency, f.occurred_at
            FROM payments named JOIN payment_facts f ON f.payment_id = named.id
            WHERE named.root_id = p.id AND f.kind = 'paid'
            ORDER BY f.shape ->> 'part', f.occurred_at, named.reference, f.amount_minor DESC
        ) part
        HAVING count(*) > 0
    ) paid
    WHERE p.same_as IS NULL;
COMMENT ON VIEW paid_payments IS
    'Every payment that was paid, by its root, with what was paid. Of several Paid facts for one part of it the'
    ' earliest counts; parts add up.';

CREATE VIEW grant_clubs WITH (security_invoker = true) AS
    SELECT g.id AS grant_id, g.membership_id, c.id AS club_id, c.name AS club, c.time_zone
    FROM credit_grants g
    JOIN memberships m ON m.id = coalesce(g.membership_id,
        (SELECT max(home.id) FROM memberships home WHERE home.member_id = g.member_id))
    JOIN clubs c ON c.id = m.club_id;
COMMENT ON VIEW grant_clubs IS
    'Every grant with the club by whose local days it expires: that of the membership that paid for it or, where'
    ' membership_id is NULL because it was given by hand, that of the member''s newest membership.';
"""


def upgrade() -> None:
    for script in (TERMS, FACTS, GRANTS, PAYMENTS, VIEWS):
        op.get_bind().exec_driver_sql(script.replace('%', '%%'))
