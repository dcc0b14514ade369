-- Further members of the bench's club, as many as `members`, with names that many share and a membership each.
INSERT INTO members (email, name)
SELECT 'crowd' || n || '@example.com',
       (ARRAY['Ann', 'Ben', 'Maria', 'José', 'Zoë', 'Sam', 'Alex', 'Kim', 'Lee', 'Olga'])[1 + n %% 10] || ' '
       || (ARRAY['Ar', 'Bel', 'Cor', 'Del', 'Fa', 'Gar', 'Hol', 'Mar', 'Nor', 'San'])[1 + n / 10 %% 10]
       || (ARRAY['son', 'man', 'er', 'ova', 'ini', 'ton', 'ley', 'field'])[1 + n / 100 %% 8] || n %% 97
FROM generate_series(1, %(members)s) n;

INSERT INTO memberships (member_id, club_id, offer_id, payment_term_id, currency)
SELECT m.id, c.id, t.offer_id, t.id, t.currency
FROM members m, clubs c, payment_terms t WHERE m.email LIKE 'crowd%%';

INSERT INTO membership_terms (membership_id, since, payment_term_id, dues_minor, interval, interval_count)
SELECT s.id, s.recorded_at, t.id, t.dues_minor, t.interval, t.interval_count
FROM memberships s JOIN payment_terms t ON t.id = s.payment_term_id JOIN members m ON m.id = s.member_id
WHERE m.email LIKE 'crowd%%';
