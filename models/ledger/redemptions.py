"""Redemptions and returns of sessions, each once per idempotency key.

A redemption may say its occasion, and be dated back to when it happened.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import CheckConstraint, ForeignKey, Index, ScalarSelect, String, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.catalogue.items import Item
from models.database.arrays import array
from models.database.base import Base, Id, RecordedAt
from models.errors import KeyReused, NotFound, NothingToReturn, NotPositive
from models.ledger import entries, occasions
from models.ledger.burn_order import Draw
from models.ledger.entries import Move
from models.ledger.kinds import EntryKind
from models.ledger.occasions import LENGTHS, Occasion
from models.members import overdue
from models.members.clocks import clock_of
from models.members.memberships import lock_member
from models.staff import actions
from models.staff.actions import Actor
from models.wording import counted
from runtime.language import say


class Redemption(Base):
    """One use of sessions or, with `undoes`, the return of one."""

    __tablename__ = "redemptions"
    __table_args__ = (
        CheckConstraint("quantity > 0", "quantity_positive"),
        CheckConstraint(
            "undoes IS NULL OR num_nonnulls(club_id, class_reference, class_name, trainer, note) = 0",
            "occasion_of_a_use",
        ),
        Index("ix_redemptions_undoes", "undoes", postgresql_where=text("undoes IS NOT NULL")),
        Index("ix_redemptions_club_id", "club_id", postgresql_where=text("club_id IS NOT NULL")),
        Index(
            "ix_redemptions_class_reference", "class_reference", postgresql_where=text("class_reference IS NOT NULL")
        ),
    )

    id: Mapped[Id]
    idempotency_key: Mapped[str] = mapped_column(String(255), unique=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    """The id that was asked for; it stays when that member is merged."""
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    quantity: Mapped[int]
    undoes: Mapped[int | None] = mapped_column(ForeignKey("redemptions.id"))
    occurred_at: Mapped[datetime]
    recorded_at: Mapped[RecordedAt]
    club_id: Mapped[int | None] = mapped_column(ForeignKey("clubs.id"))
    """The club where it was; like all that follows, None if it was not recorded."""
    class_reference: Mapped[str | None] = mapped_column(String(LENGTHS["class_reference"]))
    """The class as the gym's scheduler calls it."""
    class_name: Mapped[str | None] = mapped_column(String(LENGTHS["class_name"]))
    trainer: Mapped[str | None] = mapped_column(String(LENGTHS["trainer"]))
    note: Mapped[str | None] = mapped_column(String(LENGTHS["note"]))


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a redemption or return: its id, and the sessions moved on each grant."""

    redemption_id: int
    draws: list[Draw]
    repeated: bool = field(default=False, compare=False)
    """An earlier call with the same key did it."""


def redeem(
    session: Session, *, member_id: int, item_id: int, quantity: int, key: str, by: Actor, now: datetime,
    occasion: Occasion = occasions.NOT_SAID, back: timedelta = occasions.DESK_BACK,
    override_reason: str | None = None,
) -> Answer:  # fmt: skip
    """Take sessions from the member's usable grants, in burn order.

    Dated back, by `back` at most, it takes sessions that were usable when it happened and have not expired since. With
    a club, it takes sessions that are good there.
    The same key with the same content, occasion included, returns the first answer again; the moment counts only where
    it is given. Where a club lets nobody use sessions of a membership whose dues are overdue, the override's reason
    lets them be used; the act has it. Raises NotFound, MemberErased, TextTooLong, InFuture, TooFarBack, KeyReused for
    other content, TooFewSessions, MembershipFrozen, OverdueSessions or NotAtThisClub (nothing is taken), NotPositive.
    """
    why = actions.reason_given(override_reason, "override_reason") if override_reason else None
    if quantity < 1:
        raise NotPositive(what="Quantity", value=quantity)
    if session.get(Item, item_id) is None:
        raise NotFound(field="item_id", what="item", name=item_id)
    with session.begin_nested():
        member = lock_member(session, member_id)
        owner, now = member.id, member.clock(now)
        occasion = occasions.kept(session, occasion)
        at = occasion.occurred_at or now
        content = {"member_id": member_id, "item_id": item_id, "quantity": quantity, "undoes": None, **occasion.details}
        redemption_id, first = _begin(session, key, content, at, is_dated=occasion.occurred_at is not None)
        if not first:
            return _first_answer(session, redemption_id)
        occasions.check_moment(at, now=now, back=back)
        late = overdue.refusing(overdue.of_members(session, [owner]), now)
        draws = entries.draw(
            session, member_id=owner, item_id=item_id, quantity=quantity, now=now, at=min(at, now),
            withheld=() if why else late, club_id=occasion.club_id,
        )  # fmt: skip
        subject = f"{quantity} {session.get_one(Item, item_id).name}, redemption {redemption_id}"
        if occasion.occurred_at:
            subject += f", dated {at:%Y-%m-%d %H:%M} UTC"
        if why and late:
            subject += f", though dues are overdue since {late[0].day}"
        reason = "; ".join(filter(None, [why, occasion.note])) or None
        act = actions.log(session, by, "redeem", subject, member_id=owner, reason=reason)
        kind = EntryKind.REDEMPTION
        entries.post(
            session,
            [Move(grant, kind, -taken, at, redemption_id=redemption_id, action_id=act) for grant, taken in draws],
        )
        return Answer(redemption_id, draws)


_DRAWN = text("""
    SELECT e.grant_id, -sum(e.quantity) AS left
    FROM ledger_entries e
    JOIN redemptions r ON r.id = e.redemption_id
    WHERE r.id = :redemption OR r.undoes = :redemption
    GROUP BY e.grant_id
    HAVING sum(e.quantity) < 0
    ORDER BY min(e.id) DESC
""")

_LOCK_GRANTS = text("""
    SELECT id, shortfall FROM credit_grants WHERE id = ANY(CAST(:ids AS bigint[])) ORDER BY id FOR UPDATE
""")


def give_back(
    session: Session, *, redemption_id: int, key: str, by: Actor, now: datetime, quantity: int | None = None
) -> Answer:
    """Return sessions of a redemption to the grants they came from; by default all that were not returned yet.

    The grant drawn on last gets its sessions first. If a grant's payment has been reversed since, a returned session
    repays its shortfall. Keys work as in `redeem`. Raises NotFound, MemberErased, NothingToReturn,
    KeyReused, NotPositive.
    """
    if quantity is not None and quantity < 1:
        raise NotPositive(what="Quantity", value=quantity)
    with session.begin_nested():
        # Serializes concurrent returns of one redemption.
        origin = session.get(Redemption, redemption_id, with_for_update=True)
        if origin is None or origin.undoes is not None:
            raise NotFound(what="redemption", name=redemption_id)
        lock_member(session, origin.member_id, field=None)
        now = clock_of(session, origin.member_id, now)
        known = session.scalar(select(Redemption).where(Redemption.idempotency_key == key))
        drawn = [Draw(*row) for row in session.execute(_DRAWN, {"redemption": redemption_id})]
        left = sum(grant.quantity for grant in drawn)
        asked = quantity or (known.quantity if known else left)
        if known is None and not 0 < asked <= left:
            sessions = counted(asked, "session") if asked else say("Further sessions")
            raise NothingToReturn(asked=asked, redemption=redemption_id, left=left, words={"sessions": sessions})
        content = {"member_id": origin.member_id, "item_id": origin.item_id, "quantity": asked, "undoes": redemption_id}
        return_id, first = _begin(session, key, content, now)
        if not first:
            return _first_answer(session, return_id)
        draws = []
        for grant, most in drawn:
            if asked:
                draws.append(Draw(grant, min(asked, most)))
                asked -= draws[-1].quantity
        locked = session.execute(_LOCK_GRANTS, {"ids": array(grant for grant, _ in draws)})
        shortfalls = {row.id: row.shortfall for row in locked}
        given = f"{sum(draw.quantity for draw in draws)} {session.get_one(Item, origin.item_id).name}"
        subject = f"{given}, return {return_id} of redemption {redemption_id}"
        act = actions.log(session, by, "give back", subject, member_id=origin.member_id)
        moves = []
        for grant, returned in draws:
            moves.append(Move(grant, EntryKind.RETURN, returned, now, redemption_id=return_id, action_id=act))
            if owed := min(returned, shortfalls[grant]):
                kind = EntryKind.DEBT_REPAYMENT
                repayment = Move(grant, kind, -owed, now, shortfall=-owed, action_id=act, counter_grant_id=grant)
                moves.append(repayment._replace(note="returned to a grant whose payment was reversed"))
        entries.post(session, moves)
        return Answer(return_id, draws)


def _begin(
    session: Session, key: str, content: Mapping[str, object], at: datetime, *, is_dated: bool = False
) -> tuple[int, bool]:
    """The id under this key, and whether this is the first time. Raises KeyReused."""
    new = insert(Redemption).values(idempotency_key=key, occurred_at=at, **content)
    redemption_id = session.scalar(new.on_conflict_do_nothing().returning(Redemption.id))
    if redemption_id is not None:
        return redemption_id, True
    known = session.scalars(select(Redemption).where(Redemption.idempotency_key == key)).one()
    if is_dated:
        content = {**content, "occurred_at": at}
    if any(getattr(known, name) != value for name, value in content.items()):
        raise KeyReused(key=key)
    return known.id, False


_ANSWERED = text("""
    SELECT grant_id, abs(quantity) FROM ledger_entries
    WHERE redemption_id = :redemption
    ORDER BY id
""")


def _first_answer(session: Session, redemption_id: int) -> Answer:
    drawn = session.execute(_ANSWERED, {"redemption": redemption_id})
    return Answer(redemption_id, [Draw(*row) for row in drawn], repeated=True)


def id_made_with(key: str) -> ScalarSelect[int]:
    """The id of the redemption that was made with this idempotency key, or whose return was."""
    made = select(func.coalesce(Redemption.undoes, Redemption.id)).where(Redemption.idempotency_key == key)
    return made.scalar_subquery()


_IS_OF = text("""
    SELECT EXISTS (
        SELECT FROM ledger_entries e JOIN credit_grants g ON g.id = e.grant_id
        WHERE e.redemption_id = :redemption AND g.member_id = :member
    )
""")


def is_of(session: Session, redemption_id: int, member_id: int) -> bool:
    """Whether the redemption took sessions of this member, whoever's they were when it was made."""
    return bool(session.scalar(_IS_OF, {"redemption": redemption_id, "member": member_id}))


_RETURNABLE = text("""
    SELECT coalesce(r.undoes, r.id) AS redemption, -sum(e.quantity) AS left
    FROM redemptions r
    JOIN ledger_entries e ON e.redemption_id = r.id
    WHERE r.id = ANY(CAST(:ids AS bigint[])) OR r.undoes = ANY(CAST(:ids AS bigint[]))
    GROUP BY 1
    HAVING sum(e.quantity) < 0
""")


def returnable(session: Session, redemption_ids: Collection[int]) -> dict[int, int]:
    """How many sessions of each of these redemptions can still be returned; redemptions with none are left out."""
    return {row.redemption: row.left for row in session.execute(_RETURNABLE, {"ids": array(redemption_ids)})}
