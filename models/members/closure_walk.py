"""The walk of a closure: which grants it reaches, and up to which one they are settled again. Main verb: `advance`.

A closure of a club may reach more grants than one transaction should settle. Recording it, a change of it or its
undoing leaves a cursor, and the worker's sweep settles a batch of payments per transaction until the cursor is at its
end. What is credited meanwhile is settled by the new rules anyway, so the walk ends at the last grant of before.
"""

from collections.abc import Collection

from sqlalchemy import BigInteger, ForeignKey, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.database import locks
from models.database.arrays import array
from models.database.base import Base

BATCH = 1000
"""So many grants are settled in one transaction: of about half as many payments."""
WINDOW = 2 * BATCH
"""So many ids of grants, of any club, are looked at in one transaction."""


class ClosureWalk(Base):
    """A walk that is under way; its row goes when it is at its end."""

    __tablename__ = "closure_walks"

    act_id: Mapped[int] = mapped_column(ForeignKey("life_acts.id"), primary_key=True, autoincrement=False)
    """The version of the closure."""
    done_to: Mapped[int] = mapped_column(BigInteger)
    """The last grant that was settled."""
    up_to: Mapped[int] = mapped_column(BigInteger)
    """The last grant of the walk."""


_BEGIN = text("""
    WITH earlier AS (
        DELETE FROM closure_walks WHERE act_id = CAST(:replaced AS bigint)
    )
    INSERT INTO closure_walks (act_id, done_to, up_to)
    SELECT :act, 0, last FROM (SELECT max(id) AS last FROM credit_grants) g WHERE last IS NOT NULL
""")


def begin(session: Session, act_id: int, replaced: int | None) -> None:
    """Let the sweep settle all that this version of a closure reaches. The caller holds `locks.change`.

    The walk takes the place of that of the version that it replaces, and starts again at the first grant.
    """
    session.execute(_BEGIN, {"act": act_id, "replaced": replaced})


# The view finds the club of when a grant was paid for; most memberships never had another one.
REACHED = """
    JOIN items i ON a.scope IN ('all', i.session_type)
    JOIN clubs c ON c.id = a.club_id
    JOIN credit_grants g ON g.item_id = i.id
        AND g.expires_at > CAST(a.first_day AS timestamp) AT TIME ZONE c.time_zone
    JOIN memberships m ON m.id = g.membership_id AND a.club_id = CASE
        WHEN EXISTS (SELECT FROM earlier_clubs e WHERE e.membership_id = m.id)
        THEN (SELECT paid.club_id FROM grant_clubs paid WHERE paid.grant_id = g.id) ELSE m.club_id END
"""
"""SQL: the grants `g` that a closure `a` can move: those of its club, at the time of their payment, that can be used on
its first day or later."""

_OPEN = text("SELECT act_id, done_to, up_to FROM closure_walks ORDER BY act_id LIMIT 1 FOR UPDATE SKIP LOCKED")
_NEXT = text(f"""
    SELECT found.id, p.root_id
    FROM (
        SELECT g.id, g.payment_id FROM life_acts a {REACHED}
        WHERE a.id = :act AND g.id > :after AND g.id <= :last ORDER BY g.id LIMIT :limit
    ) found JOIN payments p ON p.id = found.payment_id
    ORDER BY found.id
""")
_MOVE = text("UPDATE closure_walks SET done_to = :done_to WHERE act_id = :act")
_END = text("DELETE FROM closure_walks WHERE act_id = :act")


def advance(session: Session, *, limit: int = BATCH) -> set[int] | None:
    """Move the cursor of a walk over its next grants. Returns their payments, for the caller to settle and commit.

    Returns None if no walk is under way, or other workers have locked all of them.
    """
    locks.settle(session)  # first, as recording an act does: it removes the walk that it replaces
    walk = session.execute(_OPEN).first()
    if walk is None:
        return None
    last = min(walk.up_to, walk.done_to + WINDOW)
    values = {"act": walk.act_id, "after": walk.done_to, "last": last, "limit": limit}
    found = session.execute(_NEXT, values).all()
    done_to = found[-1].id if len(found) == limit else last
    session.execute(_MOVE if done_to < walk.up_to else _END, {"act": walk.act_id, "done_to": done_to})
    return {row.root_id for row in found}


_LEFT = f"""
    SELECT p.root_id FROM closure_walks w JOIN life_acts a ON a.id = w.act_id {REACHED}
        AND g.id > w.done_to AND g.id <= w.up_to
    JOIN payments p ON p.id = g.payment_id
"""
_AMONG = text(f"{_LEFT} WHERE p.root_id = ANY(CAST(:roots AS bigint[]))")
_WAITING = text(f"SELECT count(*) FROM ({_LEFT} UNION SELECT id FROM payments WHERE settle_again) waiting")


def among(session: Session, roots: Collection[int]) -> set[int]:
    """Those of these payments that a walk has yet to come to."""
    return set(session.scalars(_AMONG, {"roots": array(roots)}))


def waiting(session: Session) -> int:
    """How many payments workers have yet to settle again, after a closure or any other change of the rules."""
    return int(session.scalars(_WAITING).one())
