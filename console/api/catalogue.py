"""What gyms sell: offers, items and clubs, as they are read. `building` and `offers` make and change them."""

from flask_openapi3 import Tag
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from console.api import paging
from console.api.fields import Answer, Id, Path, field, id_of, parameter
from console.api.gate import read
from console.api.memberships import Pinned
from console.api.paging import Listing, PageQuery
from console.rows import row
from models.catalogue import on_sale, tables
from models.catalogue.tables import Interval, ItemKind, OfferState, SessionType, ShortfallPolicy

TAG = Tag(name="Catalogue", description="What gyms sell.")


class ClubPath(Path):
    """Which club."""

    club_id: Id = parameter("The club's id.", 1)


class ItemPath(Path):
    """Which item."""

    item_id: Id = parameter("The item's id.", 1)


class OfferPath(Path):
    """Which offer."""

    offer_id: Id = parameter("The offer's id.", 1)


class TermPath(Path):
    """Which payment term."""

    payment_term_id: Id = parameter("The payment term's id.", 1)


class OfferQuery(PageQuery):
    """Which offers."""

    state: OfferState | None = parameter("Only those in this state.", "published", default=None)


class Item(Answer):
    """An inventory item."""

    id: int = id_of("item")
    name: str = field("Name.", "Spin")
    kind: ItemKind = field("Only scheduler buckets add sessions.", "scheduler_bucket")
    session_type: SessionType | None = field("What its sessions are good for; null for other items.", "class")
    retired: bool = field("Whether it can no longer be added to offers.", False)


class Items(Listing[Item]):
    """Items by id."""


class Club(Answer):
    """A gym; its local days decide when sessions expire."""

    id: int = id_of("club")
    name: str = field("Name.", "Downtown")
    time_zone: str = field("IANA name.", "America/Chicago")
    currency: str = field("ISO 4217.", "USD")
    shortfall_policy: ShortfallPolicy = field("Whether the next grant repays a shortfall, or it is forgiven.", "repay")


class Clubs(Listing[Club]):
    """Clubs by id."""


class SessionBucket(Answer):
    """A session item that can be picked at sign-up."""

    item_id: int = id_of("item")
    item: str = field("The item's name.", "Spin")
    session_type: SessionType = field("What its sessions are good for.", "class")
    required: bool = field("Whether it must be picked.", False)


class PaymentTerm(Answer):
    """One way of paying for an offer, and what each paid dues give under it."""

    id: int = id_of("payment term")
    offer_id: int = id_of("offer")
    name: str = field("Name.", "Monthly")
    dues_minor: int = field("The dues in minor units: 8900 is $89.00.", 8900)
    currency: str = field("ISO 4217.", "USD")
    interval: Interval = field("How often dues fall due, with `interval_count`.", "month")
    interval_count: int = field("Every so many intervals.", 1)
    retired: bool = field("Whether it can no longer be bought.", False)
    bucket_terms: list[Pinned] = field(
        "What each paid dues give of an item that was picked. No other items can be picked under this term.",
        [],
    )  # fmt: skip
    sentence: str = field("The same in plain words.", "Each $89.00 monthly payment gives 8 Spin sessions (30 days).")


class Offer(Answer):
    """A membership for sale. Only published offers can be bought."""

    id: int = id_of("offer")
    name: str = field("Name.", "Gold")
    state: OfferState = field("Where it stands.", "published")
    min_buckets: int = field("Minimum required session buckets; applies where there is more than one.", 1)
    max_buckets: int = field("Maximum allowed session buckets.", 2)
    buckets: list[SessionBucket] = field("What can be picked.", [])
    payment_terms: list[PaymentTerm] = field("How it can be paid.", [])


class Offers(Listing[Offer]):
    """Offers by id."""


@read("/offers", Offers, TAG)
def list_offers(query: OfferQuery) -> Offers:
    """List offers with their session buckets and payment terms."""
    buckets = selectinload(tables.Offer.buckets).selectinload(tables.SessionBucket.item)
    terms = selectinload(tables.Offer.terms).selectinload(tables.PaymentTerm.bucket_terms)
    rows = select(tables.Offer).options(buckets, terms)
    if query.state is not None:
        rows = rows.where(tables.Offer.state == query.state.value)
    return Offers(**paging.page(rows, tables.Offer.id, query, offer_shown))


@read("/offers/<id:offer_id>", Offer, TAG)
def get_offer(path: OfferPath) -> Offer:
    """Get an offer with its session buckets and payment terms."""
    return offer_shown(row(tables.Offer, "offer", path.offer_id))


@read("/payment-terms/<id:payment_term_id>", PaymentTerm, TAG)
def get_payment_term(path: TermPath) -> PaymentTerm:
    """Get a payment term."""
    return term_shown(row(tables.PaymentTerm, "payment term", path.payment_term_id))


@read("/items", Items, TAG)
def list_items(query: PageQuery) -> Items:
    """List inventory items."""
    return Items(**paging.page(select(tables.Item), tables.Item.id, query, item_shown))


@read("/items/<id:item_id>", Item, TAG)
def get_item(path: ItemPath) -> Item:
    """Get an inventory item."""
    return item_shown(row(tables.Item, "item", path.item_id))


@read("/clubs", Clubs, TAG)
def list_clubs(query: PageQuery) -> Clubs:
    """List clubs."""
    return Clubs(**paging.page(select(tables.Club), tables.Club.id, query, Club.model_validate))


@read("/clubs/<id:club_id>", Club, TAG)
def get_club(path: ClubPath) -> Club:
    """Get a club."""
    return Club.model_validate(row(tables.Club, "club", path.club_id))


def item_shown(item: tables.Item) -> Item:
    """An item as it is answered."""
    return Item(
        id=item.id, name=item.name, kind=ItemKind(item.kind), retired=item.retired_at is not None,
        session_type=SessionType(item.session_type) if item.session_type else None,
    )  # fmt: skip


def offer_shown(offer: tables.Offer) -> Offer:
    """An offer as it is answered."""
    buckets = [
        SessionBucket(
            item_id=one.item_id, item=one.item.name, session_type=SessionType(str(one.item.session_type)),
            required=one.required,
        )
        for one in offer.buckets
    ]  # fmt: skip
    return Offer(
        id=offer.id, name=offer.name, state=OfferState(offer.state), min_buckets=offer.min_buckets,
        max_buckets=offer.max_buckets, buckets=buckets, payment_terms=[term_shown(term) for term in offer.terms],
    )  # fmt: skip


def term_shown(term: tables.PaymentTerm) -> PaymentTerm:
    """A payment term as it is answered."""
    return PaymentTerm(
        id=term.id, offer_id=term.offer_id, name=term.name, dues_minor=term.dues_minor, currency=term.currency,
        interval=Interval(term.interval), interval_count=term.interval_count, retired=term.retired_at is not None,
        bucket_terms=[
            Pinned(item_id=item_id, item=given.item, quantity=given.quantity, days_to_expire=given.days_to_expire)
            for item_id, given in on_sale.given(term).items()
            if given.quantity
        ],
        sentence=on_sale.sentence(term),
    )  # fmt: skip
