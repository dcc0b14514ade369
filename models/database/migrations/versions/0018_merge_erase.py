"""The record of a person: members that are merged, and members that are erased."""

from alembic import op

revision = '0018'
down_revision = '0016'

MEMBERS = """
ALTER TABLE members
    ADD COLUMN merged_into BIGINT,
    ADD COLUMN merged_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN erased_at TIMESTAMP WITH TIME ZONE,
    ADD CONSTRAINT ck_members_merged CHECK ((merged_into IS NULL) = (merged_at IS NULL) AND merged_into <> id),
    ADD CONSTRAINT fk_members_merged_into_members FOREIGN KEY (merged_into) REFERENCES members (id);
CREATE INDEX ix_members_merged_into ON members (merged_into) WHERE merged_into IS NOT NULL;
ALTER TABLE memberships
    ADD COLUMN first_member_id BIGINT,
    ADD CONSTRAINT fk_memberships_first_member_id_members FOREIGN KEY (first_member_id) REFERENCES members (id);
ALTER TABLE credit_grants
    ADD COLUMN first_member_id BIGINT,
    ADD CONSTRAINT fk_credit_grants_first_member_id_members FOREIGN KEY (first_member_id) REFERENCES members (id);
"""

# What belongs to a member follows a merge and its undo, and nothing else; whose it was first never changes.
OWNERS = """
DROP TRIGGER definition ON credit_grants;
CREATE TRIGGER definition BEFORE DELETE OR TRUNCATE
    OR UPDATE OF id, payment_id, membership_id, action_id, item_id, tranche, first_quantity, effective_at, recorded_at
    ON credit_grants FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION refuse_other_member() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.first_member_id = coalesce(OLD.first_member_id, OLD.member_id) AND EXISTS (
            SELECT FROM members
            WHERE (id, merged_into) IN ((OLD.member_id, NEW.member_id), (NEW.member_id, OLD.member_id))
        ) THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION '% is append-only: % refused; only a merge of two members moves it', TG_TABLE_NAME, TG_OP
            USING ERRCODE = 'restrict_violation';
    END $$;
CREATE TRIGGER owner BEFORE UPDATE OF member_id, first_member_id
    ON credit_grants FOR EACH ROW EXECUTE FUNCTION refuse_other_member();
CREATE TRIGGER owner BEFORE UPDATE OF member_id, first_member_id
    ON memberships FOR EACH ROW EXECUTE FUNCTION refuse_other_member();
"""

# With the rights of the tables' owner, so that nobody who may erase a member may edit a body or the log.
ERASING = """
DROP TRIGGER append_only ON actions;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON actions FOR EACH STATEMENT
    WHEN (current_setting('spp.erasing', true) IS DISTINCT FROM 'yes') EXECUTE FUNCTION refuse_change();

CREATE FUNCTION erase_bodies(member bigint) RETURNS TABLE (events bigint, bytes bigint)
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    WITH theirs AS MATERIALIZED (
        SELECT id FROM memberships
        WHERE member_id = member AND EXISTS (SELECT FROM members WHERE id = member AND erased_at IS NOT NULL)
    ), paid AS MATERIALIZED (
        SELECT p.id FROM theirs JOIN payments p ON p.membership_id = theirs.id
        UNION SELECT m.payment_id FROM theirs JOIN payment_matches m ON m.membership_id = theirs.id
    ), told AS MATERIALIZED (
        SELECT DISTINCT f.event_id AS id
        FROM paid JOIN payments p ON p.root_id = paid.id JOIN payment_facts f ON f.payment_id = p.id
    ), wanted AS MATERIALIZED (
        SELECT e.id, length(e.body) + coalesce(length(e.resource), 0) AS bytes
        FROM webhook_events e
        WHERE (e.id IN (SELECT id FROM told) OR e.conflicts_with IN (SELECT id FROM told)) AND e.pruned_at IS NULL
          AND e.state <> 'pending'
        ORDER BY e.id
        FOR NO KEY UPDATE
    ), tries AS (
        DELETE FROM event_errors WHERE event_id IN (SELECT id FROM wanted)
    ), emptied AS (
        -- Conflicts of one event stay different from each other.
        UPDATE webhook_events e
        SET body = CASE WHEN e.conflicts_with IS NULL THEN '' ELSE convert_to('erased ' || e.id, 'UTF8') END,
            resource = NULL, headers = NULL, error = NULL, pruned_at = clock_timestamp(),
            reason = CASE WHEN e.state IN ('quarantined', 'dead') THEN 'erased with its member' ELSE e.reason END,
            state = CASE WHEN e.state IN ('quarantined', 'dead') THEN 'ignored' ELSE e.state END
        FROM wanted WHERE e.id = wanted.id
        RETURNING wanted.bytes
    )
    SELECT count(*), CAST(coalesce(sum(emptied.bytes), 0) AS bigint) FROM emptied
$$;

CREATE FUNCTION erase_words(member_ids bigint[], pattern text, instead text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    DECLARE
        said bigint;
    BEGIN
        PERFORM set_config('spp.erasing', 'yes', true);
        WITH found AS MATERIALIZED (
            SELECT a.id FROM actions a JOIN members m ON m.id = a.member_id AND m.erased_at IS NOT NULL
            WHERE a.member_id = ANY(member_ids) AND concat_ws(' ', a.subject, a.reason) ~* pattern
              -- The words of an act that moved sessions are sealed with its entries, and stay.
              AND NOT EXISTS (SELECT FROM ledger_entries e WHERE e.action_id = a.id)
        )
        UPDATE actions a
        SET subject = left(regexp_replace(a.subject, pattern, instead, 'gi'), 600),
            reason = left(regexp_replace(a.reason, pattern, instead, 'gi'), 2000)
        FROM found WHERE a.id = found.id;
        GET DIAGNOSTICS said = ROW_COUNT;
        PERFORM set_config('spp.erasing', '', true);
        RETURN said;
    END
$$;
"""

REVIEWS = """
ALTER TABLE payment_reviews DROP CONSTRAINT ck_payment_reviews_reason, ADD CONSTRAINT ck_payment_reviews_reason
    CHECK (reason IN ('unmatched', 'held', 'unplaced', 'nothing', 'frozen', 'ended', 'part', 'more', 'less', 'extra',
        'several', 'shape', 'payer_only', 'balance', 'not_dues_refund', 'outside', 'noted', 'erased'));
"""


def upgrade() -> None:
    for script in (MEMBERS, OWNERS, ERASING, REVIEWS):
        op.get_bind().exec_driver_sql(script.replace('%', '%%'))
