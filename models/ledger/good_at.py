"""At which clubs grants are good, in SQL."""

from collections.abc import Collection, Mapping

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
"""SQL: whether grant `g` can be used at the club `:club`; without a club, every grant can."""

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


_OF_GRANTS = text("""
    SELECT g.id, array_agg(c.name ORDER BY c.name)
    FROM credit_grants g
    CROSS JOIN LATERAL unnest(coalesce(nullif(g.club_ids, '{}'),
        ARRAY(SELECT home.club_id FROM grant_clubs home WHERE home.grant_id = g.id))) AS good (club_id)
    JOIN clubs c ON c.id = good.club_id
    WHERE g.id = ANY(CAST(:ids AS bigint[])) AND g.club_ids IS NOT NULL
      AND EXISTS (SELECT FROM clubs other WHERE other.id <> c.id)
    GROUP BY g.id
""")


def only_at(session: Session, grant_ids: Collection[int]) -> Mapping[int, str]:
    """By grant that is not good everywhere, where it is: `Downtown and Uptown`. Nothing of a gym with one club."""
    rows = session.execute(_OF_GRANTS, {"ids": array(grant_ids)}) if grant_ids else ()
    return {grant_id: joined(names) for grant_id, names in rows}
