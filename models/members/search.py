"""Searching members by a name, an e-mail address, a code, a reference or a key.

Read only. Each kind of search has its index.
"""

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Index, func, select, text
from sqlalchemy.orm import Session, joinedload, selectinload

from models.database.arrays import array
from models.members.lookup import id_given
from models.members.memberships import WITH_PLANS, Member, Membership
from models.staff import theirs
from models.staff.theirs import Clubs
from runtime.language import noted


class Reason(StrEnum):
    """Why a member was found, the surest first."""

    ID = noted("id")
    """Of the member, or of one that was merged into it."""
    CODE = noted("code")
    """Of one of their memberships."""
    BILLING_REFERENCE = noted("billing reference")
    PAYMENT = noted("payment")
    REDEMPTION = noted("redemption")
    """Its idempotency key, or that of its return."""
    EMAIL = noted("e-mail")
    NAME = noted("name")


_BOUGHT = selectinload(Member.memberships).options(WITH_PLANS, joinedload(Membership.club))


class Found(NamedTuple):
    """A member and the surest reason why they were found."""

    member_id: int
    name: str
    email: str
    reason: Reason
    endpoint: str | None
    """The endpoint of the reference, if it was found by one."""


class Waiting(NamedTuple):
    """A payment that no membership has claimed yet, and the billing references by which one could."""

    payment_id: int
    endpoint: str
    payment: str
    billing_references: Sequence[str]


SURE = frozenset({Reason.ID, Reason.CODE, Reason.BILLING_REFERENCE, Reason.PAYMENT, Reason.REDEMPTION})
"""What names one member, and not a beginning of a name or an address: such a search leads straight to its only hit."""

# The words of a name, without case or accents, as the migration's name_words() makes them.
NAME_WORDS = Index(
    "ix_members_name_words", func.name_words(Member.name), postgresql_using="gin", postgresql_with={"fastupdate": "off"}
)
# For prefixes, whatever the database's collation; that of uq_members_email is the database's own.
EMAIL_PREFIX = Index(
    "ix_members_email_prefix", func.lower(Member.email).label("email"), postgresql_ops={"email": "text_pattern_ops"}
)
NAME_ORDER = Index("ix_members_name", func.lower(Member.name), Member.id)

OF_CLUBS = theirs.member("m.id")
"""SQL: whether the member `m` is one of the clubs `:clubs`."""

# References are unique by endpoint, of which there are few: stepping from one to the next finds a
# reference on any of them without a further index on a table that every payment writes to. What is found
# is few: subqueries and LIMIT 1 have it looked up row by row, where a join might be planned to read a table through.
# A short text begins the words of many names: the index of words finds them all, and only so many are put in order.
_SEARCH = text(f"""
    WITH RECURSIVE payment_endpoints AS (
        (SELECT endpoint FROM payments ORDER BY endpoint LIMIT 1)
        UNION ALL
        SELECT (SELECT p.endpoint FROM payments p WHERE p.endpoint > e.endpoint ORDER BY p.endpoint LIMIT 1)
        FROM payment_endpoints e WHERE e.endpoint IS NOT NULL
    ), billing_endpoints AS (
        (SELECT endpoint FROM billing_references ORDER BY endpoint LIMIT 1)
        UNION ALL
        SELECT (SELECT b.endpoint FROM billing_references b WHERE b.endpoint > e.endpoint ORDER BY b.endpoint LIMIT 1)
        FROM billing_endpoints e WHERE e.endpoint IS NOT NULL
    ), named AS MATERIALIZED (
        SELECT CAST(string_agg(quote_literal(lexeme) || ':*', ' & ') AS tsquery) AS words
        FROM unnest(name_words(:text))
    ), found AS (
        SELECT id AS member_id, 0 AS rank, NULL AS endpoint FROM members WHERE id = CAST(:id AS bigint)
        UNION ALL
        SELECT member_id, 1, NULL FROM memberships WHERE code = lower(:text) AND withdrawn_at IS NULL
        UNION ALL
        SELECT (SELECT member_id FROM memberships WHERE id = b.membership_id) AS member_id, 2, b.endpoint
        FROM billing_endpoints e
        CROSS JOIN LATERAL (
            SELECT * FROM billing_references WHERE endpoint = e.endpoint AND reference = :text LIMIT :limit
        ) b
        UNION ALL
        SELECT (SELECT member_id FROM memberships WHERE id = paid_for.membership_id), 3, p.endpoint
        FROM payment_endpoints e
        CROSS JOIN LATERAL (SELECT * FROM payments WHERE endpoint = e.endpoint AND reference = :text LIMIT 1) p
        CROSS JOIN LATERAL (
            SELECT coalesce(root.membership_id, p.membership_id) AS membership_id
            FROM payments root WHERE root.id = p.root_id
            UNION SELECT membership_id FROM payment_matches WHERE payment_id = p.root_id
        ) paid_for
        UNION ALL
        SELECT member_id, 4, NULL FROM redemptions WHERE idempotency_key = :text
        UNION ALL
        (SELECT id, 5, NULL FROM members m
         WHERE lower(email) ~>=~ lower(:text) AND lower(email) ~<~ (lower(:text) || :last)
           AND erased_at IS NULL AND {OF_CLUBS}
         ORDER BY lower(email) USING ~<~ LIMIT :limit)
        UNION ALL
        (SELECT id, 6, NULL FROM members m
         WHERE id = ANY(CAST(:recent AS bigint[])) AND name_words(name) @@ (SELECT words FROM named)
           AND merged_into IS NULL AND erased_at IS NULL)
        UNION ALL
        (SELECT id, 6, NULL
         FROM (
             SELECT id, name FROM members m
             WHERE name_words(name) @@ (SELECT words FROM named) AND merged_into IS NULL AND erased_at IS NULL
               AND {OF_CLUBS}
             LIMIT :ordered
         ) m
         ORDER BY lower(name), id LIMIT :limit)
    ), leads_to AS (
        SELECT member_id, rank, endpoint FROM found
        UNION ALL
        SELECT m.merged_into, l.rank, l.endpoint
        FROM leads_to l CROSS JOIN LATERAL (SELECT merged_into FROM members WHERE id = l.member_id LIMIT 1) m
        WHERE m.merged_into IS NOT NULL
    ), surest AS (
        SELECT DISTINCT ON (member_id) member_id, rank, endpoint FROM leads_to ORDER BY member_id, rank, endpoint
    )
    SELECT m.id, m.name, m.email, s.rank, s.endpoint
    FROM surest s
    CROSS JOIN LATERAL (SELECT * FROM members WHERE id = s.member_id AND merged_into IS NULL LIMIT 1) m
    WHERE {OF_CLUBS}
    ORDER BY s.rank, array_position(CAST(:recent AS bigint[]), m.id),
             CASE s.rank WHEN 6 THEN lower(m.name) ELSE lower(m.email) END, m.id
    LIMIT :limit
""")

_REASONS = dict(enumerate(Reason))
_LAST_CHARACTER = chr(0x10FFFF)
_ORDERED = 5_000
"""Members with such a name that are put in order. More than that are found by a letter or two only."""


def search(
    session: Session, sought: str, limit: int, *, club_ids: Clubs = None, recent: Sequence[int] = ()
) -> Sequence[Found]:
    """Up to `limit` members that the text finds, each once, the surest reason first, of equal ones the `recent` first.

    An id (`12`, `#12`), a membership's code, a billing or payment reference, and the idempotency key of a redemption
    count whole, all but the code as written; an e-mail address by how it begins; a name by how its words begin, in any
    order. Neither case nor, in names, accents matter. The id and the address of a member who was merged lead to the one
    that stayed. Who was erased is found by id and references only. Nothing finds nothing. With `club_ids` only members
    with a membership of one of these clubs are found.
    """
    wanted = sought.replace("\0", "").strip()
    if not wanted:
        return []
    values = {
        "text": wanted, "limit": limit, "last": _LAST_CHARACTER, "id": id_given(wanted), "ordered": _ORDERED,
        "clubs": theirs.written(club_ids), "recent": array(recent),
    }  # fmt: skip
    return [
        Found(member_id, name, email, _REASONS[rank], endpoint)
        for member_id, name, email, rank, endpoint in session.execute(_SEARCH, values)
    ]


# Both are read backwards from an index, and only so far.
_RECENT = text(f"""
    WITH acts AS (
        SELECT 0 AS rank, id, member_id
        FROM (SELECT * FROM actions WHERE actor = :actor ORDER BY id DESC LIMIT 200) own WHERE verb = 'redeem'
        UNION ALL
        SELECT 1, id, member_id FROM (SELECT * FROM actions WHERE verb = 'redeem' ORDER BY id DESC LIMIT 200) latest
    ), latest AS (
        SELECT member_id, min(rank) AS rank, max(id) AS id FROM acts WHERE member_id IS NOT NULL GROUP BY member_id
    )
    SELECT m.id, m.name, m.email
    FROM latest l JOIN members m ON m.id = l.member_id AND m.merged_into IS NULL AND m.erased_at IS NULL
    WHERE {OF_CLUBS}
    ORDER BY l.rank, l.id DESC
    LIMIT :limit
""")


class Recent(NamedTuple):
    """A member who was checked in lately."""

    member_id: int
    name: str
    email: str


def recent(session: Session, *, actor: str, limit: int, club_ids: Clubs = None) -> Sequence[Recent]:
    """Up to `limit` members who used sessions lately: those checked in by this actor first, the latest first."""
    values = {"actor": actor, "limit": limit, "clubs": theirs.written(club_ids)}
    return [Recent(*row) for row in session.execute(_RECENT, values)]


def with_memberships(session: Session, member_ids: Collection[int]) -> dict[int, Member]:
    """These members with what they bought, by id."""
    query = select(Member).where(Member.id.in_(member_ids)).options(_BOUGHT)
    return {member.id: member for member in session.scalars(query)}


# Those that wait are few, and have an index of their own.
_WAITING = text("""
    SELECT p.id, p.endpoint, p.reference, coalesce(p.billing_references, '{}')
    FROM payments p
    WHERE p.state = 'unmatched'
      AND (p.reference = :text OR :text = ANY(p.billing_references)
           OR EXISTS (SELECT FROM payments other WHERE other.root_id = p.id AND other.reference = :text))
    ORDER BY p.id
    LIMIT :limit
""")


def waiting(session: Session, sought: str, limit: int) -> Sequence[Waiting]:
    """Up to `limit` payments that wait for a membership, by one of their own or their billing references."""
    values = {"text": sought.replace("\0", "").strip(), "limit": limit}
    return [Waiting(*row) for row in session.execute(_WAITING, values)]
