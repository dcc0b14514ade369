"""Sign-up: a member, an offer with its payment term and session items, and how payments find the membership."""

from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

from flask import current_app, request, url_for
from sqlalchemy import select
from wtforms import BooleanField, HiddenField, RadioField, SelectField, StringField
from wtforms.validators import ValidationError

from console import bounds
from console.request import actor, database, utc_now
from console.web import billing, desk_club, mail_typos
from console.web.access import Answer, Pages, Role
from console.web.fields import chosen_id, text_field
from console.web.forms import OnceForm, page
from console.web.picks import PicksForm
from models.catalogue import on_sale
from models.catalogue.clubs import Club
from models.catalogue.tables import Offer, PaymentTerm
from models.errors import SppError
from models.members import signing_up
from models.members.clocks import make_test_member
from models.members.lookup import with_email
from models.members.memberships import Member, Membership
from models.wording import joined
from runtime.language import noted, say

pages = Pages("sign_up", __name__, url_prefix="/sign-up")

ANOTHER = "another"
"""A new member, whose address others have."""

Choice = TypeVar("Choice", Club, Offer, PaymentTerm)


class SignUpForm(PicksForm, OnceForm):
    """The fields of a sign-up, step by step. Each choice leaves what was typed as it is."""

    club = SelectField("Club", coerce=chosen_id, validate_choice=False)
    offer = SelectField("Offer", coerce=chosen_id, validate_choice=False)
    term = RadioField("Payment term", coerce=chosen_id, validate_choice=False)
    own_names: ClassVar = {**PicksForm.own_names, "member_id": "who"}

    email = text_field("E-mail", "Type the member's e-mail address.", most=320, type="email")
    who = RadioField("Whose membership it is", validate_choice=False)
    """Asked where the address is known: a member's id, or `ANOTHER`."""
    name = text_field("Name", "Type the member's name.")
    endpoint = billing.endpoint_field()
    reference = billing.reference_field()
    is_test = BooleanField(
        "Test member",
        description="A made-up person, for whom only test endpoints pay, and whose clock can be set forward.",
    )
    known = HiddenField()
    """The ids of the members with that address, once the page has shown them."""
    asked_about = HiddenField()
    """The address whose domain looks mistyped, once the page has asked about it."""

    chosen_club: Club | None
    chosen_offer: Offer | None
    chosen_term: PaymentTerm | None

    def validate(self, extra_validators: Any = None) -> bool:
        """Also refuse a missing choice, terms other than those shown, and picks against the offer's rules."""
        super().validate(extra_validators)
        for field, choice, needed in (
            (self.club, self.chosen_club, noted("Choose a club.")),
            (self.offer, self.chosen_offer, noted("Choose an offer.")),
            (self.term, self.chosen_term, noted("Choose a payment term.")),
        ):
            if choice is None:
                field.errors = [say(needed)]
                break
        if self.chosen_term:
            try:
                if not self.sent_before():
                    self.check_terms(self.chosen_term)
                signing_up.chosen_buckets(self.chosen_term, self.picked(self.chosen_term))
            except SppError as error:
                self.refuse(error)
        return not self.errors

    def validate_email(self, field: StringField) -> None:  # noqa: ARG002 -- WTForms passes it
        """Ask once more before a known member gets a further membership, and about a domain that looks mistyped."""
        members = _known(self)
        typo = mail_typos.meant(self.text("email"))
        if typo and not members and self.asked_about.data != self.text("email") and not self.sent_before():
            self.asked_about.data = self.text("email")
            raise ValidationError(
                say(
                    "{domain}: did you mean {meant}? If so, correct the address; if not, sign up again.",
                    domain=typo[0],
                    meant=typo[1],
                )
            )
        if members and self.known.data != _ids(members) and not self.sent_before():
            self.known.data = _ids(members)
            raise ValidationError(
                say("{further} If that is meant, sign up again; if not, correct the address.", further=further(members))
            )

    def validate_who(self, field: RadioField) -> None:
        """Of several with one address, one has to be meant."""
        members = _known(self)
        if len(members) > 1 and field.data not in (ANOTHER, *_ids(members).split()) and not self.sent_before():
            raise ValidationError("Choose whose membership it is.")

    def ask_who(self, members: Sequence[Member]) -> None:
        """Offer the members with the address that was typed, and another person."""
        self.known.data = _ids(members)
        gains = noted("{name} ({id}) gains a further membership")
        theirs = [(str(one.id), say(gains, name=one.name, id=one.id)) for one in members]
        another = (ANOTHER, say("It is another person with the same address"))
        self.who.choices = [*theirs, another] if members else []
        if len(members) == 1:
            self.who.data = ANOTHER if self.who.data == ANOTHER else str(members[0].id)
            self.name.data = self.name.data or members[0].name

    def sent_before(self) -> bool:
        """Whether this form has made its membership already."""
        known = select(Membership.id).where(Membership.idempotency_key == self.once)
        return database().scalar(known) is not None


def further(members: Sequence[Member]) -> str:
    """The effect of a sign-up with a known address."""
    if len(members) > 1:
        names = joined([f"{one.name} ({one.id})" for one in members])
        return say("{names} have this address: choose whose membership it is.", names=names)
    return say("{name} has this address, gains a further membership, and keeps the name.", name=members[0].name)


@pages.form("/", Role.DESK)
def form() -> Answer:
    """The one page of a sign-up; each choice decides what else it asks for."""
    sent = request.method == "POST"
    form = SignUpForm(request.form if sent else request.args)
    if not sent:
        form.key.data = form.key.default()
    clubs = database().scalars(bounds.theirs(select(Club)).order_by(Club.name)).all()
    if not sent and "club" not in request.args:
        here = desk_club.of(clubs, desk_club.SIGN_UP) or desk_club.of(clubs)
        form.club.data = here.id if here else form.club.data
    club = form.chosen_club = _chosen(form.club, clubs)
    offers = on_sale.offers(database(), club) if club else []
    offer = form.chosen_offer = _chosen(form.offer, offers)
    terms = on_sale.terms_at(offer, club) if club and offer else []
    term = form.chosen_term = _chosen(form.term, terms)

    def act(club: Club, term: PaymentTerm) -> tuple[str, str]:
        membership = signing_up.sign_up(
            database(),
            email=form.text("email"),
            name=form.text("name"),
            club=club,
            term=term,
            picks=form.picked(term),
            by=actor(),
            now=utc_now(),
            key=form.once,
            member_id=next((one.id for one in _known(form) if str(one.id) == form.who.data), None),
            another_person=form.who.data == ANOTHER,
        )
        if form.is_test.data and not membership.member.is_test:
            make_test_member(database(), membership.member, current_app.config["SPP"].endpoints, by=actor())
        desk_club.remember(club.id, desk_club.SIGN_UP)
        settled = ""
        if form.text("reference"):
            settled = billing.add(membership, form.endpoint.data, form.text("reference"))
        plan = {"offer": term.offer.name, "term": term.name}
        text = say("Signed up: {member}, {offer}, {term}.", member=membership.member.name, **plan)
        return f"{text} {settled}".strip(), url_for("memberships.show", membership_id=membership.id)

    if club and term and (answer := form.submitted(lambda: act(club, term))):
        return answer
    if sent and not (club and term):
        form.validate()
    unticked = form.tick(term, form.items.data or []) if term and not sent else []
    if term:
        form.show_terms(term)
    members = _known(form)
    form.ask_who(members)
    return page(
        "sign_up/form.html",
        form=form,
        club=club,
        clubs=clubs,
        offer=offer,
        offers=offers,
        term=term,
        terms=terms,
        unticked=unticked,
        given=on_sale.given(term) if term else {},
        further=further(members) if members else None,
        sentences={term.id: on_sale.summary(term) for term in terms},
    )


def _known(form: SignUpForm) -> Sequence[Member]:
    return with_email(database(), form.text("email")) if form.text("email") else []


def _ids(members: Sequence[Member]) -> str:
    return " ".join(str(one.id) for one in members)


def _chosen(field: SelectField, choices: Sequence[Choice]) -> Choice | None:
    """The choice that the field names; a single choice needs no choosing."""
    if not field.data and len(choices) == 1:
        field.data = choices[0].id
    return next((choice for choice in choices if choice.id == field.data), None)
