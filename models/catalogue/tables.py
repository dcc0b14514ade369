"""Offers with their session buckets and payment terms.

A constraint states each rule that it can; the methods state what an offer can decide by itself, as an error
that a person can act on. `models.catalogue.offers` has the acts that need the database. Editing an offer never
changes existing memberships: their terms were pinned at sign-up. Whoever edits an offer locks its row first, so
that two people edit it one after the other.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, ForeignKeyConstraint, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.catalogue.items import Item, ItemKind
from models.catalogue.rules import (
    MAX_DAYS_TO_EXPIRE,
    MAX_QUANTITY,
    Shape,
    bucket_terms_refused,
    check_limits,
    why_not_buyable,
)
from models.catalogue.terms import (
    MAX_ON_END_DAYS,
    MAX_RELEASE_TIMES,
    FrozenDues,
    Interval,
    OnEnd,
    Partial,
    Release,
)
from models.database.base import Base, Currency, Id, MinorUnits, one_of
from models.errors import ItemAlreadyAdded, ItemRetired, NotASessionItem, OfferCannotBeBought, WrongState
from runtime.language import noted, say


class OfferState(StrEnum):
    """Only published offers can be bought."""

    DRAFT = noted("draft")
    PUBLISHED = noted("published")
    RETIRED = noted("retired")


class Offer(Base):
    """A membership for sale, with the session items that can be picked at sign-up."""

    __tablename__ = "offers"
    __table_args__ = (
        CheckConstraint("0 <= min_buckets", "min_not_negative"),
        CheckConstraint("min_buckets <= max_buckets", "max_not_below_min"),
        CheckConstraint(one_of("state", OfferState), "state"),
    )

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(200), unique=True)
    state: Mapped[str] = mapped_column(default=OfferState.DRAFT.value)
    min_buckets: Mapped[int] = mapped_column(default=0)
    """Minimum required session buckets; applies only where the offer has more than one."""
    max_buckets: Mapped[int] = mapped_column(default=1)
    """Maximum allowed session buckets."""

    buckets: Mapped[list["SessionBucket"]] = relationship(
        back_populates="offer", order_by="SessionBucket.id", cascade="all, delete-orphan"
    )
    terms: Mapped[list["PaymentTerm"]] = relationship(
        back_populates="offer", order_by="PaymentTerm.id", cascade="all, delete-orphan"
    )
    _is_judged_later = False
    """Whether a block of changes is open, whose result will be judged."""

    @contextmanager
    def stays_buyable(self) -> Iterator[None]:
        """Refuse the changes of the block where they leave an offer on sale that nobody could buy.

        Only the result is judged, not each change on the way there; blocks can be nested. Raises OfferCannotBeBought:
        the caller then rolls back. An offer that nobody could buy before is not judged, so that it can be mended step
        by step.
        """
        if self._is_judged_later or self.state != OfferState.PUBLISHED or self.why_not_buyable:
            yield
            return
        self._is_judged_later = True
        try:
            yield
        finally:
            self._is_judged_later = False
        if self.state == OfferState.PUBLISHED and (refusal := self.why_not_buyable):
            text = noted(
                "{reason}. To change several things, retire the offer first and put it back on sale afterwards"
            )
            raise type(refusal)(**refusal.details | {"reason": say(text, reason=say(refusal.details["reason"]))})

    def set_bucket_limits(self, minimum: int, maximum: int) -> None:
        """Set both. Raises NegativeNumber, MaximumBelowMinimum, NumberTooLarge; on sale, OfferCannotBeBought."""
        check_limits(minimum, maximum)
        with self.stays_buyable():
            self.min_buckets, self.max_buckets = minimum, maximum

    def add_bucket(self, item: Item, *, required: bool = False) -> "SessionBucket":
        """Add a session item. Raises NotASessionItem, ItemAlreadyAdded, ItemRetired; on sale, OfferCannotBeBought."""
        if item.kind != ItemKind.SCHEDULER_BUCKET:
            raise NotASessionItem(item=item.name)
        if any(bucket.item is item for bucket in self.buckets):
            raise ItemAlreadyAdded(item=item.name, offer=self.name)
        if item.retired_at is not None:
            raise ItemRetired(item=item.name)
        bucket = SessionBucket(item=item, required=required)
        with self.stays_buyable():
            self.buckets.append(bucket)
        return bucket

    def set_required(self, bucket: "SessionBucket", required: bool) -> None:
        """Set whether it must be picked at sign-up. Raises, on sale, OfferCannotBeBought."""
        with self.stays_buyable():
            bucket.required = required

    def remove_bucket(self, bucket: "SessionBucket") -> None:
        """Remove a session item, with its bucket terms. Raises, on sale, OfferCannotBeBought."""
        with self.stays_buyable():
            for term in self.terms:
                term.bucket_terms = [entry for entry in term.bucket_terms if entry.bucket is not bucket]
            self.buckets.remove(bucket)

    def add_term(self, term: "PaymentTerm") -> None:
        """Add a payment term. Raises, on sale, OfferCannotBeBought."""
        with self.stays_buyable():
            self.terms.append(term)

    def remove_term(self, term: "PaymentTerm") -> None:
        """Remove a payment term that nobody has bought. Raises OfferCannotBeBought for the last one on sale."""
        with self.stays_buyable():
            self.terms.remove(term)

    def publish(self) -> None:
        """Put the offer on sale, or back on sale. Raises WrongState, or OfferCannotBeBought with the reason."""
        if self.state == OfferState.PUBLISHED:
            raise WrongState(what=say("Offer {offer!r}", offer=self.name), state=self.state, verb="published")
        if refusal := self.why_not_buyable:
            raise refusal
        self.state = OfferState.PUBLISHED.value

    def retire(self) -> None:
        """Take the offer off sale; memberships that bought it go on. Raises WrongState."""
        if self.state != OfferState.PUBLISHED:
            raise WrongState(what=say("Offer {offer!r}", offer=self.name), state=self.state, verb="retired")
        self.state = OfferState.RETIRED.value

    @property
    def terms_on_sale(self) -> list["PaymentTerm"]:
        """The payment terms that can be bought while the offer is published."""
        return [term for term in self.terms if term.retired_at is None]

    @property
    def why_not_buyable(self) -> OfferCannotBeBought | None:
        """The reason why nobody could buy it as it is, or not under one of its payment terms; None if all is well."""
        return why_not_buyable(self._shape(self.terms_on_sale))

    def _shape(self, terms: list["PaymentTerm"]) -> Shape:
        items = {bucket.item.name: bucket.required for bucket in self.buckets}
        used = {term.name: term.used_items for term in terms}
        return Shape(self.name, self.min_buckets, self.max_buckets, items, used)


class SessionBucket(Base):
    """A session item on an offer."""

    __tablename__ = "session_buckets"
    __table_args__ = (
        UniqueConstraint("offer_id", "item_id"),
        UniqueConstraint("id", "offer_id"),
        # With the item's kind in the key, the database itself accepts scheduler buckets only.
        ForeignKeyConstraint(["item_id", "item_kind"], ["items.id", "items.kind"]),
        CheckConstraint("item_kind = 'scheduler_bucket'", "scheduler_buckets_only"),
    )

    id: Mapped[Id]
    offer_id: Mapped[int] = mapped_column(ForeignKey("offers.id"))
    item_id: Mapped[int] = mapped_column(BigInteger)
    item_kind: Mapped[str] = mapped_column(default=ItemKind.SCHEDULER_BUCKET.value)
    required: Mapped[bool] = mapped_column(default=False)

    offer: Mapped[Offer] = relationship(back_populates="buckets")
    item: Mapped[Item] = relationship(overlaps="offer,buckets")


class PaymentTerm(Base):
    """One way of paying for an offer."""

    __tablename__ = "payment_terms"
    __table_args__ = (
        UniqueConstraint("offer_id", "name"),
        UniqueConstraint("id", "offer_id"),
        CheckConstraint("0 <= dues_minor", "dues_not_negative"),
        CheckConstraint("currency ~ '^[A-Z]{3}$'", "currency"),
        CheckConstraint(one_of("interval", Interval), "interval"),
        CheckConstraint("1 <= interval_count", "interval_count_positive"),
        CheckConstraint(one_of("partial", Partial), "partial"),
        CheckConstraint(one_of("release", Release), "release"),
        CheckConstraint(
            f"(release = 'times') = (release_times IS NOT NULL) AND release_times BETWEEN 2 AND {MAX_RELEASE_TIMES}",
            "release_times",
        ),
        CheckConstraint(one_of("frozen_dues", FrozenDues), "frozen_dues"),
        CheckConstraint(one_of("on_end", OnEnd), "on_end"),
        CheckConstraint(
            f"(on_end = 'days') = (on_end_days IS NOT NULL) AND on_end_days BETWEEN 1 AND {MAX_ON_END_DAYS}",
            "on_end_days",
        ),
    )

    id: Mapped[Id]
    offer_id: Mapped[int] = mapped_column(ForeignKey("offers.id"))
    name: Mapped[str] = mapped_column(String(200))
    dues_minor: Mapped[MinorUnits]
    currency: Mapped[Currency]
    interval: Mapped[str] = mapped_column(default=Interval.MONTH.value)
    interval_count: Mapped[int] = mapped_column(default=1)
    partial: Mapped[str] = mapped_column(default=Partial.PROPORTIONAL.value, server_default=Partial.PROPORTIONAL.value)
    release: Mapped[str] = mapped_column(default=Release.AT_ONCE.value, server_default=Release.AT_ONCE.value)
    release_times: Mapped[int | None]
    """Set exactly where the release is `times`."""
    frozen_dues: Mapped[str] = mapped_column(default=FrozenDues.NOTHING.value, server_default=FrozenDues.NOTHING.value)
    on_end: Mapped[str] = mapped_column(default=OnEnd.KEEP.value, server_default=OnEnd.KEEP.value)
    on_end_days: Mapped[int | None]
    """Set exactly where `on_end` is `days`."""
    payment_link: Mapped[str | None] = mapped_column(String(2000))
    """The gym's own page at Stripe on which these dues are paid; a membership's code is added to it."""
    retired_at: Mapped[datetime | None]
    """Since when it cannot be bought; memberships that bought it go on."""

    offer: Mapped[Offer] = relationship(back_populates="terms")
    bucket_terms: Mapped[list["BucketTerms"]] = relationship(
        back_populates="term", order_by="BucketTerms.session_bucket_id", cascade="all, delete-orphan"
    )

    def retire(self, now: datetime) -> None:
        """Take it off sale. Raises WrongState, or OfferCannotBeBought where the published offer has no other."""
        if self.retired_at is not None:
            raise WrongState(what=say("Payment term {term!r}", term=self.name), state="retired", verb="retired again")
        with self.offer.stays_buyable():
            self.retired_at = now

    def bring_back(self) -> None:
        """Put it back on sale. Raises WrongState, or OfferCannotBeBought under this term."""
        if self.retired_at is None:
            raise WrongState(
                what=say("Payment term {term!r}", term=self.name), state="not retired", verb="brought back"
            )
        with self.offer.stays_buyable():
            self.retired_at = None

    @property
    def is_on_sale(self) -> bool:
        """Whether it can be bought now."""
        return self.retired_at is None and self.offer.state == OfferState.PUBLISHED

    @property
    def used_buckets(self) -> list[SessionBucket]:
        """The session buckets that can be picked under this term: those of which it gives sessions."""
        used = self.used_items
        return [bucket for bucket in self.offer.buckets if bucket.item.name in used]

    @property
    def used_items(self) -> set[str]:
        """The names of their items."""
        return {entry.bucket.item.name for entry in self.bucket_terms}

    @property
    def why_not_buyable(self) -> OfferCannotBeBought | None:
        """The reason why nobody could buy the offer under this term, on sale or not; None if somebody could."""
        return why_not_buyable(self.offer._shape([self]))

    def set_bucket(self, bucket: SessionBucket, *, quantity: int, days_to_expire: int) -> None:
        """Set one of the session buckets. Raises NegativeNumber, NumberTooLarge, DaysWithoutSessions, or as below."""
        for refusal in bucket_terms_refused(quantity, days_to_expire).values():
            raise refusal
        self.set_buckets({bucket: (quantity, days_to_expire)})

    def set_buckets(self, wanted: Mapping[SessionBucket, tuple[int, int]]) -> None:
        """Set checked numbers: sessions per release (0: not used under this term) and days to expire (0: never).

        Raises, on sale, OfferCannotBeBought where nobody could then buy the offer under this term.
        """
        with self.offer.stays_buyable():
            for bucket, (quantity, days_to_expire) in wanted.items():
                self._set(bucket, quantity, days_to_expire)

    def _set(self, bucket: SessionBucket, quantity: int, days_to_expire: int) -> None:
        known = next((entry for entry in self.bucket_terms if entry.bucket is bucket), None)
        if known is not None and quantity:
            known.quantity, known.days_to_expire = quantity, days_to_expire
        elif known is not None:
            self.bucket_terms.remove(known)
        elif quantity:
            self.bucket_terms.append(
                BucketTerms(bucket=bucket, offer_id=self.offer_id, quantity=quantity, days_to_expire=days_to_expire)
            )


class BucketTerms(Base):
    """Session quantity and days to expire of one bucket under one payment term; no row where it is not used."""

    __tablename__ = "bucket_terms"
    __table_args__ = (
        # The shared offer_id keeps the term and the bucket on the same offer.
        ForeignKeyConstraint(["payment_term_id", "offer_id"], ["payment_terms.id", "payment_terms.offer_id"]),
        ForeignKeyConstraint(["session_bucket_id", "offer_id"], ["session_buckets.id", "session_buckets.offer_id"]),
        CheckConstraint(f"quantity BETWEEN 1 AND {MAX_QUANTITY}", "quantity"),
        CheckConstraint(f"days_to_expire BETWEEN 0 AND {MAX_DAYS_TO_EXPIRE}", "days_to_expire"),
    )

    payment_term_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    session_bucket_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    offer_id: Mapped[int] = mapped_column(BigInteger)
    quantity: Mapped[int]
    days_to_expire: Mapped[int]

    term: Mapped[PaymentTerm] = relationship(back_populates="bucket_terms", overlaps="bucket")
    bucket: Mapped[SessionBucket] = relationship(overlaps="term,bucket_terms")
