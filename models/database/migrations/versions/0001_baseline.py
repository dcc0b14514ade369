"""Baseline: all tables, and the triggers that keep the record append-only."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
revision = '0001'
down_revision = None


def upgrade() -> None:
    op.create_table('clubs',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('time_zone', sa.String(length=64), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('shortfall_policy', sa.String(), nullable=False),
    sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f('ck_clubs_currency')),
    sa.CheckConstraint("shortfall_policy IN ('repay', 'forgive')", name=op.f('ck_clubs_shortfall_policy')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_clubs')),
    sa.UniqueConstraint('name', name=op.f('uq_clubs_name'))
    )
    op.create_table('delivery_counts',
    sa.Column('endpoint', sa.String(length=63), nullable=False),
    sa.Column('hour', sa.DateTime(timezone=True), nullable=False),
    sa.Column('outcome', sa.String(length=40), nullable=False),
    sa.Column('count', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('endpoint', 'hour', 'outcome', name=op.f('pk_delivery_counts'))
    )
    op.create_table('heartbeats',
    sa.Column('worker', sa.String(length=200), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('seen_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('credited_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('events', sa.BigInteger(), server_default='0', nullable=False),
    sa.PrimaryKeyConstraint('worker', name=op.f('pk_heartbeats'))
    )
    op.create_table('items',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('kind', sa.String(), nullable=False),
    sa.Column('session_type', sa.String(), nullable=True),
    sa.CheckConstraint("(kind = 'scheduler_bucket') = (session_type IS NOT NULL)", name=op.f('ck_items_session_type_of_scheduler_buckets')),
    sa.CheckConstraint("kind IN ('scheduler_bucket', 'other')", name=op.f('ck_items_kind')),
    sa.CheckConstraint("session_type IN ('class', 'personal_training')", name=op.f('ck_items_session_type')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_items')),
    sa.UniqueConstraint('id', 'kind', name=op.f('uq_items_id_kind')),
    sa.UniqueConstraint('name', name=op.f('uq_items_name'))
    )
    op.create_table('members',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('email', sa.String(length=320), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('recorded_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.CheckConstraint("email ~ '^[^@[:space:]]+@[^@[:space:]]+$'", name=op.f('ck_members_email')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_members'))
    )
    op.create_index('uq_members_email', 'members', [sa.literal_column('lower(email)')], unique=True)
    op.create_table('offers',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('state', sa.String(), nullable=False),
    sa.Column('min_buckets', sa.Integer(), nullable=False),
    sa.Column('max_buckets', sa.Integer(), nullable=False),
    sa.CheckConstraint("state IN ('draft', 'published', 'retired')", name=op.f('ck_offers_state')),
    sa.CheckConstraint('0 <= min_buckets', name=op.f('ck_offers_min_not_negative')),
    sa.CheckConstraint('min_buckets <= max_buckets', name=op.f('ck_offers_max_not_below_min')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_offers')),
    sa.UniqueConstraint('name', name=op.f('uq_offers_name'))
    )
    op.create_table('webhook_events',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('endpoint', sa.String(length=63), nullable=False),
    sa.Column('event_id', sa.String(length=255), nullable=False),
    sa.Column('type', sa.String(length=255), nullable=False),
    sa.Column('api_version', sa.String(), nullable=True),
    sa.Column('body', sa.LargeBinary(), nullable=False),
    sa.Column('received_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('state', sa.String(), server_default='pending', nullable=False),
    sa.Column('reason', sa.String(), nullable=True),
    sa.Column('attempts', sa.Integer(), server_default='0', nullable=False),
    sa.Column('next_attempt_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('error', sa.String(), nullable=True),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('conflicts_with', sa.BigInteger(), nullable=True),
    sa.CheckConstraint("state IN ('pending', 'processed', 'ignored', 'quarantined', 'dead')", name=op.f('ck_webhook_events_state')),
    sa.ForeignKeyConstraint(['conflicts_with'], ['webhook_events.id'], name=op.f('fk_webhook_events_conflicts_with_webhook_events')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_webhook_events'))
    )
    op.create_index('ix_webhook_events_due', 'webhook_events', ['next_attempt_at'], unique=False, postgresql_where=sa.text("state = 'pending' AND attempts = 0"))
    op.create_index('ix_webhook_events_due_again', 'webhook_events', ['next_attempt_at'], unique=False, postgresql_where=sa.text("state = 'pending' AND attempts > 0"))
    op.create_index('uq_webhook_events_conflict', 'webhook_events', ['conflicts_with', sa.literal_column('sha256(body)')], unique=True, postgresql_where=sa.text('conflicts_with IS NOT NULL'))
    op.create_index('uq_webhook_events_endpoint_event_id', 'webhook_events', ['endpoint', 'event_id'], unique=True, postgresql_where=sa.text('conflicts_with IS NULL'))
    op.create_table('payment_terms',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('offer_id', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('dues_minor', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('interval', sa.String(), nullable=False),
    sa.Column('interval_count', sa.Integer(), nullable=False),
    sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f('ck_payment_terms_currency')),
    sa.CheckConstraint("interval IN ('week', 'month', 'year', 'once')", name=op.f('ck_payment_terms_interval')),
    sa.CheckConstraint('0 <= dues_minor', name=op.f('ck_payment_terms_dues_not_negative')),
    sa.CheckConstraint('1 <= interval_count', name=op.f('ck_payment_terms_interval_count_positive')),
    sa.ForeignKeyConstraint(['offer_id'], ['offers.id'], name=op.f('fk_payment_terms_offer_id_offers')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_payment_terms')),
    sa.UniqueConstraint('id', 'offer_id', name=op.f('uq_payment_terms_id_offer_id')),
    sa.UniqueConstraint('offer_id', 'name', name=op.f('uq_payment_terms_offer_id_name'))
    )
    op.create_table('redemptions',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('idempotency_key', sa.String(length=255), nullable=False),
    sa.Column('member_id', sa.BigInteger(), nullable=False),
    sa.Column('item_id', sa.BigInteger(), nullable=False),
    sa.Column('quantity', sa.Integer(), nullable=False),
    sa.Column('undoes', sa.BigInteger(), nullable=True),
    sa.Column('occurred_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('recorded_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.CheckConstraint('quantity > 0', name=op.f('ck_redemptions_quantity_positive')),
    sa.ForeignKeyConstraint(['item_id'], ['items.id'], name=op.f('fk_redemptions_item_id_items')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_redemptions_member_id_members')),
    sa.ForeignKeyConstraint(['undoes'], ['redemptions.id'], name=op.f('fk_redemptions_undoes_redemptions')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_redemptions')),
    sa.UniqueConstraint('idempotency_key', name=op.f('uq_redemptions_idempotency_key'))
    )
    op.create_index(op.f('ix_redemptions_member_id'), 'redemptions', ['member_id'], unique=False)
    op.create_index('ix_redemptions_undoes', 'redemptions', ['undoes'], unique=False, postgresql_where=sa.text('undoes IS NOT NULL'))
    op.create_table('session_buckets',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('offer_id', sa.BigInteger(), nullable=False),
    sa.Column('item_id', sa.BigInteger(), nullable=False),
    sa.Column('item_kind', sa.String(), nullable=False),
    sa.Column('required', sa.Boolean(), nullable=False),
    sa.CheckConstraint("item_kind = 'scheduler_bucket'", name=op.f('ck_session_buckets_scheduler_buckets_only')),
    sa.ForeignKeyConstraint(['item_id', 'item_kind'], ['items.id', 'items.kind'], name=op.f('fk_session_buckets_item_id_item_kind_items')),
    sa.ForeignKeyConstraint(['offer_id'], ['offers.id'], name=op.f('fk_session_buckets_offer_id_offers')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_session_buckets')),
    sa.UniqueConstraint('id', 'offer_id', name=op.f('uq_session_buckets_id_offer_id')),
    sa.UniqueConstraint('offer_id', 'item_id', name=op.f('uq_session_buckets_offer_id_item_id'))
    )
    op.create_table('bucket_terms',
    sa.Column('payment_term_id', sa.BigInteger(), nullable=False),
    sa.Column('session_bucket_id', sa.BigInteger(), nullable=False),
    sa.Column('offer_id', sa.BigInteger(), nullable=False),
    sa.Column('quantity', sa.Integer(), nullable=False),
    sa.Column('days_to_expire', sa.Integer(), nullable=False),
    sa.CheckConstraint('days_to_expire BETWEEN 0 AND 36500', name=op.f('ck_bucket_terms_days_to_expire')),
    sa.CheckConstraint('quantity > 0 OR days_to_expire = 0', name=op.f('ck_bucket_terms_no_days_without_sessions')),
    sa.CheckConstraint('quantity BETWEEN 0 AND 10000', name=op.f('ck_bucket_terms_quantity')),
    sa.ForeignKeyConstraint(['payment_term_id', 'offer_id'], ['payment_terms.id', 'payment_terms.offer_id'], name=op.f('fk_bucket_terms_payment_term_id_offer_id_payment_terms')),
    sa.ForeignKeyConstraint(['session_bucket_id', 'offer_id'], ['session_buckets.id', 'session_buckets.offer_id'], name=op.f('fk_bucket_terms_session_bucket_id_offer_id_session_buckets')),
    sa.PrimaryKeyConstraint('payment_term_id', 'session_bucket_id', name=op.f('pk_bucket_terms'))
    )
    op.create_table('memberships',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('member_id', sa.BigInteger(), nullable=False),
    sa.Column('club_id', sa.BigInteger(), nullable=False),
    sa.Column('offer_id', sa.BigInteger(), nullable=False),
    sa.Column('payment_term_id', sa.BigInteger(), nullable=False),
    sa.Column('dues_minor', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('recorded_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.ForeignKeyConstraint(['club_id'], ['clubs.id'], name=op.f('fk_memberships_club_id_clubs')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_memberships_member_id_members')),
    sa.ForeignKeyConstraint(['offer_id'], ['offers.id'], name=op.f('fk_memberships_offer_id_offers')),
    sa.ForeignKeyConstraint(['payment_term_id'], ['payment_terms.id'], name=op.f('fk_memberships_payment_term_id_payment_terms')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_memberships'))
    )
    op.create_index(op.f('ix_memberships_member_id'), 'memberships', ['member_id'], unique=False)
    op.create_table('billing_references',
    sa.Column('endpoint', sa.String(length=63), nullable=False),
    sa.Column('reference', sa.String(length=255), nullable=False),
    sa.Column('membership_id', sa.BigInteger(), nullable=False),
    sa.Column('recorded_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.ForeignKeyConstraint(['membership_id'], ['memberships.id'], name=op.f('fk_billing_references_membership_id_memberships')),
    sa.PrimaryKeyConstraint('endpoint', 'reference', name=op.f('pk_billing_references'))
    )
    op.create_index(op.f('ix_billing_references_membership_id'), 'billing_references', ['membership_id'], unique=False)
    op.create_table('payments',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('endpoint', sa.String(length=63), nullable=False),
    sa.Column('reference', sa.String(length=255), nullable=False),
    sa.Column('same_as', sa.BigInteger(), nullable=True),
    sa.Column('state', sa.String(), server_default='heard_of', nullable=False),
    sa.Column('problem', sa.String(), nullable=True),
    sa.Column('membership_id', sa.BigInteger(), nullable=True),
    sa.Column('billing_references', postgresql.ARRAY(sa.String()), nullable=True),
    sa.Column('recorded_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.CheckConstraint("state <> 'settled' OR membership_id IS NOT NULL", name=op.f('ck_payments_settled_is_matched')),
    sa.CheckConstraint("state IN ('heard_of', 'unmatched', 'settled', 'held')", name=op.f('ck_payments_state')),
    sa.CheckConstraint('same_as < id', name=op.f('ck_payments_root_is_lowest')),
    sa.ForeignKeyConstraint(['membership_id'], ['memberships.id'], name=op.f('fk_payments_membership_id_memberships')),
    sa.ForeignKeyConstraint(['same_as'], ['payments.id'], name=op.f('fk_payments_same_as_payments')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_payments')),
    sa.UniqueConstraint('endpoint', 'reference', name=op.f('uq_payments_endpoint_reference'))
    )
    op.create_index(op.f('ix_payments_membership_id'), 'payments', ['membership_id'], unique=False)
    op.create_index('ix_payments_same_as', 'payments', ['same_as'], unique=False, postgresql_where=sa.text('same_as IS NOT NULL'))
    op.create_index('ix_payments_unmatched', 'payments', ['id'], unique=False, postgresql_where=sa.text("state = 'unmatched'"))
    op.create_table('pinned_terms',
    sa.Column('membership_id', sa.BigInteger(), nullable=False),
    sa.Column('item_id', sa.BigInteger(), nullable=False),
    sa.Column('quantity', sa.Integer(), nullable=False),
    sa.Column('days_to_expire', sa.Integer(), nullable=False),
    sa.CheckConstraint('days_to_expire BETWEEN 0 AND 36500', name=op.f('ck_pinned_terms_days_to_expire')),
    sa.CheckConstraint('quantity > 0 OR days_to_expire = 0', name=op.f('ck_pinned_terms_no_days_without_sessions')),
    sa.CheckConstraint('quantity BETWEEN 0 AND 10000', name=op.f('ck_pinned_terms_quantity')),
    sa.ForeignKeyConstraint(['item_id'], ['items.id'], name=op.f('fk_pinned_terms_item_id_items')),
    sa.ForeignKeyConstraint(['membership_id'], ['memberships.id'], name=op.f('fk_pinned_terms_membership_id_memberships')),
    sa.PrimaryKeyConstraint('membership_id', 'item_id', name=op.f('pk_pinned_terms'))
    )
    op.create_table('credit_grants',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('payment_id', sa.BigInteger(), nullable=False),
    sa.Column('member_id', sa.BigInteger(), nullable=False),
    sa.Column('item_id', sa.BigInteger(), nullable=False),
    sa.Column('quantity', sa.Integer(), nullable=False),
    sa.Column('effective_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('remaining', sa.Integer(), nullable=False),
    sa.Column('shortfall', sa.Integer(), server_default='0', nullable=False),
    sa.Column('reversed', sa.Integer(), server_default='0', nullable=False),
    sa.Column('recorded_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.CheckConstraint('0 <= remaining AND remaining <= quantity', name=op.f('ck_credit_grants_remaining')),
    sa.CheckConstraint('0 <= reversed AND reversed <= quantity', name=op.f('ck_credit_grants_reversed')),
    sa.CheckConstraint('0 <= shortfall AND shortfall <= quantity', name=op.f('ck_credit_grants_shortfall')),
    sa.ForeignKeyConstraint(['item_id'], ['items.id'], name=op.f('fk_credit_grants_item_id_items')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_credit_grants_member_id_members')),
    sa.ForeignKeyConstraint(['payment_id'], ['payments.id'], name=op.f('fk_credit_grants_payment_id_payments')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_credit_grants')),
    sa.UniqueConstraint('payment_id', 'item_id', name=op.f('uq_credit_grants_payment_id_item_id'))
    )
    op.create_index('ix_credit_grants_lapsing', 'credit_grants', ['expires_at'], unique=False, postgresql_where=sa.text('remaining > 0'))
    op.create_index('ix_credit_grants_member_id_item_id', 'credit_grants', ['member_id', 'item_id'], unique=False)
    op.create_index('ix_credit_grants_shortfall', 'credit_grants', ['member_id'], unique=False, postgresql_where=sa.text('shortfall > 0'))
    op.create_table('payment_facts',
    sa.Column('id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('event_id', sa.BigInteger(), nullable=False),
    sa.Column('payment_id', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.String(), nullable=False),
    sa.Column('occurred_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('recorded_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('cause', sa.String(), nullable=True),
    sa.Column('amount_minor', sa.BigInteger(), nullable=True),
    sa.Column('currency', sa.String(length=3), nullable=True),
    sa.Column('running_total', sa.Boolean(), nullable=False),
    sa.Column('billing_references', postgresql.ARRAY(sa.String()), nullable=True),
    sa.Column('other_payment_id', sa.BigInteger(), nullable=True),
    sa.CheckConstraint("CASE kind WHEN 'paid' THEN amount_minor > 0 AND currency IS NOT NULL AND billing_references IS NOT NULL WHEN 'linked' THEN other_payment_id IS NOT NULL ELSE cause IS NOT NULL END", name=op.f('ck_payment_facts_complete')),
    sa.CheckConstraint("kind IN ('paid', 'reversed', 'restored', 'linked')", name=op.f('ck_payment_facts_kind')),
    sa.CheckConstraint('amount_minor >= 0', name=op.f('ck_payment_facts_amount_not_negative')),
    sa.ForeignKeyConstraint(['event_id'], ['webhook_events.id'], name=op.f('fk_payment_facts_event_id_webhook_events')),
    sa.ForeignKeyConstraint(['other_payment_id'], ['payments.id'], name=op.f('fk_payment_facts_other_payment_id_payments')),
    sa.ForeignKeyConstraint(['payment_id'], ['payments.id'], name=op.f('fk_payment_facts_payment_id_payments')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_payment_facts'))
    )
    op.create_index(op.f('ix_payment_facts_payment_id'), 'payment_facts', ['payment_id'], unique=False)
    op.create_table('ledger_entries',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('grant_id', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.String(), nullable=False),
    sa.Column('quantity', sa.Integer(), nullable=False),
    sa.Column('shortfall', sa.Integer(), server_default='0', nullable=False),
    sa.Column('reversed', sa.Integer(), server_default='0', nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('occurred_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('recorded_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('fact_id', sa.BigInteger(), nullable=True),
    sa.Column('redemption_id', sa.BigInteger(), nullable=True),
    sa.Column('counter_grant_id', sa.BigInteger(), nullable=True),
    sa.Column('note', sa.String(), nullable=True),
    sa.CheckConstraint("(kind IN ('grant', 'clawback', 'reinstatement')) <= (fact_id IS NOT NULL)", name=op.f('ck_ledger_entries_caused_by_a_fact')),
    sa.CheckConstraint("(kind IN ('redemption', 'return')) = (redemption_id IS NOT NULL)", name=op.f('ck_ledger_entries_caused_by_a_redemption')),
    sa.CheckConstraint("CASE kind WHEN 'grant' THEN quantity > 0 WHEN 'redemption' THEN quantity < 0 WHEN 'return' THEN quantity > 0 WHEN 'expiry' THEN quantity < 0 WHEN 'clawback' THEN quantity <= 0 AND reversed > 0 WHEN 'reinstatement' THEN quantity >= 0 AND reversed < 0 WHEN 'debt_repayment' THEN counter_grant_id IS NOT NULL WHEN 'extension' THEN quantity = 0 AND expires_at IS NOT NULL ELSE true END", name=op.f('ck_ledger_entries_kind_and_sign')),
    sa.CheckConstraint("kind IN ('grant', 'redemption', 'return', 'expiry', 'clawback', 'reinstatement', 'adjustment', 'debt_repayment', 'extension')", name=op.f('ck_ledger_entries_kind')),
    sa.ForeignKeyConstraint(['counter_grant_id'], ['credit_grants.id'], name=op.f('fk_ledger_entries_counter_grant_id_credit_grants')),
    sa.ForeignKeyConstraint(['fact_id'], ['payment_facts.id'], name=op.f('fk_ledger_entries_fact_id_payment_facts')),
    sa.ForeignKeyConstraint(['grant_id'], ['credit_grants.id'], name=op.f('fk_ledger_entries_grant_id_credit_grants')),
    sa.ForeignKeyConstraint(['redemption_id'], ['redemptions.id'], name=op.f('fk_ledger_entries_redemption_id_redemptions')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ledger_entries'))
    )
    op.create_index('ix_ledger_entries_grant_id', 'ledger_entries', ['grant_id'], unique=False)
    op.create_index('ix_ledger_entries_redemption_id', 'ledger_entries', ['redemption_id'], unique=False, postgresql_where=sa.text('redemption_id IS NOT NULL'))
    op.execute(
        """
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is append-only: % refused; corrections are new rows', TG_TABLE_NAME, TG_OP
                USING ERRCODE = 'restrict_violation';
        END $$
        """
    )
    for table in ("payment_facts", "ledger_entries"):
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    op.execute(
        "CREATE TRIGGER definition BEFORE DELETE OR TRUNCATE"
        " OR UPDATE OF id, payment_id, member_id, item_id, quantity, effective_at, recorded_at ON credit_grants"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
