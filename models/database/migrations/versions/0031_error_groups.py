"""Error groups: failed and quarantined events by the kind of their error; and which bulk action an event was part of."""

from alembic import op

revision = '0031'
down_revision = '0029'

SCRIPT = """
CREATE FUNCTION error_group(type text, why text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- Every word with a digit (an id, an amount, a time) is left out, so that only the kind of error counts.
    SELECT left(md5(type || chr(10)
                    || regexp_replace(left(coalesce(why, ''), 1000), '[[:alnum:]_.:/+-]*[0-9][[:alnum:]_.,:/+-]*', '#', 'g')), 12)
$$;

ALTER TABLE webhook_events
    ADD COLUMN error_group VARCHAR(12),
    ADD COLUMN bulk_action_id BIGINT CONSTRAINT fk_webhook_events_bulk_action_id_bulk_actions REFERENCES bulk_actions (id);
UPDATE webhook_events
SET error_group = error_group(type, CASE state WHEN 'dead' THEN coalesce(error, reason) ELSE coalesce(reason, error) END)
WHERE state IN ('quarantined', 'dead');

CREATE FUNCTION set_error_group() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.error_group := error_group(
        NEW.type, CASE NEW.state WHEN 'dead' THEN coalesce(NEW.error, NEW.reason) ELSE coalesce(NEW.reason, NEW.error) END
    );
    RETURN NEW;
END $$;
CREATE TRIGGER error_group BEFORE INSERT OR UPDATE OF state ON webhook_events FOR EACH ROW
    WHEN (NEW.state IN ('quarantined', 'dead')) EXECUTE FUNCTION set_error_group();

CREATE INDEX IF NOT EXISTS ix_webhook_events_error_groups ON webhook_events (state, error_group, endpoint, id, received_at)
    WHERE state IN ('quarantined', 'dead');
CREATE INDEX IF NOT EXISTS ix_webhook_events_bulk_action ON webhook_events (bulk_action_id, state)
    WHERE bulk_action_id IS NOT NULL;

CREATE INDEX IF NOT EXISTS ix_actions_event ON actions (subject) WHERE verb IN ('replay', 'release', 'discard');

ALTER TABLE bulk_actions
    DROP CONSTRAINT ck_bulk_actions_verb,
    ADD CONSTRAINT ck_bulk_actions_verb CHECK (verb IN ('replay', 'discard', 'release'));
-- Of two unfinished ones that ask for the same, the older does it.
UPDATE bulk_actions b SET cancelled = true, finished_at = clock_timestamp()
WHERE finished_at IS NULL AND EXISTS (
    SELECT FROM bulk_actions o WHERE o.finished_at IS NULL AND o.verb = b.verb AND o.filter = b.filter AND o.id < b.id
);
CREATE UNIQUE INDEX uq_bulk_actions_unfinished ON bulk_actions (verb, md5(filter)) WHERE finished_at IS NULL;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCRIPT.replace('%', '%%'))
