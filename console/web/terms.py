"""Payment terms of an offer, and how many sessions each payment gives under them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from wtforms import SelectField, StringField
from wtforms.validators import Length

from console.web.access import actor, database, done, needs, told
from console.web.changes import Edit, log_changes
from console.web.forms import Form
from console.web.offer_page import WholeNumber, memberships_by_term, page, sessions_form, term_of, the_offer
from models import actions, offers
from models.catalogue import Club, Interval, Offer, PaymentTerm
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
from models.staff import Role
from models.wording import amount, counted, currency_code, minor_units

pages = Blueprint("terms", __name__, url_prefix="/<id:offer_id>/terms")

INTERVALS = {
    Interval.WEEK.value: "Weeks", Interval.MONTH.value: "Months", Interval.YEAR.value: "Years",
    Interval.ONCE.value: "Once, at sign-up",
}  # fmt: skip


class TermForm(Form):
    """A way of paying."""

    name = StringField("Name", [Length(max=200)], description="Such as Monthly or Paid yearly.",
                       render_kw={"autofocus": True, "autocomplete": "off"})  # fmt: skip
    dues = StringField("Dues", [Length(max=30)], description="What is paid each time, such as 89.00.",
                       render_kw={"inputmode": "decimal", "autocomplete": "off"})  # fmt: skip
    currency = SelectField("Currency", validate_choice=False)
    interval_count = WholeNumber("Every", default=1)
    interval = SelectField("Interval", choices=INTERVALS, default=Interval.MONTH.value)


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
    form = _form(None)
    if form.validate_on_submit():
        with form.refusals(BESIDE):
            term = offers.add_term(database(), offer, **_given(form))
            _log("add payment term", offer, term)
        if not form.errors:
            done(f"{term.name} is added." + (" Set its sessions below." if offer.buckets else ""))
            return _back(offer, term)
    return page(offer, "term", form=form)


@pages.route("/<id:term_id>", methods=["GET", "POST"])
@needs(Role.MANAGER)
def edit(offer_id: int, term_id: int) -> ResponseReturnValue:
    """Another name, other dues. Memberships that bought it keep theirs."""
    offer = the_offer(offer_id, lock=request.method == "POST")
    term = term_of(offer, term_id)
    form = _form(term)
    if form.validate_on_submit():
        edit = Edit(term, "name", "dues_minor", "currency", "interval", "interval_count")
        with form.refusals(BESIDE):
            offers.edit_term(database(), term, **_given(form))
            edit.log("edit payment term", _of(offer, term))
        if not form.errors:
            done(f"{term.name} is saved.")
            return _back(offer, term)
    bought = memberships_by_term(offer).get(term.id, 0)
    return page(offer, "term", form=form, term=term, term_memberships=bought)


@pages.post("/<id:term_id>/sessions")
@needs(Role.MANAGER)
def set_sessions(offer_id: int, term_id: int) -> ResponseReturnValue:
    """Session quantity and days to expire of every session bucket, all or none."""
    offer = the_offer(offer_id, lock=True)
    term = term_of(offer, term_id)
    form = sessions_form(term, offer.buckets)
    if form.validate_on_submit():
        before = _sessions(term)
        wanted = {bucket: (form[f"quantity_{bucket.id}"].data, form[f"days_to_expire_{bucket.id}"].data)
                  for bucket in offer.buckets}  # fmt: skip
        try:
            offers.set_buckets(term, wanted)
            log_changes("set sessions", _of(offer, term), before, _sessions(term))
            done(f"The sessions of {term.name} are saved.")
            return _back(offer, term)
        except SessionsRefused as error:
            for (bucket, field), refusal in error.refused.items():
                form.refuse(refusal, f"{field}_{bucket.id}")
    return page(offer, tried={term.id: form})


def _sessions(term: PaymentTerm) -> dict[str, str]:
    """What each payment gives, by item, for the action log."""
    given = {}
    for entry in term.bucket_terms:
        days = counted(entry.days_to_expire, "day") if entry.days_to_expire else "ever"
        given[entry.bucket.item.name] = f"{entry.quantity} for {days}"
    return {bucket.item.name: given.get(bucket.item.name, "0") for bucket in term.offer.buckets}


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


def _form(term: PaymentTerm | None) -> TermForm:
    """The form, in the currencies of the clubs; the first one's, unless the term has another."""
    currencies = list(dict.fromkeys(database().scalars(select(Club.currency).order_by(Club.id)))) or ["USD"]
    dues = amount(term.dues_minor, term.currency) if term else None
    form = TermForm(obj=term, dues=dues, currency=currencies[0])
    form.currency.choices = {code: code for code in [*currencies, *([term.currency] if term else [])]}
    return form


def _given(form: TermForm) -> dict[str, Any]:
    """What the form says. Raises NotAnAmount or WrongCurrencyCode."""
    currency = currency_code(form.text("currency"))
    return {
        "name": form.text("name"),
        "dues_minor": minor_units(form.text("dues"), currency),
        "currency": currency,
        "interval": Interval(form.interval.data),
        "interval_count": form.interval_count.data,
    }


def _log(verb: str, offer: Offer, term: PaymentTerm) -> None:
    actions.log(database(), actor(), verb, _of(offer, term))


def _of(offer: Offer, term: PaymentTerm) -> str:
    return f"payment term {term.id}, {term.name}, of offer {offer.id}, {offer.name}"


def _back(offer: Offer, term: PaymentTerm) -> ResponseReturnValue:
    return redirect(url_for("offers.show", offer_id=offer.id, _anchor=f"term-{term.id}"))
