-- What expiry comes to in one statement: no bound on the transaction, no second worker beside it.
WITH emptied AS (
    UPDATE credit_grants SET remaining = 0
    WHERE remaining > 0 AND expires_at <= clock_timestamp()
    RETURNING id, old.remaining, expires_at
)
INSERT INTO ledger_entries (grant_id, kind, quantity, occurred_at)
SELECT id, 'expiry', -remaining, expires_at FROM emptied
