"""Paid payments without sessions, unmatched or held: giving them to a membership, or setting them aside."""

from datetime import UTC, datetime

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from wtforms import SelectChoice, SelectField, StringField
from wtforms.validators import InputRequired, Length

from console.web import billing
from console.web.access import actor, database, done, needs
from console.web.formats import house_zone
from console.web.forms import Form
from console.web.reasons import BESIDE, ReasonForm
from models.errors import NotFound, ReferenceTaken, SeveralMemberships
from models.members import memberships
from models.members.memberships import find_member
from models.payments import references
from models.payments.references import Payment
from models.staff.accounts import Role

pages = Blueprint("unmatched", __name__, url_prefix="/unmatched")

LISTED = 200
"""Payments on the page; who has more waits for a processor's or an import's mistake to be mended."""


def _number(text: object) -> int | None:
    """A choice; what is none counts as not chosen."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() else None


class LinkForm(Form):
    """Whose a billing reference is."""

    email = StringField(
        "Member's e-mail", [InputRequired("Type the member's address."), Length(max=320)],
        render_kw={"type": "email", "autocomplete": "off", "autofocus": True},
    )  # fmt: skip
    membership = SelectField("Membership", coerce=_number, validate_choice=False)


@pages.get("/")
@needs(Role.VIEWER)
def overview() -> ResponseReturnValue:
    """What waits, the longest first."""
    return _list()


def _list(template: str = "unmatched", status: int = 200, **window: object) -> ResponseReturnValue:
    session = database()
    waiting = (Payment.state == references.PaymentState.UNMATCHED) & Payment.set_aside_by.is_(None)
    return render_template(
        f"operations/{template}.html", waiting=references.unmatched(session, limit=LISTED),
        total=session.scalar(select(func.count()).where(waiting)), held=references.held(session, limit=LISTED),
        now=datetime.now(UTC), zone=house_zone(), known=billing.endpoints(), **window,
    ), status  # fmt: skip


@pages.route("/link", methods=["GET", "POST"])
@needs(Role.OPERATOR)
def link() -> ResponseReturnValue:
    """Gives this billing reference's payments, those that wait and those to come, to a membership."""
    endpoint, reference = request.args.get("endpoint", ""), request.args.get("reference", "")
    if endpoint not in billing.endpoints() or not 0 < len(reference) <= billing.REFERENCE_LENGTH:
        raise NotFound(what="billing reference", name=f"{endpoint}:{reference}"[:300])
    form = LinkForm()
    person = find_member(database(), form.text("email")) if form.text("email") else None
    held = person.memberships if person else []
    form.membership.choices = [SelectChoice(one.id, f"{one.offer.name}, {one.club.name}") for one in held]
    if form.validate_on_submit():
        with form.refusals({NotFound: "email", ReferenceTaken: "email", SeveralMemberships: "membership"}):
            membership = memberships.the_membership(database(), form.text("email"), form.membership.data)
            settled = billing.add(membership, endpoint, reference)
        if not form.errors:
            done(f"{reference} is {membership.member.name}'s. {settled}".strip())
            return redirect(url_for(".overview"))
    status = 422 if form.errors else 200
    return _list("link", status, form=form, endpoint=endpoint, reference=reference, several=len(held) > 1)


@pages.route("/<id:payment_id>/set-aside", methods=["GET", "POST"])
@needs(Role.OPERATOR)
def set_aside(payment_id: int) -> ResponseReturnValue:
    """Takes a payment out of the lists and alarms, with the reason why it is no dues of a member."""
    payment = database().get(Payment, payment_id) or abort(404)
    form = ReasonForm()
    if form.validate_on_submit():
        with form.refusals(BESIDE):
            references.set_aside(database(), payment_id, reason=form.text("reason"), by=actor())
        if not form.errors:
            done(f"{payment.reference} is set aside.")
            return redirect(url_for(".overview"))
    return _list("set_aside", 422 if form.errors else 200, form=form, payment=payment)
