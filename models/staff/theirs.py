"""What people who are bound to clubs see: objects of these clubs. The rule of each kind of object, once.

It is SQL text, so that tables of every part can be named here. In each condition `:clubs` is an array of club ids, or
NULL for somebody who sees all clubs. Tables here have other names than their own, so that a condition can stand in a
query of the same table.
"""

from collections.abc import Collection, Sequence
from enum import StrEnum

from sqlalchemy import ColumnElement, bindparam, text, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from sqlalchemy.sql.expression import TextClause
from sqlalchemy.types import BigInteger

from models.database.arrays import array

Clubs = Sequence[int] | None
"""The clubs that somebody sees; None: all of them."""


def written(clubs: Clubs) -> str | None:
    """The clubs as the parameter `:clubs`."""
    return None if clubs is None else array(clubs)


class Kind(StrEnum):
    """A kind of object that belongs to clubs."""

    MEMBER = "member"
    MEMBERSHIP = "membership"
    CLUB = "club"
    LIFE = "life"
    """A freeze, an end or a closure."""
    PAYMENT = "payment"
    GRANT = "grant"
    ENTRY = "entry"
    REDEMPTION = "redemption"
    ADJUSTMENT = "adjustment"


def _at(which: str) -> str:
    # A scalar subquery is looked up row by row; EXISTS may be hashed, which reads every membership of the clubs.
    return f"""(
        SELECT true FROM memberships own LEFT JOIN earlier_clubs was ON was.membership_id = own.id
        WHERE {which}
          AND (own.club_id = ANY(CAST(:clubs AS bigint[])) OR was.club_id = ANY(CAST(:clubs AS bigint[])))
        LIMIT 1)"""


def membership(membership_id: str) -> str:
    """The membership with this SQL id is, or was, at one of the clubs."""
    return f"(CAST(:clubs AS bigint[]) IS NULL OR {_at(f'own.id = {membership_id}')})"


def member(member_id: str) -> str:
    """The member with this SQL id has or had a membership at one of the clubs, or has none at all."""
    alone = f"""(SELECT true FROM members lone WHERE lone.id = {member_id} AND lone.merged_into IS NULL
        AND NOT EXISTS (SELECT FROM memberships had WHERE had.member_id = lone.id))"""
    return f"(CAST(:clubs AS bigint[]) IS NULL OR {_at(f'own.member_id = {member_id}')} OR {alone})"


def payment(root_id: str) -> str:
    """The payment with this SQL id, of its root, is for a membership of the clubs. One that is nobody's is not."""
    its = f"""own.id IN (SELECT root.membership_id FROM payments root WHERE root.id = {root_id}
        UNION ALL SELECT share.membership_id FROM payment_matches share WHERE share.payment_id = {root_id})"""
    return f"(CAST(:clubs AS bigint[]) IS NULL OR {_at(its)})"


def redemption(redemption_id: str) -> str:
    """The redemption or return with this SQL id is of a member of the clubs."""
    of_member = f"""EXISTS (SELECT FROM ledger_entries e JOIN credit_grants g ON g.id = e.grant_id
        WHERE e.redemption_id = {redemption_id} AND {member("g.member_id")})"""
    return f"(CAST(:clubs AS bigint[]) IS NULL OR {of_member})"


def club(club_id: str) -> str:
    """The club with this SQL id is one of them."""
    return f"(CAST(:clubs AS bigint[]) IS NULL OR {club_id} = ANY(CAST(:clubs AS bigint[])))"


def only(condition: str, clubs: Clubs) -> ColumnElement[bool] | TextClause:
    """A condition of this module for a query; none for somebody who sees all clubs."""
    if clubs is None:
        return true()
    return text(condition).bindparams(bindparam("clubs", list(clubs), ARRAY(BigInteger)))


# A member that was merged is the one that stayed.
_STAYED = """(
    WITH RECURSIVE gone AS (
        SELECT id, merged_into FROM members WHERE id = {id}
        UNION ALL SELECT m.id, m.merged_into FROM gone JOIN members m ON m.id = gone.merged_into
    )
    SELECT id FROM gone WHERE merged_into IS NULL)"""

_RULES = {
    Kind.MEMBER: member(_STAYED.format(id="one.id")),
    Kind.MEMBERSHIP: membership("one.id"),
    Kind.CLUB: club("one.id"),
    Kind.LIFE: f"EXISTS (SELECT FROM life_acts l WHERE l.id = one.id AND CASE WHEN l.club_id IS NULL "
    f"THEN {membership('l.membership_id')} ELSE {club('l.club_id')} END)",
    Kind.PAYMENT: f"EXISTS (SELECT FROM payments p WHERE p.id = one.id AND {payment('p.root_id')})",
    Kind.GRANT: f"EXISTS (SELECT FROM credit_grants g WHERE g.id = one.id AND {member('g.member_id')})",
    Kind.ENTRY: f"EXISTS (SELECT FROM ledger_entries e JOIN credit_grants g ON g.id = e.grant_id "
    f"WHERE e.id = one.id AND {member('g.member_id')})",
    Kind.REDEMPTION: redemption("one.id"),
    Kind.ADJUSTMENT: f"EXISTS (SELECT FROM adjustments a WHERE a.id = one.id "
    f"AND {member(_STAYED.format(id='a.member_id'))})",
}
_OF = {
    kind: text(f"SELECT one.id FROM unnest(CAST(:ids AS bigint[])) AS one (id) WHERE {rule}")
    for kind, rule in _RULES.items()
}


def of(session: Session, kind: Kind, ids: Collection[int], clubs: Clubs) -> set[int]:
    """Those of these objects that somebody with these clubs sees. One statement; none for all clubs."""
    if clubs is None or not ids:
        return set(ids)
    return set(session.scalars(_OF[kind], {"ids": array(ids), "clubs": written(clubs)}))
