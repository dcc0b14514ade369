"""The form above a list of events: what to look for, read from the query string."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import current_app, request
from wtforms import IntegerField, SelectChoice, SelectField, StringField
from wtforms.validators import Length, NumberRange, Optional, ValidationError

from console.web.access import database
from console.web.formats import house_zone, moment
from console.web.forms import Form
from models.errors import NotFound
from models.inbox import search
from models.inbox.events import EventState
from models.inbox.search import EventFilter
from models.members.memberships import find_member

STATES: dict[str, str] = {
    EventState.PENDING: "Waiting", EventState.PROCESSED: "Processed", EventState.IGNORED: "Without effect",
    EventState.QUARANTINED: "Quarantined", EventState.DEAD: "Dead",
}  # fmt: skip
"""Where an event stands, in the words of these pages."""
WAYS = {
    "event_id": "Event id", "payment": "Payment", "member": "Member's e-mail", "body": "Text of the body",
}  # fmt: skip


class Moment(StringField):  # type: ignore[misc]
    """A local date and time, as browsers send it; `data` is that text, `at` UTC."""

    at: datetime | None = None

    def pre_validate(self, form: Form) -> None:  # noqa: ARG002 -- WTForms hands it over
        """Reads it. Raises ValidationError."""
        text = (self.data or "").strip()
        if not text:
            return
        try:
            local = datetime.fromisoformat(text)
        except ValueError:
            local = None
        if local is None or local.tzinfo or not 2000 <= local.year < 2200:
            raise ValidationError("Write a date and a time from the year 2000 on, such as 2026-11-01T12:00.")
        self.at = local.replace(tzinfo=ZoneInfo(house_zone())).astimezone(UTC)


class EventFilterForm(Form):
    """Which events to show; sent with GET."""

    class Meta(Form.Meta):
        """It changes nothing."""

        csrf = False

    find = StringField("Find", [Length(max=255)], render_kw={"spellcheck": "false", "autocomplete": "off"})
    by = SelectField("Find by", choices=WAYS, default="event_id", validate_choice=False)
    state = SelectField("State", choices={"": "Any", **STATES}, filters=[lambda asked: asked or ""])
    endpoint = SelectField("Endpoint", validate_choice=False)
    type = StringField("Type", [Length(max=255)], render_kw={"list": "types", "spellcheck": "false"})
    since = Moment("Received from", render_kw={"type": "datetime-local"})
    until = Moment("Received until", render_kw={"type": "datetime-local"})
    attempts = IntegerField(
        "Tries, at least", [Optional(), NumberRange(0, 1000, "Write a number from 0 to 1000.")],
        render_kw={"inputmode": "numeric"},
    )  # fmt: skip
    error = StringField("Error or reason has", [Length(max=200)])

    def filter(self) -> EventFilter:
        """What it asks for; after `validate`. Raises NotFound for a member that is none."""
        asked: dict[str, Any] = {name: self.text(name) or None for name in ("state", "endpoint", "type", "error")}
        if found := self.text("find"):
            asked |= self._found(found)
        return EventFilter(**asked, since=self.since.at, until=self.until.at, attempts=self.attempts.data)

    def _found(self, text: str) -> dict[str, Any]:
        way = self.by.data
        if way != "member":
            return {way if way in {"payment", "body"} else "event_id": text}
        member = find_member(database(), text)
        if member is None:
            raise NotFound(what="member", name=text)
        return {"member_id": member.id}


def asked() -> tuple[EventFilterForm, EventFilter | None]:
    """The form as the query string fills it in, and what it asks for; None where it cannot be read."""
    form = EventFilterForm(request.args)
    known = [endpoint.name for endpoint in current_app.config["SPP"].endpoints]
    given = form.endpoint.data
    also = [given] if given and given not in known else []
    form.endpoint.choices = [SelectChoice("", "Any"), *(SelectChoice(name) for name in [*known, *also])]
    if not form.validate():
        return form, None
    try:
        return form, form.filter()
    except NotFound as error:
        form.refuse(error, "find")
        return form, None


def query(**changes: object) -> dict[str, object]:
    """The filter of this page as query parameters, with these changed."""
    without = {"before"} if request.args.get("find") else {"before", "by"}
    kept = {name: text for name, text in request.args.items() if name not in without}
    return {name: value for name, value in {**kept, **changes}.items() if value not in (None, "")}


def told(wanted: EventFilter, zone: str) -> list[str]:
    """What a filter asks for, in words."""
    said = []
    if wanted.state:
        said.append(f"in state “{STATES[wanted.state].lower()}”")
    for text, value in (
        ("at endpoint {}", wanted.endpoint), ("of type {}", wanted.type), ("with the id {}", wanted.event_id),
        ("about payment {}", wanted.payment), ("with “{}” in the body", wanted.body),
        ("whose error or reason has “{}”", wanted.error),
    ):  # fmt: skip
        if value:
            said.append(text.format(value))
    if wanted.member_id:
        said.append("about payments of one member")
    if wanted.attempts:
        said.append(f"tried at least {wanted.attempts} times")
    if wanted.since:
        said.append(f"received from {moment(wanted.since, zone)} on")
    if wanted.until:
        said.append(f"received before {moment(wanted.until, zone)}")
    return said


def types() -> list[str]:
    """Types to choose from."""
    return list(search.types(database()))
