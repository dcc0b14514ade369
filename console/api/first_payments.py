"""First payments: which memberships await one, and how it is made to carry the code of its membership."""

from datetime import datetime, timedelta
from typing import Annotated

from flask import current_app
from pydantic import Field

from console import first_payment
from console.api.fields import REASON, TIME, Answer, Body, Id, Why, field, id_of, parameter, whole
from console.api.gate import act, read, write
from console.api.memberships import TAG, EndpointName
from console.api.paging import Listing, PageQuery, cursor
from console.bounds import club_ids
from console.request import actor, database, undo, utc_now
from models.members import awaiting
from models.members.memberships import Membership
from models.staff.accounts import Role

AWAITING = "awaiting"


class AwaitingQuery(PageQuery):
    """The memberships to list."""

    days: Annotated[int, Field(ge=0, le=3650), whole] = parameter(
        "Only those that have awaited it for more than so many days.", 14, default=awaiting.LONG.days
    )


class Awaiting(Answer):
    """A membership to which no payment was ever matched, and that has not ended."""

    membership_id: int = id_of("membership")
    member_id: int = id_of("member")
    offer: str = field("The offer of the sign-up.", "Gold")
    club: str = field("The name of its club.", "Downtown")
    since: datetime = field("When it was signed up.", TIME)
    code: str = field("By which its first payment finds it.", "m_5s3kq7ha2vdxw4ne")


class AwaitingMemberships(Listing[Awaiting]):
    """Memberships that await their first payment, the longest first."""


class Way(Answer):
    """One way of making the first payment carry the code."""

    endpoint: str = field("The webhook endpoint.", "stripe")
    processor: str = field("Its processor.", "stripe")
    where: str = field("The processor's field that carries the code.", "custom_id of the subscription")
    snippet: str = field("That field with the code in it.", '"custom_id": "m_5s3kq7ha2vdxw4ne"')
    link: str | None = field("The payment term's own payment link with the code and the member's address.", None)
    can_make: bool = field("Whether a page for the payment can be made at the processor.", True)


class SignUpLinks(Answer):
    """How the first payment of a membership finds it."""

    membership_id: int = id_of("membership")
    code: str = field("The code that has to come back with the payment.", "m_5s3kq7ha2vdxw4ne")
    awaits_first_payment: bool = field("Whether no payment was matched to it yet, and it has not ended.", True)
    ways: list[Way] = field("One for each endpoint.", [])


class RemovalBody(Body):
    """Why a membership is removed."""

    reason: Why = field(REASON, "Never came back after the sign-up.")


class RemovalsBody(RemovalBody):
    """Which memberships are removed, and why."""

    membership_ids: list[Id] = field("Those that are removed.", [1, 2], min_length=1, max_length=500)


class CheckoutBody(Body):
    """Where a page for the first payment is made."""

    endpoint: EndpointName


class MadeCheckout(Answer):
    """A page for the first payment, at the processor."""

    membership_id: int = id_of("membership")
    endpoint: str = field("The webhook endpoint.", "stripe")
    url: str = field("Its address, for the member. It can be paid for a day.", "https://checkout.stripe.com/c/pay/cs_1")


@read("/awaiting-memberships", TAG)
def list_awaiting(query: AwaitingQuery) -> AwaitingMemberships:
    """List the memberships that await their first payment, the longest first."""
    found = awaiting.page(
        database(), now=utc_now(), longer_than=timedelta(days=query.days), after=query.last_seen(AWAITING) or 0,
        limit=query.limit + 1, club_ids=club_ids(),
    )  # fmt: skip
    last = found[query.limit - 1].membership_id if len(found) > query.limit else None
    return AwaitingMemberships(
        data=[Awaiting.of(one) for one in found[: query.limit]], next_cursor=cursor(AWAITING, last)
    )


@act("/memberships/<id:membership_id>/removal", TAG, "/members/{member_id}", Role.MANAGER)
def remove_awaiting(membership: Membership, body: RemovalBody) -> Awaiting:
    """Remove a membership that has awaited its first payment for 30 days: nothing shows or finds it any more."""
    return Awaiting.of(awaiting.remove(database(), membership.id, reason=body.reason, by=actor(), now=utc_now()))


class Removals(Answer):
    """Memberships that were removed."""

    data: list[Awaiting] = field("As they were.", [])


@act("/awaiting-memberships/removals", TAG, "/awaiting-memberships", Role.MANAGER)
def remove_several_awaiting(body: RemovalsBody) -> Removals:
    """Remove several memberships that have each awaited their first payment for 30 days, or none of them."""
    gone = awaiting.remove_all(
        database(), body.membership_ids, reason=body.reason, by=actor(), now=utc_now(), club_ids=club_ids()
    )
    return Removals(data=[Awaiting.of(one) for one in gone])


@read("/memberships/<id:membership_id>/sign-up-links", TAG)
def get_sign_up_links(membership: Membership) -> SignUpLinks:
    """Say how the first payment of a membership finds it: the code, and for each endpoint the field or link for it."""
    ways = first_payment.ways(current_app.config["SPP"], first_payment.wanted(membership, utc_now()))
    waits = membership.id in awaiting.of(database(), [membership.id])
    return SignUpLinks(
        membership_id=membership.id, code=membership.code, awaits_first_payment=waits,
        ways=[Way.of(one) for one in ways],
    )  # fmt: skip


@write("/memberships/<id:membership_id>/sign-up-links", TAG, "/memberships/{membership_id}")
def make_sign_up_link(membership: Membership, body: CheckoutBody) -> MadeCheckout:
    """Make a page for the first payment at the processor: at Stripe, a Checkout session.

    Each call makes another page. The processor is asked while the call lasts, for some seconds at most.
    """
    wanted, settings = first_payment.wanted(membership, utc_now()), current_app.config["SPP"]
    undo()  # the processor is asked outside of any transaction
    url = first_payment.make_checkout(settings, wanted, body.endpoint, by=actor(), log=database)
    return MadeCheckout(membership_id=wanted.membership_id, endpoint=body.endpoint, url=url)
