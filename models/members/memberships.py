"""People and what they bought: members, memberships, pinned terms, billing references."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from models.catalogue.days import end_of
from models.catalogue.tables import (
    MAX_DAYS_TO_EXPIRE,
    MAX_QUANTITY,
    Club,
    Item,
    Offer,
    OfferState,
    PaymentTerm,
    SessionBucket,
)
from models.database.base import Base, Currency, Id, MinorUnits, RecordedAt, Reference
from models.database.naming import MAX_NAME_LENGTH, email_given, name_given, reference_given
from models.errors import (
    DateInPast,
    KeyReused,
    NotFound,
    PickGivesNothing,
    PickNotOffered,
    PicksMissing,
    ReferenceTaken,
    SeveralMemberships,
    TooFewPicks,
    TooManyPicks,
    WrongCurrency,
    WrongState,
)
from models.staff import actions
from models.staff.actions import Actor

MAX_EMAIL_LENGTH = 320


class Member(Base):
    """A person, known by their e-mail address in whatever case it is written."""

    __tablename__ = "members"
    __table_args__ = (
        Index("uq_members_email", text("lower(email)"), unique=True),
        CheckConstraint("email ~ '^[^@[:space:]]+@[^@[:space:]]+$'", "email"),
    )

    id: Mapped[Id]
    email: Mapped[str] = mapped_column(String(MAX_EMAIL_LENGTH))
    name: Mapped[str] = mapped_column(String(MAX_NAME_LENGTH))
    recorded_at: Mapped[RecordedAt]

    memberships: Mapped[list["Membership"]] = relationship(back_populates="member", order_by="Membership.id")


class Membership(Base):
    """A member's bought offer. What its dues give stays as it was at sign-up, until somebody moves it."""

    __tablename__ = "memberships"

    id: Mapped[Id]
    idempotency_key: Mapped[str | None] = mapped_column(String(255), unique=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    club_id: Mapped[int] = mapped_column(ForeignKey("clubs.id"), index=True)
    offer_id: Mapped[int] = mapped_column(ForeignKey("offers.id"), index=True)
    payment_term_id: Mapped[int] = mapped_column(ForeignKey("payment_terms.id"), index=True)
    currency: Mapped[Currency]
    recorded_at: Mapped[RecordedAt]

    member: Mapped[Member] = relationship(back_populates="memberships")
    club: Mapped[Club] = relationship()
    offer: Mapped[Offer] = relationship()
    term: Mapped[PaymentTerm] = relationship()
    versions: Mapped[list["MembershipTerms"]] = relationship(
        back_populates="membership", order_by="MembershipTerms.since, MembershipTerms.id"
    )
    billing: Mapped[list["BillingReference"]] = relationship(back_populates="membership")

    def terms_at(self, moment: datetime) -> "MembershipTerms":
        """What a payment made then comes to; one before the sign-up counts by the terms of the sign-up."""
        return next((terms for terms in reversed(self.versions) if terms.since <= moment), self.versions[0])


class MembershipTerms(Base):
    """The terms of a membership since a moment: its dues, and what they give. A trigger refuses every change."""

    __tablename__ = "membership_terms"
    __table_args__ = (Index("ix_membership_terms_membership_id_since", "membership_id", "since"),)

    id: Mapped[Id]
    membership_id: Mapped[int] = mapped_column(ForeignKey("memberships.id"))
    since: Mapped[datetime]
    """Payments from then on; UTC."""
    dues_minor: Mapped[MinorUnits]
    action_id: Mapped[int | None] = mapped_column(ForeignKey("actions.id"))
    """Who moved the membership to these terms, and why; none for those of the sign-up."""
    recorded_at: Mapped[RecordedAt]

    membership: Mapped[Membership] = relationship(back_populates="versions")
    pinned: Mapped[list["PinnedTerms"]] = relationship(order_by="PinnedTerms.item_id")


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


class BillingReference(Base):
    """The processor's id (subscription, mandate, customer) by which a payment finds its membership."""

    __tablename__ = "billing_references"

    endpoint: Mapped[str] = mapped_column(String(63), primary_key=True)
    reference: Mapped[Reference] = mapped_column(primary_key=True)
    membership_id: Mapped[int] = mapped_column(ForeignKey("memberships.id"), index=True)
    recorded_at: Mapped[RecordedAt]

    membership: Mapped[Membership] = relationship(back_populates="billing")


def chosen_buckets(term: PaymentTerm, picks: Sequence[Item]) -> list[SessionBucket]:
    """The session buckets that these picks sign up for under the payment term, by the offer's rules.

    An item of which the term gives no sessions cannot be picked. An offer with a single bucket
    includes it, picked or not. Elsewhere the required ones must be among the picks, which number
    from minimum to maximum. Raises OfferCannotBeBought, PickNotOffered, PickGivesNothing,
    PicksMissing, TooFewPicks or TooManyPicks.
    """
    offer, used = term.offer, term.used_buckets
    if refusal := term.why_not_buyable:
        raise refusal
    by_item = {bucket.item_id: bucket for bucket in offer.buckets}
    chosen = {}
    for item in picks:
        if item.id not in by_item:
            offered = ", ".join(bucket.item.name for bucket in used) or "none"
            raise PickNotOffered(item=item.name, offer=offer.name, offered=offered)
        if by_item[item.id] not in used:
            raise PickGivesNothing(item=item.name, term=term.name)
        chosen[item.id] = by_item[item.id]
    if len(offer.buckets) == 1:
        return used
    missing = [bucket.item.name for bucket in offer.buckets if bucket.required and bucket.item_id not in chosen]
    if missing:
        raise PicksMissing(offer=offer.name, items=" and ".join(missing))
    if len(chosen) < offer.min_buckets and offer.buckets:
        raise TooFewPicks(offer=offer.name, minimum=offer.min_buckets, picked=len(chosen))
    if len(chosen) > offer.max_buckets:
        raise TooManyPicks(offer=offer.name, maximum=offer.max_buckets, picked=len(chosen))
    return list(chosen.values())


def find_member(session: Session, email: str) -> Member | None:
    """The member with that address, in whatever case."""
    return session.scalar(select(Member).where(func.lower(Member.email) == func.lower(email.strip())))


def sign_up(
    session: Session, *, email: str, name: str, club: Club, term: PaymentTerm, picks: Sequence[Item],
    by: Actor, now: datetime, key: str | None = None,
) -> Membership:  # fmt: skip
    """Signs a person up (a known address gains a further membership) and pins the terms.

    The same idempotency key with the same content gives the same membership again. Raises
    WrongState for an offer or a term not on sale, WrongCurrency, InvalidEmail, NameMissing,
    KeyReused, and what `chosen_buckets` raises.
    """
    known = session.scalar(select(Membership).where(Membership.idempotency_key == key)) if key else None
    if known:
        return _same(known, email, club, term, picks)
    offer = term.offer
    if term.retired_at is not None:
        raise WrongState(field="payment_term_id", what=f"Payment term {term.name!r}", state="retired", verb="bought")
    if offer.state != OfferState.PUBLISHED:
        raise WrongState(field="payment_term_id", what=f"Offer {offer.name!r}", state=offer.state, verb="bought")
    if term.currency != club.currency:
        raise WrongCurrency(term_currency=term.currency, club=club.name, club_currency=club.currency)
    email, name = email_given(email, MAX_EMAIL_LENGTH), name_given(name)
    buckets = chosen_buckets(term, picks)
    session.execute(insert(Member).values(email=email, name=name).on_conflict_do_nothing())
    member = find_member(session, email)
    assert member is not None, "inserted or already there"  # noqa: S101 -- narrows the type
    new = insert(Membership).values(
        idempotency_key=key, member_id=member.id, club_id=club.id, offer_id=offer.id, payment_term_id=term.id,
        currency=term.currency,
    )  # fmt: skip
    membership: Membership | None = session.scalar(new.on_conflict_do_nothing().returning(Membership))
    if membership is None:
        known = session.scalars(select(Membership).where(Membership.idempotency_key == key)).one()
        return _same(known, email, club, term, picks)
    membership.versions.append(MembershipTerms(since=now, dues_minor=term.dues_minor, pinned=_pin(term, buckets)))
    session.flush()
    actions.log(session, by, "sign up", f"membership {membership.id}: {offer.name}, {term.name}", member_id=member.id)
    return membership


def _same(known: Membership, email: str, club: Club, term: PaymentTerm, picks: Sequence[Item]) -> Membership:
    """The membership that this key has made, if it was of the same content. Raises KeyReused."""
    picked, pinned = {item.id for item in picks}, {pin.item_id for pin in known.versions[0].pinned}
    included = not picked and len(term.offer.buckets) == 1
    same_picks = picked == pinned or (included and len(pinned) == 1)
    bought = (known.member.email.lower(), known.club_id, known.payment_term_id)
    if bought != (email.strip().lower(), club.id, term.id) or not same_picks:
        raise KeyReused(key=known.idempotency_key)
    return known


def _pin(term: PaymentTerm, buckets: Iterable[SessionBucket]) -> list[PinnedTerms]:
    terms = {entry.session_bucket_id: entry for entry in term.bucket_terms}
    return [
        PinnedTerms(
            item_id=bucket.item_id,
            quantity=terms[bucket.id].quantity,
            days_to_expire=terms[bucket.id].days_to_expire,
        )
        for bucket in buckets
    ]


def move_to_current_terms(
    session: Session, membership: Membership, *, since: date, picks: Sequence[Item], reason: str, by: Actor,
    now: datetime,
) -> MembershipTerms:  # fmt: skip
    """Lets payments from that local day at the club on count by the offer's current terms; from today is from now.

    What was paid before keeps its terms. Raises ReasonMissing, TextTooLong, DateInPast, WrongCurrency,
    and what `chosen_buckets` raises for the picks.
    """
    reason = actions.reason_given(reason)
    club, term = membership.club, membership.term
    today = now.astimezone(ZoneInfo(club.time_zone)).date()
    if since < today:
        raise DateInPast(day=since)
    if term.currency != membership.currency:
        raise WrongCurrency(term_currency=term.currency, club=club.name, club_currency=membership.currency)
    buckets = chosen_buckets(term, picks)
    subject = f"membership {membership.id} to the current terms of {membership.offer.name}, {term.name}, from {since}"
    act = actions.log(session, by, "move terms", subject, member_id=membership.member_id, reason=reason)
    start = now if since == today else end_of(since - timedelta(days=1), club.time_zone)
    moved = MembershipTerms(since=start, dues_minor=term.dues_minor, action_id=act, pinned=_pin(term, buckets))
    membership.versions.append(moved)
    session.flush()
    session.refresh(membership, ["versions"])
    return moved


def add_billing_reference(
    session: Session, membership: Membership, endpoint: str, reference: str, *, by: Actor
) -> None:
    """Lets the endpoint's payments with that reference find this membership; again is no change.

    Raises ReferenceUnusable, or ReferenceTaken if it belongs to another membership.
    """
    reference = reference_given(reference)
    values = {"endpoint": endpoint, "reference": reference, "membership_id": membership.id}
    new = insert(BillingReference).values(values).on_conflict_do_nothing()
    if session.execute(new.returning(BillingReference.reference)).first():
        subject = f"{reference} on {endpoint} to membership {membership.id}"
        actions.log(session, by, "add billing reference", subject, member_id=membership.member_id)
    owner = session.get_one(BillingReference, (endpoint, reference)).membership
    if owner.id != membership.id:
        raise ReferenceTaken(reference=reference, endpoint=endpoint, membership=owner.id)


def the_membership(session: Session, email: str, membership_id: int | None = None) -> Membership:
    """The membership of that person: the only one, or the one of that id.

    Raises NotFound, or SeveralMemberships where they have more than one and none was named.
    """
    person = find_member(session, email)
    if person is None:
        raise NotFound(field="email", what="member", name=email)
    held = {membership.id: membership for membership in person.memberships}
    if membership_id is None and len(held) > 1:
        choice = ", ".join(f"{number} ({one.offer.name}, {one.club.name})" for number, one in held.items())
        raise SeveralMemberships(email=email, memberships=choice)
    membership = held.get(membership_id) if membership_id else next(iter(held.values()), None)
    if membership is None:
        raise NotFound(field="email", what=f"membership of {email}", name=membership_id or "at all")
    return membership
