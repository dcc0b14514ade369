"""What gyms sell: clubs, items, offers with their session buckets, payment terms.

A constraint states each rule that it can; the functions below state the rest and
turn a refusal into an error that a person can act on. Editing an offer never
touches existing memberships: their terms were pinned at sign-up.
"""

from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, ForeignKeyConstraint, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.base import Base, Currency, Id, MinorUnits
from models.errors import (
    DaysWithoutSessions,
    ItemAlreadyAdded,
    MaximumBelowMinimum,
    NegativeNumber,
    NotASessionItem,
    NumberTooLarge,
    OfferCannotBeBought,
    WrongState,
)

MAX_QUANTITY = 10_000
MAX_DAYS_TO_EXPIRE = 36_500


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


def one_of(column: str, values: type[StrEnum]) -> str:
    """SQL for a check that the column holds one of the enumeration's values."""
    return f"{column} IN ({', '.join(repr(value.value) for value in values)})"


class Club(Base):
    """A gym: its local days decide when sessions lapse."""

    __tablename__ = "clubs"
    __table_args__ = (
        CheckConstraint("currency ~ '^[A-Z]{3}$'", "currency"),
        CheckConstraint(one_of("shortfall_policy", ShortfallPolicy), "shortfall_policy"),
    )

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(200), unique=True)
    time_zone: Mapped[str] = mapped_column(String(64))
    """IANA name, such as America/Chicago."""
    currency: Mapped[Currency]
    shortfall_policy: Mapped[str] = mapped_column(default=ShortfallPolicy.REPAY.value)


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
        """Sets both limits. Raises NegativeNumber, MaximumBelowMinimum or, once on sale, OfferCannotBeBought."""
        if minimum < 0:
            raise NegativeNumber(what="Minimum required session buckets", value=minimum)
        if maximum < minimum:
            raise MaximumBelowMinimum(minimum=minimum, maximum=maximum)
        if self.state == OfferState.PUBLISHED:
            self._require_buyable(minimum, maximum, self._required, len(self.buckets))
        self.min_buckets, self.max_buckets = minimum, maximum

    def add_bucket(self, item: Item, *, required: bool = False) -> "SessionBucket":
        """Adds a session item. Raises NotASessionItem, ItemAlreadyAdded or, once on sale, OfferCannotBeBought."""
        if item.kind != ItemKind.SCHEDULER_BUCKET:
            raise NotASessionItem(item=item.name)
        if any(bucket.item is item for bucket in self.buckets):
            raise ItemAlreadyAdded(item=item.name, offer=self.name)
        if self.state == OfferState.PUBLISHED:
            self._require_buyable(self.min_buckets, self.max_buckets, self._required + required, len(self.buckets) + 1)
        bucket = SessionBucket(item=item, required=required)
        self.buckets.append(bucket)
        return bucket

    def publish(self) -> None:
        """Puts the offer on sale. Raises WrongState, or OfferCannotBeBought with the reason."""
        if self.state != OfferState.DRAFT:
            raise WrongState(what=f"Offer {self.name!r}", state=self.state, verb="published")
        if not self.terms:
            raise OfferCannotBeBought(offer=self.name, reason="it has no payment term")
        self._require_buyable(self.min_buckets, self.max_buckets, self._required, len(self.buckets))
        self.state = OfferState.PUBLISHED.value

    @property
    def _required(self) -> int:
        return sum(bucket.required for bucket in self.buckets)

    def _require_buyable(self, minimum: int, maximum: int, required: int, buckets: int) -> None:
        """Raises OfferCannotBeBought where nobody's picks could satisfy these numbers."""
        if required > maximum:
            reason = f"it requires {required} session items but allows at most {maximum}"
        elif minimum > buckets:
            reason = f"it asks for at least {minimum} session items but has {buckets}"
        elif buckets == 1 and maximum < 1:
            reason = "it includes its one session item but allows at most 0"
        else:
            return
        raise OfferCannotBeBought(offer=self.name, reason=reason)

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
    )

    id: Mapped[Id]
    offer_id: Mapped[int] = mapped_column(ForeignKey("offers.id"))
    name: Mapped[str] = mapped_column(String(200))
    dues_minor: Mapped[MinorUnits]
    currency: Mapped[Currency]
    interval: Mapped[str] = mapped_column(default=Interval.MONTH.value)
    interval_count: Mapped[int] = mapped_column(default=1)

    offer: Mapped[Offer] = relationship(back_populates="terms")
    bucket_terms: Mapped[list["BucketTerms"]] = relationship(
        back_populates="term", order_by="BucketTerms.session_bucket_id", cascade="all, delete-orphan"
    )

    def set_bucket(self, bucket: SessionBucket, *, quantity: int, days_to_expire: int) -> None:
        """Sessions per paid dues (0: not used under this term) and days to expire (0: never).

        Raises NegativeNumber, NumberTooLarge or DaysWithoutSessions.
        """
        limits = (
            ("Session quantity", quantity, MAX_QUANTITY),
            ("Days to expire", days_to_expire, MAX_DAYS_TO_EXPIRE),
        )
        for what, value, limit in limits:
            if value < 0:
                raise NegativeNumber(what=what, value=value)
            if value > limit:
                raise NumberTooLarge(what=what, value=value, limit=limit)
        if days_to_expire and not quantity:
            raise DaysWithoutSessions(days=days_to_expire)
        for existing in self.bucket_terms:
            if existing.bucket is bucket:
                existing.quantity, existing.days_to_expire = quantity, days_to_expire
                return
        self.bucket_terms.append(
            BucketTerms(bucket=bucket, offer_id=self.offer_id, quantity=quantity, days_to_expire=days_to_expire)
        )


class BucketTerms(Base):
    """Session quantity and days to expire of one bucket under one payment term."""

    __tablename__ = "bucket_terms"
    __table_args__ = (
        # The shared offer_id keeps the term and the bucket on the same offer.
        ForeignKeyConstraint(["payment_term_id", "offer_id"], ["payment_terms.id", "payment_terms.offer_id"]),
        ForeignKeyConstraint(["session_bucket_id", "offer_id"], ["session_buckets.id", "session_buckets.offer_id"]),
        CheckConstraint(f"quantity BETWEEN 0 AND {MAX_QUANTITY}", "quantity"),
        CheckConstraint(f"days_to_expire BETWEEN 0 AND {MAX_DAYS_TO_EXPIRE}", "days_to_expire"),
        CheckConstraint("quantity > 0 OR days_to_expire = 0", "no_days_without_sessions"),
    )

    payment_term_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    session_bucket_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    offer_id: Mapped[int] = mapped_column(BigInteger)
    quantity: Mapped[int]
    days_to_expire: Mapped[int]

    term: Mapped[PaymentTerm] = relationship(back_populates="bucket_terms", overlaps="bucket")
    bucket: Mapped[SessionBucket] = relationship(overlaps="term,bucket_terms")
