-- On top of rows_0012.sql, at 0014: a payment that is held, two that nobody owns, one of them set aside; a weekly term.
INSERT INTO payment_terms (offer_id, name, dues_minor, currency, interval, interval_count)
    VALUES (1, 'Fortnightly', 4500, 'USD', 'week', 2);
INSERT INTO memberships (member_id, club_id, offer_id, payment_term_id, currency) VALUES (2, 2, 1, 2, 'USD');
INSERT INTO membership_terms (membership_id, since, dues_minor) VALUES (4, '2024-02-20T12:00Z', 4500);
INSERT INTO billing_references (endpoint, reference, membership_id) VALUES ('stripe', 'sub_ben', 4);
INSERT INTO actions (actor, verb, subject, reason) VALUES ('olga', 'set aside', 'payment in_6', 'another business');
INSERT INTO webhook_events (endpoint, event_id, type, body, state)
    SELECT 'stripe', 'old_' || n, 'paid', 'x', 'processed' FROM generate_series(6, 8) AS n;
INSERT INTO payments (endpoint, reference, state, membership_id, problem, billing_references, set_aside_by)
    VALUES ('stripe', 'in_6', 'unmatched', NULL, NULL, '{sub_shop}', 4),
           ('stripe', 'in_7', 'held', 4, 'paid in EUR, but the membership is in USD', NULL, NULL),
           ('stripe', 'in_8', 'unmatched', NULL, NULL, '{sub_new,cus_new}', NULL);
INSERT INTO payment_facts (id, event_id, payment_id, kind, occurred_at, amount_minor, currency, running_total,
                           billing_references, other_payment_id)
    VALUES (1536, 6, 6, 'paid', '2024-03-08T15:00Z', 500, 'USD', false, '{sub_shop}', NULL),
           (1792, 7, 7, 'paid', '2024-03-08T15:00Z', 4500, 'EUR', false, '{sub_ben}', NULL),
           (2048, 8, 8, 'paid', '2024-03-08T15:00Z', 9000, 'USD', false, '{sub_new,cus_new}', NULL);
