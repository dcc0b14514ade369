"""Members, their memberships with the pinned terms, and billing references; signing_up.py makes them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import zip_longest

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, false, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship, selectinload

from models.catalogue.clubs import Club
from models.catalogue.items import Item
from models.catalogue.rules import MAX_DAYS_TO_EXPIRE, MAX_QUANTITY
from models.catalogue.tables import PaymentTerm
from models.catalogue.terms import RULES, FrozenDues, OnEnd, Partial, Release
from models.database import locks
from models.database.base import Base, Currency, Id, MinorUnits, RecordedAt, Reference
from models.database.naming import MAX_NAME_LENGTH, reference_given
from models.errors import (
    LiveEndpoint,
    MemberErased,
    NotFound,
    ReferenceTaken,
)
from models.staff import actions
from models.staff.actions import Actor

MAX_EMAIL_LENGTH = 320
CODE = "m_[a-z2-7]{16}"
"""The form of a membership's code."""


class Member(Base):
    """A person, found by an e-mail address in any case. Several may share one, where staff confirmed it."""

    __tablename__ = "members"
    __table_args__ = (
        Index("uq_members_email", text("lower(email)"), unique=True, postgresql_where=text("NOT shares_email")),
        Index("ix_members_merged_into", "merged_into", postgresql_where=text("merged_into IS NOT NULL")),
        CheckConstraint("email ~ '^[^@[:space:]]+@[^@[:space:]]+$'", "email"),
        Index("ix_members_is_test", "id", postgresql_where=text("is_test")),
        CheckConstraint(
            "clock_ahead BETWEEN '0' AND interval '1830 days' AND (is_test OR clock_ahead = '0')", "clock_ahead"
        ),
        CheckConstraint("(merged_into IS NULL) = (merged_at IS NULL) AND merged_into <> id", "merged"),
    )

    id: Mapped[Id]
    email: Mapped[str] = mapped_column(String(MAX_EMAIL_LENGTH))
    name: Mapped[str] = mapped_column(String(MAX_NAME_LENGTH))
    shares_email: Mapped[bool] = mapped_column(server_default=false())
    """Whether somebody said that this is another person with an address that was known. Of the others, each address
    has at most one."""
    recorded_at: Mapped[RecordedAt]
    merged_into: Mapped[int | None] = mapped_column(ForeignKey("members.id"))
    """The member that this one turned out to be, and that has all of its memberships and grants; it is found only by
    its id, which leads there."""
    merged_at: Mapped[datetime | None]
    is_test: Mapped[bool] = mapped_column(server_default=false())
    """A made-up person, for whom only test endpoints pay: see models/members/clocks.py."""
    clock_ahead: Mapped[timedelta] = mapped_column(server_default=text("'00:00:00'"))
    """By how much a test member's clock is ahead of everybody else's."""
    erased_at: Mapped[datetime | None]
    """When the person's name, address and data were erased; the ledger stays."""

    memberships: Mapped[list["Membership"]] = relationship(
        back_populates="member", order_by="Membership.id",
        primaryjoin="and_(Membership.member_id == Member.id, Membership.withdrawn_at.is_(None))",
    )  # fmt: skip

    def clock(self, now: datetime) -> datetime:
        """The present moment for this member: later than everybody else's for a test member whose clock is ahead."""
        return now + self.clock_ahead


class Membership(Base):
    """An offer that a member bought. Its terms stay those of the sign-up until somebody changes its plan."""

    __tablename__ = "memberships"
    __table_args__ = (Index("ix_memberships_withdrawn", "id", postgresql_where=text("withdrawn_at IS NOT NULL")),)

    id: Mapped[Id]
    idempotency_key: Mapped[str | None] = mapped_column(String(255), unique=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    first_member_id: Mapped[int | None] = mapped_column(ForeignKey("members.id"))
    """Who signed up for it, where a merge has moved it since."""
    club_id: Mapped[int] = mapped_column(ForeignKey("clubs.id"), index=True)
    """The club now; `club_at` says which one a moment has."""
    offer_id: Mapped[int] = mapped_column(ForeignKey("offers.id"), index=True)
    payment_term_id: Mapped[int] = mapped_column(ForeignKey("payment_terms.id"), index=True)
    """This and the offer are those of the sign-up; `plan_at` says which ones a moment has."""
    currency: Mapped[Currency]
    credits_from: Mapped[datetime | None]
    """The cut-over, UTC: what was paid before gives nothing, since an earlier system gave it. NULL: all counts."""
    withdrawn_at: Mapped[datetime | None]
    """When the import that made it was undone: it is shown nowhere, and no payment finds it."""
    code: Mapped[str] = mapped_column(String(18), unique=True, server_default=text("membership_code()"))
    """`m_` and 16 random characters of base32: travels through a processor's own field, and comes back as a claim."""
    recorded_at: Mapped[RecordedAt]

    member: Mapped[Member] = relationship(back_populates="memberships", foreign_keys=[member_id])
    club: Mapped[Club] = relationship()
    versions: Mapped[list["MembershipTerms"]] = relationship(
        back_populates="membership", order_by="MembershipTerms.since, MembershipTerms.id"
    )
    billing: Mapped[list["BillingReference"]] = relationship(back_populates="membership")
    earlier_clubs: Mapped[list["EarlierClub"]] = relationship(order_by="EarlierClub.until, EarlierClub.id")

    def club_at(self, moment: datetime) -> Club:
        """The club by whose days and rules a payment made then counts."""
        return next((one.club for one in self.earlier_clubs if moment < one.until), self.club)

    def terms_at(self, moment: datetime) -> "MembershipTerms":
        """The terms for a payment made then; the first ones for a payment before the sign-up."""
        return next((terms for terms in reversed(self.versions) if terms.since <= moment), self.versions[0])

    @property
    def terms_over_time(self) -> list["MembershipTerms"]:
        """The versions that count for some payment, each from its moment on.

        Left out are one that a later act for the same moment replaced, and one that says what the one before it says.
        """
        found: list[MembershipTerms] = []
        for version, later in zip_longest(self.versions, self.versions[1:]):
            is_replaced = later is not None and later.since == version.since
            if not is_replaced and not (found and found[-1].content == version.content):
                found.append(version)
        return found

    def plan_at(self, moment: datetime) -> PaymentTerm:
        """The payment term that it has then, and with it the offer."""
        return self.terms_at(moment).term


class MembershipTerms(Base):
    """The terms of a membership since a moment: its dues, and what they give. A trigger refuses every change."""

    __tablename__ = "membership_terms"
    __table_args__ = (Index("ix_membership_terms_membership_id_since", "membership_id", "since"),)

    id: Mapped[Id]
    membership_id: Mapped[int] = mapped_column(ForeignKey("memberships.id"))
    since: Mapped[datetime]
    """They apply to payments from then on; UTC."""
    payment_term_id: Mapped[int] = mapped_column(ForeignKey("payment_terms.id"), index=True)
    """The payment term, and with it the offer, that was bought. What follows was pinned from it."""
    dues_minor: Mapped[MinorUnits]
    interval: Mapped[str]
    interval_count: Mapped[int]
    partial: Mapped[str] = mapped_column(server_default=Partial.PROPORTIONAL.value)
    release: Mapped[str] = mapped_column(server_default=Release.AT_ONCE.value)
    release_times: Mapped[int | None]
    frozen_dues: Mapped[str] = mapped_column(server_default=FrozenDues.NOTHING.value)
    on_end: Mapped[str] = mapped_column(server_default=OnEnd.KEEP.value)
    on_end_days: Mapped[int | None]
    action_id: Mapped[int | None] = mapped_column(ForeignKey("actions.id"))
    """The action that moved the membership to these terms; NULL for those of the sign-up."""
    recorded_at: Mapped[RecordedAt]

    membership: Mapped[Membership] = relationship(back_populates="versions")
    term: Mapped[PaymentTerm] = relationship()
    pinned: Mapped[list["PinnedTerms"]] = relationship(order_by="PinnedTerms.item_id")

    @property
    def content(self) -> tuple[object, ...]:
        """All that payments count by, to compare two versions."""
        rules = tuple(getattr(self, name) for name in RULES)
        sessions = frozenset((pin.item_id, pin.quantity, pin.days_to_expire) for pin in self.pinned if pin.quantity)
        return self.payment_term_id, rules, sessions


class PinnedTerms(Base):
    """Sessions of one item that each paid dues give under these terms; days to expire 0 means never."""

    __tablename__ = "pinned_terms"
    __table_args__ = (
        CheckConstraint(f"quantity BETWEEN 0 AND {MAX_QUANTITY}", "quantity"),
        CheckConstraint(f"days_to_expire BETWEEN 0 AND {MAX_DAYS_TO_EXPIRE}", "days_to_expire"),
        CheckConstraint("quantity > 0 OR days_to_expire = 0", "no_days_without_sessions"),
    )

    terms_id: Mapped[int] = mapped_column(ForeignKey("membership_terms.id"), primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), primary_key=True)
    quantity: Mapped[int]
    days_to_expire: Mapped[int]

    item: Mapped[Item] = relationship()


class EarlierClub(Base):
    """A club that a membership had before it was moved to another one. A trigger refuses every change."""

    __tablename__ = "earlier_clubs"

    id: Mapped[Id]
    membership_id: Mapped[int] = mapped_column(ForeignKey("memberships.id"), index=True)
    club_id: Mapped[int] = mapped_column(ForeignKey("clubs.id"), index=True)
    until: Mapped[datetime]
    """It counts for payments before this moment, and after the membership's earlier moves; UTC."""
    action_id: Mapped[int] = mapped_column(ForeignKey("actions.id"))
    """The action that moved the membership away from it."""

    club: Mapped[Club] = relationship()


class BillingReference(Base):
    """The processor's id (subscription, mandate, customer) by which a payment finds its membership."""

    __tablename__ = "billing_references"

    endpoint: Mapped[str] = mapped_column(String(63), primary_key=True)
    reference: Mapped[Reference] = mapped_column(primary_key=True)
    membership_id: Mapped[int] = mapped_column(ForeignKey("memberships.id"), primary_key=True, index=True)
    """Several memberships with one reference share its payments equally."""
    recorded_at: Mapped[RecordedAt]

    membership: Mapped[Membership] = relationship(back_populates="billing")


class FormerReference(Base):
    """A billing reference that a membership had: payments that found it by that one stay with it."""

    __tablename__ = "former_references"

    endpoint: Mapped[str] = mapped_column(String(63), primary_key=True)
    reference: Mapped[Reference] = mapped_column(primary_key=True)
    membership_id: Mapped[int] = mapped_column(ForeignKey("memberships.id"), primary_key=True, index=True)


WITH_PLANS = selectinload(Membership.versions).joinedload(MembershipTerms.term).joinedload(PaymentTerm.offer)
"""Loads what `plan_at` needs, for many memberships at once."""


_HELD = text("""
    SELECT payment_term_id, count(*)
    FROM (
        SELECT DISTINCT ON (membership_id) payment_term_id
        FROM membership_terms
        WHERE since <= :now AND membership_id NOT IN (SELECT id FROM memberships WHERE withdrawn_at IS NOT NULL)
        ORDER BY membership_id, since DESC, id DESC
    ) in_force
    GROUP BY payment_term_id
""")


def held_by_term(session: Session, now: datetime) -> dict[int, int]:
    """How many memberships have each payment term now, by its id."""
    return dict(session.execute(_HELD, {"now": now}).all())


def current(session: Session, member: Member) -> Member:
    """The member that this one is now: itself, unless it was merged."""
    while member.merged_into is not None:
        member = session.get_one(Member, member.merged_into)
    return member


def lock_member(session: Session, member_id: int, *, alone: bool = False, field: str | None = "member_id") -> Member:
    """The member that has what this id had, kept from being merged or erased until the transaction ends.

    `alone` keeps others from acting on it meanwhile. Raises NotFound, or MemberErased.
    """
    lock = {"key_share": True} if alone else {"read": True}
    member = session.get(Member, member_id, with_for_update=lock, populate_existing=True)
    if member is None:
        raise NotFound(field=field, what="member", name=member_id)
    while member.merged_into is not None:
        member = session.get_one(Member, member.merged_into, with_for_update=lock, populate_existing=True)
    refuse_erased(member, field)
    return member


def refuse_erased(member: Member, field: str | None = None) -> None:
    """Raise MemberErased for a member that was erased."""
    if member.erased_at is not None:
        raise MemberErased(field=field, number=member.id, day=member.erased_at.date())


_WITH_MERGED = text("""
    WITH RECURSIVE merged AS (
        SELECT CAST(:member AS bigint) AS id
        UNION SELECT m.id FROM merged JOIN members m ON m.merged_into = merged.id
    )
    SELECT id FROM merged ORDER BY id
""")


def with_merged(session: Session, member_id: int) -> Sequence[int]:
    """The ids under which acts of this member may stand: its own, and those of all that were merged into it."""
    return session.scalars(_WITH_MERGED, {"member": member_id}).all()


def owners(session: Session, endpoint: str, reference: str) -> list[int]:
    """The ids of the memberships that have this reference; several share its payments."""
    of_reference = select(BillingReference.membership_id).filter_by(endpoint=endpoint, reference=reference)
    return list(session.scalars(of_reference.order_by(BillingReference.membership_id)))


def lock_reference(session: Session, endpoint: str, reference: str) -> None:
    """Wait for others who give or take this reference: one at a time, so that two do not take it at once."""
    locks.named(session, f"{endpoint} {reference}")


def add_billing_reference(
    session: Session, membership: Membership, endpoint: str, reference: str, *, by: Actor, shared: bool = False,
    is_test: bool = False,
) -> None:  # fmt: skip
    """Assigns the endpoint's payments with that reference to this membership. Adding it twice changes nothing.

    Where another membership has the reference, it is refused, unless it is to be `shared`: then the two share its
    later payments equally. A test member has only references of test endpoints: `is_test` says that it is one. Raises
    MemberErased, ReferenceUnusable, ReferenceTaken or LiveEndpoint.
    """
    if membership.withdrawn_at:
        raise NotFound(what="membership", name=membership.id)
    reference = reference_given(reference)
    lock_member(session, membership.member_id, field=None)
    refuse_live(membership, endpoint, is_test=is_test)
    lock_reference(session, endpoint, reference)
    before = owners(session, endpoint, reference)
    if before and not shared and membership.id not in before:
        raise ReferenceTaken(reference=reference, endpoint=endpoint, membership=before[0])
    values = {"endpoint": endpoint, "reference": reference, "membership_id": membership.id}
    new = insert(BillingReference).values(values).on_conflict_do_nothing()
    if session.execute(new.returning(BillingReference.reference)).first():
        subject = f"{reference} on {endpoint} to membership {membership.id}"
        verb = "share billing reference" if before else "add billing reference"
        actions.log(session, by, verb, subject, member_id=membership.member_id)


def refuse_live(membership: Membership, endpoint: str, *, is_test: bool) -> None:
    """Raise LiveEndpoint if the membership is a test member's, and the endpoint is not a test endpoint."""
    if membership.member.is_test and not is_test:
        raise LiveEndpoint(endpoint=endpoint)
