"""Linking an unmatched payment: whose it may be, and giving its billing reference to a membership."""

from dataclasses import dataclass
from typing import ClassVar

from flask import abort, current_app, request
from wtforms import RadioField, SelectChoice, SelectField
from wtforms.validators import ValidationError

from console import bounds, payers
from console.request import database, utc_now
from console.web import billing, review_list
from console.web.access import Answer, Pages, club_ids
from console.web.fields import chosen_id
from console.web.forms import Form
from console.web.review_list import MAY_LINK
from models.errors import NotFound
from models.members import memberships
from models.members import search as finding
from models.members.memberships import Membership
from models.payments import suggestions
from models.staff.theirs import Kind
from models.statements import payment_story
from models.statements.payment_story import PaymentStory
from runtime.language import say
from webhooks.processors.events import Payer

pages = Pages("links", __name__)

OFFERED = 8
"""Memberships to choose from."""


class LinkForm(Form):
    """The membership that a payment's billing reference is to belong to."""

    own_names: ClassVar = {"membership_id": "membership"}

    reference = SelectField("Billing reference", validate_choice=False)
    membership = RadioField("Membership", coerce=chosen_id, validate_choice=False)
    shared = billing.share_field()

    def validate_membership(self, field: RadioField) -> None:
        """One has to be chosen."""
        if not field.data:
            raise ValidationError("Choose whose it is. Search for the member if nobody fits.")


@dataclass(frozen=True)
class Offered:
    """A membership to choose, and why it is offered."""

    membership_id: int
    member: str
    email: str
    what: str
    why: str


@pages.form("/<id:payment_id>/link", *MAY_LINK)
def link(payment_id: int) -> Answer:
    """Give the payment's billing reference, and with it all payments that have it, to a membership."""
    story = payment_story.story(database(), payment_id) or abort(404)
    waits_for = _of_one_person(story)
    form, sought = LinkForm(), request.args.get("q", "").strip()[:255]
    if not form.reference.data and waits_for:
        form.reference.data = waits_for[0]
    payer = payers.of_payments(database(), current_app.config["SPP"].endpoints, [story.root.id]).get(story.root.id)
    choices = searched(sought) if sought else _suggested(story, payer or payers.NOBODY)
    form.reference.choices = waits_for
    form.membership.choices = [SelectChoice(one.membership_id, one.member) for one in choices]

    def act() -> tuple[str, str]:
        reference, membership = form.reference.data, database().get(Membership, form.membership.data)
        if membership is None or reference not in waits_for:
            what, name = ("billing reference", reference) if membership else ("membership", form.membership.data)
            raise NotFound(field="membership", what=what, name=name)
        settled = billing.add(membership, story.root.endpoint, reference, shared=form.shared.data)
        message = say("{reference} is {member}'s.", reference=reference, member=membership.member.name)
        return f"{message} {settled}".strip(), review_list.back()

    window = {"form": form, "story": story, "payer": payer, "offered": choices, "sought": sought}
    taken = any(memberships.owners(database(), story.root.endpoint, one) for one in waits_for)
    return form.submitted(act) or review_list.show("link", taken=taken, waits_for=waits_for, **window)


def _of_one_person(story: PaymentStory) -> list[str]:
    """What the payment waits for, without prices and products, which are many people's."""
    paid, waits_for = story.paid, story.root.billing_references or []
    if paid is None:
        return []
    own = {*paid.billing_references, *paid.payer, *(one for line in paid.lines for one in line.references[:2])}
    return [reference for reference in waits_for if reference in own]


def _suggested(story: PaymentStory, payer: Payer) -> list[Offered]:
    paid = story.paid
    if paid is None:
        return []
    known = suggestions.Payment(
        story.root.endpoint, paid.due, paid.currency, (*paid.payer, *paid.billing_references), payer.name, payer.email
    )
    return [
        Offered(one.membership_id, one.member, one.email, _at(one.offer, one.club), ", ".join(map(say, one.likenesses)))
        for one in suggestions.suggest(database(), known, limit=OFFERED)
        if bounds.sees(Kind.MEMBERSHIP, one.membership_id)
    ]


def offered(membership: Membership, why: str) -> Offered:
    """A membership to choose, by what it has now."""
    what = _at(membership.plan_at(utc_now()).offer.name, membership.club.name)
    return Offered(membership.id, membership.member.name, membership.member.email, what, why)


def _at(offer: str, club: str) -> str:
    return say("{offer} at {club}", offer=offer, club=club)


def searched(sought: str) -> list[Offered]:
    """The memberships of the members that the text finds."""
    found = finding.search(database(), sought, OFFERED, club_ids=club_ids())
    known = finding.with_memberships(database(), [one.member_id for one in found])
    return [
        offered(bought, say("found by {reason}", reason=say(one.reason)))
        for one in found
        for bought in known[one.member_id].memberships
    ]
