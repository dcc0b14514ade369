"""What gyms sell: clubs, items, offers with their session buckets, payment terms.

A constraint states each rule that it can; the methods below state what a row can
decide by itself, as an error that a person can act on; `models.catalogue.items`,
`models.catalogue.offers` and `models.catalogue.clubs` state the rest. Editing an offer never touches
existing memberships: their terms were pinned at sign-up. Who edits an offer locks
its row first, so that two people do it one after the other.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, ForeignKeyConstraint, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.catalogue.rules import MAX_DAYS_TO_EXPIRE as MAX_DAYS_TO_EXPIRE
from models.catalogue.rules import MAX_QUANTITY as MAX_QUANTITY
from models.catalogue.rules import Shape, bucket_terms_refused, check_limits, why_not_buyable
from models.database.base import Base, Currency, Id, MinorUnits, one_of
from models.errors import (
    ItemAlreadyAdded,
    ItemRetired,
    NotASessionItem,
    OfferCannotBeBought,
    WrongState,
)


class ItemKind(StrEnum):
    """What an inventory item is; only scheduler buckets add sessions."""

    SCHEDULER_BUCKET = "scheduler_bucket"
    OTHER = "other"


class SessionType(StrEnum):
    """What a session item's sessions are good for."""

    CLASS = "class"
    PERSONAL_TRAINING = "personal_training"


class OfferState(StrEnum):
    """Only published offers can be bought."""

    DRAFT = "draft"
    PUBLISHED = "published"
    RETIRED = "retired"


class ShortfallPolicy(StrEnum):
    """What becomes of sessions already used when their payment is reversed."""

    REPAY = "repay"
    """The next grant of that item repays them first."""
    FORGIVE = "forgive"
    """The club bears them."""


class Interval(StrEnum):
    """How often dues fall due; the count beside it multiplies it."""

    WEEK = "week"
    MONTH = "month"
    YEAR = "year"
    ONCE = "once"


class Partial(StrEnum):
    """What a payment for a part of the interval gives."""

    PROPORTIONAL = "proportional"
    """The same part of the sessions, rounded up."""
    FULL = "full"
    NONE = "none"


class Release(StrEnum):
    """When the sessions of one payment can be used; each release has its own days to expire."""

    AT_ONCE = "at_once"
    MONTHLY = "monthly"
    """The session quantity each month of the interval, on the day of the month on which it begins."""
    WEEKLY = "weekly"
    """The session quantity each Monday of the interval."""
    TIMES = "times"
    """The session quantity so many times, spread over the interval."""


MAX_RELEASE_TIMES = 60


class Club(Base):
    """A gym: its local days decide when sessions expire."""

    __tablename__ = "clubs"
    __table_args__ = (
        CheckConstraint("currency ~ '^[A-Z]{3}$'", "currency"),
        CheckConstraint(one_of("shortfall_policy", ShortfallPolicy), "shortfall_policy"),
        CheckConstraint("refund_fee_percent BETWEEN 0 AND 20 AND refund_fee_most_minor >= 0", "refund_fee"),
    )

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(200), unique=True)
    time_zone: Mapped[str] = mapped_column(String(64))
    """IANA name, such as America/Chicago."""
    currency: Mapped[Currency]
    shortfall_policy: Mapped[str] = mapped_column(default=ShortfallPolicy.REPAY.value)
    refund_fee_percent: Mapped[int] = mapped_column(server_default=text("5"))
    """A refund that leaves no more than this share of the payment counts as all of it: the processor kept a fee."""
    refund_fee_most_minor: Mapped[MinorUnits] = mapped_column(server_default=text("1000"))
    """And no more than this amount, in minor units."""


class Item(Base):
    """An inventory item; a session item is one of kind scheduler bucket."""

    __tablename__ = "items"
    __table_args__ = (
        UniqueConstraint("id", "kind"),
        CheckConstraint(one_of("kind", ItemKind), "kind"),
        CheckConstraint(one_of("session_type", SessionType), "session_type"),
        CheckConstraint(
            "(kind = 'scheduler_bucket') = (session_type IS NOT NULL)", "session_type_of_scheduler_buckets"
        ),
    )

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(200), unique=True)
    kind: Mapped[str]
    session_type: Mapped[str | None]
    retired_at: Mapped[datetime | None]
    """Since when it can be added to no further offer; where it is, it stays."""

    def retire(self, now: datetime) -> None:
        """Keeps it off further offers. Raises WrongState."""
        if self.retired_at is not None:
            raise WrongState(what=f"Item {self.name!r}", state="retired", verb="retired again")
        self.retired_at = now

    def bring_back(self) -> None:
        """Lets it be added to offers again. Raises WrongState."""
        if self.retired_at is None:
            raise WrongState(what=f"Item {self.name!r}", state="not retired", verb="brought back")
        self.retired_at = None


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

    def set_bucket_limits(self, minimum: int, maximum: int) -> None:
        """Sets both. Raises NegativeNumber, MaximumBelowMinimum, NumberTooLarge; on sale, OfferCannotBeBought."""
        check_limits(minimum, maximum)
        self._stay_buyable(minimum=minimum, maximum=maximum)
        self.min_buckets, self.max_buckets = minimum, maximum

    def add_bucket(self, item: Item, *, required: bool = False) -> "SessionBucket":
        """Adds a session item. Raises NotASessionItem, ItemAlreadyAdded, ItemRetired; on sale, OfferCannotBeBought."""
        if item.kind != ItemKind.SCHEDULER_BUCKET:
            raise NotASessionItem(item=item.name)
        if any(bucket.item is item for bucket in self.buckets):
            raise ItemAlreadyAdded(item=item.name, offer=self.name)
        if item.retired_at is not None:
            raise ItemRetired(item=item.name)
        self._stay_buyable(items={**self._items, item.name: required})
        bucket = SessionBucket(item=item, required=required)
        self.buckets.append(bucket)
        return bucket

    def set_required(self, bucket: "SessionBucket", required: bool) -> None:
        """Whether it must be picked at sign-up. Raises, once on sale, OfferCannotBeBought."""
        self._stay_buyable(items={**self._items, bucket.item.name: required})
        bucket.required = required

    def remove_bucket(self, bucket: "SessionBucket") -> None:
        """Takes a session item off, with its bucket terms. Raises, once on sale, OfferCannotBeBought."""
        left = {name: required for name, required in self._items.items() if name != bucket.item.name}
        terms = {name: used - {bucket.item.name} for name, used in self._terms.items()}
        self._stay_buyable(items=left, terms=terms)
        for term in self.terms:
            term.bucket_terms = [entry for entry in term.bucket_terms if entry.bucket is not bucket]
        self.buckets.remove(bucket)

    def add_term(self, term: "PaymentTerm", sessions: Mapping["SessionBucket", tuple[int, int]] = {}) -> None:
        """Adds a payment term, with quantity and days to expire of session buckets.

        Raises, once on sale, OfferCannotBeBought.
        """
        self._stay_buyable(terms={**self._terms, term.name: _used_after(set(), sessions)})
        self.terms.append(term)
        term.set_buckets(sessions)

    def remove_term(self, term: "PaymentTerm") -> None:
        """Takes a payment term off that nobody has bought. Raises, for the last one on sale, OfferCannotBeBought."""
        self._stay_buyable_without(term)
        self.terms.remove(term)

    def publish(self) -> None:
        """Puts the offer on sale, or back on sale. Raises WrongState, or OfferCannotBeBought with the reason."""
        if self.state == OfferState.PUBLISHED:
            raise WrongState(what=f"Offer {self.name!r}", state=self.state, verb="published")
        if refusal := self.why_not_buyable:
            raise refusal
        self.state = OfferState.PUBLISHED.value

    @property
    def terms_on_sale(self) -> list["PaymentTerm"]:
        """The payment terms that can be bought while the offer is published."""
        return [term for term in self.terms if term.retired_at is None]

    @property
    def why_not_buyable(self) -> OfferCannotBeBought | None:
        """Why nobody could buy it as it is, or not under one of its payment terms; None if all is well."""
        return why_not_buyable(self._shape())

    def _stay_buyable(self, **changed: Any) -> None:
        """Once on sale: raises OfferCannotBeBought where nobody could buy the offer with these parts changed.

        One that is on sale since before there was such a rule can be mended step by step.
        """
        if self.state != OfferState.PUBLISHED or self.why_not_buyable:
            return
        if refusal := why_not_buyable(self._shape(**changed)):
            way_out = "To change several things, retire the offer first and put it back on sale afterwards"
            raise type(refusal)(**refusal.details | {"reason": f"{refusal.details['reason']}. {way_out}"})

    def _stay_buyable_without(self, term: "PaymentTerm") -> None:
        self._stay_buyable(terms={name: used for name, used in self._terms.items() if name != term.name})

    def _shape(self, **changed: Any) -> Shape:
        whole = Shape(self.name, self.min_buckets, self.max_buckets, self._items, self._terms)
        return replace(whole, **changed)

    @property
    def _items(self) -> dict[str, bool]:
        return {bucket.item.name: bucket.required for bucket in self.buckets}

    @property
    def _terms(self) -> dict[str, set[str]]:
        return {term.name: term.used_items for term in self.terms_on_sale}

    def retire(self) -> None:
        """Takes the offer off sale; memberships that bought it go on."""
        if self.state != OfferState.PUBLISHED:
            raise WrongState(what=f"Offer {self.name!r}", state=self.state, verb="retired")
        self.state = OfferState.RETIRED.value


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
    )

    id: Mapped[Id]
    offer_id: Mapped[int] = mapped_column(ForeignKey("offers.id"))
    name: Mapped[str] = mapped_column(String(200))
    dues_minor: Mapped[MinorUnits]
    currency: Mapped[Currency]
    interval: Mapped[str] = mapped_column(default=Interval.MONTH.value)
    interval_count: Mapped[int] = mapped_column(default=1)
    partial: Mapped[str] = mapped_column(server_default=Partial.PROPORTIONAL.value)
    release: Mapped[str] = mapped_column(server_default=Release.AT_ONCE.value)
    release_times: Mapped[int | None]
    retired_at: Mapped[datetime | None]
    """Since when it cannot be bought; memberships that bought it go on."""

    offer: Mapped[Offer] = relationship(back_populates="terms")
    bucket_terms: Mapped[list["BucketTerms"]] = relationship(
        back_populates="term", order_by="BucketTerms.session_bucket_id", cascade="all, delete-orphan"
    )

    def retire(self, now: datetime) -> None:
        """Takes it off sale. Raises WrongState, or OfferCannotBeBought where the published offer has no other."""
        if self.retired_at is not None:
            raise WrongState(what=f"Payment term {self.name!r}", state="retired", verb="retired again")
        self.offer._stay_buyable_without(self)
        self.retired_at = now

    def bring_back(self) -> None:
        """Puts it back on sale. Raises WrongState, or OfferCannotBeBought under this term."""
        if self.retired_at is None:
            raise WrongState(what=f"Payment term {self.name!r}", state="not retired", verb="brought back")
        self.offer._stay_buyable(terms={**self.offer._terms, self.name: self.used_items})
        self.retired_at = None

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
        """Why nobody could buy the offer under this term, on sale or not; None where somebody could."""
        return why_not_buyable(self.offer._shape(terms={self.name: self.used_items}))

    def set_bucket(self, bucket: SessionBucket, *, quantity: int, days_to_expire: int) -> None:
        """Sets one of the session buckets. Raises NegativeNumber, NumberTooLarge, DaysWithoutSessions, or as below."""
        for refusal in bucket_terms_refused(quantity, days_to_expire).values():
            raise refusal
        self.set_buckets({bucket: (quantity, days_to_expire)})

    def set_buckets(self, wanted: Mapping[SessionBucket, tuple[int, int]]) -> None:
        """Sets sessions per paid dues (0: not used under this term) and days to expire (0: never), which make sense.

        Raises, while it is on sale, OfferCannotBeBought where nobody could then buy the offer under this term.
        """
        if self.retired_at is None:
            self.offer._stay_buyable(terms={**self.offer._terms, self.name: _used_after(self.used_items, wanted)})
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


def _used_after(used: set[str], wanted: Mapping[SessionBucket, tuple[int, int]]) -> set[str]:
    """The items that a payment term gives once these numbers are set."""
    names = {bucket.item.name: quantity for bucket, (quantity, _) in wanted.items()}
    return {name for name in used | names.keys() if names.get(name, 1)}
