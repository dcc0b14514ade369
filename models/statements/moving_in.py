"""What is left after moving in: references that no payment has named, and memberships without one. Read only.

Both are of memberships that go on, of members who are neither erased nor test members. Payments that no membership has
are in review (`models/payments/reviewing.py`).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.members.awaiting import COUNTS
from models.members.settling_again import payments_of
from models.payments import reviewing
from models.payments.reviews import ReviewReason
from models.staff import theirs
from models.staff.theirs import Clubs


class Counts(NamedTuple):
    """How much is left of each; nothing where all are 0."""

    references: int
    """Billing references that nothing has named."""
    unmatched: int
    """Payments that no membership has yet."""
    memberships: int
    """Memberships without a billing reference."""


class Reference(NamedTuple):
    """A billing reference."""

    endpoint: str
    reference: str
    known_since: datetime


class Unheard(NamedTuple):
    """A membership with those of its billing references that no payment and no other fact has named."""

    membership_id: int
    member_id: int
    member: str
    offer: str
    club: str
    references: Sequence[Reference]


class Unbilled(NamedTuple):
    """A membership without a billing reference: no payment can find it."""

    membership_id: int
    member_id: int
    member: str
    offer: str
    club: str
    joined_at: datetime


_GOES_ON = f"""
    {COUNTS} AND NOT EXISTS (
        SELECT FROM life_in_force a JOIN clubs c ON c.id = m.club_id
        WHERE a.membership_id = m.id AND a.kind = 'end'
          AND a.last_day < CAST(CAST(:now AS timestamptz) AT TIME ZONE c.time_zone AS date)
    ) AND {theirs.membership("m.id")}
"""

# A payment that names the reference is matched to its membership; its other facts are kept under its own name
# (announcements, replacements), or as a failure. The first one that is found is enough.
_UNHEARD = f"""
    FROM billing_references b
    JOIN memberships m ON m.id = b.membership_id
    JOIN members n ON n.id = m.member_id
    WHERE {_GOES_ON}
      AND NOT EXISTS (SELECT FROM payments p WHERE (p.endpoint, p.reference) = (b.endpoint, b.reference))
      AND NOT EXISTS (SELECT FROM failed_dues d WHERE (d.endpoint, d.reference) = (b.endpoint, b.reference))
      AND NOT EXISTS (
          SELECT FROM (
              {payments_of("m.id")}
          ) its
          JOIN payments part ON part.root_id = its.id AND part.endpoint = b.endpoint
          JOIN payment_facts f ON f.payment_id = part.id
          WHERE b.reference = ANY(f.billing_references) OR jsonb_exists(f.shape -> 'payer', b.reference)
             OR jsonb_path_exists(f.shape, '$.lines[*][0][*] ? (@ == $it)', jsonb_build_object('it', b.reference))
      )
"""

_UNBILLED = f"""
    FROM memberships m JOIN members n ON n.id = m.member_id
    WHERE {_GOES_ON} AND NOT EXISTS (SELECT FROM billing_references b WHERE b.membership_id = m.id)
"""

_COUNTS = text(f"SELECT (SELECT count(*) {_UNHEARD}) AS references, (SELECT count(*) {_UNBILLED}) AS memberships")

_NAMED = """
    SELECT found.membership_id, n.id, n.name, o.name, c.name, {more}
    FROM ({found}) found
    JOIN memberships m ON m.id = found.membership_id
    JOIN members n ON n.id = m.member_id
    JOIN clubs c ON c.id = m.club_id
    JOIN payment_terms t ON t.id = (
        SELECT v.payment_term_id FROM membership_terms v WHERE v.membership_id = m.id
        ORDER BY v.since > :now, v.since DESC, v.id DESC LIMIT 1
    )
    JOIN offers o ON o.id = t.offer_id
    ORDER BY found.membership_id
"""

_UNHEARD_PAGE = text(
    _NAMED.format(
        more="found.named",
        found=f"""
            SELECT b.membership_id,
                   json_agg(json_build_array(b.endpoint, b.reference, b.recorded_at) ORDER BY b.endpoint, b.reference)
                       AS named
            {_UNHEARD} AND b.membership_id > :after
            GROUP BY b.membership_id ORDER BY b.membership_id LIMIT :limit
        """,
    )
)

_UNBILLED_PAGE = text(
    _NAMED.format(
        more="m.recorded_at",
        found=f"SELECT m.id AS membership_id {_UNBILLED} AND m.id > :after ORDER BY m.id LIMIT :limit",
    )
)


def counts(session: Session, now: datetime, club_ids: Clubs = None) -> Counts:
    """How many of each are left, of these clubs."""
    row = session.execute(_COUNTS, {"now": now, "clubs": theirs.written(club_ids)}).one()
    unmatched = reviewing.counts(session, club_ids=club_ids).by_reason.get(ReviewReason.UNMATCHED, 0)
    return Counts(row.references, unmatched, row.memberships)


_ANYBODY = text(f"""
    SELECT EXISTS (SELECT FROM memberships m JOIN members n ON n.id = m.member_id
                   WHERE {COUNTS} AND {theirs.membership("m.id")})
""")


def anybody(session: Session, club_ids: Clubs = None) -> bool:
    """Whether there is any membership of these clubs; before, that nothing is left says nothing."""
    found: bool = session.scalars(_ANYBODY, {"clubs": theirs.written(club_ids)}).one()
    return found


def unheard(
    session: Session, now: datetime, *, limit: int, after: int | None = None, club_ids: Clubs = None
) -> Sequence[Unheard]:
    """Up to `limit` memberships with references that nothing has named, by their ids, from those after that one."""
    asked = {"now": now, "limit": limit, "after": after or 0, "clubs": theirs.written(club_ids)}
    rows = session.execute(_UNHEARD_PAGE, asked)
    return [
        Unheard._make([*row, [Reference(endpoint, name, datetime.fromisoformat(at)) for endpoint, name, at in named]])
        for *row, named in rows
    ]


def unbilled(
    session: Session, now: datetime, *, limit: int, after: int | None = None, club_ids: Clubs = None
) -> Sequence[Unbilled]:
    """Up to `limit` memberships without a billing reference, by their ids, from those after that one."""
    asked = {"now": now, "limit": limit, "after": after or 0, "clubs": theirs.written(club_ids)}
    return [Unbilled(*row) for row in session.execute(_UNBILLED_PAGE, asked)]
