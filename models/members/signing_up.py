"""Signing up: which picks an offer takes, and the terms that are pinned to a membership.

Main verb: `sign_up`. Later the plan can change: see `models.members.plan_change`.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.catalogue.clubs import Club
from models.catalogue.items import Item
from models.catalogue.tables import OfferState, PaymentTerm, SessionBucket
from models.catalogue.terms import RULES
from models.database.naming import email_given, name_given
from models.errors import (
    InvalidEmail,
    KeyReused,
    NotFound,
    PickGivesNothing,
    PickNotOffered,
    PicksMissing,
    TooFewPicks,
    TooManyPicks,
    WrongCurrency,
    WrongState,
)
from models.members.lookup import the_one, with_email
from models.members.memberships import MAX_EMAIL_LENGTH, Member, Membership, MembershipTerms, PinnedTerms, lock_member
from models.staff import actions
from models.staff.actions import Actor
from models.wording import joined
from runtime.language import say


def chosen_buckets(term: PaymentTerm, picks: Sequence[Item]) -> list[SessionBucket]:
    """The session buckets that these picks mean under the payment term, by the offer's rules.

    An item without sessions under the term cannot be picked. An offer with a single bucket
    includes it, picked or not. Otherwise the picks must include the required items, and their
    number must be from minimum to maximum. Raises OfferCannotBeBought, PickNotOffered, PickGivesNothing,
    PicksMissing, TooFewPicks or TooManyPicks.
    """
    offer, used = term.offer, term.used_buckets
    if refusal := term.why_not_buyable:
        raise refusal
    by_item = {bucket.item_id: bucket for bucket in offer.buckets}
    chosen = {}
    for item in picks:
        if item.id not in by_item:
            offered = ", ".join(bucket.item.name for bucket in used) or say("none")
            raise PickNotOffered(item=item.name, offer=offer.name, offered=offered)
        if by_item[item.id] not in used:
            raise PickGivesNothing(item=item.name, term=term.name)
        chosen[item.id] = by_item[item.id]
    if len(offer.buckets) == 1:
        return used
    missing = [bucket.item.name for bucket in offer.buckets if bucket.required and bucket.item_id not in chosen]
    if missing:
        raise PicksMissing(offer=offer.name, items=joined(missing))
    if len(chosen) < offer.min_buckets and offer.buckets:
        raise TooFewPicks(offer=offer.name, minimum=offer.min_buckets, picked=len(chosen))
    if len(chosen) > offer.max_buckets:
        raise TooManyPicks(offer=offer.name, maximum=offer.max_buckets, picked=len(chosen))
    return list(chosen.values())


def sign_up(
    session: Session, *, email: str, name: str, club: Club, term: PaymentTerm, picks: Sequence[Item],
    by: Actor, now: datetime, key: str | None = None, member_id: int | None = None, another_person: bool = False,
    credits_from: datetime | None = None,
) -> Membership:  # fmt: skip
    """Signs a person up (a known address gains a further membership) and pins the terms.

    Where several share the address, `member_id` says which of them; `another_person` is a new member with an address
    that others have. `credits_from` is its cut-over: see models/members/cut_over.py. The same idempotency key with the
    same content gives the same membership again. Raises WrongState for an offer or a term not on sale, WrongCurrency,
    InvalidEmail, NameMissing, SeveralMembers, NotFound, KeyReused, and what `chosen_buckets` raises.
    """
    known = session.scalar(select(Membership).where(Membership.idempotency_key == key)) if key else None
    if known:
        return _same(session, known, email, club, term, picks)
    offer = term.offer
    if term.retired_at is not None:
        raise WrongState(
            field="payment_term_id", what=say("Payment term {term!r}", term=term.name), state="retired", verb="bought"
        )
    if offer.state != OfferState.PUBLISHED:
        raise WrongState(
            field="payment_term_id", what=say("Offer {offer!r}", offer=offer.name), state=offer.state, verb="bought"
        )
    if term.currency != club.currency:
        raise WrongCurrency(term_currency=term.currency, club=club.name, club_currency=club.currency)
    email, name = email_given(email, MAX_EMAIL_LENGTH), name_given(name)
    buckets = chosen_buckets(term, picks)
    chosen = _member_for(session, email, name, member_id, another_person=another_person)
    member = lock_member(session, chosen.id, field="email")
    new = insert(Membership).values(
        idempotency_key=key, member_id=member.id, club_id=club.id, offer_id=offer.id, payment_term_id=term.id,
        currency=term.currency, credits_from=credits_from,
    )  # fmt: skip
    membership: Membership | None = session.scalar(new.on_conflict_do_nothing().returning(Membership))
    if membership is None:
        known = session.scalars(select(Membership).where(Membership.idempotency_key == key)).one()
        return _same(session, known, email, club, term, picks)
    membership.versions.append(pinned(term, buckets, since=now))
    session.flush()
    actions.log(session, by, "sign up", f"membership {membership.id}: {offer.name}, {term.name}", member_id=member.id)
    return membership


def _member_for(session: Session, email: str, name: str, member_id: int | None, *, another_person: bool) -> Member:
    """The member with that address, made where it is new.

    Raises SeveralMembers, NotFound for the id, or InvalidEmail for the address of an erased one.
    """
    known = with_email(session, email)
    if member_id is not None:
        found = next((one for one in known if one.id == member_id), None)
        if found is None:
            raise NotFound(field="member_id", what=say("member with the address {email}", email=email), name=member_id)
        return found
    if known and not another_person:
        return the_one(known, email)
    new = insert(Member).values(email=email, name=name, shares_email=bool(known))
    made: Member | None = session.scalar(new.on_conflict_do_nothing().returning(Member))
    if made is None and not with_email(session, email):
        raise InvalidEmail(email=email)
    # Somebody else was as fast with this address: look once more.
    return made or _member_for(session, email, name, None, another_person=another_person)


def _same(
    session: Session, known: Membership, email: str, club: Club, term: PaymentTerm, picks: Sequence[Item]
) -> Membership:
    """The membership that this key made, if the content is the same. Raises KeyReused."""
    picked, pins = {item.id for item in picks}, {pin.item_id for pin in known.versions[0].pinned}
    included = not picked and len(term.offer.buckets) == 1
    same_picks = picked == pins or (included and len(pins) == 1)
    bought = (known.club_at(known.recorded_at).id, known.payment_term_id)
    theirs = known.member in with_email(session, email)
    if not theirs or bought != (club.id, term.id) or not same_picks:
        raise KeyReused(key=known.idempotency_key)
    return known


def pinned(
    term: PaymentTerm, buckets: Iterable[SessionBucket], *, since: datetime, action_id: int | None = None
) -> MembershipTerms:
    """A version of a membership's terms: all that the payment term says now, with the sessions of these buckets."""
    terms = {entry.session_bucket_id: entry for entry in term.bucket_terms}
    pins = [
        PinnedTerms(
            item_id=bucket.item_id,
            quantity=terms[bucket.id].quantity,
            days_to_expire=terms[bucket.id].days_to_expire,
        )
        for bucket in buckets
    ]
    rules = {name: getattr(term, name) for name in RULES}
    return MembershipTerms(since=since, payment_term_id=term.id, action_id=action_id, pinned=pins, **rules)
