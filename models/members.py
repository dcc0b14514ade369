"""People and what they bought: members, memberships, pinned terms, billing references."""

from collections.abc import Sequence

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from models.base import Base, Currency, Id, MinorUnits, RecordedAt, Reference
from models.catalogue import (
    MAX_DAYS_TO_EXPIRE,
    MAX_QUANTITY,
    Club,
    Item,
    Offer,
    OfferState,
    PaymentTerm,
    SessionBucket,
)
from models.errors import (
    InvalidEmail,
    PickNotOffered,
    PicksMissing,
    ReferenceTaken,
    TooFewPicks,
    TooManyPicks,
    WrongCurrency,
    WrongState,
)


class Member(Base):
    """A person, known by their e-mail address in whatever case it is written."""

    __tablename__ = "members"
    __table_args__ = (
        Index("uq_members_email", text("lower(email)"), unique=True),
        CheckConstraint("email ~ '^[^@[:space:]]+@[^@[:space:]]+$'", "email"),
    )

    id: Mapped[Id]
    email: Mapped[str] = mapped_column(String(320))
    name: Mapped[str] = mapped_column(String(200))
    recorded_at: Mapped[RecordedAt]

    memberships: Mapped[list["Membership"]] = relationship(back_populates="member", order_by="Membership.id")


class Membership(Base):
    """A member's bought offer. Dues and session terms stay as they were at sign-up."""

    __tablename__ = "memberships"

    id: Mapped[Id]
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    club_id: Mapped[int] = mapped_column(ForeignKey("clubs.id"))
    offer_id: Mapped[int] = mapped_column(ForeignKey("offers.id"))
    payment_term_id: Mapped[int] = mapped_column(ForeignKey("payment_terms.id"))
    dues_minor: Mapped[MinorUnits]
    currency: Mapped[Currency]
    recorded_at: Mapped[RecordedAt]

    member: Mapped[Member] = relationship(back_populates="memberships")
    club: Mapped[Club] = relationship()
    offer: Mapped[Offer] = relationship()
    term: Mapped[PaymentTerm] = relationship()
    pinned: Mapped[list["PinnedTerms"]] = relationship(order_by="PinnedTerms.item_id")
    billing: Mapped[list["BillingReference"]] = relationship(back_populates="membership")


class PinnedTerms(Base):
    """Sessions of one item that each paid dues of this membership give; days to expire 0 means never."""

    __tablename__ = "pinned_terms"
    __table_args__ = (
        CheckConstraint(f"quantity BETWEEN 0 AND {MAX_QUANTITY}", "quantity"),
        CheckConstraint(f"days_to_expire BETWEEN 0 AND {MAX_DAYS_TO_EXPIRE}", "days_to_expire"),
        CheckConstraint("quantity > 0 OR days_to_expire = 0", "no_days_without_sessions"),
    )

    membership_id: Mapped[int] = mapped_column(ForeignKey("memberships.id"), primary_key=True)
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


def chosen_buckets(offer: Offer, picks: Sequence[Item]) -> list[SessionBucket]:
    """The session buckets that these picks sign up for, by the offer's rules.

    An offer with a single bucket includes it, picked or not. Elsewhere the required
    ones must be among the picks, which number from minimum to maximum. Raises
    PickNotOffered, PicksMissing, TooFewPicks or TooManyPicks.
    """
    by_item = {bucket.item_id: bucket for bucket in offer.buckets}
    chosen = {}
    for item in picks:
        if item.id not in by_item:
            offered = ", ".join(bucket.item.name for bucket in offer.buckets) or "none"
            raise PickNotOffered(item=item.name, offer=offer.name, offered=offered)
        chosen[item.id] = by_item[item.id]
    if len(offer.buckets) == 1:
        return list(offer.buckets)
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
    session: Session, *, email: str, name: str, club: Club, term: PaymentTerm, picks: Sequence[Item]
) -> Membership:
    """Signs a person up (a known address gains a further membership) and pins the terms.

    Raises WrongState for an offer not on sale, WrongCurrency, InvalidEmail, and
    what `chosen_buckets` raises.
    """
    offer = term.offer
    if offer.state != OfferState.PUBLISHED:
        raise WrongState(what=f"Offer {offer.name!r}", state=offer.state, verb="bought")
    if term.currency != club.currency:
        raise WrongCurrency(term_currency=term.currency, club=club.name, club_currency=club.currency)
    local, _, domain = email.strip().partition("@")
    if not local or not domain or "@" in domain or any(character.isspace() for character in local + domain):
        raise InvalidEmail(email=email)
    buckets = chosen_buckets(offer, picks)
    terms = {entry.session_bucket_id: entry for entry in term.bucket_terms}
    session.execute(insert(Member).values(email=email.strip(), name=name).on_conflict_do_nothing())
    member = find_member(session, email)
    assert member is not None, "inserted or already there"  # noqa: S101 -- narrows the type
    membership = Membership(
        member=member,
        club=club,
        offer=offer,
        term=term,
        dues_minor=term.dues_minor,
        currency=term.currency,
        pinned=[
            PinnedTerms(
                item_id=bucket.item_id,
                quantity=terms[bucket.id].quantity if bucket.id in terms else 0,
                days_to_expire=terms[bucket.id].days_to_expire if bucket.id in terms else 0,
            )
            for bucket in buckets
        ],
    )
    session.add(membership)
    session.flush()
    return membership


def add_billing_reference(session: Session, membership: Membership, endpoint: str, reference: str) -> None:
    """Lets the endpoint's payments with that reference find this membership; again is no change.

    Raises ReferenceTaken where it belongs to another membership.
    """
    values = {"endpoint": endpoint, "reference": reference, "membership_id": membership.id}
    session.execute(insert(BillingReference).values(values).on_conflict_do_nothing())
    owner = session.get_one(BillingReference, (endpoint, reference)).membership
    if owner.id != membership.id:
        raise ReferenceTaken(reference=reference, endpoint=endpoint, email=owner.member.email)
