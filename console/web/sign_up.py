"""Sign-up: a member, an offer with its payment term and session items, and how payments find the membership."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeVar

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from wtforms import HiddenField, RadioField, SelectField, StringField
from wtforms.validators import InputRequired, Length, ValidationError

from console.web import billing
from console.web.access import actor, database, done, needs
from console.web.member_forms import OnceForm
from console.web.picks import PICK_ERRORS, PicksForm, number
from models.catalogue import on_sale
from models.catalogue.tables import Club, Item, Offer, PaymentTerm
from models.errors import InvalidEmail, NameMissing, ReferenceTaken, SppError, TermCannotBeBought
from models.members import memberships, signing_up
from models.members.memberships import Member, Membership
from models.staff.accounts import Role

pages = Blueprint("sign_up", __name__, url_prefix="/sign-up")

_BESIDE: dict[type[SppError], str] = {
    **PICK_ERRORS, TermCannotBeBought: "term", InvalidEmail: "email", NameMissing: "name", ReferenceTaken: "reference",
}  # fmt: skip

Choice = TypeVar("Choice", Club, Offer, PaymentTerm)


class SignUpForm(PicksForm, OnceForm):
    """What a sign-up asks for, step by step. Each choice leaves what was typed as it is."""

    club = SelectField("Club", coerce=number, validate_choice=False)
    offer = SelectField("Offer", coerce=number, validate_choice=False)
    term = RadioField("Payment term", coerce=number, validate_choice=False)
    email = StringField("E-mail", [InputRequired("Type the member's e-mail address."), Length(max=320)],
                        render_kw={"type": "email", "autocomplete": "off"})  # fmt: skip
    name = StringField("Name", [InputRequired("Type the member's name."), Length(max=200)],
                       render_kw={"autocomplete": "off"})  # fmt: skip
    endpoint = billing.endpoint_field()
    reference = billing.reference_field()
    known = HiddenField()
    """The id of the member with that address, once the page has said that there is one."""

    def validate_email(self, field: StringField) -> None:  # noqa: ARG002 -- WTForms hands it over
        """Has a person look before a further membership goes to somebody who is known already."""
        member = _known(self)
        if member and self.known.data != str(member.id) and not self.sent_before():
            self.known.data = str(member.id)
            raise ValidationError(f"{further(member)} If that is meant, sign up again; if not, correct the address.")

    def sent_before(self) -> bool:
        """Whether this form has made its membership already."""
        known = select(Membership.id).where(Membership.idempotency_key == self.once)
        return database().scalar(known) is not None


def further(member: Member) -> str:
    """What a sign-up with a known address does."""
    return f"{member.name} has this address, gains a further membership, and keeps the name."


@pages.route("/", methods=["GET", "POST"])
@needs(Role.DESK)
def form() -> ResponseReturnValue:
    """The one page of a sign-up; what is chosen decides what else it asks for."""
    sent = request.method == "POST"
    form = SignUpForm(request.form if sent else request.args)
    if not sent:
        form.key.data = form.key.default()
    clubs = database().scalars(select(Club).order_by(Club.name)).all()
    club = _chosen(form.club, clubs)
    offers = on_sale.offers(database(), club) if club else []
    offer = _chosen(form.offer, offers)
    terms = on_sale.terms(offer, club) if club and offer else []
    term = _chosen(form.term, terms)
    if sent and _complete(form, club, offer, term) and club and term:
        told = ""
        with form.refusals(_BESIDE), form.sent_once():
            membership = _sign_up(form, club, term)
            if form.text("reference"):
                told = billing.add(membership, form.endpoint.data, form.text("reference"))
        if not form.errors:
            done(f"Signed up: {membership.member.name}, {term.offer.name}, {term.name}. {told}".strip())
            return redirect(url_for("memberships.show", membership_id=membership.id))
    unticked = form.tick(term, form.items.data or []) if term and not sent else []
    return _page(form, club, clubs, offer, offers, term, terms, unticked), 422 if sent else 200


def _page(
    form: SignUpForm, club: Club | None, clubs: Sequence[Club], offer: Offer | None, offers: Sequence[Offer],
    term: PaymentTerm | None, terms: Sequence[PaymentTerm], unticked: Sequence[Item],
) -> str:  # fmt: skip
    member = _known(form)
    form.known.data = str(member.id) if member else ""
    form.name.data = form.name.data or (member.name if member else "")
    return render_template(
        "sign_up/form.html", form=form, club=club, clubs=clubs, offer=offer, offers=offers, term=term,
        terms=terms, unticked=unticked, given=on_sale.given(term) if term else {},
        further=further(member) if member else None, sentences={term.id: on_sale.sentence(term) for term in terms},
        endpoints=billing.endpoints(),
    )  # fmt: skip


def _sign_up(form: SignUpForm, club: Club, term: PaymentTerm) -> Membership:
    return signing_up.sign_up(
        database(), email=form.text("email"), name=form.text("name"), club=club, term=term,
        picks=form.picked(term), by=actor(), now=datetime.now(UTC), key=form.once,
    )  # fmt: skip


def _known(form: SignUpForm) -> Member | None:
    return memberships.find_member(database(), form.text("email")) if form.text("email") else None


def _chosen(field: SelectField, choices: Sequence[Choice]) -> Choice | None:
    """The one that the field names; the only one there is needs no choosing."""
    if not field.data and len(choices) == 1:
        field.data = choices[0].id
    return next((choice for choice in choices if choice.id == field.data), None)


def _complete(form: SignUpForm, club: Club | None, offer: Offer | None, term: PaymentTerm | None) -> bool:
    """Whether all is filled in; where it is not, everything that is wrong stands beside its field."""
    form.validate()
    for name, what, choice in (
        ("club", "a club", club),
        ("offer", "an offer", offer),
        ("term", "a payment term", term),
    ):
        if choice is None:
            form[name].errors = [f"Choose {what}."]
            break
    if term:
        with form.refusals(_BESIDE):
            signing_up.chosen_buckets(term, form.picked(term))
    return not form.errors
