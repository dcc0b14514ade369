"""Payment terms of an offer: name, dues and interval, and how many sessions each payment gives, in one window."""

from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, ClassVar

from flask import Response, request, url_for
from sqlalchemy import select
from wtforms import SelectField

from console import edits
from console.edits import log_changes
from console.request import actor, database, utc_now
from console.rows import the_offer
from console.web.access import Answer, Pages, Role
from console.web.fields import Times, WholeNumber, text_field
from console.web.forms import EditForm, Form, pressed
from console.web.offer_page import named, page, term_of
from models.catalogue import offers, on_sale
from models.catalogue.clubs import Club
from models.catalogue.tables import Offer, PaymentTerm, SessionBucket
from models.catalogue.terms import (
    FROZEN_DUES,
    MAX_ON_END_DAYS,
    MAX_RELEASE_TIMES,
    ON_END,
    FrozenDues,
    Interval,
    OnEnd,
    Partial,
    Release,
    life_words,
    summary,
)
from models.currencies import digits
from models.errors import SessionsRefused, SppError
from models.members.memberships import held_by_term
from models.staff import actions
from models.wording import Given, amount, currency_code, minor_units
from runtime.language import Texts, in_english, noted, say

pages = Pages("terms", __name__, url_prefix="/<id:offer_id>/terms")

INTERVALS: Texts = {
    Interval.WEEK.value: "Weeks",
    Interval.MONTH.value: "Months",
    Interval.YEAR.value: "Years",
    Interval.ONCE.value: "Once, at sign-up",
}

PARTIALS: Texts = {
    Partial.PROPORTIONAL.value: "Proportional: the same part of the sessions, rounded up",
    Partial.FULL.value: "Full: all the sessions",
    Partial.NONE.value: "None: no sessions",
}
RELEASE_CHOICES: Texts = {
    Release.AT_ONCE.value: "At once",
    Release.MONTHLY.value: "Monthly: the session quantity each month",
    Release.WEEKLY.value: "Weekly: the session quantity each Monday",
    Release.TIMES.value: "Several times: the session quantity each time",
}
SESSION_FIELDS: Texts = {"quantity": "Session Quantity", "days_to_expire": "Days to Expire"}


class TermForm(EditForm):
    """A way of paying. `_form` adds `quantity_ID` and `days_to_expire_ID` for each session bucket."""

    own_names: ClassVar = {"dues_minor": "dues"}

    name = text_field("Name", description="Such as Monthly or Paid yearly.", autofocus=True)
    dues = text_field("Dues", most=30, inputmode="decimal")
    currency = SelectField("Currency", validate_choice=False)
    interval_count = WholeNumber("Every", default=1)
    interval = SelectField("Interval", choices=INTERVALS, default=Interval.MONTH.value)
    partial = SelectField(
        "Partial payments",
        choices=PARTIALS,
        default=Partial.PROPORTIONAL.value,
        description="What a payment for a part of the time gives, such as a first payment for 10 days of a month.",
    )
    release = SelectField(
        "Release",
        choices=RELEASE_CHOICES,
        default=Release.AT_ONCE.value,
        description="When the sessions of one payment can be used. Each release has its own days to expire.",
    )
    release_times = Times(
        "How many times", description=lambda: say("Only for several times: 2 to {most}.", most=MAX_RELEASE_TIMES)
    )
    frozen_dues = SelectField(
        "Dues while frozen",
        choices=FROZEN_DUES,
        default=FrozenDues.NOTHING.value,
        description="What a payment gives that is made on a day on which the membership is frozen.",
    )
    on_end = SelectField(
        "When the membership ends",
        choices=ON_END,
        default=OnEnd.KEEP.value,
        description="Until when unused sessions can be used after that; never longer than their own days.",
    )
    payment_link = text_field(
        "Stripe payment link",
        most=offers.MAX_LINK_LENGTH,
        inputmode="url",
        description="If you have one for these dues: each membership's page shows it with the membership's code.",
    )
    on_end_days = Times(
        "How many days", description=lambda: say("Only for some days: 1 to {most}.", most=MAX_ON_END_DAYS)
    )

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
            self.form_errors.append(
                say("A session item was removed from this offer meanwhile: look at the numbers again.")
            )
        return valid and not self.form_errors


@pages.form("/new", Role.MANAGER)
def new(offer_id: int) -> Answer:
    """Add a way of paying."""
    offer = the_offer(offer_id, lock=request.method == "POST")
    form = _form(offer)

    def act() -> tuple[str, str]:
        with offer.stays_buyable():
            term = offers.add_term(database(), offer, **_given(form))
            offers.set_buckets(term, _sessions(form, offer))
        actions.log(
            database(), actor(), "add payment term", f"{_named(offer, term)}: {in_english(on_sale.summary)(term)}"
        )
        return say("{name} is added.", name=term.name), _card(offer, term)

    return form.submitted(act) or page(offer, "term", form=form, session_fields=SESSION_FIELDS)


@pages.page("/preview", Role.MANAGER)
def preview(offer_id: int) -> Answer:
    """The sentence that follows what is typed into the window; empty while that makes no sense."""
    offer = the_offer(offer_id)
    form = _form(offer, formdata=request.args)
    sentences = ""
    if all(field.validate(form) for field in form if field.type not in ("HiddenField", "CSRFTokenField")):
        with suppress(SppError):
            fields = offers.checked({**_given(form), "name": "Preview"})
            given = [Given(bucket.item.name, *numbers) for bucket, numbers in _sessions(form, offer).items()]
            rules = SimpleNamespace(**fields)
            sentences = f"{summary(rules, fields['currency'], given)} {life_words(rules)}"
    return Response(sentences, mimetype="text/plain")


@pages.form("/<id:term_id>", Role.MANAGER)
def edit(offer_id: int, term_id: int) -> Answer:
    """Change name, dues or sessions. Memberships that bought the term keep theirs."""
    offer = the_offer(offer_id, lock=request.method == "POST")
    term = term_of(offer, term_id)
    form = _form(offer, term)

    def act() -> tuple[str, str]:
        before = _logged(term)
        with offer.stays_buyable():
            offers.edit_term(database(), term, **_given(form))
            offers.set_buckets(term, _sessions(form, offer))
        log_changes("edit payment term", _named(offer, term), before, _logged(term))
        return say("{name} is saved.", name=term.name), _card(offer, term)

    bought = held_by_term(database(), utc_now()).get(term_id, 0)
    window = {"form": form, "session_fields": SESSION_FIELDS, "term": term, "term_memberships": bought}
    window["preview"] = f"{on_sale.summary(term)} {life_words(term)}" if request.method == "GET" else ""
    return form.submitted(act) or page(offer, "term", **window)


def _logged(term: PaymentTerm) -> dict[str, object]:
    """The payment term for the action log: its columns, and the sessions of each payment by item."""
    shown: dict[str, object] = {name: getattr(term, name) for name in offers.COLUMNS}
    return shown | edits.sessions_of(term)


@pages.button("/<id:term_id>/retire", Role.MANAGER)
def retire(offer_id: int, term_id: int) -> Answer:
    """Take a payment term off sale."""
    text = noted("{name} can no longer be bought. Memberships that bought it go on.")
    return _change(offer_id, term_id, lambda term: term.retire(utc_now()), "retire payment term", text)


@pages.button("/<id:term_id>/bring-back", Role.MANAGER)
def bring_back(offer_id: int, term_id: int) -> Answer:
    """Put a payment term back on sale."""
    text = noted("{name} can be bought again.")
    return _change(offer_id, term_id, PaymentTerm.bring_back, "bring back payment term", text)


def _change(offer_id: int, term_id: int, change: Callable[[PaymentTerm], None], verb: str, text: str) -> Answer:
    offer = the_offer(offer_id, lock=True)
    term = term_of(offer, term_id)

    def act() -> str:
        change(term)
        actions.log(database(), actor(), verb, _named(offer, term))
        return say(text, name=term.name)

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
        return say("{name} is deleted.", name=name), url_for("offers.show", offer_id=offer.id)

    title = say("Delete {name}?", name=name)
    text = say(
        "The payment term {name} with its session quantities. Only one that was never bought can be deleted.", name=name
    )
    return form.submitted(act) or page(offer, "delete", form=form, title=title, text=text)


def _form(offer: Offer, term: PaymentTerm | None = None, **more: Any) -> TermForm:
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
    form = WithSessions(obj=term, dues=dues, currency=currencies[0], **more)
    form.currency.choices = {code: code for code in [*currencies, *([term.currency] if term else [])]}
    example = amount(89 * 10 ** digits(form.currency.data), form.currency.data)
    form.dues.description = say("What is paid each time, such as {example}.", example=example)
    return form


def _given(form: TermForm) -> offers.TermFields:
    """The fields of the payment term. Raises NotAnAmount or WrongCurrencyCode."""
    currency = currency_code(form.text("currency"))
    return {
        "name": form.text("name"),
        "dues_minor": minor_units(form.text("dues"), currency),
        "currency": currency,
        "interval": Interval(form.interval.data),
        "interval_count": form.interval_count.data,
        "partial": Partial(form.partial.data),
        "release": Release(form.release.data),
        "release_times": form.release_times.data,
        "frozen_dues": FrozenDues(form.frozen_dues.data),
        "on_end": OnEnd(form.on_end.data),
        "on_end_days": form.on_end_days.data,
        "payment_link": form.text("payment_link"),
    }


def _sessions(form: TermForm, offer: Offer) -> dict[SessionBucket, tuple[int, int]]:
    """Quantity and days to expire of each session bucket."""
    return {
        bucket: (form[f"quantity_{bucket.id}"].data, form[f"days_to_expire_{bucket.id}"].data)
        for bucket in offer.buckets
    }


def _named(offer: Offer, term: PaymentTerm) -> str:
    return f"payment term {term.id}, {term.name}, of {named(offer)}"


def _card(offer: Offer, term: PaymentTerm) -> str:
    return url_for("offers.show", offer_id=offer.id, _anchor=f"term-{term.id}")
