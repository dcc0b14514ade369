-- The same membership in the tutorial's tables.
INSERT INTO plans (name) VALUES ('Gold');

INSERT INTO bucket_terms (plan_id, item, quantity, days_to_expire)
SELECT id, item, quantity, days
FROM plans, (VALUES ('Class', 10, 30), ('Training', 2, 60)) AS t (item, quantity, days);

INSERT INTO memberships (subscription, plan_id)
SELECT 'sub_bench' || lpad(m::text, 9, '0'), plans.id FROM plans, generate_series(0, %(memberships)s - 1) m;
