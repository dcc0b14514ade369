"""Check-in: a search box, the member's sessions, and what is left with its undo. Made for keys and for scanners.

The page works without scripts: every step is a page of its own. `static/check_in.js` adds suggestions while somebody
types, and keys.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from flask import abort, jsonify, redirect, request, url_for
from sqlalchemy import exists, select
from wtforms import RadioField
from wtforms.validators import InputRequired

from console.request import actor, database, utc_now
from console.web import access, desk_club, member_page
from console.web.access import Answer, Pages, Role
from console.web.fields import Count, chosen_id, query_id, text_field
from console.web.forms import OnceForm, page, pressed
from models.catalogue.items import Item
from models.ledger import redemptions
from models.ledger.last_uses import last_uses, usual_item
from models.ledger.occasions import Occasion
from models.ledger.redemptions import Redemption
from models.members import overdue, search
from models.members.memberships import Member, current
from models.members.search import Found
from models.staff.actions import MAX_REASON_LENGTH
from models.statements import left, statement, why_not
from models.statements.statement import Balance
from models.statements.why_not import WhyNot
from models.wording import sessions_of
from runtime.language import say

pages = Pages("check_in", __name__, url_prefix="/check-in")

SHOWN = 8
"""Suggestions at once."""
AGAIN = timedelta(hours=2)
"""After a check-in, how long a further one is pointed out."""
SOUGHT = 255
"""Characters of a search that count."""


class CheckInForm(OnceForm):
    """Sessions that a member uses now."""

    item_id = RadioField("What", [InputRequired("Choose what is used.")])
    quantity = Count("Sessions", default=1)
    override_reason = text_field("Why, although dues are overdue", most=MAX_REASON_LENGTH)


class Hit(NamedTuple):
    """A member in the list below the search box."""

    name: str
    details: str
    href: str


class Line(NamedTuple):
    """What a member has of one item; `why` says why nothing of it can be used."""

    balance: Balance
    why: WhyNot | None

    @property
    def needs_reason(self) -> bool:
        """It can be used with a reason only."""
        return self.why is not None and self.why.reason == why_not.Reason.OVERDUE

    @property
    def can_be_chosen(self) -> bool:
        """Somebody may use it now, perhaps with a reason."""
        return self.why is None or self.needs_reason


@pages.page("/", Role.DESK)
def start() -> Answer:
    """The box with who was checked in lately; the members that a text finds; or what a check-in has left."""
    sought = request.args.get("q", "").strip()[:SOUGHT]
    hits = _hits(sought)
    if sought and len(hits) == 1:
        return redirect(hits[0].href)
    no_members = not hits and not database().scalar(select(exists(select(Member.id))))
    return page("check_in/page.html", sought=sought, hits=hits, done=_done(query_id("done")), no_members=no_members)


@pages.page("/suggestions", Role.DESK)
def suggestions() -> Answer:
    """The same list while somebody types, as JSON."""
    return jsonify(members=[hit._asdict() for hit in _hits(request.args.get("q", "").strip()[:SOUGHT])])


@pages.form("/<id:member_id>", Role.DESK)
def member(member_id: int) -> Answer:
    """One member's sessions, with the usual item chosen, and the button that checks in."""
    found = member_page.find(member_id)
    here = desk_club.of(member_page.every_club())
    club_id = here.id if here else None
    lines = _lines(found, club_id)
    usable = [line.balance.item_id for line in lines if line.can_be_chosen]
    uses = last_uses(database(), found.id)
    form = CheckInForm(item_id=str(usual_item(uses, usable) or ""))
    last, now = next(iter(uses), None), found.clock(utc_now())
    form.item_id.choices = [(str(line.balance.item_id), line.balance.item) for line in lines]

    def act() -> tuple[str, str]:
        item_id = chosen_id(form.item_id.data)
        with why_not.explained(database(), member_id=found.id, item_id=item_id, now=utc_now(), club_id=club_id):
            answer = redemptions.redeem(
                database(), member_id=found.id, item_id=item_id, quantity=form.quantity.data, key=form.once, by=actor(),
                now=utc_now(), override_reason=form.text("override_reason"), occasion=Occasion(club_id=club_id),
            )  # fmt: skip
        return "", url_for("check_in.start", done=answer.redemption_id)

    return form.submitted(act) or page(
        "check_in/page.html",
        sought="",
        hits=[],
        member=found,
        zone=member_page.zone_of(found),
        now=now,
        lines=lines,
        form=form,
        usable=usable,
        last=last,
        is_again=last is not None and now - last.occurred_at < AGAIN,
        late=overdue.of_members(database(), [found.id]),
    )


@pages.button("/redemptions/<id:redemption_id>/undo", Role.DESK)
def undo(redemption_id: int) -> Answer:
    """Give back all that a check-in took."""
    found = _redemption(redemption_id)
    form = OnceForm()

    def act() -> str:
        answer = redemptions.give_back(database(), redemption_id=found.id, key=form.once, by=actor(), now=utc_now())
        item = database().get_one(Item, found.item_id)
        returned = sessions_of(item.name, sum(draw.quantity for draw in answer.draws))
        is_left = left.left(database(), _member_of(found), item, utc_now())
        return f"{say('{sessions} given back.', sessions=returned)} {is_left}"

    return pressed(act, url_for("check_in.start"))


def _hits(sought: str) -> Sequence[Hit]:
    """The members that the text finds; for an empty one, those who were checked in lately."""
    session, clubs = database(), access.club_ids()
    lately = search.recent(session, actor=actor().name, limit=50, club_ids=clubs)
    if not sought:
        return [_hit(one.member_id, one.name, one.email) for one in lately[:SHOWN]]
    ids = [one.member_id for one in lately]
    found = search.search(session, sought, SHOWN, club_ids=clubs, recent=ids)
    return [_hit(one.member_id, one.name, _found_by(one)) for one in found]


def _found_by(found: Found) -> str:
    """The address, and the reference by which the member was found."""
    if not found.endpoint:
        return found.email
    return say("{email}, {reason} on {endpoint}", email=found.email, reason=say(found.reason), endpoint=found.endpoint)


def _hit(member_id: int, name: str, details: str) -> Hit:
    return Hit(name, details, url_for("check_in.member", member_id=member_id))


def _lines(found: Member, club_id: int | None) -> Sequence[Line]:
    """What the member has, what can be used at this club first."""
    session, now = database(), utc_now()
    why = why_not.of_member(session, found.id, now, club_id)
    lines = [Line(one, why.get(one.item_id)) for one in statement.balances(session, found.id, now)]
    return sorted(lines, key=lambda line: not line.can_be_chosen)


class Done(NamedTuple):
    """A check-in that was just done."""

    redemption_id: int
    used: str
    member: Member
    left: str
    returnable: int


def _done(redemption_id: int | None) -> Done | None:
    if redemption_id is None:
        return None
    found, session = _redemption(redemption_id), database()
    who, item = _member_of(found), session.get_one(Item, found.item_id)
    return Done(
        found.id,
        sessions_of(item.name, found.quantity),
        who,
        left.left(session, who, item, utc_now()),
        redemptions.returnable(session, [found.id]).get(found.id, 0),
    )


def _redemption(redemption_id: int) -> Redemption:
    """The redemption with that id; 404 where there is none."""
    found = database().get(Redemption, redemption_id)
    return found if found is not None and found.undoes is None else abort(404)


def _member_of(found: Redemption) -> Member:
    return current(database(), database().get_one(Member, found.member_id))
