"""Sessions at the desk: redeem, give back, extend."""

from collections.abc import Sequence

from flask import abort, request, url_for
from flask_login import current_user
from sqlalchemy import select

from console.request import actor, database, utc_now
from console.web import desk_club, member_page
from console.web.access import Answer, Pages, Role
from console.web.fields import chosen_id
from console.web.formats import day, moment
from console.web.member_forms import ExtendForm, GiveBackForm
from models.catalogue.days import last_day
from models.catalogue.items import Item
from models.ledger import adjustments, occasions, redemptions
from models.ledger.burn_order import Draw
from models.ledger.redemptions import Redemption
from models.ledger.tables import CreditGrant
from models.statements import statement, why_not
from models.wording import sessions_of
from runtime.language import say, say_n

pages = Pages("sessions", __name__)


@pages.button("/<id:member_id>/redeem", Role.DESK)
def redeem(member_id: int) -> Answer:
    """Take sessions from the member's usable grants."""
    member = member_page.find(member_id)
    zone = member_page.zone_of(member)
    item = database().get(Item, chosen_id(request.form.get("item_id"))) or abort(404)
    form = member_page.redeem_forms([item.id], zone)[item.id]

    def act() -> tuple[str, str]:
        quantity, now, occasion = form.quantity.data, utc_now(), form.occasion
        desk_club.remember(occasion.club_id)
        asked = {"member_id": member_id, "item_id": item.id}
        with why_not.explained(database(), **asked, now=now, at=occasion.occurred_at, club_id=occasion.club_id):
            answer = redemptions.redeem(
                database(), **asked, quantity=quantity, key=form.once, by=actor(),
                now=now, occasion=occasion, back=occasions.may_go_back(is_manager=current_user.may("manager")),
                override_reason=form.text("override_reason"),
            )  # fmt: skip
        taken = sum(draw.quantity for draw in answer.draws)
        when = moment(occasion.occurred_at, zone) if occasion.occurred_at else ""
        what = _redeemed(sessions_of(item.name, taken), when, answer.draws, zone)
        return f"{what} {_left(member_id, item)}", url_for("members.show", member_id=member_id)

    return form.submitted(act) or member_page.show(member_id, redeeming=form)


@pages.form("/<id:member_id>/redemptions/<id:redemption_id>/give-back", Role.DESK)
def give_back(member_id: int, redemption_id: int) -> Answer:
    """Return sessions of a redemption to the grants that they came from."""
    origin = database().get(Redemption, redemption_id)
    member_id = member_page.find(member_id).id
    if origin is None or origin.undoes is not None or not redemptions.is_of(database(), redemption_id, member_id):
        abort(404)
    left = redemptions.returnable(database(), [redemption_id]).get(redemption_id, 0)
    item, form = database().get_one(Item, origin.item_id), GiveBackForm(quantity=left)

    def act() -> tuple[str, str]:
        quantity, now = form.quantity.data, utc_now()
        answer = redemptions.give_back(
            database(), redemption_id=redemption_id, quantity=quantity, key=form.once, by=actor(), now=now
        )
        returned = sessions_of(item.name, sum(draw.quantity for draw in answer.draws))
        what = say("{sessions} given back.", sessions=returned)
        return f"{what} {_left(member_id, item)}", url_for("members.show", member_id=member_id)

    return form.submitted(act) or member_page.show(
        member_id, window="members/give_back.html", form=form, item=item, origin=origin, left=left
    )


@pages.form("/<id:member_id>/grants/<id:grant_id>/extend", Role.MANAGER)
def extend(member_id: int, grant_id: int) -> Answer:
    """Let a grant expire later, which brings back what of it has expired."""
    grant = statement.grant(database(), member_id, grant_id, utc_now()) or abort(404)
    zone = grant.time_zone or member_page.zone_of(member_page.find(member_id))
    form = ExtendForm()
    if not form.is_submitted() and grant.expires_at and not grant.is_expired:
        form.last_day.data = last_day(grant.expires_at, zone)

    def act() -> tuple[str, str]:
        last, reason, now = form.last_day.data, form.text("reason"), utc_now()
        back = adjustments.extend(database(), grant_id, last_day=last, reason=reason, by=actor(), now=now)
        message = say(
            "{sessions} of {day} can be used until {last}.",
            sessions=sessions_of(grant.item, grant.remaining + back),
            day=day(grant.effective_at, zone),
            last=day(last),
        )
        return message, url_for("members.show", member_id=member_id)

    return form.submitted(act) or member_page.show(member_id, window="members/extend.html", form=form, grant=grant)


def _left(member_id: int, item: Item) -> str:
    balances = statement.balances(database(), member_id, utc_now())
    left = next((balance.usable for balance in balances if balance.item_id == item.id), 0)
    return say_n("{n} left.", "{n} left.", left)


def _redeemed(sessions: str, when: str, draws: Sequence[Draw], zone: str) -> str:
    """`2 Spin sessions redeemed, from the grant of Nov 1, 2026.`; of several grants, how many from each."""
    query = select(CreditGrant.id, CreditGrant.effective_at).where(
        CreditGrant.id.in_([draw.grant_id for draw in draws])
    )
    since = {grant_id: day(moment, zone) for grant_id, moment in database().execute(query)}
    if len(draws) == 1:
        of = since[draws[0].grant_id]
        if when:
            return say("{sessions} redeemed for {when}, from the grant of {day}.", sessions=sessions, when=when, day=of)
        return say("{sessions} redeemed, from the grant of {day}.", sessions=sessions, day=of)
    parts = ", ".join(
        say("{number} from the grant of {day}", number=draw.quantity, day=since[draw.grant_id]) for draw in draws
    )
    if when:
        return say("{sessions} redeemed for {when}: {parts}.", sessions=sessions, when=when, parts=parts)
    return say("{sessions} redeemed: {parts}.", sessions=sessions, parts=parts)
