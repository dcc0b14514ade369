"""Sessions at the desk: redeem, give back, extend."""

from collections.abc import Sequence
from datetime import UTC, datetime

from flask import Blueprint, abort, redirect, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from console.web import member_page
from console.web.access import actor, database, done, needs
from console.web.formats import day
from console.web.member_forms import ExtendForm, GiveBackForm, RedeemForm
from models.catalogue.days import last_day
from models.catalogue.tables import Item
from models.errors import (
    DayOver,
    DayTooFar,
    NeverExpires,
    NothingExpired,
    NothingToReturn,
    NotLater,
    ReasonMissing,
    TextTooLong,
)
from models.ledger import adjustments, redemptions
from models.ledger.burn_order import Draw
from models.ledger.entries import CreditGrant
from models.ledger.redemptions import Redemption
from models.staff.accounts import Role
from models.statements import statement
from models.wording import sessions_of

pages = Blueprint("sessions", __name__)


@pages.post("/<id:member_id>/redeem")
@needs(Role.DESK)
def redeem(member_id: int) -> ResponseReturnValue:
    """Takes sessions from the member's usable grants, and says from which."""
    form = RedeemForm()
    member = member_page.find(member_id)
    item = _item(form.item_id.data)
    if form.validate_on_submit():
        with form.refusals(), form.sent_once():
            answer = redemptions.redeem(
                database(), member_id=member_id, item_id=item.id, quantity=form.quantity.data, key=form.once,
                by=actor(), now=datetime.now(UTC),
            )  # fmt: skip
        if not form.errors:
            taken = sum(draw.quantity for draw in answer.draws)
            zone = member_page.zone_of(member)
            done(f"{sessions_of(item.name, taken)} redeemed{_from(answer.draws, zone)}. {_left(member_id, item)}")
            return redirect(url_for("members.show", member_id=member_id))
    return member_page.show(member_id, status=422, redeeming=form)


@pages.route("/<id:member_id>/redemptions/<id:redemption_id>/give-back", methods=["GET", "POST"])
@needs(Role.DESK)
def give_back(member_id: int, redemption_id: int) -> ResponseReturnValue:
    """Returns sessions of a redemption to the grants that they came from."""
    origin = database().get(Redemption, redemption_id)
    if origin is None or origin.member_id != member_id or origin.undoes is not None:
        abort(404)
    left = redemptions.returnable(database(), [redemption_id]).get(redemption_id, 0)
    item = database().get_one(Item, origin.item_id)
    form = GiveBackForm(quantity=left)
    if form.validate_on_submit():
        with form.refusals({NothingToReturn: "quantity"}), form.sent_once():
            answer = redemptions.give_back(
                database(), redemption_id=redemption_id, quantity=form.quantity.data, key=form.once, by=actor(),
                now=datetime.now(UTC),
            )  # fmt: skip
        if not form.errors:
            returned = sum(draw.quantity for draw in answer.draws)
            done(f"{sessions_of(item.name, returned)} given back. {_left(member_id, item)}")
            return redirect(url_for("members.show", member_id=member_id))
    status = 422 if request.method == "POST" else 200
    window = "members/give_back.html"
    return member_page.show(member_id, status=status, window=window, form=form, item=item, origin=origin, left=left)


@pages.route("/<id:member_id>/grants/<id:grant_id>/extend", methods=["GET", "POST"])
@needs(Role.MANAGER)
def extend(member_id: int, grant_id: int) -> ResponseReturnValue:
    """Lets a grant expire later, and brings back what of it has expired."""
    grants = statement.grants(database(), member_id, datetime.now(UTC))
    grant = next((line for line in grants if line.grant_id == grant_id), None) or abort(404)
    zone = grant.time_zone or member_page.zone_of(member_page.find(member_id))
    form = ExtendForm()
    if form.validate_on_submit():
        days = (NotLater, DayTooFar, DayOver, NeverExpires, NothingExpired)
        with form.refusals(dict.fromkeys(days, "last_day") | dict.fromkeys((ReasonMissing, TextTooLong), "reason")):
            back = adjustments.extend(
                database(), grant_id, last_day=form.last_day.data, reason=form.text("reason"), by=actor(),
                now=datetime.now(UTC),
            )  # fmt: skip
        if not form.errors:
            what, last = sessions_of(grant.item, grant.remaining + back), day(form.last_day.data)
            done(f"{what} of {day(grant.effective_at, zone)} can be used until {last}.")
            return redirect(url_for("members.show", member_id=member_id))
    elif not form.is_submitted() and grant.expires_at and not grant.is_expired:
        form.last_day.data = last_day(grant.expires_at, zone)
    status = 422 if request.method == "POST" else 200
    return member_page.show(member_id, status=status, window="members/extend.html", form=form, grant=grant)


def _item(given: str | None) -> Item:
    text = given or ""
    known = text.isascii() and text.isdigit() and len(text) < 19
    return (database().get(Item, int(text)) if known else None) or abort(404)


def _left(member_id: int, item: Item) -> str:
    balances = statement.balances(database(), member_id, datetime.now(UTC))
    left = next((balance.usable for balance in balances if balance.item_id == item.id), 0)
    return f"{left} left."


def _from(draws: Sequence[Draw], zone: str) -> str:
    """` from the grant of Nov 1, 2026`, or of each how many."""
    query = select(CreditGrant.id, CreditGrant.effective_at).where(
        CreditGrant.id.in_([draw.grant_id for draw in draws])
    )
    since = {grant_id: day(moment, zone) for grant_id, moment in database().execute(query)}
    if len(draws) == 1:
        return f", from the grant of {since[draws[0].grant_id]}"
    return ": " + ", ".join(f"{draw.quantity} from the grant of {since[draw.grant_id]}" for draw in draws)
