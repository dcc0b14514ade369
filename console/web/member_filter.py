"""The filter above the list of members, read from the query string, and how many members each choice shows."""

from collections.abc import Sequence
from threading import Lock
from time import monotonic
from typing import Any

from flask import current_app
from sqlalchemy import select
from wtforms import SelectChoice, SelectField

from console.request import database, utc_now
from console.web.fields import chosen_id
from console.web.forms import QueryForm
from models.catalogue.clubs import Club
from models.catalogue.tables import Offer
from models.statements import member_list
from models.statements.member_list import EXPIRING, Counts, DuesState, MemberFilter, Order, State
from runtime.language import Texts, grouped, noted, say

STATES: Texts = {State.ACTIVE: "Active", State.FROZEN: "Frozen", State.ENDED: "Ended"}
DUES: Texts = {DuesState.OVERDUE: "Overdue", DuesState.GOOD: "Not overdue"}
ORDERS: Texts = {
    Order.NAME: "Name",
    Order.EXPIRES: "Expires next",
    Order.JOINED: "Joined, newest first",
    Order.LEFT: "Sessions left, fewest first",
}
SECONDS_FOR_EACH = 60
"""For how many seconds counts are kept, for each second that they took: in a small gym not noticeably."""


def _choice(label: str, name: str | None = None) -> SelectField:
    return SelectField(label, default="", validate_choice=False, name=name)


class ListForm(QueryForm):
    """A filter of members, sent with GET. What no choice has asks nothing."""

    club, offer = _choice(noted("Club")), _choice(noted("Offer"))
    state, dues = _choice(noted("State")), _choice(noted("Dues"), name="standing")
    left, expiring = _choice(noted("Sessions left")), _choice(noted("Expiring"))
    order = _choice(noted("Sort by"))

    def ask(self, counts: Counts) -> None:
        """Give each choice its number of members."""

        def choices(field: SelectField, known: dict[Any, str], numbers: Any) -> None:
            field.choices = [SelectChoice("", say("Any ({number})", number=grouped(counts.all)))]
            field.choices += [
                SelectChoice(str(one), f"{name} ({grouped(numbers.get(one, 0))})") for one, name in known.items()
            ]
            if field.data not in {choice.value for choice in field.choices}:
                field.data = ""

        session = database()
        clubs = dict(session.execute(select(Club.id, Club.name).order_by(Club.name)).all())
        offers = dict(session.execute(select(Offer.id, Offer.name).order_by(Offer.name)).all())
        choices(self.club, {one: name for one, name in clubs.items() if one in counts.clubs}, counts.clubs)
        choices(self.offer, {one: name for one, name in offers.items() if one in counts.offers}, counts.offers)
        choices(self.state, {state: say(name) for state, name in STATES.items()}, counts.states)
        choices(self.dues, {state: say(name) for state, name in DUES.items()}, counts.dues)
        choices(self.left, {"none": say("Nothing left")}, {"none": counts.nothing_left})
        choices(self.expiring, {days: say("Within {n} days", n=days) for days in EXPIRING}, counts.expiring)
        self.order.choices = [SelectChoice(order, say(label)) for order, label in ORDERS.items()]
        if self.order.data not in set(ORDERS):
            self.order.data = Order.NAME.value

    @property
    def wanted(self) -> MemberFilter:
        """The filter."""
        return MemberFilter(
            chosen_id(self.club.data) or None,
            chosen_id(self.offer.data) or None,
            State(self.state.data) if self.state.data else None,
            DuesState(self.dues.data) if self.dues.data else None,
            self.left.data == "none",
            int(self.expiring.data) if self.expiring.data else None,
        )

    @property
    def sorted_by(self) -> Order:
        """The order."""
        return Order(self.order.data)

    @property
    def query(self) -> dict[str, str]:
        """What is asked for, as query parameters."""
        given = {field.short_name: field.data for field in self if field.data}
        return {name: value for name, value in given.items() if (name, value) != ("order", Order.NAME)}


_lock = Lock()


def kept_counts(club_ids: Sequence[int] | None) -> Counts:
    """The counts, which are kept the longer, the longer they took."""
    kept: dict[object, tuple[float, Counts]] = current_app.extensions.setdefault("spp_member_counts", {})
    key = None if club_ids is None else tuple(club_ids)
    with _lock:
        until, counts = kept.get(key, (0.0, None))
        if counts is None or monotonic() >= until:
            began = monotonic()
            counts = member_list.counts(database(), now=utc_now(), club_ids=club_ids)
            took = monotonic() - began
            kept[key] = (monotonic() + (took * SECONDS_FOR_EACH if took > QUICK_S else 0), counts)
        return counts


QUICK_S = 0.2
"""What takes no longer is counted each time."""
