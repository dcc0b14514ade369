"""Changes by hand: staff give or take sessions with a reason, and extend grants.

Sessions given are a grant of their own. Like any other grant it first repays an open shortfall of its item. Sessions
taken are drawn in burn order. There is a limit to what one person adjusts of one member in one local day: beyond it,
an adjustment has no effect until a second person approves it.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, Index, String, TextClause, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, joinedload, mapped_column, relationship

from models.catalogue import days
from models.catalogue.items import Item, ItemKind
from models.catalogue.rules import MAX_QUANTITY
from models.database.base import Base, Id, RecordedAt, one_of
from models.errors import (
    DayOver,
    KeyReused,
    NeverExpires,
    NotASessionItem,
    NotFound,
    NothingExpired,
    NotLater,
    NumberTooLarge,
    SamePerson,
    WrongState,
    ZeroQuantity,
)
from models.ledger import clawback, entries, expiry, held_grants
from models.ledger.clawback import Grant
from models.ledger.entries import Move
from models.ledger.kinds import EntryKind
from models.ledger.tables import CreditGrant
from models.members.clocks import clock_of
from models.members.memberships import Member, lock_member, with_merged
from models.staff import actions, theirs
from models.staff.actions import Actor
from models.staff.theirs import Clubs
from runtime.language import say


class AdjustmentReason(StrEnum):
    """The reason for giving or taking sessions by hand."""

    GOODWILL = "goodwill"
    CORRECTION = "correction"
    TRANSFER = "transfer"
    """Sessions that a member brings from another club or system."""
    NO_SHOW = "no_show"
    OTHER = "other"


class Adjustment(Base):
    """Sessions given (plus) or taken (minus) by hand, or the request to do so. The decision is written once."""

    __tablename__ = "adjustments"
    __table_args__ = (
        CheckConstraint("quantity <> 0", "quantity_not_zero"),
        CheckConstraint("quantity > 0 OR expires_at IS NULL", "taken_sessions_have_no_expiry"),
        CheckConstraint(one_of("reason", AdjustmentReason), "reason"),
        CheckConstraint("note <> ''", "note"),
        CheckConstraint(
            "(decided_by IS NULL) = (decided_at IS NULL) AND (decided_by IS NULL) = (approved IS NULL)", "decided_whole"
        ),
        CheckConstraint("NOT needs_second_person OR decided_by <> asked_by OR NOT approved", "second_person"),
        Index("ix_adjustments_waiting", "id", postgresql_where=text("decided_at IS NULL")),
    )

    id: Mapped[Id]
    idempotency_key: Mapped[str] = mapped_column(String(255), unique=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    """The id that was asked for; it stays when that member is merged."""
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    quantity: Mapped[int]
    expires_at: Mapped[datetime | None]
    """Of sessions given; NULL is never."""
    reason: Mapped[str]
    note: Mapped[str] = mapped_column(String(2000))
    needs_second_person: Mapped[bool]
    asked_by: Mapped[str] = mapped_column(String(200))
    asked_at: Mapped[RecordedAt]
    decided_by: Mapped[str | None] = mapped_column(String(200))
    decided_at: Mapped[datetime | None]
    approved: Mapped[bool | None]
    action_id: Mapped[int | None] = mapped_column(ForeignKey("actions.id"), unique=True)
    """The action that applied it."""

    member: Mapped[Member] = relationship()
    item: Mapped[Item] = relationship()

    @property
    def subject(self) -> str:
        """Its description in the action log."""
        return f"adjustment {self.id}: {self.quantity:+d} {self.item.name}"


def adjust(
    session: Session, *, member_id: int, item_id: int, quantity: int, last_day: date | None, reason: AdjustmentReason,
    note: str, alone_up_to: int, key: str, by: Actor, now: datetime,
) -> Adjustment:  # fmt: skip
    """Give (plus) or take (minus) sessions at once, or ask a second person to approve it.

    One person alone may give and take `alone_up_to` sessions of a member in one local day at the member's club, in
    total. Sessions given expire after the local `last_day` there; None is never. The same key with the same content
    changes nothing. Raises ZeroQuantity, NumberTooLarge, ReasonMissing,
    TextTooLong, DayTooFar, DayOver, TooFewSessions, KeyReused, NotFound, MemberErased, NotASessionItem.
    """
    if not quantity:
        raise ZeroQuantity
    if abs(quantity) > MAX_QUANTITY:
        raise NumberTooLarge(field="quantity", what="Sessions", value=abs(quantity), limit=MAX_QUANTITY)
    note = actions.reason_given(note, field="note")
    item = session.get(Item, item_id)
    if item is None:
        raise NotFound(field="item_id", what="item", name=item_id)
    if item.kind != ItemKind.SCHEDULER_BUCKET:
        raise NotASessionItem(item=item.name)
    # Two concurrent adjustments are counted one after the other.
    member = lock_member(session, member_id, alone=True)
    owner, now = member.id, member.clock(now)
    zone = home_zone(session, owner)
    expires_at = expiry.end_of(last_day, zone, now) if last_day and quantity > 0 else None
    content = {
        "member_id": member_id, "item_id": item_id, "quantity": quantity, "expires_at": expires_at,
        "reason": reason.value, "note": note,
    }  # fmt: skip
    with session.begin_nested():
        alone = _alone_today(session, owner, by, zone, now) + abs(quantity)
        needs_second_person = alone > alone_up_to
        new = insert(Adjustment).values(
            idempotency_key=key, asked_by=by.name, asked_at=now, needs_second_person=needs_second_person, **content
        )
        adjustment = session.scalar(new.on_conflict_do_nothing().returning(Adjustment))
        if adjustment is None:
            adjustment = session.scalars(select(Adjustment).where(Adjustment.idempotency_key == key)).one()
            if any(getattr(adjustment, name) != value for name, value in content.items()):
                raise KeyReused(key=key)
        elif needs_second_person:
            _require_future(expires_at, now)
            if quantity < 0:
                entries.draw(session, member_id=owner, item_id=item_id, quantity=-quantity, now=now)
            reason_given = f"{adjustment.reason}: {note}"
            actions.log(session, by, "ask to adjust", adjustment.subject, member_id=owner, reason=reason_given)
        else:
            _apply(session, adjustment, owner, "adjust", by, now)
    return adjustment


_ALONE_TODAY = text("""
    SELECT coalesce(sum(abs(quantity)), 0)::int FROM adjustments
    WHERE member_id = ANY(:members) AND asked_by = :person AND NOT needs_second_person AND asked_at >= :since
""")


def _alone_today(session: Session, member_id: int, by: Actor, time_zone: str, now: datetime) -> int:
    """How many sessions of the member this person has given or taken alone since the local midnight."""
    yesterday = now.astimezone(ZoneInfo(time_zone)).date() - timedelta(days=1)
    since = days.end_of(yesterday, time_zone)
    values = {"members": list(with_merged(session, member_id)), "person": by.name, "since": since}
    alone: int = session.scalars(_ALONE_TODAY, values).one()
    return alone


def decide(session: Session, adjustment_id: int, *, approve: bool, by: Actor, now: datetime) -> Adjustment:
    """Apply an adjustment that waits for a second person, or decline it, which the person who asked may do too.

    Raises NotFound, MemberErased, WrongState if it is decided already, SamePerson, DayOver, TooFewSessions.
    """
    asked = session.get(Adjustment, adjustment_id)
    if asked is None:
        raise NotFound(what="adjustment", name=adjustment_id)
    owner = lock_member(session, asked.member_id, field=None).id if approve else asked.member_id
    now = clock_of(session, owner, now)
    adjustment = session.get_one(Adjustment, adjustment_id, with_for_update=True, populate_existing=True)
    if adjustment.approved is not None:
        who = adjustment.decided_by
        state = say("approved by {who}", who=who) if adjustment.approved else say("declined by {who}", who=who)
        what = say("Adjustment {number}", number=adjustment_id)
        raise WrongState(what=what, state=state, verb="decided again")
    with session.begin_nested():
        if not approve:
            _decided(adjustment, False, by, now)
            actions.log(session, by, "decline", adjustment.subject, member_id=adjustment.member_id)
        elif by.name == adjustment.asked_by:
            raise SamePerson(adjustment=adjustment_id)
        else:
            _apply(session, adjustment, owner, "approve", by, now)
    return adjustment


def may_decline(adjustment: Adjustment, by: Actor, *, is_manager: bool) -> bool:
    """Whether that person may decline it: people below manager only withdraw their own."""
    return is_manager or adjustment.asked_by == by.name


def waiting(session: Session, member_id: int | None = None, club_ids: Clubs = None) -> Sequence[Adjustment]:
    """The adjustments that wait for a second person, the oldest first: all, or one member's."""
    query = select(Adjustment).where(Adjustment.decided_at.is_(None), of_clubs(club_ids)).order_by(Adjustment.id)
    query = query.options(joinedload(Adjustment.member), joinedload(Adjustment.item))
    if member_id is not None:
        query = query.where(Adjustment.member_id.in_(with_merged(session, member_id)))
    return session.scalars(query).all()


def count_waiting(session: Session, club_ids: Clubs = None) -> int:
    """How many adjustments wait for a second person."""
    return (
        session.scalar(select(func.count(Adjustment.id)).where(Adjustment.decided_at.is_(None), of_clubs(club_ids)))
        or 0
    )


def of_clubs(club_ids: Clubs) -> ColumnElement[bool] | TextClause:
    """The condition that an adjustment is of a member of these clubs."""
    return theirs.only(theirs.member("adjustments.member_id"), club_ids)


def _apply(session: Session, adjustment: Adjustment, member_id: int, verb: str, by: Actor, now: datetime) -> None:
    item_id, quantity = adjustment.item_id, adjustment.quantity
    _require_future(adjustment.expires_at, now)
    reason = f"{adjustment.reason}: {adjustment.note}"
    note = reason if adjustment.asked_by == by.name else f"{reason} (asked for by {adjustment.asked_by})"
    act = actions.log(session, by, verb, adjustment.subject, member_id=member_id, reason=note)
    adjustment.action_id = act
    _decided(adjustment, True, by, now)
    if quantity < 0:
        draws = entries.draw(session, member_id=member_id, item_id=item_id, quantity=-quantity, now=now)
        moves = [Move(grant, EntryKind.ADJUSTMENT, -taken, now, action_id=act, note=reason) for grant, taken in draws]
    else:
        debts = held_grants.open_debts(session, member_id, item_id)
        grant_id = entries.add(
            session, member_id=member_id, item_id=item_id, quantity=quantity, expires_at=adjustment.expires_at,
            action_id=act, note=reason, now=now,
        )  # fmt: skip
        grant = Grant(
            grant_id, None, member_id, None, item_id, 0, quantity, quantity, 0, 0, adjustment.expires_at, now, now
        )  # fmt: skip
        moves = list(clawback.repay(grant, quantity, debts, now))
    entries.post(session, moves)
    session.flush()


def _decided(adjustment: Adjustment, approved: bool, by: Actor, now: datetime) -> None:
    adjustment.approved, adjustment.decided_by, adjustment.decided_at = approved, by.name, now


def _require_future(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        raise DayOver


_ZONE_OF_GRANT = text("SELECT time_zone FROM grant_clubs WHERE grant_id = :grant")

_HOME_ZONE = text("""
    SELECT c.time_zone FROM memberships m JOIN clubs c ON c.id = m.club_id
    WHERE m.member_id = :member AND m.withdrawn_at IS NULL ORDER BY m.id DESC LIMIT 1
""")


def home_zone(session: Session, member_id: int) -> str:
    """The time zone of the club of the member's newest membership. Raises NotFound."""
    zone: str | None = session.scalar(_HOME_ZONE, {"member": member_id})
    if zone is None:
        raise NotFound(what="member", name=member_id)
    return zone


def extend(session: Session, grant_id: int, *, last_day: date, reason: str, by: Actor, now: datetime) -> int:
    """Let a grant expire later: after the local `last_day` at the club of its membership.

    Its expired sessions come back, except those that count as reversed; returns how many came back. Raises NotFound,
    MemberErased, ReasonMissing, TextTooLong, NeverExpires, DayOver, NotLater, DayTooFar, or NothingExpired if the grant
    has expired and has no session to bring back.
    """
    reason = actions.reason_given(reason)
    known = session.get(CreditGrant, grant_id)
    if known is None:
        raise NotFound(what="grant", name=grant_id)
    lock_member(session, known.member_id, field=None)
    grant = session.get_one(CreditGrant, grant_id, with_for_update=True, populate_existing=True)
    if grant.expires_at is None:
        raise NeverExpires(grant=grant_id)
    zone, now = session.scalars(_ZONE_OF_GRANT, {"grant": grant_id}).one(), clock_of(session, grant.member_id, now)
    expires_at = expiry.end_of(last_day, zone, now)
    if expires_at <= grant.expires_at:
        raise NotLater(last_day=days.last_day(grant.expires_at, zone))
    _require_future(expires_at, now)
    held = held_grants.with_entries(session, grant_id)
    with session.begin_nested():
        subject = f"grant {grant_id}, to the end of {last_day}"
        act = actions.log(session, by, "extend", subject, member_id=grant.member_id, reason=reason)
        back = list(clawback.bring_back(held, now, action_id=act, note=reason))
        if grant.expires_at <= now and not held.remaining:
            raise NothingExpired(grant=grant_id)
        extension = Move(grant_id, EntryKind.EXTENSION, 0, now, expires_at=expires_at, action_id=act, note=reason)
        entries.post(session, [*back, extension])
    session.refresh(grant)
    return sum(move.quantity for move in back)
