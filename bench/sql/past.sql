-- Credited payments of the last 20 days before `until`, with all that they led to: every
-- column of row I follows from I. Two grants each, untouched, that are good for 30 and 60 days.
-- Foreign keys are not checked while loading: a million rows by construction need no check.
SET session_replication_role = replica;

CREATE TEMPORARY TABLE past AS
SELECT i, %(until)s - interval '20 days' * (i::float8 / %(events)s) AS paid_at,
       1 + mod(i, %(memberships)s) AS membership_id, lpad(mod(i, %(memberships)s)::text, 9, '0') AS suffix
FROM generate_series(1, %(events)s) i;

INSERT INTO webhook_events
    (id, endpoint, event_id, type, api_version, body, state, attempts, received_at, next_attempt_at, finished_at)
SELECT i, %(endpoint)s, 'evt_past' || i, 'invoice.paid', %(api_version)s,
       convert_to(replace(%(body)s, 'bench000000000000', 'past' || i), 'UTF8'),
       'processed', 1, paid_at, paid_at, paid_at
FROM past;

INSERT INTO payments (id, endpoint, reference, state, membership_id)
SELECT i, %(endpoint)s, 'in_past' || i, 'settled', membership_id FROM past;

INSERT INTO payment_facts (id, event_id, payment_id, kind, occurred_at, amount_minor, currency,
                           running_total, billing_references)
SELECT i::bigint * 256, i, i, 'paid', paid_at, %(amount)s, 'USD', false, ARRAY['sub_bench' || suffix, 'cus_bench' || suffix]
FROM past;

INSERT INTO credit_grants
    (id, payment_id, member_id, membership_id, item_id, first_quantity, quantity, remaining, effective_at, expires_at)
SELECT 2 * i + item - 2, i, membership_id, membership_id, item, 10, 10, 10, paid_at, paid_at + interval '30 days' * item
FROM past, generate_series(1, 2) item;

INSERT INTO ledger_entries (id, grant_id, kind, quantity, expires_at, occurred_at, fact_id)
SELECT id, id, 'grant', quantity, expires_at, effective_at, payment_id * 256 FROM credit_grants;

SELECT setval(pg_get_serial_sequence('webhook_events', 'id'), max(id)) FROM webhook_events;
SELECT setval(pg_get_serial_sequence('payments', 'id'), max(id)) FROM payments;
SELECT setval(pg_get_serial_sequence('credit_grants', 'id'), max(id)) FROM credit_grants;
SELECT setval(pg_get_serial_sequence('ledger_entries', 'id'), max(id)) FROM ledger_entries;

SET session_replication_role = origin;
