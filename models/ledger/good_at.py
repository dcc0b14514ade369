"""At which clubs grants are good, in SQL."""

from collections.abc import Collection

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database.arrays import array
from models.wording import joined

GOOD_THERE = """(
        CAST(:club AS bigint) IS NULL OR g.club_ids IS NULL OR CAST(:club AS bigint) = ANY(g.club_ids)
        OR g.club_ids = '{}' AND NOT EXISTS (
            SELECT FROM grant_clubs home WHERE home.grant_id = g.id AND home.club_id <> CAST(:club AS bigint)
        )
    )"""
"""SQL: whether grant `g` can be used at the club `:club`; where nobody said a club, every grant can."""

_CLUBS = text("""
    SELECT DISTINCT c.name
    FROM credit_grants g
    CROSS JOIN LATERAL unnest(coalesce(nullif(g.club_ids, '{}'),
        ARRAY(SELECT home.club_id FROM grant_clubs home WHERE home.grant_id = g.id))) AS good (club_id)
    JOIN clubs c ON c.id = good.club_id
    WHERE g.id = ANY(CAST(:ids AS bigint[]))
    ORDER BY c.name
""")


def clubs_of(session: Session, grant_ids: Collection[int]) -> str:
    """The clubs where one of these grants is good, none of which is good at every club: `Downtown and Uptown`."""
    return joined(list(session.scalars(_CLUBS, {"ids": array(grant_ids)})))
