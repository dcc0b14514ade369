-- One club that sells one offer, and memberships of it, each found by its subscription.
-- A member is named for the subscription that pays for them.
INSERT INTO clubs (name, time_zone, currency, shortfall_policy)
VALUES ('Bench', 'America/Chicago', 'USD', 'repay');

INSERT INTO items (name, kind, session_type)
VALUES ('Class', 'scheduler_bucket', 'class'), ('Training', 'scheduler_bucket', 'personal_training');

INSERT INTO offers (name, state, min_buckets, max_buckets) VALUES ('Gold', 'published', 0, 2);

INSERT INTO session_buckets (offer_id, item_id, item_kind, required)
SELECT offers.id, items.id, items.kind, false FROM offers, items ORDER BY items.id;

INSERT INTO payment_terms (offer_id, name, dues_minor, currency, interval, interval_count, release)
SELECT id, 'Term', %(amount)s, 'USD', %(interval)s, 1, %(release)s FROM offers;

INSERT INTO bucket_terms (payment_term_id, session_bucket_id, offer_id, quantity, days_to_expire)
SELECT t.id, b.id, t.offer_id, CASE i.name WHEN 'Class' THEN 10 ELSE 2 END, CASE i.name WHEN 'Class' THEN 30 ELSE 60 END
FROM payment_terms t JOIN session_buckets b USING (offer_id) JOIN items i ON i.id = b.item_id;

INSERT INTO members (email, name)
SELECT 'member' || m || '@example.com', 'sub_bench' || lpad(m::text, 9, '0')
FROM generate_series(0, %(memberships)s - 1) m;

INSERT INTO memberships (member_id, club_id, offer_id, payment_term_id, currency)
SELECT m.id, c.id, t.offer_id, t.id, t.currency
FROM members m, clubs c, payment_terms t
ORDER BY m.id;

INSERT INTO membership_terms (membership_id, since, payment_term_id, dues_minor, interval, interval_count, release)
SELECT s.id, s.recorded_at, t.id, t.dues_minor, t.interval, t.interval_count, t.release
FROM memberships s JOIN payment_terms t ON t.id = s.payment_term_id;

INSERT INTO pinned_terms (terms_id, item_id, quantity, days_to_expire)
SELECT pinned.id, b.item_id, t.quantity, t.days_to_expire
FROM memberships s
JOIN membership_terms pinned ON pinned.membership_id = s.id
JOIN bucket_terms t ON t.payment_term_id = pinned.payment_term_id
JOIN session_buckets b ON b.id = t.session_bucket_id;

INSERT INTO billing_references (endpoint, reference, membership_id)
SELECT %(endpoint)s, m.name, s.id FROM memberships s JOIN members m ON m.id = s.member_id;
