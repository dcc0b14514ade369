"""Payment terms of an offer: name, dues and interval, and how many sessions each payment gives, in one window."""

from collections.abc import Callable
from typing import Any, ClassVar

from flask import request, url_for
from sqlalchemy import select
from wtforms import SelectField

from console.edits import log_changes
from console.request import actor, database, utc_now
from console.rows import the_offer
from console.web.access import Answer, Pages, Role
from console.web.fields import WholeNumber, text_field
from console.web.forms import EditForm, Form, pressed
from console.web.offer_page import memberships_by_term, named, page, term_of
from models.catalogue import offers, on_sale
from models.catalogue.tables import Club, Interval, Offer, PaymentTerm
from models.currencies import digits
from models.errors import SessionsRefused, SppError
from models.staff import actions
from models.wording import amount, counted, currency_code, minor_units

pages = Pages("terms", __name__, url_prefix="/<id:offer_id>/terms")

INTERVALS = {
    Interval.WEEK.value: "Weeks",
    Interval.MONTH.value: "Months",
    Interval.YEAR.value: "Years",
    Interval.ONCE.value: "Once, at sign-up",
}

SESSION_FIELDS = {"quantity": "Session Quantity", "days_to_expire": "Days to Expire"}


class TermForm(EditForm):
    """A way of paying. `_form` adds `quantity_ID` and `days_to_expire_ID` for each session bucket."""

    own_names: ClassVar = {"dues_minor": "dues"}

    name = text_field("Name", description="Such as Monthly or Paid yearly.", autofocus=True)
    dues = text_field("Dues", most=30, inputmode="decimal")
    currency = SelectField("Currency", validate_choice=False)
    interval_count = WholeNumber("Every", default=1)
    interval = SelectField("Interval", choices=INTERVALS, default=Interval.MONTH.value)

    def refuse(self, error: SppError) -> None:
        """Show an error beside its field; each of several about sessions beside its own number."""
        if isinstance(error, SessionsRefused):
            for (bucket, name), refusal in error.refused.items():
                refusal.field = f"{name}_{bucket.id}"
                super().refuse(refusal)
        else:
            super().refuse(error)

    def validate(self, extra_validators: Any = None) -> bool:
        """Also refuse numbers for a session item that somebody has removed while they were typed."""
        valid: bool = super().validate(extra_validators)
        sent = (name for name in request.form if name.startswith(tuple(SESSION_FIELDS)) and name not in self)
        if any(request.form[name].strip() not in ("", "0") for name in sent):
            self.form_errors.append("A session item was removed from this offer meanwhile: look at the numbers again.")
        return valid and not self.form_errors


@pages.form("/new", Role.MANAGER)
def new(offer_id: int) -> Answer:
    """Add a way of paying."""
    offer = the_offer(offer_id, lock=request.method == "POST")
    form = _form(offer)

    def act() -> tuple[str, str]:
        term = offers.add_term(database(), offer, **_given(form, offer))
        actions.log(database(), actor(), "add payment term", f"{_named(offer, term)}: {on_sale.sentence(term)}")
        return f"{term.name} is added.", _card(offer, term)

    return form.submitted(act) or page(offer, "term", form=form, session_fields=SESSION_FIELDS)


@pages.form("/<id:term_id>", Role.MANAGER)
def edit(offer_id: int, term_id: int) -> Answer:
    """Change name, dues or sessions. Memberships that bought the term keep theirs."""
    offer = the_offer(offer_id, lock=request.method == "POST")
    term = term_of(offer, term_id)
    form = _form(offer, term)

    def act() -> tuple[str, str]:
        before = _logged(term)
        offers.edit_term(database(), term, **_given(form, offer))
        log_changes("edit payment term", _named(offer, term), before, _logged(term))
        return f"{term.name} is saved.", _card(offer, term)

    bought = memberships_by_term(offer).get(term_id, 0)
    window = {"form": form, "session_fields": SESSION_FIELDS, "term": term, "term_memberships": bought}
    return form.submitted(act) or page(offer, "term", **window)


def _logged(term: PaymentTerm) -> dict[str, object]:
    """The payment term for the action log: its columns, and the sessions of each payment by item."""
    shown: dict[str, object] = {
        name: getattr(term, name) for name in ("name", "dues_minor", "currency", "interval", "interval_count")
    }
    for given in on_sale.given(term).values():
        days = counted(given.days_to_expire, "day") if given.days_to_expire else "ever"
        shown[given.item] = f"{given.quantity} for {days}" if given.quantity else 0
    return shown


@pages.button("/<id:term_id>/retire", Role.MANAGER)
def retire(offer_id: int, term_id: int) -> Answer:
    """Take a payment term off sale."""
    text = "can no longer be bought. Memberships that bought it go on."
    return _change(offer_id, term_id, lambda term: term.retire(utc_now()), "retire payment term", text)


@pages.button("/<id:term_id>/bring-back", Role.MANAGER)
def bring_back(offer_id: int, term_id: int) -> Answer:
    """Put a payment term back on sale."""
    return _change(offer_id, term_id, PaymentTerm.bring_back, "bring back payment term", "can be bought again.")


def _change(offer_id: int, term_id: int, change: Callable[[PaymentTerm], None], verb: str, text: str) -> Answer:
    offer = the_offer(offer_id, lock=True)
    term = term_of(offer, term_id)

    def act() -> str:
        change(term)
        actions.log(database(), actor(), verb, _named(offer, term))
        return f"{term.name} {text}"

    return pressed(act, _card(offer, term))


@pages.form("/<id:term_id>/delete", Role.MANAGER)
def delete(offer_id: int, term_id: int) -> Answer:
    """Delete a payment term that nobody has bought, once that is confirmed."""
    offer, form = the_offer(offer_id, lock=request.method == "POST"), Form()
    term = term_of(offer, term_id)
    name = term.name

    def act() -> tuple[str, str]:
        actions.log(database(), actor(), "delete payment term", _named(offer, term))
        offers.delete_term(database(), term)
        return f"{name} is deleted.", url_for("offers.show", offer_id=offer.id)

    text = f"The payment term {name} with its session quantities. Only one that was never bought can be deleted."
    return form.submitted(act) or page(offer, "delete", form=form, title=f"Delete {name}?", text=text)


def _form(offer: Offer, term: PaymentTerm | None = None) -> TermForm:
    """The form, in the currencies of the clubs; the first one's, unless the term has another."""

    class WithSessions(TermForm):
        """The form with the fields of this offer's session buckets."""

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
    """The values of the form. Raises NotAnAmount or WrongCurrencyCode."""
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


def _named(offer: Offer, term: PaymentTerm) -> str:
    return f"payment term {term.id}, {term.name}, of {named(offer)}"


def _card(offer: Offer, term: PaymentTerm) -> str:
    return url_for("offers.show", offer_id=offer.id, _anchor=f"term-{term.id}")
