"""The ledger's only writer: makes grants, and posts the entries that move them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.catalogue.clubs import Club
from models.catalogue.days import OPEN
from models.catalogue.items import Item
from models.database.arrays import Batch
from models.errors import MembershipFrozen, NotAtThisClub, OverdueSessions, TooFewSessions
from models.ledger import burn_order, kinds
from models.ledger.burn_order import Draw, UsableGrant
from models.ledger.good_at import GOOD_THERE, clubs_of
from models.ledger.kinds import EntryKind
from models.ledger.tables import CreditGrant
from models.members import lives
from models.members.life import until_words
from models.members.overdue import Overdue
from models.wording import day_of, sessions_of
from runtime.language import say, say_n


class NewGrant(NamedTuple):
    """A grant to make, with the fact that causes it."""

    payment_id: int
    member_id: int
    membership_id: int
    item_id: int
    tranche: int
    quantity: int
    effective_at: datetime
    expires_at: datetime | None
    occurred_at: datetime
    fact_id: int
    note: str | None


class Move(NamedTuple):
    """An entry to post on an existing grant."""

    grant_id: int
    kind: EntryKind
    quantity: int
    occurred_at: datetime
    shortfall: int = 0
    reversed: int = 0
    expires_at: datetime | None = None
    fact_id: int | None = None
    redemption_id: int | None = None
    action_id: int | None = None
    counter_grant_id: int | None = None
    note: str | None = None
    expiry_run_id: int | None = None


_GRANT = Batch(
    """
    WITH new AS (
        SELECT * FROM ROWS
    ), granted AS (
        INSERT INTO credit_grants
            (payment_id, member_id, membership_id, item_id, tranche, first_quantity, quantity, remaining, effective_at,
             expires_at, recorded_at, late_after_s, club_ids)
        SELECT payment_id, member_id, membership_id, item_id, tranche, quantity, quantity, quantity, effective_at,
               expires_at, :recorded_at, :late_after_s, (SELECT club_ids FROM items WHERE id = item_id)
        FROM new
        RETURNING id, payment_id, membership_id, item_id, tranche
    ), entered AS (
        INSERT INTO ledger_entries (grant_id, kind, quantity, expires_at, occurred_at, fact_id, note)
        SELECT granted.id, 'grant', new.quantity, new.expires_at, new.occurred_at, new.fact_id, new.note
        FROM granted JOIN new USING (payment_id, membership_id, item_id, tranche)
    )
    SELECT id, payment_id, membership_id, item_id, tranche FROM granted
    """,
    payment_id="bigint", member_id="bigint", membership_id="bigint", item_id="bigint", tranche="int", quantity="int",
    effective_at="timestamptz", expires_at="timestamptz", occurred_at="timestamptz", fact_id="bigint", note="text",
)  # fmt: skip


def grant(
    session: Session, grants: Sequence[NewGrant], *, recorded_at: datetime, late_after_s: int
) -> dict[tuple[int, int, int, int], int]:
    """Make grants, each with its `grant` entry. Returns their ids by (payment, membership, item, tranche).

    `late_after_s` is after how many seconds crediting counted as late when they were made; 0 is never. A second grant
    for the same four violates a unique constraint.
    """
    when = {"recorded_at": recorded_at, "late_after_s": late_after_s}
    return {tuple(key): grant_id for grant_id, *key in _GRANT.execute(session, grants, **when)}


_POST = Batch(
    f"""
    WITH entered AS (
        INSERT INTO ledger_entries
            (grant_id, kind, quantity, occurred_at, shortfall, reversed, expires_at, fact_id, redemption_id,
             action_id, counter_grant_id, note, expiry_run_id)
        SELECT * FROM ROWS
        RETURNING grant_id, kind, quantity, shortfall, reversed, expires_at
    ), moved AS (
        SELECT grant_id, sum(quantity) AS quantity,
               coalesce(sum(quantity) FILTER (WHERE {kinds.OPENS}), 0) AS opened, sum(shortfall) AS shortfall,
               sum(reversed) AS reversed, max(expires_at) FILTER (WHERE {kinds.EXTENDS}) AS expires_at,
               bool_or({kinds.EXTENDS}) AS extended
        FROM entered e GROUP BY grant_id
    )
    UPDATE credit_grants g
    SET quantity = g.quantity + moved.opened, remaining = g.remaining + moved.quantity,
        shortfall = g.shortfall + moved.shortfall,
        reversed = g.reversed + moved.reversed,
        expires_at = CASE WHEN moved.extended THEN moved.expires_at ELSE g.expires_at END
    FROM moved WHERE g.id = moved.grant_id
    """,
    grant_id="bigint", kind="text", quantity="int", occurred_at="timestamptz", shortfall="int", reversed="int",
    expires_at="timestamptz", fact_id="bigint", redemption_id="bigint", action_id="bigint", counter_grant_id="bigint",
    note="text", expiry_run_id="bigint",
)  # fmt: skip


def post(session: Session, moves: Sequence[Move]) -> None:
    """Write entries and move their grants, which the caller has locked.

    At most one extension per grant.
    """
    if moves:
        _POST.execute(session, moves)


def add(
    session: Session, *, member_id: int, item_id: int, quantity: int, expires_at: datetime | None, action_id: int,
    note: str | None, now: datetime,
) -> int:  # fmt: skip
    """Make a grant by hand, with the `adjustment` entry that fills it. Returns its id."""
    new = insert(CreditGrant).values(
        action_id=action_id, member_id=member_id, item_id=item_id, first_quantity=quantity, quantity=0, remaining=0,
        effective_at=now, expires_at=expires_at, recorded_at=now,
        club_ids=select(Item.club_ids).where(Item.id == item_id).scalar_subquery(),
    )  # fmt: skip
    grant = session.scalars(new.returning(CreditGrant.id)).one()
    kind = EntryKind.ADJUSTMENT
    post(session, [Move(grant, kind, quantity, now, expires_at=expires_at, action_id=action_id, note=note)])
    return grant


class Opening(NamedTuple):
    """Sessions that a member brings along: how many there were, and how many of them were used before."""

    number: int
    """The caller's own, by which it finds the grant."""
    member_id: int
    item_id: int
    quantity: int
    used: int
    effective_at: datetime | None
    """None is at once."""
    expires_at: datetime | None
    note: str


_OPEN = Batch(
    """
    WITH new AS MATERIALIZED (
        SELECT * FROM ROWS
    ), granted AS (
        INSERT INTO credit_grants
            (action_id, member_id, item_id, first_quantity, quantity, remaining, effective_at, expires_at, recorded_at,
             club_ids)
        SELECT :action_id, member_id, item_id, quantity, quantity, quantity - used,
               coalesce(effective_at, :now), expires_at, :now, (SELECT club_ids FROM items WHERE id = item_id)
        FROM new ORDER BY number
        RETURNING id, member_id, item_id, effective_at, expires_at
    ), opened AS MATERIALIZED (
        SELECT granted.id AS grant_id, new.*
        FROM granted JOIN new ON (granted.member_id, granted.item_id) = (new.member_id, new.item_id)
            AND granted.expires_at IS NOT DISTINCT FROM new.expires_at
            AND granted.effective_at = coalesce(new.effective_at, :now)
    ), entered AS (
        INSERT INTO ledger_entries (grant_id, kind, quantity, expires_at, occurred_at, action_id, note)
        SELECT grant_id, 'adjustment', moved, until, :now, :action_id, note
        FROM (
            SELECT number, 1 AS place, grant_id, quantity AS moved, expires_at AS until, note FROM opened
            UNION ALL SELECT number, 2, grant_id, -used, NULL, :used_before FROM opened WHERE used > 0
        ) moves ORDER BY number, place
    )
    SELECT number, grant_id FROM opened
    """,
    number="int", member_id="bigint", item_id="bigint", quantity="int", used="int", effective_at="timestamptz",
    expires_at="timestamptz", note="text",
)  # fmt: skip


def open_balances(
    session: Session, openings: Sequence[Opening], *, action_id: int, used_before: str, now: datetime
) -> dict[int, int]:
    """Make grants of what members bring along: an `adjustment` of all, and one that takes what was used before.

    `used_before` is the note of the latter. One grant for each member, item, beginning and expiry. Returns the grants'
    ids by the caller's numbers.
    """
    values = {"action_id": action_id, "used_before": used_before, "now": now}
    return dict(_OPEN.execute(session, openings, **values).all())


def _frozen_to(freezes: str, at: str) -> str:
    # Freezes that overlap or follow each other are one range: it can be used again on the day after it.
    return f"""(
        SELECT coalesce(upper(days) - 1, '9999-12-31') FROM (
            SELECT f.time_zone, unnest(range_agg(daterange(f.first_day, f.last_day, '[]'))) AS days
            FROM {freezes} f WHERE f.membership_id = g.membership_id AND NOT f.use_while_frozen
            GROUP BY f.time_zone
        ) frozen WHERE days @> CAST(CAST({at} AS timestamptz) AT TIME ZONE time_zone AS date)
    )"""


FROZEN_TO = _frozen_to("frozen_memberships", ":at")
"""SQL: the last frozen local day of grant `g`, if it is frozen at that moment; NULL if it can be used."""
FROZEN_TO_NOW = _frozen_to("frozen_memberships", ":now")
FROZEN_TO_AS_OF = _frozen_to(
    f"""(
                SELECT a.membership_id, a.first_day, a.last_day, c.time_zone, c.use_while_frozen
                FROM {lives.AS_OF} a JOIN memberships m ON m.id = a.membership_id JOIN clubs c ON c.id = m.club_id
                WHERE a.kind = 'freeze'
            )""",
    ":now",
)
"""The same by the freezes that were known at that moment."""

_USABLE = text(f"""
    SELECT id, remaining, effective_at, expires_at, payment_id IS NOT NULL AS paid_for, membership_id,
           {FROZEN_TO} AS frozen_to, {GOOD_THERE} AS good_there
    FROM credit_grants g
    WHERE member_id = :member AND item_id = :item AND remaining > 0
      AND effective_at <= :at AND (expires_at IS NULL OR :now < expires_at)
    ORDER BY id
    FOR UPDATE OF g
""")

_COMING = text("""
    SELECT CAST(coalesce(sum(g.remaining), 0) AS bigint),
           min(CAST(g.effective_at AT TIME ZONE c.time_zone AS date)), min(g.effective_at) <= :now
    FROM credit_grants g JOIN grant_clubs c ON c.grant_id = g.id
    WHERE g.member_id = :member AND g.item_id = :item AND g.remaining > 0 AND g.effective_at > :at
""")


def draw(
    session: Session, *, member_id: int, item_id: int, quantity: int, now: datetime, at: datetime | None = None,
    withheld: Sequence[Overdue] = (), club_id: int | None = None,
) -> list[Draw]:  # fmt: skip
    """What to take from each of the member's usable grants, in burn order. Locks the grants.

    With `at`, for a use at that earlier moment: of the grants that were usable then and have not expired since. With a
    club, for a use there: of the grants that are good there. Sessions that are coming or frozen are not drawn, nor are
    those of the memberships in `withheld`. Raises MembershipFrozen, OverdueSessions or NotAtThisClub if there were
    enough with them, and else TooFewSessions, which says how many are coming and from when.
    """
    wanted = {"member": member_id, "item": item_id, "now": now, "at": at or now, "club": club_id}
    every = session.execute(_USABLE, wanted).all()
    rows, away = ([row for row in every if row.good_there is good] for good in (True, False))
    grants = [UsableGrant(*row) for *row, frozen_to, _ in rows if frozen_to is None]
    late = {one.membership_id: one for one in withheld}
    free = [grant for grant in grants if grant.membership_id not in late]
    draws = burn_order.draw(free, quantity)
    if draws is not None:
        return draws
    item = session.get_one(Item, item_id).name
    asked: dict[str, Any] = {"asked": quantity, "item": item}
    words = {"sessions": sessions_of(item, quantity)}
    if burn_order.draw(grants, quantity):
        usable, held_back = (sum(grant.remaining for grant in some) for some in (free, set(grants) - set(free)))
        since = min(late[grant.membership_id].day for grant in grants if grant.membership_id in late)
        raise OverdueSessions(**asked, usable=usable, withheld=held_back, since=since, words=words)
    usable = sum(grant.remaining for grant in grants)
    frozen = [(row.remaining, row.frozen_to) for row in rows if row.frozen_to]
    if usable + sum(remaining for remaining, _ in frozen) >= quantity:
        last = min(frozen_to for _, frozen_to in frozen)
        raise MembershipFrozen(item=item, until=None if last == OPEN else last, words={"last": until_words(last)})
    there = sum(grant.remaining for grant in free)
    away = [row for row in away if row.frozen_to is None and row.membership_id not in late]
    if there + (elsewhere := sum(row.remaining for row in away)) >= quantity:
        club, clubs = session.get_one(Club, club_id).name, clubs_of(session, [row.id for row in away])
        words = {"sessions": sessions_of(item, there)}
        raise NotAtThisClub(**asked, usable=there, elsewhere=elsewhere, club=club, clubs=clubs, words=words)
    coming, first, has_come = session.execute(_COMING, wanted).one()
    if first is None:
        raise TooFewSessions(**asked, usable=usable, words=words | {"then": ""})
    day = day_of(first)
    then = (
        say(" at that time (the next came on {day})", day=day)
        if has_come
        else say_n(" ({n} coming, the next on {day})", " ({n} coming, the next on {day})", coming, day=day)
    )
    raise TooFewSessions(**asked, usable=usable, coming=coming, usable_from=first, words=words | {"then": then})


_WRITE_DOWN = """
    WITH expired AS MATERIALIZED (
        {expired}
    ), emptied AS (
        UPDATE credit_grants g SET remaining = 0 FROM expired WHERE g.id = expired.id
    ), counted AS (
        UPDATE expiry_runs r SET grants = r.grants + l.grants, sessions = r.sessions + l.sessions
        FROM (SELECT count(*) AS grants, sum(remaining) AS sessions FROM expired) l
        WHERE r.id = CAST(:run AS bigint) AND l.grants > 0
    )
    INSERT INTO ledger_entries (grant_id, kind, quantity, occurred_at, expiry_run_id)
    SELECT id, 'expiry', -remaining, expires_at, CAST(:run AS bigint) FROM expired
"""

# The index finds them by `as_of`; clock_timestamp() is volatile, so it can only filter, and has the last word.
_EXPIRE = text(_WRITE_DOWN.format(expired="""
    SELECT id, remaining, expires_at FROM credit_grants
    WHERE remaining > 0 AND expires_at <= CAST(:as_of AS timestamptz) AND expires_at <= clock_timestamp()
    ORDER BY expires_at
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
"""))  # fmt: skip

_EXPIRE_TESTS = text(_WRITE_DOWN.format(expired="""
    SELECT g.id, g.remaining, g.expires_at FROM members m JOIN credit_grants g ON g.member_id = m.id
    WHERE m.is_test AND m.id = coalesce(CAST(:member AS bigint), m.id)
      AND g.remaining > 0 AND g.expires_at <= least(CAST(:as_of AS timestamptz), clock_timestamp()) + m.clock_ahead
    FOR UPDATE OF g SKIP LOCKED
"""))  # fmt: skip


def expire(session: Session, *, as_of: datetime, limit: int = 20_000, run_id: int | None = None) -> int:
    """Record the expiry of up to `limit` grants that have expired by `as_of`, as part of that run. Returns how many.

    One entry per grant, dated at its expires_at. Never expires a grant early by the database's clock, whatever `as_of`
    is. Safe to run concurrently and to kill: a grant is either untouched or done. Commit and call again until it
    returns 0.
    """
    return session.connection().execute(_EXPIRE, {"as_of": as_of, "limit": limit, "run": run_id}).rowcount


def expire_tests(session: Session, *, as_of: datetime, member_id: int | None = None) -> int:
    """Record what has expired of test members, each by its own clock: of one of them, or of all. Returns how many.

    As `expire`, but part of no run: a breaker stops what is wrong with the dues of live members.
    """
    values = {"as_of": as_of, "member": member_id, "run": None}
    return session.connection().execute(_EXPIRE_TESTS, values).rowcount
