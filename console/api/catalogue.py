"""What gyms sell, to read: offers, items and clubs. `building`, `offers` and `payment_terms` make and change them."""

from typing import Self

from flask_openapi3 import Tag
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from console import bounds
from console.api import paging
from console.api.fields import Answer, field, id_of, parameter
from console.api.gate import read
from console.api.memberships import FROZEN_DUES, ON_END, Pinned
from console.api.paging import Listing, PageQuery
from models.catalogue import clubs, items, on_sale, tables
from models.catalogue.clubs import ShortfallPolicy, UseWhileOverdue
from models.catalogue.items import GoodAt, ItemKind, SessionType
from models.catalogue.tables import OfferState
from models.catalogue.terms import FrozenDues, Interval, OnEnd, Partial, Release
from runtime.language import Spoken

GOOD_AT = (
    "Where its sessions can be used: at the home club, which is that of the membership when its dues were paid; at the "
    "clubs of `club_ids`; or at all. A change counts for sessions that are given from then on."
)
GOOD_CLUBS = "The clubs where they can be used, for `good_at` of `listed`."

TAG = Tag(name="Catalogue", description="What gyms sell.")


class OfferQuery(PageQuery):
    """The offers to list."""

    state: OfferState | None = parameter("Only those in this state.", "published", default=None)


class Item(Answer):
    """An inventory item."""

    id: int = id_of("item")
    name: str = field("Name.", "Spin")
    kind: ItemKind = field("Only scheduler buckets add sessions.", "scheduler_bucket")
    session_type: SessionType | None = field("The type of its sessions; null for other items.", "class")
    good_at: GoodAt = field(GOOD_AT, "home")
    club_ids: list[int] = field(GOOD_CLUBS, [])
    retired: bool = field("Whether it can no longer be added to offers.", False)

    @classmethod
    def shown(cls, item: items.Item) -> Self:
        """The answer for a row."""
        return cls.of(item, retired=item.retired_at is not None, club_ids=item.club_ids or [])


class Items(Listing[Item]):
    """Items by id."""


class Club(Answer):
    """A gym; its local days decide when sessions expire."""

    id: int = id_of("club")
    name: str = field("Name.", "Downtown")
    time_zone: str = field("IANA name.", "America/Chicago")
    currency: str = field("ISO 4217.", "USD")
    shortfall_policy: ShortfallPolicy = field("Whether the next grant repays a shortfall, or it is forgiven.", "repay")
    refund_fee_percent: int = field(
        "A refund that leaves no more than this share of the payment, and no more than `refund_fee_most_minor`, counts "
        "as all of it.",
        5,
    )
    refund_fee_most_minor: int = field("The most that may be left, in minor units: 1000 is $10.00.", 1000)
    use_while_frozen: bool = field("Whether sessions can be used while their membership is frozen.", False)
    use_while_overdue: UseWhileOverdue = field(
        "Whether sessions can be used while the dues of their membership are overdue.", "warn"
    )
    overdue_grace_days: int = field("For how many local days, for the use `grace`.", 7)
    apply_announcements: bool = field("Whether ends that the payment provider announces apply by themselves.", False)
    locale: Spoken = field("In which language and formats people of the club see pages.", "en_US")


class Clubs(Listing[Club]):
    """Clubs by id."""


class SessionBucket(Answer):
    """A session item that can be picked at sign-up."""

    item_id: int = id_of("item")
    item: str = field("The item's name.", "Spin")
    session_type: SessionType = field("The type of its sessions.", "class")
    required: bool = field("Whether it must be picked.", False)


class PaymentTerm(Answer):
    """One way of paying for an offer, with the sessions that paid dues give."""

    id: int = id_of("payment term")
    offer_id: int = id_of("offer")
    name: str = field("Name.", "Monthly")
    dues_minor: int = field("The dues in minor units: 8900 is $89.00.", 8900)
    currency: str = field("ISO 4217.", "USD")
    interval: Interval = field("How often dues fall due, with `interval_count`.", "month")
    interval_count: int = field("Every so many intervals.", 1)
    partial: Partial = field("What a part payment gives: the same part of the sessions, all, or none.", "proportional")
    release: Release = field("When the sessions of one payment can be used.", "at_once")
    release_times: int | None = field("How many times, for the release `times`.", None)
    frozen_dues: FrozenDues = field(FROZEN_DUES, "nothing")
    on_end: OnEnd = field(ON_END, "keep")
    on_end_days: int | None = field("How many days, for `on_end` of `days`.", None)
    payment_link: str | None = field("The gym's own Stripe payment link for these dues.", None)
    retired: bool = field("Whether it can no longer be bought.", False)
    bucket_terms: list[Pinned] = field(
        "The sessions of each picked item that each release gives. No other items can be picked under this term.", []
    )
    summary: str = field(
        "The payment term in plain words.", "Each $89.00 monthly payment gives 8 Spin sessions (30 days)."
    )

    @classmethod
    def shown(cls, term: tables.PaymentTerm) -> Self:
        """The answer for a row."""
        given = [(item_id, given) for item_id, given in on_sale.given(term).items() if given.quantity]
        bucket_terms = [Pinned.of(given, item_id=item_id) for item_id, given in given]
        retired, summary = term.retired_at is not None, on_sale.summary(term)
        return cls.of(term, retired=retired, bucket_terms=bucket_terms, summary=summary)


class Offer(Answer):
    """A membership for sale. Only published offers can be bought."""

    id: int = id_of("offer")
    name: str = field("Name.", "Gold")
    state: OfferState = field("Draft, published or retired.", "published")
    min_buckets: int = field("Minimum required session buckets; applies where there is more than one.", 1)
    max_buckets: int = field("Maximum allowed session buckets.", 2)
    buckets: list[SessionBucket] = field("The session items that can be picked.", [])
    payment_terms: list[PaymentTerm] = field("The ways to pay for it.", [])

    @classmethod
    def shown(cls, offer: tables.Offer) -> Self:
        """The answer for a row."""
        buckets = [
            SessionBucket.of(one, item=one.item.name, session_type=one.item.session_type) for one in offer.buckets
        ]
        return cls.of(offer, buckets=buckets, payment_terms=[PaymentTerm.shown(term) for term in offer.terms])


class Offers(Listing[Offer]):
    """Offers by id."""


@read("/offers", TAG)
def list_offers(query: OfferQuery) -> Offers:
    """List offers with their session buckets and payment terms."""
    buckets = selectinload(tables.Offer.buckets).selectinload(tables.SessionBucket.item)
    terms = selectinload(tables.Offer.terms).selectinload(tables.PaymentTerm.bucket_terms)
    rows = select(tables.Offer).options(buckets, terms)
    if query.state is not None:
        rows = rows.where(tables.Offer.state == query.state.value)
    found, following = paging.page(rows, tables.Offer.id, query)
    return Offers(data=[Offer.shown(one) for one in found], next_cursor=following)


@read("/offers/<id:offer_id>", TAG)
def get_offer(offer: tables.Offer) -> Offer:
    """Get an offer with its session buckets and payment terms."""
    return Offer.shown(offer)


@read("/payment-terms/<id:payment_term_id>", TAG)
def get_payment_term(payment_term: tables.PaymentTerm) -> PaymentTerm:
    """Get a payment term."""
    return PaymentTerm.shown(payment_term)


@read("/items", TAG)
def list_items(query: PageQuery) -> Items:
    """List inventory items."""
    found, following = paging.page(select(items.Item), items.Item.id, query)
    return Items(data=[Item.shown(one) for one in found], next_cursor=following)


@read("/items/<id:item_id>", TAG)
def get_item(item: items.Item) -> Item:
    """Get an inventory item."""
    return Item.shown(item)


@read("/clubs", TAG)
def list_clubs(query: PageQuery) -> Clubs:
    """List clubs."""
    found, following = paging.page(bounds.theirs(select(clubs.Club)), clubs.Club.id, query)
    return Clubs(data=[Club.of(one) for one in found], next_cursor=following)


@read("/clubs/<id:club_id>", TAG)
def get_club(club: clubs.Club) -> Club:
    """Get a club."""
    return Club.of(club)
