"""The filter above the list of events, read from the query string."""

from collections.abc import Sequence
from typing import Any, ClassVar

from flask import request
from wtforms import IntegerField, SelectChoice, SelectField, StringField
from wtforms.validators import Length, NumberRange, Optional

from console.request import database
from console.web.fields import Moment
from console.web.formats import at, endpoints
from console.web.forms import QueryForm
from models.errors import SppError
from models.inbox.events import EventState
from models.inbox.search import EventFilter
from models.members.lookup import the_member

STATES: dict[str, str] = {
    EventState.PENDING: "Waiting",
    EventState.PROCESSED: "Processed",
    EventState.IGNORED: "Without effect",
    EventState.QUARANTINED: "Quarantined",
    EventState.DEAD: "Dead",
}
"""The labels of an event's states."""
WAYS = {"event_id": "Event id", "payment": "Payment", "member": "Member's e-mail or id", "body": "Text of the body"}


class EventFilterForm(QueryForm):
    """A filter of events; sent with GET."""

    own_names: ClassVar = {"email": "find"}

    find = StringField("Find", [Length(max=255)], render_kw={"spellcheck": "false", "autocomplete": "off"})
    by = SelectField("Find by", choices=WAYS, default="event_id", validate_choice=False)
    state = SelectField("State", choices={"": "Any", **STATES}, filters=[lambda asked: asked or ""])
    endpoint = SelectField("Endpoint", validate_choice=False)
    type = StringField("Type", [Length(max=255)], render_kw={"list": "types", "spellcheck": "false"})
    since = Moment("Received from", render_kw={"type": "datetime-local"})
    until = Moment("Received until", render_kw={"type": "datetime-local"})
    attempts = IntegerField(
        "Tries, at least",
        [Optional(), NumberRange(0, 1000, "Write a number from 0 to 1000.")],
        render_kw={"inputmode": "numeric"},
    )
    error = StringField("Error or reason has", [Length(max=200)])

    def filter(self) -> EventFilter:
        """The filter that the valid form asks for. Raises NotFound or SeveralMembers."""
        asked: dict[str, Any] = {name: self.text(name) or None for name in ("state", "endpoint", "type", "error")}
        found, way = self.text("find"), self.by.data
        if found and way == "member":
            asked["member_id"] = the_member(database(), found).id
        elif found:
            asked[way if way in {"payment", "body"} else "event_id"] = found
        return EventFilter(**asked, since=self.since.at, until=self.until.at, attempts=self.attempts.data)


def asked() -> tuple[EventFilterForm, EventFilter | None]:
    """The form with the query string, and its filter; None where a field is wrong."""
    form = EventFilterForm(request.args)
    form.endpoint.choices = choices("Any", endpoints(), form.endpoint.data)
    if not form.validate():
        return form, None
    try:
        return form, form.filter()
    except SppError as error:
        form.refuse(error)
        return form, None


def query(**changes: object) -> dict[str, object]:
    """This page's filter as query parameters, with these changes."""
    without = {"before"} if request.args.get("find") else {"before", "by"}
    kept = {name: text for name, text in request.args.items() if name not in without}
    return {name: value for name, value in {**kept, **changes}.items() if value not in (None, "")}


def choices(everything: str, known: Sequence[str], asked: str | None) -> list[SelectChoice]:
    """The choices of a filter: everything, each known value, and the value asked for even if it is not known."""
    also = [asked] if asked and asked not in known else []
    return [SelectChoice("", everything), *(SelectChoice(text) for text in [*known, *also])]


def in_words(wanted: EventFilter) -> list[str]:
    """The parts of a filter in words."""
    parts = {
        "in state “{}”": wanted.state and STATES[wanted.state].lower(),
        "at endpoint {}": wanted.endpoint,
        "of type {}": wanted.type,
        "with the id {}": wanted.event_id,
        "about payment {}": wanted.payment,
        "with “{}” in the body": wanted.body,
        "whose error or reason has “{}”": wanted.error,
        "about payments of one member": wanted.member_id,
        "tried at least {} times": wanted.attempts,
        "received from {} on": wanted.since and at(wanted.since),
        "received before {}": wanted.until and at(wanted.until),
    }
    return [text.format(value) for text, value in parts.items() if value]
