"""Memberships: sign-up, and the billing references by which payments are matched to them."""

from collections.abc import Container, Iterable
from datetime import date, datetime
from typing import Annotated

from flask import current_app
from flask_openapi3 import Tag
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from console.api import paging
from console.api.fields import (
    TIME,
    Answer,
    Body,
    Email,
    Id,
    KeyHeader,
    Query,
    Sought,
    Text,
    field,
    id_of,
    parameter,
)
from console.api.gate import act, mark_replayed, read, write
from console.api.paging import Listing, PageQuery
from console.api.problems import within
from console.request import actor, database, is_test_endpoint, utc_now
from console.rows import row
from models.catalogue import terms
from models.catalogue.clubs import Club
from models.catalogue.days import OPEN, local_day
from models.catalogue.items import Item
from models.catalogue.tables import PaymentTerm
from models.catalogue.terms import FrozenDues, Interval, OnEnd, Partial, Release
from models.errors import KeyReused, NotFound
from models.members import awaiting, changed_terms, club_move, lives, overdue, reference_moves, signing_up
from models.members.clocks import make_test_member
from models.members.memberships import WITH_PLANS, Member, MembershipTerms, PinnedTerms, add_billing_reference
from models.members.memberships import Membership as Bought
from models.staff.accounts import Role
from models.staff.actions import MAX_REASON_LENGTH

TAG = Tag(
    name="Memberships",
    description="What members bought, and the billing references by which payments are matched to it.",
)

FROZEN_DUES = (
    "What dues give that are paid while the membership is frozen: `nothing` (the fee of the freeze), the `part` of "
    "the sessions that they pay for, or all of them (`full`)."
)
ON_END = (
    "Until when unused sessions can be used once the membership has ended: their own day (`keep`), its last day "
    "(`last_day`), or so many `days` after it; never longer than their own day."
)


EndpointName = Annotated[str, field("The webhook endpoint.", "stripe", pattern="^[a-z0-9][a-z0-9-]{0,62}$")]


class BillingReferenceBody(Body):
    """A processor's id by which payments are matched to a membership."""

    endpoint: EndpointName
    reference: Text = field("The processor's id of the subscription, mandate or customer.", "sub_8Hx2", max_length=255)
    shared: bool = field(
        "Whether to share it if another membership has it: later payments are then divided equally between them.",
        False,
        default=False,
    )


class SignUpBody(Body):
    """A person and what they buy."""

    email: Email = field(
        "Their e-mail address. A known address gains a further membership and keeps its name.", "ada@example.com"
    )
    name: Text = field("Their name.", "Ada Lovelace", max_length=200)
    member_id: Id | None = field("Which member it is, where several share the address.", None, default=None)
    another_person: bool = field(
        "Whether it is a new member although others have the address, as in a family.", False, default=False
    )
    is_test: bool = field(
        "Whether to make it a test member: a made-up person, for whom only test endpoints pay.", False, default=False
    )
    club_id: Id = field("The club that they join.", 1)
    payment_term_id: Id = field("The payment term that they buy, and with it the offer.", 1)
    item_ids: list[Id] = field("The session items that they pick.", [1, 2], default=[], max_length=100)
    billing_references: list[BillingReferenceBody] = field(
        "The processors' ids by which their payments are matched.",
        [{"endpoint": "stripe", "reference": "sub_8Hx2"}],
        default=[],
        max_length=20,
    )


class Pinned(Answer):
    """Sessions of one item that each paid dues give."""

    item_id: int = id_of("item")
    item: str = field("The item's name.", "Spin")
    quantity: int = field("Sessions for each paid dues.", 8)
    days_to_expire: int = field("Days to use them; 0 if they never expire.", 30)


class ClearingBody(Body):
    """Why dues that could not be collected are owed no more."""

    reason: Text = field("Why; kept in the action log.", "Paid in cash", max_length=MAX_REASON_LENGTH)


class ClubChangeBody(Body):
    """Another club."""

    club_id: Id = field("The club that it moves to, of the same currency.", 2)
    reason: Text = field("Why; kept in the action log.", "Moved house", max_length=MAX_REASON_LENGTH)


class ClubChangeQuery(Query):
    """A move to preview."""

    club_id: Id = parameter("The club that it would move to.", 2)


class BillingChangeBody(Body):
    """A billing reference that the membership gives up."""

    endpoint: EndpointName
    reference: Text = field("The processor's id of the subscription, mandate or customer.", "sub_8Hx2", max_length=255)
    to_membership_id: Id | None = field(
        "The membership that gets it; without it, none has it any more.", 2, default=None
    )
    reason: Text = field("Why; kept in the action log.", "Her husband's contract", max_length=MAX_REASON_LENGTH)


class BillingChangeQuery(Query):
    """A change to preview."""

    endpoint: Sought = parameter("The webhook endpoint.", "stripe")
    reference: Sought = parameter("The processor's id.", "sub_8Hx2")
    to_membership_id: Id | None = parameter("The membership that would get it.", 2, default=None)


class Consequences(Answer):
    """What a change would do, in plain words."""

    what: str = field("In words for the person who decides.", "Payments to come with it count for membership 2.")


class EarlierClub(Answer):
    """A club that the membership had before it moved."""

    club_id: int = id_of("club")
    until: datetime = field("Payments made before this moment count by its days and rules.", TIME)


class Terms(Answer):
    """The sessions that a membership's dues give, since a moment."""

    since: datetime = field("The payments from this moment on count by these terms.", TIME)
    offer_id: int = id_of("offer")
    offer: str = field("The offer's name.", "Gold")
    payment_term_id: int = id_of("payment term")
    payment_term: str = field("The payment term's name.", "Monthly")
    dues_minor: int = field("The dues in minor units: 8900 is $89.00.", 8900)
    interval: Interval = field("How often dues fall due, with `interval_count`.", "month")
    interval_count: int = field("Every so many intervals.", 1)
    partial: Partial = field("What a part payment gives: the same part of the sessions, all, or none.", "proportional")
    release: Release = field("When the sessions of one payment can be used.", "at_once")
    release_times: int | None = field("How many times, for the release `times`.", None)
    frozen_dues: FrozenDues = field(FROZEN_DUES, "nothing")
    on_end: OnEnd = field(ON_END, "keep")
    on_end_days: int | None = field("How many days, for `on_end` of `days`.", None)
    sessions: list[Pinned] = field("The sessions that each release gives.", [])
    summary: str = field("The terms in plain words.", "Each $89.00 monthly payment gives 8 Spin sessions (30 days).")


class BillingReference(Answer):
    """The processor's id by which payments are matched to a membership."""

    endpoint: str = field("The webhook endpoint.", "stripe")
    reference: str = field("The processor's id.", "sub_8Hx2")


class LifeDays(Answer):
    """What is recorded of a membership's life, by the local days of its club."""

    frozen_from: date | None = field(
        "The first day on which it is frozen, of the freeze that today is in or of the next to come; or null.", None
    )
    frozen_to: date | None = field(
        "The last of these days; null until further notice, and where `frozen_from` is null.", None
    )
    ended_on: date | None = field("Its last day, past or to come; null if it has no end.", None)


class Membership(LifeDays):
    """An offer that a member bought, with its terms at sign-up and every later plan change.

    Offer and payment term are those in force now.
    """

    id: int = id_of("membership")
    member_id: int = id_of("member")
    club_id: int = id_of("club that it has now")
    earlier_clubs: list[EarlierClub] = field("Those that it had before, the first one first.", [])
    offer_id: int = id_of("offer")
    offer: str = field("The offer's name.", "Gold")
    payment_term_id: int = id_of("payment term")
    payment_term: str = field("The payment term's name.", "Monthly")
    currency: str = field("The currency of the dues, ISO 4217.", "USD")
    terms: list[Terms] = field(
        "Those that count for some payment, the oldest first; those of a later day are planned.", []
    )
    billing_references: list[BillingReference] = field("The processors' ids by which payments are matched to it.", [])
    recorded_at: datetime = field("When it was signed up.", TIME)
    credits_from: datetime | None = field(
        "The cut-over: what was paid before it gives nothing, since an earlier system gave it. Null: all counts.", None
    )
    overdue_since: datetime | None = field("Since when its dues are overdue; null where they are not.", None)
    code: str = field("By which its first payment finds it; see its sign-up links.", "m_5s3kq7ha2vdxw4ne")
    awaits_first_payment: bool = field("Whether no payment was matched to it yet, and it has not ended.", False)


class Memberships(Listing[Membership]):
    """A member's memberships, the oldest first."""


@read("/members/<id:member_id>/memberships", TAG)
def list_memberships(member: Member, query: PageQuery) -> Memberships:
    """List a member's memberships, the oldest first."""
    pinned = selectinload(Bought.versions).selectinload(MembershipTerms.pinned).selectinload(PinnedTerms.item)
    parts = [pinned, WITH_PLANS, selectinload(Bought.billing)]
    rows = select(Bought).where(Bought.member_id == member.id).options(*parts)
    found, following = paging.page(rows, Bought.id, query)
    days, late, waits = life_days(found), _late(found), awaiting.of(database(), [one.id for one in found])
    return Memberships(data=[shown(one, days[one.id], late, waits) for one in found], next_cursor=following)


@read("/memberships/<id:membership_id>", TAG)
def get_membership(membership: Bought) -> Membership:
    """Get a membership."""
    return shown(membership)


@act("/memberships", TAG, "/memberships/{id}", Role.DESK)
def sign_up(header: KeyHeader, body: SignUpBody) -> Membership:
    """Sign a member up.

    Earlier payments with one of its billing references are credited soon after.
    """
    now = utc_now()
    club, term = row(Club, body.club_id), row(PaymentTerm, body.payment_term_id)
    picks = [row(Item, item_id, field="item_ids") for item_id in body.item_ids]
    bought = signing_up.sign_up(
        database(), email=body.email, name=body.name, club=club, term=term, picks=picks, by=actor(), now=now,
        key=header.key, member_id=body.member_id, another_person=body.another_person,
    )  # fmt: skip
    replayed = bought.versions[0].since != now
    if body.is_test and not bought.member.is_test:
        make_test_member(database(), bought.member, current_app.config["SPP"].endpoints, by=actor())
    wanted = {(one.endpoint, one.reference) for one in body.billing_references}
    if replayed and not wanted <= {(one.endpoint, one.reference) for one in bought.billing}:
        raise KeyReused(key=header.key)
    mark_replayed(replayed)
    for place, one in enumerate(body.billing_references):
        with within(f"billing_references/{place}", BillingReferenceBody):
            _add(bought, one)
    return shown(bought)


@write("/memberships/<id:membership_id>/billing-references", TAG, "/memberships/{id}")
def add_billing(membership: Bought, body: BillingReferenceBody) -> Membership:
    """Add a billing reference; a repetition changes nothing.

    Earlier payments with that reference are credited soon after.
    """
    _add(membership, body)
    return shown(membership)


@act("/memberships/<id:membership_id>/overdue-clearings", TAG, "/memberships/{id}", Role.MANAGER)
def clear_overdue(membership: Bought, body: ClearingBody) -> Membership:
    """Say that dues that failed are owed no more: paid otherwise, or forgiven."""
    overdue.clear(database(), membership, reason=body.reason, by=actor(), now=utc_now())
    return shown(membership)


@read("/memberships/<id:membership_id>/club-changes", TAG)
def preview_club_change(membership: Bought, query: ClubChangeQuery) -> Consequences:
    """Say what a move to another club would do."""
    return Consequences(what=club_move.preview(database(), membership, row(Club, query.club_id)))


@act("/memberships/<id:membership_id>/club-changes", TAG, "/memberships/{id}", Role.MANAGER)
def move_to_club(membership: Bought, body: ClubChangeBody) -> Membership:
    """Move a membership to another club of its currency.

    Payments made from now on count by that club's days and rules; those made before keep theirs, also where they
    arrive later.
    """
    club = row(Club, body.club_id)
    club_move.move_club(database(), membership, club, reason=body.reason, by=actor(), now=utc_now())
    return shown(membership)


@read("/memberships/<id:membership_id>/billing-changes", TAG)
def preview_billing_change(membership: Bought, query: BillingChangeQuery) -> Consequences:
    """Say what moving or removing a billing reference would do."""
    into = _into(query.to_membership_id)
    return Consequences(what=reference_moves.preview(database(), membership, query.endpoint, query.reference, into))


@act("/memberships/<id:membership_id>/billing-changes", TAG, "/memberships/{id}", Role.MANAGER)
def change_billing(membership: Bought, body: BillingChangeBody) -> Membership:
    """Move a billing reference to another membership, or remove it.

    Payments that it has matched stay with this membership. Those that wait for it are credited soon after.
    """
    reference_moves.give_up(
        database(), membership, body.endpoint, body.reference, into=_into(body.to_membership_id), reason=body.reason,
        by=actor(), is_test=is_test_endpoint(body.endpoint),
    )  # fmt: skip
    return shown(membership)


def _into(membership_id: int | None) -> Bought | None:
    return None if membership_id is None else row(Bought, membership_id, field="to_membership_id")


def _add(bought: Bought, one: BillingReferenceBody) -> None:
    if current_app.config["SPP"].endpoint(one.endpoint) is None:
        raise NotFound(field="endpoint", what="endpoint", name=one.endpoint)
    add_billing_reference(
        database(), bought, one.endpoint, one.reference, by=actor(), shared=one.shared,
        is_test=is_test_endpoint(one.endpoint),
    )  # fmt: skip


def life_days(bought: Iterable[Bought]) -> dict[int, LifeDays]:
    """What is recorded of the lives of these memberships, by their ids."""
    every, now = list(bought), utc_now()
    known = lives.read(database(), [one.id for one in every])
    found = {}
    for one in every:
        mine = known.of(one.id, one.club_id)
        first, last = mine.frozen_days(local_day(one.member.clock(now), one.club.time_zone)) or (None, None)
        found[one.id] = LifeDays(frozen_from=first, frozen_to=None if last == OPEN else last, ended_on=mine.ended)
    return found


def _late(bought: Iterable[Bought]) -> dict[int, datetime]:
    """Since when the dues of those of these memberships are overdue that are, by their ids."""
    return {one.membership_id: one.since for one in overdue.of_memberships(database(), [one.id for one in bought])}


def shown(
    bought: Bought, days: LifeDays | None = None, late: dict[int, datetime] | None = None,
    waits: Container[int] | None = None,
) -> Membership:  # fmt: skip
    """The membership as an answer has it."""
    waits = awaiting.of(database(), [bought.id]) if waits is None else waits
    days = days or life_days([bought])[bought.id]
    since = (_late([bought]) if late is None else late).get(bought.id)
    versions = [_terms(bought, one) for one in bought.terms_over_time]
    billing = sorted(bought.billing, key=lambda one: (one.endpoint, one.reference))
    plan = named_plan(bought.plan_at(utc_now()))
    return Membership.of(
        bought, days, **plan, terms=versions, billing_references=billing, overdue_since=since,
        awaits_first_payment=bought.id in waits,
    )  # fmt: skip


def _terms(bought: Bought, one: MembershipTerms) -> Terms:
    sessions = [Pinned.of(pin, item=pin.item.name) for pin in one.pinned]
    summary = terms.summary(one, bought.currency, changed_terms.pinned(one).values())
    return Terms.of(one, **named_plan(one.term), sessions=sessions, summary=summary)


def named_plan(term: PaymentTerm) -> dict[str, object]:
    """A payment term and its offer, as answers name them."""
    return {"offer_id": term.offer_id, "offer": term.offer.name, "payment_term_id": term.id, "payment_term": term.name}
