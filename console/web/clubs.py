"""The clubs: where members sign up, in whose local time sessions expire, and in whose currency dues are paid."""

from collections.abc import Iterable
from typing import ClassVar
from zoneinfo import available_timezones

from flask import url_for
from sqlalchemy import func, select
from wtforms import BooleanField, RadioField, SelectField

from console import bounds
from console.edits import edited
from console.request import actor, database
from console.rows import row
from console.web import closures
from console.web.access import Answer, Pages, Role
from console.web.fields import WholeNumber, text_field
from console.web.forms import EditForm, page
from models import currencies
from models.catalogue import clubs
from models.catalogue.clubs import Club, ShortfallPolicy, UseWhileOverdue
from models.errors import NotAnAmount
from models.staff import actions
from models.wording import amount, currency_code, minor_units
from runtime.language import ENGLISH, LOCALES, Spoken, Texts, say

pages = Pages("clubs", __name__, url_prefix="/clubs")
pages.register_blueprint(closures.pages)

POLICIES: Texts = {
    ShortfallPolicy.REPAY.value: "Owed: the next sessions of that item repay them",
    ShortfallPolicy.FORGIVE.value: "Forgiven: the club bears them",
}
USES: Texts = {
    UseWhileOverdue.WARN.value: "Allowed, with a warning at the desk",
    UseWhileOverdue.GRACE.value: "Allowed for some days, then with a reason only",
    UseWhileOverdue.STRICT.value: "With a reason only",
}
COMMON_ZONES = [
    *(f"America/{city}" for city in ("New_York", "Chicago", "Denver", "Phoenix", "Los_Angeles", "Anchorage")),
    *("Pacific/Honolulu", "America/Toronto", "Europe/London", "Europe/Dublin", "Europe/Berlin"),
    *("Australia/Sydney", "Pacific/Auckland"),
]
COMMON_CURRENCIES = ("USD", "CAD", "GBP", "EUR", "AUD", "NZD")


class ClubForm(EditForm):
    """A club. The rules check its zone and currency, because their errors say what to do."""

    own_names: ClassVar = {"refund_fee_most_minor": "refund_fee"}

    name = text_field("Name", autofocus=True)
    time_zone = SelectField("Time zone", validate_choice=False, description="Sessions expire at midnight there.")
    currency = SelectField(
        "Currency",
        validate_choice=False,
        description="What dues are paid in. It cannot change once members have signed up.",
    )
    shortfall_policy = RadioField(
        "Sessions that were already used when their payment is reversed",
        choices=POLICIES,
        default=ShortfallPolicy.REPAY.value,
    )
    refund_fee_percent = WholeNumber(
        "Refund fee up to (percent of the payment)",
        default=clubs.REFUND_FEE_PERCENT,
        description="A refund that leaves no more than this, and no more than the amount below, takes all sessions "
        "back: the rest is a fee that was kept.",
    )
    refund_fee = text_field("Refund fee up to (amount)", most=30, inputmode="decimal")
    use_while_frozen = BooleanField("Sessions can be used while a membership is frozen")
    use_while_overdue = RadioField(
        "Use of sessions while their membership's dues are overdue", choices=USES, default=UseWhileOverdue.WARN.value
    )
    overdue_grace_days = WholeNumber(
        "For how many days", default=clubs.OVERDUE_GRACE_DAYS, description="After the one on which they failed."
    )
    locale = SelectField(
        "Language and formats",
        choices=dict(LOCALES),
        default=ENGLISH,
        description="How its people see pages, dates, numbers and money, unless they choose for themselves.",
    )
    apply_announcements = BooleanField(
        "Apply what the payment provider says of ends",
        description="Memberships end, and are reopened, as soon as it says so. Otherwise each is a proposal, as pauses "
        "always are.",
    )


@pages.page("/", Role.VIEWER)
def overview() -> Answer:
    """The clubs by name."""
    return _list("list")


def _list(template: str, **window: object) -> Answer:
    known = database().scalars(bounds.theirs(select(Club)).order_by(func.lower(Club.name))).all()
    return page(f"clubs/{template}.html", clubs=known, policies=POLICIES, uses=USES, **window)


@pages.form("/new", Role.MANAGER)
def new() -> Answer:
    """Add a club."""
    form = _form(None)

    def act() -> tuple[str, str]:
        club = clubs.create_club(database(), **_given(form))
        given = ", ".join(str(getattr(club, name)) for name in clubs.FIELDS[1:])
        actions.log(database(), actor(), "create club", f"club {club.id}, {club.name}: {given}")
        return say("{name} is added.", name=club.name), url_for(".overview")

    return form.submitted(act) or _list("club", form=form)


@pages.form("/<id:club_id>", Role.MANAGER)
def edit(club_id: int) -> Answer:
    """Change a club's name, zone, currency or rules for reversed payments and overdue dues."""
    club = row(Club, club_id, lock=True)
    form = _form(club)

    def act() -> tuple[str, str]:
        with edited(club, "edit club", *clubs.FIELDS):
            clubs.edit_club(database(), club, **_given(form))
        return say("{name} is saved.", name=club.name), url_for(".overview")

    return form.submitted(act) or _list("club", form=form, club=club)


def _form(club: Club | None) -> ClubForm:
    currency = club.currency if club else COMMON_CURRENCIES[0]
    fee = amount(club.refund_fee_most_minor if club else clubs.REFUND_FEE_MOST_MINOR, currency)
    form = (
        ClubForm(obj=club, refund_fee=fee)
        if club
        else ClubForm(currency=currency, time_zone=COMMON_ZONES[0], refund_fee=fee)
    )
    # Names without a place, such as EST, are old spellings; Etc/ counts hours the other way round.
    places = sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/"))
    form.time_zone.choices = {say("Common"): _named(COMMON_ZONES), say("All"): _named([*places, "UTC"])}
    # Its own is offered too, where ISO has withdrawn it: a list without it would show another one as chosen.
    own = {club.currency} if club else set()
    every = _named(sorted(own | currencies.CURRENT.keys()))
    form.currency.choices = {say("Common"): _named(COMMON_CURRENCIES), say("All"): every}
    return form


def _named(values: Iterable[str]) -> dict[str, str]:
    return {value: value for value in values}


def _given(form: ClubForm) -> clubs.ClubFields:
    """The fields of the club. Raises WrongCurrencyCode or NotAnAmount."""
    try:
        most = minor_units(form.text("refund_fee"), currency_code(form.text("currency")))
    except NotAnAmount as error:
        error.field = "refund_fee_most_minor"
        raise
    return {
        "name": form.text("name"),
        "time_zone": form.text("time_zone"),
        "currency": form.text("currency"),
        "shortfall_policy": ShortfallPolicy(form.shortfall_policy.data),
        "refund_fee_percent": form.refund_fee_percent.data,
        "refund_fee_most_minor": most,
        "use_while_frozen": form.use_while_frozen.data,
        "use_while_overdue": UseWhileOverdue(form.use_while_overdue.data),
        "overdue_grace_days": form.overdue_grace_days.data,
        "apply_announcements": form.apply_announcements.data,
        "locale": Spoken(form.locale.data),
    }
