-- What crediting comes to when nothing has to be general: up to 500 due renewals in one
-- statement; no reversals, no links, no late credit, no failures, no second telling within a
-- batch. It ends in the same rows as ours. Ids are drawn before anything is inserted, and
-- bodies are read after the limit: joining what was just inserted would be quadratic, and
-- PostgreSQL would otherwise parse every due body to sort them.
WITH due AS MATERIALIZED (
    SELECT id
    FROM webhook_events
    WHERE state = 'pending' AND attempts = 0 AND next_attempt_at <= clock_timestamp()
    ORDER BY next_attempt_at
    LIMIT 500
    FOR UPDATE SKIP LOCKED
), invoice AS MATERIALIZED (
    SELECT e.id AS event_id, e.endpoint, convert_from(e.body, 'UTF8')::jsonb #> '{data,object}' AS content
    FROM due JOIN webhook_events e USING (id)
), paid AS MATERIALIZED (
    SELECT nextval(pg_get_serial_sequence('payments', 'id')) AS payment_id, i.event_id, i.endpoint,
           content ->> 'id' AS reference, (content ->> 'amount_paid')::bigint AS amount_minor, s.currency,
           to_timestamp((content #>> '{status_transitions,paid_at}')::bigint) AS paid_at,
           ARRAY[b.reference] AS billing_references, content #> '{lines,data,0}' AS line,
           content -> 'subtotal' AS due_minor, content -> 'customer' AS customer,
           s.id AS membership_id, s.member_id, c.time_zone
    FROM invoice i
    JOIN billing_references b
      ON b.endpoint = i.endpoint AND b.reference = content #>> '{parent,subscription_details,subscription}'
    JOIN memberships s ON s.id = b.membership_id AND s.currency = upper(content ->> 'currency')
    JOIN clubs c ON c.id = s.club_id
    WHERE content ->> 'billing_reason' IN ('subscription_create', 'subscription_cycle')
      AND (content ->> 'amount_paid')::bigint > 0
      AND NOT EXISTS (
          SELECT FROM payments p WHERE p.endpoint = i.endpoint AND p.reference = content ->> 'id'
      )
), shaped AS MATERIALIZED (
    SELECT event_id, jsonb_build_object('payer', jsonb_build_array(customer), 'due_minor', due_minor,
               'covers', covers, 'lines', jsonb_build_array(jsonb_build_array(
                   jsonb_build_array(line #> '{parent,subscription_item_details,subscription}',
                       line #> '{parent,subscription_item_details,subscription_item}',
                       line #> '{pricing,price_details,price}', line #> '{pricing,price_details,product}'),
                   line -> 'amount', covers, line -> 'quantity', false, line -> 'id'))) AS shape
    FROM paid CROSS JOIN LATERAL (SELECT jsonb_build_array(
        to_timestamp((line #>> '{period,start}')::bigint), to_timestamp((line #>> '{period,end}')::bigint)
    ) AS covers) period
), new_grant AS MATERIALIZED (
    SELECT nextval(pg_get_serial_sequence('credit_grants', 'id')) AS grant_id, paid.*, t.item_id, t.quantity,
           CASE WHEN t.days_to_expire > 0 THEN
               ((paid_at AT TIME ZONE time_zone)::date + t.days_to_expire + 1)::timestamp AT TIME ZONE time_zone
           END AS expires_at
    FROM paid JOIN membership_terms terms USING (membership_id) JOIN pinned_terms t ON t.terms_id = terms.id
    WHERE t.quantity > 0
), made AS (
    INSERT INTO payments (id, endpoint, reference, state, membership_id)
    SELECT payment_id, endpoint, reference, 'settled', membership_id FROM paid
), told AS (
    INSERT INTO payment_facts
        (id, event_id, payment_id, kind, occurred_at, amount_minor, currency, running_total, billing_references,
         shape)
    SELECT event_id * 256, event_id, payment_id, 'paid', paid_at, amount_minor, currency, false,
           billing_references, shape
    FROM paid JOIN shaped USING (event_id)
), granted AS (
    INSERT INTO credit_grants
        (id, payment_id, member_id, membership_id, item_id, first_quantity, quantity, remaining, effective_at,
         expires_at)
    SELECT grant_id, payment_id, member_id, membership_id, item_id, quantity, quantity, quantity, paid_at, expires_at
    FROM new_grant
), entered AS (
    INSERT INTO ledger_entries (grant_id, kind, quantity, expires_at, occurred_at, fact_id)
    SELECT grant_id, 'grant', quantity, expires_at, paid_at, event_id * 256 FROM new_grant
)
UPDATE webhook_events e
SET state = 'processed', attempts = 1, finished_at = clock_timestamp()
FROM due
WHERE e.id = due.id
