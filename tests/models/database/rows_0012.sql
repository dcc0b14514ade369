-- Two members. Some payments have two references, of which one was credited under both; one expiry run.
INSERT INTO clubs (name, time_zone, currency, shortfall_policy)
    VALUES ('Downtown', 'America/Chicago', 'USD', 'repay'), ('Uptown', 'Europe/Berlin', 'USD', 'repay');
INSERT INTO items (name, kind, session_type)
    VALUES ('Spin', 'scheduler_bucket', 'class'), ('Training', 'scheduler_bucket', 'personal_training');
INSERT INTO offers (name, state, min_buckets, max_buckets) VALUES ('Gold', 'published', 1, 2);
INSERT INTO payment_terms (offer_id, name, dues_minor, currency, interval, interval_count)
    VALUES (1, 'Monthly', 9500, 'USD', 'month', 1);
INSERT INTO members (email, name) VALUES ('ada@example.com', 'Ada'), ('ben@example.com', 'Ben');
INSERT INTO memberships (member_id, club_id, offer_id, payment_term_id, currency)
    VALUES (1, 1, 1, 1, 'USD'), (2, 1, 1, 1, 'USD'), (1, 2, 1, 1, 'USD');
INSERT INTO membership_terms (membership_id, since, dues_minor)
    SELECT id, '2024-02-20T12:00Z', 9000 FROM memberships;
INSERT INTO pinned_terms (terms_id, item_id, quantity, days_to_expire)
    VALUES (1, 1, 8, 30), (1, 2, 2, 0), (2, 1, 6, 30), (3, 1, 1, 0);
INSERT INTO billing_references (endpoint, reference, membership_id) VALUES ('stripe', 'sub', 1);
INSERT INTO webhook_events (endpoint, event_id, type, body, state)
    SELECT 'stripe', 'old_' || n, 'paid', 'x', 'processed' FROM generate_series(1, 5) AS n;
-- The third and the fourth are one payment; so are the second and the fifth, which was credited on its own.
INSERT INTO payments (endpoint, reference, state, membership_id, same_as, billing_references)
    VALUES ('stripe', 'in_1', 'settled', 1, NULL, NULL), ('stripe', 'in_2', 'settled', 1, NULL, NULL),
           ('stripe', 'in_3', 'unmatched', NULL, NULL, '{sub_other}'), ('stripe', 'ch_3', 'heard_of', NULL, 3, NULL),
           ('stripe', 'ch_2', 'heard_of', NULL, 2, NULL);
INSERT INTO payment_facts (id, event_id, payment_id, kind, occurred_at, amount_minor, currency, running_total,
                           billing_references, other_payment_id)
    VALUES (256, 1, 1, 'paid', '2024-03-01T15:00Z', 9000, 'USD', false, '{sub}', NULL),
           (512, 2, 2, 'paid', '2024-03-05T15:00Z', 9000, 'USD', false, '{sub}', NULL),
           (768, 3, 4, 'paid', '2024-03-06T15:00Z', 7000, 'USD', false, '{sub_other}', NULL),
           (769, 3, 3, 'linked', '2024-03-06T15:00Z', NULL, NULL, false, NULL, 4),
           (1024, 4, 5, 'paid', '2024-03-05T16:00Z', 9000, 'USD', false, '{sub}', NULL),
           (1025, 4, 2, 'linked', '2024-03-05T16:00Z', NULL, NULL, false, NULL, 5);
INSERT INTO actions (actor, verb, subject, member_id)
    VALUES ('ada', 'redeem', '3 Spin', 1), ('ada', 'give back', '1 Spin', 1), ('ada', 'adjust', '+2 Spin', 1);
INSERT INTO credit_grants (payment_id, action_id, member_id, item_id, quantity, remaining, reversed, effective_at,
                           expires_at)
    VALUES (1, NULL, 1, 1, 8, 0, 0, '2024-03-01T15:00Z', '2024-04-01T05:00Z'),
           (1, NULL, 1, 2, 2, 2, 0, '2024-03-01T15:00Z', NULL),
           (2, NULL, 1, 1, 8, 8, 0, '2024-03-05T15:00Z', '2024-04-05T05:00Z'),
           (5, NULL, 1, 1, 8, 0, 8, '2024-03-05T16:00Z', '2024-04-05T05:00Z'),
           (NULL, 3, 1, 1, 2, 2, 0, '2024-03-07T15:00Z', NULL), (2, NULL, 1, 2, 2, 2, 0, '2024-03-05T15:00Z', NULL);
INSERT INTO redemptions (idempotency_key, member_id, item_id, quantity, undoes, occurred_at)
    VALUES ('use', 1, 1, 3, NULL, '2024-03-02T15:00Z'), ('back', 1, 1, 1, 1, '2024-03-02T16:00Z');
INSERT INTO expiry_runs (state, as_of, due, usual, lots, sessions, finished_at)
    VALUES ('finished', '2024-04-01T05:00Z', 1, 0, 1, 6, now());
INSERT INTO ledger_entries (grant_id, kind, quantity, reversed, expires_at, occurred_at, recorded_at, fact_id,
                            redemption_id, action_id, expiry_run_id, note)
    VALUES (1, 'grant', 8, 0, '2024-04-01T05:00Z', '2024-03-01T15:00Z', '2024-03-01T15:00Z', 256, NULL, NULL, NULL, NULL),
           (2, 'grant', 2, 0, NULL, '2024-03-01T15:00Z', '2024-03-01T15:00Z', 256, NULL, NULL, NULL, NULL),
           (1, 'redemption', -3, 0, NULL, '2024-03-02T15:00Z', '2024-03-02T15:00Z', NULL, 1, 1, NULL, NULL),
           (1, 'return', 1, 0, NULL, '2024-03-02T16:00Z', '2024-03-02T16:00Z', NULL, 2, 2, NULL, NULL),
           (3, 'grant', 8, 0, '2024-04-05T05:00Z', '2024-03-05T15:00Z', '2024-03-05T15:00Z', 512, NULL, NULL, NULL, NULL),
           (6, 'grant', 2, 0, NULL, '2024-03-05T15:00Z', '2024-03-05T15:00Z', 512, NULL, NULL, NULL, NULL),
           (4, 'grant', 8, 0, '2024-04-05T05:00Z', '2024-03-05T16:00Z', '2024-03-05T16:00Z', 1024, NULL, NULL, NULL, NULL),
           (4, 'clawback', -8, 8, NULL, '2024-03-05T16:00Z', '2024-03-05T17:00Z', 1025, NULL, NULL, NULL, NULL),
           (5, 'adjustment', 2, 0, NULL, '2024-03-07T15:00Z', '2024-03-07T15:00Z', NULL, NULL, 3, NULL, 'goodwill: x'),
           (1, 'expiry', -6, 0, NULL, '2024-04-01T05:00Z', '2024-04-01T05:00Z', NULL, NULL, NULL, 1, NULL);
INSERT INTO bulk_acts (verb, filter, up_to, total, reason, asked_by) VALUES ('replay', '{}', 5, 3, 'a test', 'ada');
