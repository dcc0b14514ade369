"""The Offer Builder: make, copy and delete offers and their payment terms.

What an offer can decide by itself (its session buckets, its state, which payment terms are on sale) are methods
of `Offer` and `PaymentTerm`. Several changes that belong together are made in one block of `Offer.stays_buyable`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Required, TypedDict, Unpack

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from models.catalogue.items import Item, ItemKind
from models.catalogue.rules import bucket_terms_refused
from models.catalogue.tables import Offer, OfferState, PaymentTerm, SessionBucket
from models.catalogue.terms import RULES, FrozenDues, Interval, OnEnd, Partial, Release, on_end_days, release_times
from models.database.naming import name_given, named_once, unless_in_use
from models.errors import (
    IntervalTooLong,
    NegativeNumber,
    NotPositive,
    NumberTooLarge,
    OfferInUse,
    PaymentLinkUnusable,
    SessionsRefused,
    TermInUse,
    WrongState,
)
from models.wording import counted, currency_code, every, money
from runtime.language import noted, say

MAX_DUES_MINOR = 10**12
MAX_INTERVAL_COUNT = 120
MAX_LINK_LENGTH = 2000
_LINK = re.compile("https://[!-~]+", re.ASCII)

COLUMNS = ("name", "currency", *RULES, "payment_link")
"""What a payment term says beside the sessions that it gives."""


def create(session: Session, name: str) -> Offer:
    """Make a draft with nothing on it. Raises NameMissing, TextTooLong or NameTaken."""
    return _added(session, Offer(name=name_given(name), state=OfferState.DRAFT.value))


def rename(session: Session, offer: Offer, name: str) -> None:
    """Change the name of an offer; memberships show the new one. Raises NameMissing, TextTooLong or NameTaken."""
    given = name_given(name)
    with named_once(session, noted("an offer"), given):
        offer.name = given


def copy(session: Session, offer: Offer, name: str) -> Offer:
    """Make a draft with the same limits, session buckets and payment terms, without those that are retired.

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
        twin = PaymentTerm(**{name: getattr(term, name) for name in COLUMNS})
        draft.terms.append(twin)
        for entry in term.bucket_terms:
            if entry.bucket in copied:
                twin.set_bucket(copied[entry.bucket], quantity=entry.quantity, days_to_expire=entry.days_to_expire)
    return _added(session, draft)


def delete(session: Session, offer: Offer) -> None:
    """Delete a draft that no membership refers to. Raises WrongState or OfferInUse."""
    if offer.state != OfferState.DRAFT:
        raise WrongState(
            what=say("Offer {offer!r}", offer=offer.name), state=offer.state, verb="deleted: only a draft can be"
        )
    offer_id, name = offer.id, offer.name
    with unless_in_use(
        session, lambda: OfferInUse(offer=name, memberships=_memberships(session, "offer_id", offer_id))
    ):
        session.delete(offer)


def addable_items(session: Session, offer: Offer) -> Sequence[Item]:
    """Session items that can be added to the offer, by name: not retired, and not added yet."""
    added = select(SessionBucket.item_id).where(SessionBucket.offer_id == offer.id)
    query = select(Item).where(
        Item.kind == ItemKind.SCHEDULER_BUCKET.value, Item.retired_at.is_(None), Item.id.not_in(added)
    )
    return session.scalars(query.order_by(func.lower(Item.name), Item.id)).all()


class TermFields(TypedDict, total=False):
    """The fields of a payment term."""

    name: Required[str]
    dues_minor: Required[int]
    currency: Required[str]
    interval: Required[Interval]
    interval_count: int
    partial: Partial
    release: Release
    release_times: int | None
    """Kept only beside the release `times`."""
    frozen_dues: FrozenDues
    on_end: OnEnd
    on_end_days: int | None
    """Kept only beside `days`."""
    payment_link: str | None
    """The gym's own page at a processor on which these dues are paid."""


def add_term(session: Session, offer: Offer, **fields: Unpack[TermFields]) -> PaymentTerm:
    """Add a payment term, which gives no sessions yet.

    Raises NameMissing, TextTooLong, NameTaken, NegativeNumber, NumberTooLarge, WrongCurrencyCode, NotPositive,
    IntervalTooLong, NotReleased, ReleaseTimesMissing, PaymentLinkUnusable and, on sale, OfferCannotBeBought.
    """
    term = PaymentTerm(**checked(fields))
    with named_once(session, _kind_of(offer), term.name):
        offer.add_term(term)
    return term


def edit_term(session: Session, term: PaymentTerm, **changed: Any) -> None:
    """Change fields of a payment term for sign-ups to come; the others stay. Memberships keep what they bought.

    Takes what `add_term` takes, and raises what it raises.
    """
    now = TermFields(
        name=term.name,
        dues_minor=term.dues_minor,
        currency=term.currency,
        interval=Interval(term.interval),
        interval_count=term.interval_count,
        partial=Partial(term.partial),
        release=Release(term.release),
        release_times=term.release_times,
        frozen_dues=FrozenDues(term.frozen_dues),
        on_end=OnEnd(term.on_end),
        on_end_days=term.on_end_days,
        payment_link=term.payment_link,
    )
    columns = checked({**now, **changed})
    with named_once(session, _kind_of(term.offer), columns["name"]):
        for column, value in columns.items():
            setattr(term, column, value)


def delete_term(session: Session, term: PaymentTerm) -> None:
    """Delete a payment term that nobody has bought, with its bucket terms.

    Raises TermInUse, or OfferCannotBeBought for the only one by which the offer is on sale.
    """
    term_id, name = term.id, term.name
    with unless_in_use(session, lambda: TermInUse(term=name, memberships=_memberships(session, "id", term_id))):
        term.offer.remove_term(term)


def set_buckets(term: PaymentTerm, wanted: Mapping[SessionBucket, tuple[int, int]]) -> None:
    """Set quantity and days to expire of these session buckets under the payment term, all or none.

    Raises SessionsRefused and, on sale, OfferCannotBeBought. `refused` of SessionsRefused holds every error by its
    bucket and field (`quantity` or `days_to_expire`), so that each can stand beside what was typed.
    """
    refused = {
        (bucket, field): refusal
        for bucket, numbers in wanted.items()
        for field, refusal in bucket_terms_refused(*numbers).items()
    }
    if refused:
        raise SessionsRefused(refused, reasons=" ".join(map(str, refused.values())))
    term.set_buckets(wanted)


def _added(session: Session, offer: Offer) -> Offer:
    with named_once(session, noted("an offer"), offer.name):
        session.add(offer)
    return offer


def checked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a payment term with these fields. Raises what `add_term` raises, except NameTaken."""
    code, dues, interval = currency_code(fields["currency"]), fields["dues_minor"], fields["interval"]
    if dues < 0:
        raise NegativeNumber(field="dues_minor", what="Dues", value=money(dues, code))
    if dues > MAX_DUES_MINOR:
        limit = money(MAX_DUES_MINOR, code)
        raise NumberTooLarge(field="dues_minor", what="Dues", value=money(dues, code), limit=limit)
    count = 1 if interval == Interval.ONCE else fields.get("interval_count", 1)
    if count < 1:
        what = noted("The number of weeks, months or years between dues")
        raise NotPositive(field="interval_count", what=what, value=count)
    if count > MAX_INTERVAL_COUNT:
        most = {"most": every(interval, MAX_INTERVAL_COUNT)}
        raise IntervalTooLong(limit=MAX_INTERVAL_COUNT, interval=interval.value, count=count, words=most)
    release, on_end = fields.get("release", Release.AT_ONCE), fields.get("on_end", OnEnd.KEEP)
    return {
        "name": name_given(fields["name"]),
        "dues_minor": dues,
        "currency": code,
        "interval": interval.value,
        "interval_count": count,
        "partial": fields.get("partial", Partial.PROPORTIONAL).value,
        "release": release.value,
        "release_times": release_times(interval, count, release, fields.get("release_times")),
        "frozen_dues": fields.get("frozen_dues", FrozenDues.NOTHING).value,
        "on_end": on_end.value,
        "on_end_days": on_end_days(on_end, fields.get("on_end_days")),
        "payment_link": _link_given(fields.get("payment_link")),
    }


def _link_given(text: str | None) -> str | None:
    """The payment link as it is kept; None for none. Raises PaymentLinkUnusable."""
    given = (text or "").strip()
    if given and (len(given) > MAX_LINK_LENGTH or not _LINK.fullmatch(given)):
        raise PaymentLinkUnusable(limit=MAX_LINK_LENGTH)
    return given or None


def _kind_of(offer: Offer) -> str:
    return say("a payment term of {offer!r} named", offer=offer.name)


# A membership that changed its plan has bought several payment terms.
_BOUGHT = """
    SELECT count(DISTINCT v.membership_id) FROM membership_terms v JOIN payment_terms t ON t.id = v.payment_term_id
    WHERE t.{column} = :id
"""


def _memberships(session: Session, column: Literal["id", "offer_id"], row_id: int) -> str:
    """The memberships that have, had or will have a payment term with this value in the column, counted in words."""
    return counted(session.scalars(text(_BOUGHT.format(column=column)), {"id": row_id}).one(), "membership")
