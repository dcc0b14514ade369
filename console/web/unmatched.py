"""Paid payments without sessions, unmatched or held: give them to a membership, or set them aside."""

from typing import ClassVar

from flask import abort, request, url_for
from sqlalchemy import func, select
from wtforms import SelectChoice, SelectField

from console.request import actor, database, utc_now
from console.web import billing
from console.web.access import Answer, Pages, Role
from console.web.fields import chosen_id, text_field
from console.web.formats import endpoints
from console.web.forms import Form, ReasonForm, page
from models.errors import NotFound
from models.members import memberships
from models.members.memberships import find_member
from models.payments import references
from models.payments.references import Payment

pages = Pages("unmatched", __name__, url_prefix="/unmatched")

PAGE_SIZE = 200
"""Payments on the page. More than that wait only after a mistake of a processor or an import."""


class LinkForm(Form):
    """The membership that a billing reference belongs to."""

    own_names: ClassVar = {"membership_id": "membership", "reference": "email"}

    email = text_field("Member's e-mail", "Type the member's address.", most=320, type="email", autofocus=True)
    membership = SelectField("Membership", coerce=chosen_id, validate_choice=False)


@pages.page("/", Role.VIEWER)
def overview() -> Answer:
    """The waiting payments, the longest waiting first."""
    return _list()


def _list(template: str = "unmatched", **window: object) -> Answer:
    session = database()
    waiting = (Payment.state == references.PaymentState.UNMATCHED) & Payment.set_aside_by.is_(None)
    return page(
        f"operations/{template}.html",
        waiting=references.unmatched(session, limit=PAGE_SIZE),
        total=session.scalar(select(func.count()).where(waiting)),
        held=references.held(session, limit=PAGE_SIZE),
        **window,
    )


@pages.form("/link", Role.OPERATOR)
def link() -> Answer:
    """Give this billing reference's payments, waiting and future ones, to a membership."""
    endpoint, reference = request.args.get("endpoint", ""), request.args.get("reference", "")
    if endpoint not in endpoints() or not 0 < len(reference) <= billing.REFERENCE_LENGTH:
        raise NotFound(what="billing reference", name=f"{endpoint}:{reference}"[:300])
    form = LinkForm()
    person = find_member(database(), form.text("email")) if form.text("email") else None
    several = person.memberships if person else []
    now = utc_now()
    choices = {one.id: f"{one.plan_at(now).offer.name}, {one.club.name}" for one in several}
    form.membership.choices = [SelectChoice(*choice) for choice in choices.items()]

    def act() -> tuple[str, str]:
        chosen = form.membership.data or None
        membership = memberships.the_membership(database(), form.text("email"), chosen, now=now)
        settled = billing.add(membership, endpoint, reference)
        return f"{reference} is {membership.member.name}'s. {settled}".strip(), url_for(".overview")

    window = {"form": form, "endpoint": endpoint, "reference": reference, "several": len(several) > 1}
    return form.submitted(act) or _list("link", **window)


@pages.form("/<id:payment_id>/set-aside", Role.OPERATOR)
def set_aside(payment_id: int) -> Answer:
    """Take a payment that is not a member's dues out of the lists and alarms, with a reason."""
    payment, form = database().get(Payment, payment_id) or abort(404), ReasonForm()

    def act() -> tuple[str, str]:
        references.set_aside(database(), payment_id, reason=form.text("reason"), by=actor())
        return f"{payment.reference} is set aside.", url_for(".overview")

    return form.submitted(act) or _list("set_aside", form=form, payment=payment)
