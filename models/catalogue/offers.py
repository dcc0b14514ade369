"""The Offer Builder: making, copying and deleting offers, and their payment terms.

What a single offer decides by itself (its session buckets, its state, which payment
terms are on sale) are methods of `Offer` and `PaymentTerm`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from models.catalogue.rules import bucket_terms_refused
from models.catalogue.tables import Interval, Item, ItemKind, Offer, OfferState, PaymentTerm, SessionBucket
from models.database.naming import name_given, named_once, unless_in_use
from models.errors import (
    IntervalTooLong,
    NegativeNumber,
    NotPositive,
    NumberTooLarge,
    OfferInUse,
    SessionsRefused,
    TermInUse,
    WrongState,
)
from models.wording import counted, currency_code, money

MAX_DUES_MINOR = 10**12
MAX_INTERVAL_COUNT = 120


def create(session: Session, name: str) -> Offer:
    """Makes a draft with nothing on it. Raises NameMissing, TextTooLong or NameTaken."""
    return _added(session, Offer(name=name_given(name), state=OfferState.DRAFT.value))


def rename(session: Session, offer: Offer, name: str) -> None:
    """Gives an offer another name, for those who bought it too. Raises NameMissing, TextTooLong or NameTaken."""
    given = name_given(name)
    with named_once(session, "an offer", given):
        offer.name = given


def copy(session: Session, offer: Offer, name: str) -> Offer:
    """Makes a draft of the same limits, session buckets, payment terms and bucket terms, but for what is retired.

    Raises NameMissing, TextTooLong or NameTaken.
    """
    draft = Offer(
        name=name_given(name),
        state=OfferState.DRAFT.value,
        min_buckets=offer.min_buckets,
        max_buckets=offer.max_buckets,
    )
    copied = {
        bucket: draft.add_bucket(bucket.item, required=bucket.required)
        for bucket in offer.buckets
        if bucket.item.retired_at is None
    }
    for term in offer.terms_on_sale:
        twin = PaymentTerm(
            name=term.name,
            dues_minor=term.dues_minor,
            currency=term.currency,
            interval=term.interval,
            interval_count=term.interval_count,
        )
        draft.terms.append(twin)
        for entry in term.bucket_terms:
            if entry.bucket in copied:
                twin.set_bucket(copied[entry.bucket], quantity=entry.quantity, days_to_expire=entry.days_to_expire)
    return _added(session, draft)


@contextmanager
def changed_as_a_whole(offer: Offer) -> Iterator[None]:
    """Judges an offer on sale by what several changes come to, not by each on the way there.

    Raises OfferCannotBeBought; undo the transaction then.
    """
    on_sale = offer.state == OfferState.PUBLISHED
    if on_sale:
        offer.state = OfferState.DRAFT.value
    yield
    if on_sale:
        offer.publish()


def delete(session: Session, offer: Offer) -> None:
    """Deletes a draft that no membership refers to. Raises WrongState or OfferInUse."""
    if offer.state != OfferState.DRAFT:
        raise WrongState(what=f"Offer {offer.name!r}", state=offer.state, verb="deleted: only a draft can be")
    offer_id, name = offer.id, offer.name
    with unless_in_use(session, lambda: OfferInUse(offer=name, memberships=_memberships(session, "offer", offer_id))):
        session.delete(offer)


def addable_items(session: Session, offer: Offer) -> Sequence[Item]:
    """The items that can become session buckets of the offer, by name: not retired, and not added yet."""
    added = select(SessionBucket.item_id).where(SessionBucket.offer_id == offer.id)
    query = select(Item).where(
        Item.kind == ItemKind.SCHEDULER_BUCKET.value, Item.retired_at.is_(None), Item.id.not_in(added)
    )
    return session.scalars(query.order_by(func.lower(Item.name), Item.id)).all()


def add_term(
    session: Session, offer: Offer, *, name: str, dues_minor: int, currency: str, interval: Interval,
    interval_count: int, sessions: Mapping[SessionBucket, tuple[int, int]] = {},
) -> PaymentTerm:  # fmt: skip
    """Adds a payment term with the sessions that each payment gives.

    Raises NameMissing, TextTooLong, NameTaken, NegativeNumber, NumberTooLarge, WrongCurrencyCode, NotPositive,
    IntervalTooLong, SessionsRefused and, on sale, OfferCannotBeBought.
    """
    term = PaymentTerm(**_checked(name, dues_minor, currency, interval, interval_count))
    _check_sessions(sessions)
    with named_once(session, _kind_of(offer), term.name):
        offer.add_term(term, sessions)
    return term


def edit_term(
    session: Session, term: PaymentTerm, *, name: str, dues_minor: int, currency: str, interval: Interval,
    interval_count: int, sessions: Mapping[SessionBucket, tuple[int, int]] = {},
) -> None:  # fmt: skip
    """Changes a payment term for sign-ups to come: memberships keep what they bought. Raises what `add_term` raises.

    Session buckets that are not named keep their sessions.
    """
    checked = _checked(name, dues_minor, currency, interval, interval_count)
    set_buckets(term, sessions)
    with named_once(session, _kind_of(term.offer), str(checked["name"])):
        for column, value in checked.items():
            setattr(term, column, value)


def delete_term(session: Session, term: PaymentTerm) -> None:
    """Deletes a payment term that nobody has bought, with its bucket terms.

    Raises TermInUse, or OfferCannotBeBought for the only one by which the offer is on sale.
    """
    term_id, name = term.id, term.name
    with unless_in_use(
        session, lambda: TermInUse(term=name, memberships=_memberships(session, "payment_term", term_id))
    ):
        term.offer.remove_term(term)


def set_buckets(term: PaymentTerm, wanted: Mapping[SessionBucket, tuple[int, int]]) -> None:
    """Sets quantity and days to expire of these session buckets under the payment term, all or none.

    Raises SessionsRefused and, on sale, OfferCannotBeBought.
    """
    _check_sessions(wanted)
    term.set_buckets(wanted)


def _check_sessions(wanted: Mapping[SessionBucket, tuple[int, int]]) -> None:
    """Raises SessionsRefused, whose `refused` holds every error by its bucket and the name of its field.

    That is `quantity` or `days_to_expire`, so that each error can stand beside what was typed.
    """
    refused = {
        (bucket, field): refusal
        for bucket, numbers in wanted.items()
        for field, refusal in bucket_terms_refused(*numbers).items()
    }
    if refused:
        raise SessionsRefused(refused, reasons=" ".join(map(str, refused.values())))


def _added(session: Session, offer: Offer) -> Offer:
    with named_once(session, "an offer", offer.name):
        session.add(offer)
    return offer


def _checked(
    name: str, dues_minor: int, currency: str, interval: Interval, interval_count: int
) -> dict[str, str | int]:
    code = currency_code(currency)
    if dues_minor < 0:
        raise NegativeNumber(field="dues_minor", what="Dues", value=money(dues_minor, code))
    if dues_minor > MAX_DUES_MINOR:
        limit = money(MAX_DUES_MINOR, code)
        raise NumberTooLarge(field="dues_minor", what="Dues", value=money(dues_minor, code), limit=limit)
    if interval == Interval.ONCE:
        interval_count = 1
    if interval_count < 1:
        what = "The number of weeks, months or years between dues"
        raise NotPositive(field="interval_count", what=what, value=interval_count)
    if interval_count > MAX_INTERVAL_COUNT:
        raise IntervalTooLong(limit=MAX_INTERVAL_COUNT, interval=interval.value, count=interval_count)
    return {
        "name": name_given(name),
        "dues_minor": dues_minor,
        "currency": code,
        "interval": interval.value,
        "interval_count": interval_count,
    }


def _kind_of(offer: Offer) -> str:
    return f"a payment term of {offer.name!r} named"


def _memberships(session: Session, what: Literal["offer", "payment_term"], row_id: int) -> str:
    """The memberships that refer to it, counted in words."""
    count = text(f"SELECT count(*) FROM memberships WHERE {what}_id = :id")
    return counted(session.scalars(count, {"id": row_id}).one(), "membership")
