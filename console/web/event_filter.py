"""The filter above the list of events, read from the query string."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from flask import current_app, request
from wtforms import HiddenField, IntegerField, SelectChoice, SelectField, StringField
from wtforms.validators import Length, NumberRange, Optional

from console.request import database, parse_id
from console.web.fields import Moment
from console.web.formats import at, endpoints, link
from console.web.forms import QueryForm
from models.errors import SppError
from models.inbox import error_groups
from models.inbox.events import EventState
from models.inbox.search import EventFilter
from models.members.lookup import the_member
from runtime.language import Texts, noted, say

STATES: Texts = {
    EventState.PENDING: "Waiting",
    EventState.PROCESSED: "Processed",
    EventState.IGNORED: "Without effect",
    EventState.QUARANTINED: "Quarantined",
    EventState.DEAD: "Failed",
}
"""The labels of an event's states."""
WAYS: Texts = {
    "event_id": "Event id", "payment": "Payment", "member": "Member's e-mail or id", "body": "Text of the body",
}  # fmt: skip


class EventFilterForm(QueryForm):
    """A filter of events; sent with GET."""

    own_names: ClassVar = {"email": "find"}

    find = StringField("Find", [Length(max=255)], render_kw={"spellcheck": "false", "autocomplete": "off"})
    by = SelectField("Find by", choices=WAYS, default="event_id", validate_choice=False)
    state = SelectField("State", choices={"": noted("Any"), **STATES}, filters=[lambda asked: asked or ""])
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
    group = HiddenField("Error group", [Length(max=100)])
    act = HiddenField("Bulk action", [Length(max=20)])

    def filter(self) -> EventFilter:
        """The filter that the valid form asks for. Raises NotFound or SeveralMembers."""
        asked: dict[str, Any] = {name: self.text(name) or None for name in ("state", "endpoint", "type", "error")}
        found, way = self.text("find"), self.by.data
        if found and way == "member":
            asked["member_id"] = the_member(database(), found).id
        elif found:
            asked[way if way in {"payment", "body"} else "event_id"] = found
        if self.text("act"):
            asked["act"] = parse_id(self.text("act")) or 0
        if chosen := request.args.getlist("id"):
            asked["ids"] = tuple(sorted({parse_id(one) or 0 for one in chosen}))
        wanted = EventFilter(**asked, since=self.since.at, until=self.until.at, attempts=self.attempts.data)
        group = self.text("group")
        return error_groups.narrowed(wanted, group, current_app.config["SPP"].endpoints) if group else wanted


def asked() -> tuple[EventFilterForm, EventFilter | None]:
    """The form with the query string, and its filter; None where a field is wrong."""
    form = EventFilterForm(request.args)
    form.endpoint.choices = choices(say("Any"), endpoints(), form.endpoint.data)
    if not form.validate():
        return form, None
    try:
        return form, form.filter()
    except SppError as error:
        form.refuse(error)
        return form, None


def query(**changes: object) -> dict[str, object]:
    """This page's filter as query parameters, with these changes."""
    without = {"before", "id", "chosen"} | (set() if request.args.get("find") else {"by"})
    kept = {name: text for name, text in request.args.items() if name not in without}
    return {name: value for name, value in {**kept, **changes}.items() if value not in (None, "")}


def choices(
    everything: str, known: Sequence[str], asked: str | None, label: Callable[[str], str] = str
) -> list[SelectChoice]:
    """The choices of a filter: everything, each known value, and the value asked for even if it is not known."""
    also = [asked] if asked and asked not in known else []
    return [SelectChoice("", everything), *(SelectChoice(text, label(text)) for text in [*known, *also])]


def in_words(wanted: EventFilter) -> list[str]:
    """The parts of a filter in words."""
    return [text for _, text in _parts(wanted)]


def removable(wanted: EventFilter) -> list[tuple[str, str]]:
    """The parts of this page's filter in words, but for the state, each with the address of the list without it."""
    page = "operations.events.overview"
    return [(text, link(page, **query(**{name: None}))) for name, text in _parts(wanted) if name not in ("state", "id")]


def _parts(wanted: EventFilter) -> list[tuple[str, str]]:
    """Each part with the name of its query parameter."""
    parts = [
        ("state", noted("in state “{value}”"), wanted.state and say(STATES[wanted.state]).lower()),
        ("endpoint", noted("at endpoint {value}"), wanted.endpoint),
        ("group", noted("with one kind of error"), wanted.error_group),
        ("act", noted("of bulk action {value}"), wanted.act),
        ("id", noted("chosen one by one"), wanted.ids),
        ("type", noted("of type {value}"), wanted.type),
        ("find", noted("with the id {value}"), wanted.event_id),
        ("find", noted("about payment {value}"), wanted.payment),
        ("find", noted("with “{value}” in the body"), wanted.body),
        ("error", noted("whose error or reason has “{value}”"), wanted.error),
        ("find", noted("about payments of one member"), wanted.member_id),
        ("attempts", noted("tried at least {value} times"), wanted.attempts),
        ("since", noted("received from {value} on"), wanted.since and at(wanted.since)),
        ("until", noted("received before {value}"), wanted.until and at(wanted.until)),
    ]
    return [(name, say(text, value=value)) for name, text, value in parts if value]
