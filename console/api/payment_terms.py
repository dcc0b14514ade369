"""Payment terms: ways of paying for an offer, and what each paid dues give under them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from console.api.catalogue import TAG, OfferPath, PaymentTerm, TermPath, term_shown
from console.api.fields import Body, Change, Currency, Id, Name, changed, field, whole
from console.api.gate import PREFIX, Made, act, change, remove
from console.api.problems import Fault, Fields, Refused, beside
from console.edits import Edit, log_changes
from console.request import actor, database
from console.rows import row, the_offer
from models.catalogue import offers, tables
from models.catalogue.rules import MAX_BUCKETS
from models.catalogue.tables import MAX_DAYS_TO_EXPIRE, MAX_QUANTITY, Interval, SessionBucket
from models.errors import (
    ListedTwice,
    NameMissing,
    NameTaken,
    NotFound,
    OfferCannotBeBought,
    SessionsRefused,
    WrongCurrencyCode,
)
from models.staff import actions
from models.staff.accounts import Role
from models.wording import counted

Dues = Annotated[int, Field(ge=0, le=offers.MAX_DUES_MINOR), whole]
Count = Annotated[int, Field(ge=1, le=offers.MAX_INTERVAL_COUNT), whole]

_TERM: Fields = {NameMissing: "name", NameTaken: "name", WrongCurrencyCode: "currency"}


class BucketTermsBody(Body):
    """What each paid dues give of one session item."""

    item_id: Id = field("A session item of the offer.", 1)
    quantity: Annotated[int, Field(ge=0, le=MAX_QUANTITY), whole] = field(
        "Sessions for each paid dues; 0 where the item is not used under this payment term.", 8
    )
    days_to_expire: Annotated[int, Field(ge=0, le=MAX_DAYS_TO_EXPIRE), whole] = field(
        "Days in which to use them; 0 is for ever.", 30
    )


BucketTermsList = Annotated[list[BucketTermsBody], Field(max_length=MAX_BUCKETS)]


class TermBody(Body):
    """A further way of paying for an offer."""

    name: Name = field("Its name; no other payment term of the offer has it.", "Yearly")
    dues_minor: Dues = field("The dues in minor units: 8900 is $89.00.", 8900)
    currency: Currency = field("ISO 4217; only clubs with that currency sell it.", "USD")
    interval: Interval = field("How often dues fall due.", "month", default=Interval.MONTH)
    interval_count: Count = field("Every so many intervals.", 1, default=1)
    bucket_terms: BucketTermsList = field(
        "What each paid dues give; of items left out, nothing.",
        [{"item_id": 1, "quantity": 8, "days_to_expire": 30}], default=[],
    )  # fmt: skip


class TermChange(Change):
    """What to change of a payment term, for sign-ups to come; the rest stays."""

    name: Name = changed("Its name.", "Monthly")
    dues_minor: Dues = changed("The dues in minor units.", 8900)
    currency: Currency = changed("ISO 4217.", "USD")
    interval: Interval = changed("How often dues fall due.", "month")
    interval_count: Count = changed("Every so many intervals.", 1)
    bucket_terms: BucketTermsList = changed(
        "All that each paid dues give from now on; of items left out, nothing.",
        [{"item_id": 1, "quantity": 8, "days_to_expire": 30}],
    )  # fmt: skip
    retired: bool = changed("Whether it can no longer be bought; memberships that bought it go on.", False)


@act("/offers/<id:offer_id>/payment-terms", PaymentTerm, TAG, Role.MANAGER)
def create_payment_term(path: OfferPath, body: TermBody) -> Made:
    """Add a payment term to an offer."""
    term = add_term(the_offer(path.offer_id, lock=True), body, "#")
    database().flush()
    return Made(term_shown(term), f"{PREFIX}/payment-terms/{term.id}")


@change("/payment-terms/<id:payment_term_id>", PaymentTerm, TAG, Role.MANAGER)
def change_payment_term(path: TermPath, body: TermChange) -> PaymentTerm:
    """Change a payment term, retire it or bring it back."""
    term, given = _locked(path), body.given
    retired = given.pop("retired", term.retired_at is not None)
    bucket_terms: list[BucketTermsBody] | None = given.pop("bucket_terms", None)
    edit = Edit(term, "name", "dues_minor", "currency", "interval", "interval_count")
    with offers.changed_as_a_whole(term.offer):
        with beside(_TERM):
            offers.edit_term(database(), term, **{**edit.before, "interval": Interval(term.interval), **given})
        edit.log("edit payment term", _named(term))
        if bucket_terms is not None:
            _set_bucket_terms(term, bucket_terms, "#")
        if retired != (term.retired_at is not None):
            term.retire(datetime.now(UTC)) if retired else term.bring_back()
            _log("retire payment term" if retired else "bring back payment term", term)
    database().flush()
    return term_shown(term)


@remove("/payment-terms/<id:payment_term_id>", TAG, Role.MANAGER)
def delete_payment_term(path: TermPath) -> None:
    """Delete a payment term that nobody has bought."""
    term = _locked(path)
    _log("delete payment term", term)
    offers.delete_term(database(), term)


def add_term(offer: tables.Offer, wanted: TermBody, within: str) -> tables.PaymentTerm:
    """Adds a payment term to the offer, which is locked; `within` is the pointer to what is wanted of it."""
    with beside({OfferCannotBeBought: "bucket_terms"}, within), offers.changed_as_a_whole(offer):
        with beside(_TERM, within):
            term = offers.add_term(
                database(), offer, name=wanted.name, dues_minor=wanted.dues_minor, currency=wanted.currency,
                interval=wanted.interval, interval_count=wanted.interval_count,
            )  # fmt: skip
        _log("add payment term", term)
        _set_bucket_terms(term, wanted.bucket_terms, within)
    return term


def each_once(items: Iterable[int], within: str) -> None:
    """Refuses an item that is in the list twice; `within` is the list's pointer."""
    seen: set[int] = set()
    for place, item_id in enumerate(items):
        with beside({ListedTwice: "item_id"}, f"{within}/{place}"):
            if item_id in seen:
                raise ListedTwice(what="item", name=item_id)
        seen.add(item_id)


def _locked(path: TermPath) -> tables.PaymentTerm:
    """The payment term with its offer, which nobody else edits meanwhile. Raises NotFound."""
    wanted = path.payment_term_id
    offer = the_offer(row(tables.PaymentTerm, "payment term", wanted).offer_id, lock=True)
    found = next((term for term in offer.terms if term.id == wanted), None)
    if found is None:  # deleted while we waited
        raise NotFound(what="payment term", name=wanted)
    return found


def _set_bucket_terms(term: tables.PaymentTerm, wanted: Sequence[BucketTermsBody], within: str) -> None:
    """Makes these what the payment term gives, and nothing else."""
    within = f"{within}/bucket_terms"
    each_once((one.item_id for one in wanted), within)
    offered = {bucket.item_id: bucket for bucket in term.offer.buckets}
    places: dict[SessionBucket, int] = {}
    for place, one in enumerate(wanted):
        with beside({NotFound: "item_id"}, f"{within}/{place}"):
            if one.item_id not in offered:
                raise NotFound(what=f"session bucket of {term.offer.name!r} with the item", name=one.item_id)
        places[offered[one.item_id]] = place
    numbers = dict.fromkeys(term.offer.buckets, (0, 0))
    numbers |= {bucket: (wanted[place].quantity, wanted[place].days_to_expire) for bucket, place in places.items()}
    before = _given(term)
    try:
        offers.set_buckets(term, numbers)
    except SessionsRefused as error:
        refused = [
            Fault(pointer=f"{within}/{places[bucket]}/{name}", detail=str(refusal))
            for (bucket, name), refusal in error.refused.items()
        ]
        raise Refused(error, refused) from None
    log_changes("set sessions", _named(term), before, _given(term))


def _given(term: tables.PaymentTerm) -> Mapping[str, str]:
    """What each payment gives, by item, for the action log."""
    given = {bucket.item.name: "0" for bucket in term.offer.buckets}
    for entry in term.bucket_terms:
        days = counted(entry.days_to_expire, "day") if entry.days_to_expire else "ever"
        given[entry.bucket.item.name] = f"{entry.quantity} for {days}"
    return given


def _log(verb: str, term: tables.PaymentTerm) -> None:
    actions.log(database(), actor(), verb, _named(term))


def _named(term: tables.PaymentTerm) -> str:
    return f"payment term {term.id}, {term.name}, of offer {term.offer.id}, {term.offer.name}"
