"""Payment terms of an offer: name, dues and interval, and how many sessions each payment gives, in one window."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from wtforms import SelectField, StringField
from wtforms.validators import Length

from console.edits import log_changes
from console.rows import the_offer
from console.web.access import actor, database, done, needs, told
from console.web.forms import EditForm, Form
from console.web.offer_page import WholeNumber, memberships_by_term, page, term_of
from models.catalogue import offers, on_sale
from models.catalogue.tables import Club, Interval, Offer, PaymentTerm
from models.currencies import digits
from models.errors import (
    IntervalTooLong,
    NameMissing,
    NameTaken,
    NegativeNumber,
    NotAnAmount,
    NotPositive,
    NumberTooLarge,
    SessionsRefused,
    SppError,
    WrongCurrencyCode,
)
from models.staff import actions
from models.staff.accounts import Role
from models.wording import amount, counted, currency_code, minor_units

pages = Blueprint("terms", __name__, url_prefix="/<id:offer_id>/terms")

INTERVALS = {
    Interval.WEEK.value: "Weeks", Interval.MONTH.value: "Months", Interval.YEAR.value: "Years",
    Interval.ONCE.value: "Once, at sign-up",
}  # fmt: skip


SESSION_FIELDS = {"quantity": "Session Quantity", "days_to_expire": "Days to Expire"}


class TermForm(EditForm):
    """A way of paying. `_form` adds `quantity_ID` and `days_to_expire_ID` for each session bucket."""

    name = StringField("Name", [Length(max=200)], description="Such as Monthly or Paid yearly.",
                       render_kw={"autofocus": True, "autocomplete": "off"})  # fmt: skip
    dues = StringField("Dues", [Length(max=30)], render_kw={"inputmode": "decimal", "autocomplete": "off"})
    currency = SelectField("Currency", validate_choice=False)
    interval_count = WholeNumber("Every", default=1)
    interval = SelectField("Interval", choices=INTERVALS, default=Interval.MONTH.value)

    def refuse(self, error: SppError, field: str | None = None) -> None:
        """Shows an error beside its field; of sessions, each beside the number that it is about."""
        if isinstance(error, SessionsRefused):
            for (bucket, name), refusal in error.refused.items():
                super().refuse(refusal, f"{name}_{bucket.id}")
        else:
            super().refuse(error, field)

    def validate(self, extra_validators: Any = None) -> bool:
        """Also refuses numbers for a session item that somebody has removed while they were typed."""
        valid: bool = super().validate(extra_validators)
        sent = (name for name in request.form if name.startswith(tuple(SESSION_FIELDS)) and name not in self)
        if any(request.form[name].strip() not in ("", "0") for name in sent):
            self.form_errors.append("A session item was removed from this offer meanwhile: look at the numbers again.")
        return valid and not self.form_errors


BESIDE: dict[type[SppError], str] = {
    NameMissing: "name", NameTaken: "name", NotAnAmount: "dues", NegativeNumber: "dues", NumberTooLarge: "dues",
    NotPositive: "interval_count", IntervalTooLong: "interval_count", WrongCurrencyCode: "currency",
}  # fmt: skip
"""Which field each refusal is about."""


@pages.route("/new", methods=["GET", "POST"])
@needs(Role.MANAGER)
def new(offer_id: int) -> ResponseReturnValue:
    """A further way of paying."""
    offer = the_offer(offer_id, lock=request.method == "POST")
    form = _form(offer)
    if form.validate_on_submit():
        with form.refusals(BESIDE):
            term = offers.add_term(database(), offer, **_given(form, offer))
            actions.log(database(), actor(), "add payment term", f"{_of(offer, term)}: {on_sale.sentence(term)}")
        if not form.errors:
            done(f"{term.name} is added.")
            return _back(offer, term)
    return page(offer, "term", form=form, session_fields=SESSION_FIELDS)


@pages.route("/<id:term_id>", methods=["GET", "POST"])
@needs(Role.MANAGER)
def edit(offer_id: int, term_id: int) -> ResponseReturnValue:
    """Another name, other dues, other sessions. Memberships that bought it keep theirs."""
    offer = the_offer(offer_id, lock=request.method == "POST")
    term = term_of(offer, term_id)
    form = _form(offer, term)
    if form.validate_on_submit():
        before = _shown(term)
        with form.refusals(BESIDE):
            offers.edit_term(database(), term, **_given(form, offer))
            log_changes("edit payment term", _of(offer, term), before, _shown(term))
        if not form.errors:
            done(f"{term.name} is saved.")
            return _back(offer, term)
    bought = memberships_by_term(offer).get(term.id, 0)
    return page(offer, "term", form=form, session_fields=SESSION_FIELDS, term=term, term_memberships=bought)


def _shown(term: PaymentTerm) -> dict[str, object]:
    """The payment term for the action log: its columns, and what each payment gives by item."""
    shown: dict[str, object] = {
        name: getattr(term, name) for name in ("name", "dues_minor", "currency", "interval", "interval_count")
    }
    for given in on_sale.given(term).values():
        days = counted(given.days_to_expire, "day") if given.days_to_expire else "ever"
        shown[given.item] = f"{given.quantity} for {days}" if given.quantity else 0
    return shown


@pages.post("/<id:term_id>/retire")
@needs(Role.MANAGER)
def retire(offer_id: int, term_id: int) -> ResponseReturnValue:
    """Takes it off sale."""
    text = "can no longer be bought. Memberships that bought it go on."
    return _turn(offer_id, term_id, lambda term: term.retire(datetime.now(UTC)), "retire payment term", text)


@pages.post("/<id:term_id>/bring-back")
@needs(Role.MANAGER)
def bring_back(offer_id: int, term_id: int) -> ResponseReturnValue:
    """Puts it back on sale."""
    return _turn(offer_id, term_id, PaymentTerm.bring_back, "bring back payment term", "can be bought again.")


def _turn(offer_id: int, term_id: int, act: Callable[[PaymentTerm], None], verb: str, text: str) -> ResponseReturnValue:
    offer = the_offer(offer_id, lock=True)
    term = term_of(offer, term_id)
    try:
        act(term)
        _log(verb, offer, term)
        done(f"{term.name} {text}")
    except SppError as error:
        told(error)
    return _back(offer, term)


@pages.route("/<id:term_id>/delete", methods=["GET", "POST"])
@needs(Role.MANAGER)
def delete(offer_id: int, term_id: int) -> ResponseReturnValue:
    """Deletes one that nobody has bought, once that is confirmed."""
    offer = the_offer(offer_id, lock=request.method == "POST")
    term = term_of(offer, term_id)
    form = Form()
    if form.validate_on_submit():
        with form.refusals():
            _log("delete payment term", offer, term)
            offers.delete_term(database(), term)
        if not form.errors:
            done(f"{term.name} is deleted.")
            return redirect(url_for("offers.show", offer_id=offer.id))
    text = f"The payment term {term.name} with its session quantities. Only one that was never bought can be deleted."
    return page(offer, "delete", form=form, title=f"Delete {term.name}?", text=text)


def _form(offer: Offer, term: PaymentTerm | None = None) -> TermForm:
    """The form, in the currencies of the clubs; the first one's, unless the term has another."""

    class WithSessions(TermForm):
        """What it asks for depends on the offer."""

    given = on_sale.given(term) if term else {}
    for bucket in offer.buckets:
        for name, label in SESSION_FIELDS.items():
            number = getattr(given[bucket.item_id], name) if given else 0
            setattr(WithSessions, f"{name}_{bucket.id}", WholeNumber(label, default=number))
    currencies = list(dict.fromkeys(database().scalars(select(Club.currency).order_by(Club.id)))) or ["USD"]
    dues = amount(term.dues_minor, term.currency) if term else None
    form = WithSessions(obj=term, dues=dues, currency=currencies[0])
    form.currency.choices = {code: code for code in [*currencies, *([term.currency] if term else [])]}
    example = amount(89 * 10 ** digits(form.currency.data), form.currency.data)
    form.dues.description = f"What is paid each time, such as {example}."
    return form


def _given(form: TermForm, offer: Offer) -> dict[str, Any]:
    """What the form says. Raises NotAnAmount or WrongCurrencyCode."""
    currency = currency_code(form.text("currency"))
    return {
        "name": form.text("name"),
        "dues_minor": minor_units(form.text("dues"), currency),
        "currency": currency,
        "interval": Interval(form.interval.data),
        "interval_count": form.interval_count.data,
        "sessions": {
            bucket: tuple(form[f"{name}_{bucket.id}"].data for name in SESSION_FIELDS) for bucket in offer.buckets
        },
    }


def _log(verb: str, offer: Offer, term: PaymentTerm) -> None:
    actions.log(database(), actor(), verb, _of(offer, term))


def _of(offer: Offer, term: PaymentTerm) -> str:
    return f"payment term {term.id}, {term.name}, of offer {offer.id}, {offer.name}"


def _back(offer: Offer, term: PaymentTerm) -> ResponseReturnValue:
    return redirect(url_for("offers.show", offer_id=offer.id, _anchor=f"term-{term.id}"))
