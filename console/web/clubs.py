"""The clubs: where members sign up, in whose local time sessions expire, and in whose currency dues are paid."""

from collections.abc import Iterable
from typing import Any
from zoneinfo import available_timezones

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from wtforms import RadioField, SelectField, StringField
from wtforms.validators import Length

from console.edits import Edit
from console.web.access import actor, database, done, needs
from console.web.forms import EditForm
from models import currencies
from models.catalogue import clubs
from models.catalogue.tables import Club, ShortfallPolicy
from models.errors import ClubInUse, NameMissing, NameTaken, NotFound, SppError, WrongCurrencyCode, WrongTimeZone
from models.staff import actions
from models.staff.accounts import Role

pages = Blueprint("clubs", __name__, url_prefix="/clubs")

POLICIES = {
    ShortfallPolicy.REPAY.value: "Owed: the next sessions of that item repay them",
    ShortfallPolicy.FORGIVE.value: "Forgiven: the club bears them",
}
COMMON_ZONES = (
    "America/New_York", "America/Chicago", "America/Denver", "America/Phoenix", "America/Los_Angeles",
    "America/Anchorage", "Pacific/Honolulu", "America/Toronto", "Europe/London", "Europe/Dublin", "Europe/Berlin",
    "Australia/Sydney", "Pacific/Auckland",
)  # fmt: skip
COMMON_CURRENCIES = ("USD", "CAD", "GBP", "EUR", "AUD", "NZD")


class ClubForm(EditForm):
    """A club. Zone and currency are judged by the rules, which say what to do."""

    name = StringField("Name", [Length(max=200)], render_kw={"autofocus": True, "autocomplete": "off"})
    time_zone = SelectField("Time zone", validate_choice=False, description="Sessions expire at midnight there.")
    currency = SelectField(
        "Currency", validate_choice=False,
        description="What dues are paid in. It cannot change once members have signed up.",
    )  # fmt: skip
    shortfall_policy = RadioField(
        "Sessions that were already used when their payment is reversed", choices=POLICIES,
        default=ShortfallPolicy.REPAY.value,
    )  # fmt: skip


BESIDE: dict[type[SppError], str] = {
    NameMissing: "name", NameTaken: "name", WrongTimeZone: "time_zone", WrongCurrencyCode: "currency",
    ClubInUse: "currency",
}  # fmt: skip
"""Which field each refusal is about."""


@pages.get("/")
@needs(Role.VIEWER)
def overview() -> ResponseReturnValue:
    """The clubs by name."""
    return _list("list")


def _list(template: str, status: int = 200, **window: object) -> ResponseReturnValue:
    known = database().scalars(select(Club).order_by(func.lower(Club.name))).all()
    return render_template(f"clubs/{template}.html", clubs=known, policies=POLICIES, **window), status


@pages.route("/new", methods=["GET", "POST"])
@needs(Role.MANAGER)
def new() -> ResponseReturnValue:
    """A further club."""
    form = _form(None)
    if form.validate_on_submit():
        with form.refusals(BESIDE):
            club = clubs.create_club(database(), **_given(form))
            given = f"{club.time_zone}, {club.currency}, {club.shortfall_policy}"
            actions.log(database(), actor(), "create club", f"club {club.id}, {club.name}: {given}")
        if not form.errors:
            done(f"{club.name} is added.")
            return redirect(url_for(".overview"))
    return _list("club", 422 if form.errors else 200, form=form)


@pages.route("/<id:club_id>", methods=["GET", "POST"])
@needs(Role.MANAGER)
def edit(club_id: int) -> ResponseReturnValue:
    """Another name, zone, currency or rule for reversed payments."""
    club = database().get(Club, club_id, with_for_update=True)
    if club is None:
        raise NotFound(what="club", name=club_id)
    form = _form(club)
    if form.validate_on_submit():
        edit = Edit(club, "name", "time_zone", "currency", "shortfall_policy")
        with form.refusals(BESIDE):
            clubs.edit_club(database(), club, **_given(form))
            edit.log("edit club", f"club {club.id}, {club.name}")
        if not form.errors:
            done(f"{club.name} is saved.")
            return redirect(url_for(".overview"))
    return _list("club", 422 if form.errors else 200, form=form, club=club)


def _form(club: Club | None) -> ClubForm:
    form = ClubForm(obj=club) if club else ClubForm(currency=COMMON_CURRENCIES[0], time_zone=COMMON_ZONES[0])
    # Names without a place, such as EST, are old spellings; Etc/ counts hours the other way round.
    places = sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/"))
    form.time_zone.choices = {"Common": _named(COMMON_ZONES), "All": _named([*places, "UTC"])}
    # Its own is offered too, where ISO has withdrawn it: a list without it would show another one as chosen.
    own = {club.currency} if club else set()
    every = _named(sorted(own | currencies.CURRENT.keys()))
    form.currency.choices = {"Common": _named(COMMON_CURRENCIES), "All": every}
    return form


def _named(values: Iterable[str]) -> dict[str, str]:
    return {value: value for value in values}


def _given(form: ClubForm) -> dict[str, Any]:
    return {
        "name": form.text("name"), "time_zone": form.text("time_zone"), "currency": form.text("currency"),
        "shortfall_policy": ShortfallPolicy(form.shortfall_policy.data),
    }  # fmt: skip
