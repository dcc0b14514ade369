"""The console: staff accounts and tokens, who acted, adjustments, terms that can be moved, finding members."""

import sqlalchemy as sa
from alembic import op
revision = '0003'
down_revision = '0002'


def upgrade() -> None:
    op.create_table(
        'staff',
        sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column('email', sa.String(length=200), nullable=False),
        sa.Column('name', sa.String(length=200), nullable=False),
        sa.Column('role', sa.String(), nullable=False),
        sa.Column('password_hash', sa.String(), nullable=False),
        sa.Column('password_changed_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('recorded_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
        sa.Column('last_login_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('disabled_at', sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("email = lower(email) AND email ~ '^[^@[:space:]]+@[^@[:space:]]+$'", name=op.f('ck_staff_email')),
        sa.CheckConstraint("role IN ('viewer', 'desk', 'manager', 'admin')", name=op.f('ck_staff_role')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_staff')),
        sa.UniqueConstraint('email', name=op.f('uq_staff_email')),
    )
    op.create_table(
        'login_failures',
        sa.Column('key', sa.LargeBinary(), nullable=False),
        sa.Column('failures', sa.Integer(), nullable=False),
        sa.Column('until', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('key', name=op.f('pk_login_failures')),
    )
    op.create_index('ix_login_failures_until', 'login_failures', ['until'])
    op.create_table(
        'api_tokens',
        sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column('staff_id', sa.BigInteger(), nullable=False),
        sa.Column('name', sa.String(length=200), nullable=False),
        sa.Column('scope', sa.String(), nullable=False),
        sa.Column('hash', sa.LargeBinary(), nullable=False),
        sa.Column('start', sa.String(length=12), nullable=False),
        sa.Column('recorded_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
        sa.Column('last_used_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint('length(hash) = 32', name=op.f('ck_api_tokens_hash')),
        sa.CheckConstraint("scope IN ('read', 'write')", name=op.f('ck_api_tokens_scope')),
        sa.ForeignKeyConstraint(['staff_id'], ['staff.id'], name=op.f('fk_api_tokens_staff_id_staff')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_api_tokens')),
        sa.UniqueConstraint('hash', name=op.f('uq_api_tokens_hash')),
    )
    op.create_index('ix_api_tokens_staff_id', 'api_tokens', ['staff_id'])
    _actions_and_adjustments()
    _membership_terms()
    _search()


def _actions_and_adjustments() -> None:
    for column in ('items', 'payment_terms'):
        op.add_column(column, sa.Column('retired_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('actions', sa.Column('origin', sa.String(length=64), nullable=True))
    op.add_column('actions', sa.Column('member_id', sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f('fk_actions_member_id_members'), 'actions', 'members', ['member_id'], ['id'])
    op.create_index('ix_actions_member_id', 'actions', ['member_id'])
    op.create_index('ix_actions_actor_id', 'actions', ['actor', 'id'])
    op.create_index('ix_actions_verb_id', 'actions', ['verb', 'id'])
    op.create_table(
        'adjustments',
        sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column('idempotency_key', sa.String(length=255), nullable=False),
        sa.Column('member_id', sa.BigInteger(), nullable=False),
        sa.Column('item_id', sa.BigInteger(), nullable=False),
        sa.Column('quantity', sa.Integer(), nullable=False),
        sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('reason', sa.String(), nullable=False),
        sa.Column('note', sa.String(length=2000), nullable=False),
        sa.Column('needs_second_person', sa.Boolean(), nullable=False),
        sa.Column('asked_by', sa.String(length=200), nullable=False),
        sa.Column('asked_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
        sa.Column('decided_by', sa.String(length=200), nullable=True),
        sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('approved', sa.Boolean(), nullable=True),
        sa.CheckConstraint('quantity <> 0', name=op.f('ck_adjustments_quantity_not_zero')),
        sa.CheckConstraint('quantity > 0 OR expires_at IS NULL', name=op.f('ck_adjustments_taken_sessions_have_no_expiry')),
        sa.CheckConstraint("reason IN ('goodwill', 'correction', 'transfer', 'no_show', 'other')", name=op.f('ck_adjustments_reason')),
        sa.CheckConstraint("note <> ''", name=op.f('ck_adjustments_note')),
        sa.CheckConstraint('(decided_by IS NULL) = (decided_at IS NULL) AND (decided_by IS NULL) = (approved IS NULL)', name=op.f('ck_adjustments_decided_whole')),
        sa.CheckConstraint('NOT needs_second_person OR decided_by <> asked_by OR NOT approved', name=op.f('ck_adjustments_second_person')),
        sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_adjustments_member_id_members')),
        sa.ForeignKeyConstraint(['item_id'], ['items.id'], name=op.f('fk_adjustments_item_id_items')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_adjustments')),
        sa.UniqueConstraint('idempotency_key', name=op.f('uq_adjustments_idempotency_key')),
    )
    op.create_index('ix_adjustments_member_id', 'adjustments', ['member_id'])
    op.create_index('ix_adjustments_waiting', 'adjustments', ['id'], postgresql_where=sa.text('decided_at IS NULL'))
    op.execute(
        "CREATE TRIGGER definition BEFORE DELETE OR TRUNCATE OR UPDATE OF id, idempotency_key, member_id, item_id,"
        " quantity, expires_at, reason, note, needs_second_person, asked_by, asked_at ON adjustments"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER decided_once BEFORE UPDATE ON adjustments FOR EACH ROW WHEN (OLD.decided_at IS NOT NULL)"
        " EXECUTE FUNCTION refuse_change()"
    )

    op.add_column('ledger_entries', sa.Column('action_id', sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f('fk_ledger_entries_action_id_actions'), 'ledger_entries', 'actions', ['action_id'], ['id'])
    op.execute("ALTER TABLE ledger_entries DISABLE TRIGGER append_only")
    op.execute(
        """
        WITH unnamed AS (
            INSERT INTO actions (actor, verb, subject)
            SELECT 'unknown', 'redeem', 'redemptions and returns of before their actors were written down'
            WHERE EXISTS (SELECT FROM redemptions)
            RETURNING id
        )
        UPDATE ledger_entries SET action_id = unnamed.id FROM unnamed WHERE redemption_id IS NOT NULL
        """
    )
    for name, check in (
        ('caused_by_a_person', "(kind IN ('redemption', 'return', 'adjustment')) <= (action_id IS NOT NULL)"),
        ('cause_of_an_extension', "kind <> 'extension' OR num_nonnulls(fact_id, action_id) = 1"),
        ('adjustments_move', "kind <> 'adjustment' OR quantity <> 0"),
    ):
        op.create_check_constraint(op.f(f'ck_ledger_entries_{name}'), 'ledger_entries', check)
    op.alter_column('credit_grants', 'payment_id', nullable=True)
    op.add_column('credit_grants', sa.Column('action_id', sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f('fk_credit_grants_action_id_actions'), 'credit_grants', 'actions', ['action_id'], ['id'])
    op.create_check_constraint(op.f('ck_credit_grants_one_origin'), 'credit_grants', 'num_nonnulls(payment_id, action_id) = 1')
    op.execute("DROP TRIGGER definition ON credit_grants")
    op.execute(
        "CREATE TRIGGER definition BEFORE DELETE OR TRUNCATE"
        " OR UPDATE OF id, payment_id, action_id, member_id, item_id, quantity, effective_at, recorded_at ON credit_grants"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    # A lot's first expiry stands in its first entry from now on; of those never extended it is known.
    op.execute(
        """
        UPDATE ledger_entries e SET expires_at = g.expires_at FROM credit_grants g
        WHERE e.grant_id = g.id AND e.kind = 'grant' AND g.expires_at IS NOT NULL
          AND NOT EXISTS (SELECT FROM ledger_entries x WHERE x.grant_id = g.id AND x.kind = 'extension')
        """
    )
    op.execute("ALTER TABLE ledger_entries ENABLE TRIGGER append_only")


def _membership_terms() -> None:
    op.add_column('memberships', sa.Column('idempotency_key', sa.String(length=255), nullable=True))
    op.create_unique_constraint(op.f('uq_memberships_idempotency_key'), 'memberships', ['idempotency_key'])
    for column in ('club_id', 'offer_id', 'payment_term_id'):
        op.create_index(f'ix_memberships_{column}', 'memberships', [column])
    op.create_table(
        'membership_terms',
        sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column('membership_id', sa.BigInteger(), nullable=False),
        sa.Column('since', sa.DateTime(timezone=True), nullable=False),
        sa.Column('dues_minor', sa.BigInteger(), nullable=False),
        sa.Column('action_id', sa.BigInteger(), nullable=True),
        sa.Column('recorded_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
        sa.ForeignKeyConstraint(['action_id'], ['actions.id'], name=op.f('fk_membership_terms_action_id_actions')),
        sa.ForeignKeyConstraint(['membership_id'], ['memberships.id'], name=op.f('fk_membership_terms_membership_id_memberships')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_membership_terms')),
    )
    op.execute(
        """
        INSERT INTO membership_terms (membership_id, since, dues_minor, recorded_at)
        SELECT id, recorded_at, dues_minor, recorded_at FROM memberships ORDER BY id
        """
    )
    op.create_index('ix_membership_terms_membership_id_since', 'membership_terms', ['membership_id', 'since'])
    op.drop_column('memberships', 'dues_minor')
    op.add_column('pinned_terms', sa.Column('terms_id', sa.BigInteger(), nullable=True))
    op.execute("UPDATE pinned_terms p SET terms_id = t.id FROM membership_terms t WHERE t.membership_id = p.membership_id")
    op.drop_column('pinned_terms', 'membership_id')  # and with it the primary key
    op.create_primary_key(op.f('pk_pinned_terms'), 'pinned_terms', ['terms_id', 'item_id'])
    op.create_foreign_key(op.f('fk_pinned_terms_terms_id_membership_terms'), 'pinned_terms', 'membership_terms', ['terms_id'], ['id'])
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON membership_terms "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON pinned_terms "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def _search() -> None:
    # Decomposed, so that accents are characters of their own and can go. Punctuation parts words, which keeps the
    # parser from seeing host names and paths in them; O'Brien is found by brien and by obrien.
    op.execute(
        r"""
        CREATE FUNCTION name_words(name text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
            SELECT strip(to_tsvector('pg_catalog.simple', translate(
                plain || ' ' || translate(plain, $p$'’‘`$p$, ''),
                $p$.,;:/\-‐–—_+*&@#()[]<>|!?%="“”'’‘`$p$, repeat(' ', 40))))
            FROM lower(regexp_replace(normalize(name, NFKD), '[\u0300-\u036f]', '', 'g')) AS plain
        $$
        """
    )
    # Sign-ups are few; without the list of what is yet to be put in, no search has to read through it.
    op.execute("CREATE INDEX ix_members_name_words ON members USING gin (name_words(name)) WITH (fastupdate = off)")
    op.execute("CREATE INDEX ix_members_email_prefix ON members (lower(email) text_pattern_ops)")
    op.execute("CREATE INDEX ix_members_name ON members (lower(name), id)")
