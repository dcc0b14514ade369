"""Payment terms: ways of paying for an offer, with the sessions that paid dues give."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from pydantic import Field

from console.api.catalogue import TAG, PaymentTerm
from console.api.fields import Body, Change, Currency, Id, Name, Text, field, whole
from console.api.gate import act, change, remove
from console.api.memberships import FROZEN_DUES, ON_END
from console.edits import edited, log, log_changes, named, sessions_of, set_retired
from console.request import database
from console.rows import the_offer
from models.catalogue import offers, tables
from models.catalogue.rules import MAX_BUCKETS, MAX_DAYS_TO_EXPIRE, MAX_QUANTITY
from models.catalogue.terms import (
    MAX_ON_END_DAYS,
    MAX_RELEASE_TIMES,
    FrozenDues,
    Interval,
    OnEnd,
    Partial,
    Release,
)
from models.errors import ListedTwice, NotFound, SessionsRefused
from models.staff.accounts import Role

Dues = Annotated[int, Field(ge=0, le=offers.MAX_DUES_MINOR), whole]
Count = Annotated[int, Field(ge=1, le=offers.MAX_INTERVAL_COUNT), whole]

Times = Annotated[int, Field(ge=2, le=MAX_RELEASE_TIMES), whole]
EndDays = Annotated[int, Field(ge=1, le=MAX_ON_END_DAYS), whole]


class BucketTermsBody(Body):
    """The sessions of one item that paid dues give."""

    item_id: Id = field("A session item of the offer.", 1)
    quantity: Annotated[int, Field(ge=0, le=MAX_QUANTITY), whole] = field(
        "Sessions for each paid dues and release; 0 if the item is not used under this payment term.", 8
    )
    days_to_expire: Annotated[int, Field(ge=0, le=MAX_DAYS_TO_EXPIRE), whole] = field(
        "Days to use them; 0 if they never expire.", 30
    )


class TermBody(Body):
    """A new way of paying for an offer."""

    name: Name = field("Its name; no other payment term of the offer has it.", "Yearly")
    dues_minor: Dues = field("The dues in minor units: 8900 is $89.00.", 8900)
    currency: Currency = field("ISO 4217; only clubs with that currency sell it.", "USD")
    interval: Interval = field("How often dues fall due.", "month", default=Interval.MONTH)
    interval_count: Count = field("Every so many intervals.", 1, default=1)
    partial: Partial = field(
        "What a payment for a part of the interval gives: the same part of the sessions, rounded up, all, or none.",
        "proportional",
        default=Partial.PROPORTIONAL,
    )
    release: Release = field(
        "When the sessions of one payment can be used; each release gives the quantities of `bucket_terms`, with their "
        "days to expire: all at once, each `monthly` anniversary, each Monday (`weekly`), or so many `times`.",
        "at_once",
        default=Release.AT_ONCE,
    )
    release_times: Times | None = field("How many times; only for the release `times`.", 4, default=None)
    frozen_dues: FrozenDues = field(
        FROZEN_DUES,
        "nothing",
        default=FrozenDues.NOTHING,
    )
    on_end: OnEnd = field(
        ON_END,
        "keep",
        default=OnEnd.KEEP,
    )
    on_end_days: EndDays | None = field("How many days; only for `on_end` of `days`.", 14, default=None)
    payment_link: Text | None = field(
        "The gym's own Stripe payment link for these dues; sign-up links add a membership's code to it.",
        "https://buy.stripe.com/28o5lA",
        default=None,
        max_length=offers.MAX_LINK_LENGTH,
    )
    bucket_terms: Annotated[list[BucketTermsBody], Field(max_length=MAX_BUCKETS)] = field(
        "The sessions that paid dues give; of an item left out, none.",
        [{"item_id": 1, "quantity": 8, "days_to_expire": 30}],
        default=[],
    )


class TermChange(TermBody, Change):
    """The fields of a payment term to change, for sign-ups to come; the others stay."""

    retired: bool = field("Whether it can no longer be bought; memberships that bought it go on.", False)


@act("/offers/<id:offer_id>/payment-terms", TAG, "/payment-terms/{id}", Role.MANAGER)
def create_payment_term(offer_id: int, body: TermBody) -> PaymentTerm:
    """Add a payment term to an offer."""
    term = add_term(the_offer(offer_id, lock=True), body)
    database().flush()
    return PaymentTerm.shown(term)


@change("/payment-terms/<id:payment_term_id>", TAG, Role.MANAGER)
def change_payment_term(payment_term: tables.PaymentTerm, body: TermChange) -> PaymentTerm:
    """Change a payment term, retire it or bring it back."""
    term, given = payment_term, body.given
    retired = given.pop("retired", term.retired_at is not None)
    given.pop("bucket_terms", None)
    with term.offer.stays_buyable():
        with edited(term, "edit payment term", *offers.COLUMNS):
            offers.edit_term(database(), term, **given)
        if "bucket_terms" in body.given:
            _set_bucket_terms(term, body.bucket_terms)
        set_retired(term, retired)
    database().flush()
    return PaymentTerm.shown(term)


@remove("/payment-terms/<id:payment_term_id>", TAG, Role.MANAGER)
def delete_payment_term(payment_term: tables.PaymentTerm) -> None:
    """Delete a payment term that nobody has bought."""
    log("delete payment term", named(payment_term))
    offers.delete_term(database(), payment_term)


def add_term(offer: tables.Offer, wanted: TermBody) -> tables.PaymentTerm:
    """Add a payment term to the offer, which is locked."""
    fields: Any = {name: getattr(wanted, name) for name in offers.COLUMNS}
    with offer.stays_buyable():
        term = offers.add_term(database(), offer, **fields)
        log("add payment term", named(term))
        _set_bucket_terms(term, wanted.bucket_terms)
    return term


def each_once(items: Iterable[int], where: str) -> None:
    """Refuse an item that is in the list twice. Raises ListedTwice."""
    seen: set[int] = set()
    for place, item_id in enumerate(items):
        if item_id in seen:
            raise ListedTwice(field=f"{where}/{place}/item_id", what="item", name=item_id)
        seen.add(item_id)


def _set_bucket_terms(term: tables.PaymentTerm, wanted: Sequence[BucketTermsBody]) -> None:
    """Make this what the payment term gives, and nothing else."""
    each_once((one.item_id for one in wanted), "bucket_terms")
    offered = {bucket.item_id: bucket for bucket in term.offer.buckets}
    numbers = dict.fromkeys(term.offer.buckets, (0, 0))
    places = {}
    for place, one in enumerate(wanted):
        bucket = offered.get(one.item_id)
        if bucket is None:
            what = f"session bucket of {term.offer.name!r} with the item"
            raise NotFound(field=f"bucket_terms/{place}/item_id", what=what, name=one.item_id)
        numbers[bucket], places[bucket] = (one.quantity, one.days_to_expire), place
    before = sessions_of(term)
    try:
        offers.set_buckets(term, numbers)
    except SessionsRefused as error:
        for (bucket, name), refusal in error.refused.items():
            refusal.field = f"bucket_terms/{places[bucket]}/{name}"
        raise
    log_changes("set sessions", named(term), before, sessions_of(term))
