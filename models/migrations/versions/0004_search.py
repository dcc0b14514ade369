"""Finding members by the words of their names and by how their e-mail addresses begin."""

from alembic import op
revision = '0004'
down_revision = '0003'


def upgrade() -> None:
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
