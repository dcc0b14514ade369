"""Form fields that read what people type: numbers of sessions, whole numbers, dates, and moments."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from flask import abort, request
from wtforms import DateField, Field, Form, IntegerField, SelectMultipleField, StringField
from wtforms.validators import InputRequired, Length, NumberRange, Optional, ValidationError
from wtforms.widgets import CheckboxInput

from console.request import YEARS, parse_id
from console.web.formats import house_zone
from models.catalogue.rules import MAX_QUANTITY
from runtime.language import noted, say

TYPE_A_NUMBER = noted("Type a whole number, such as 8.")


def chosen_id(value: object) -> int:
    """The id that a choice sends; 0, which no row has, if it is not a valid id."""
    return parse_id(str(value)) or 0


def query_id(name: str) -> int | None:
    """The id or cursor of a query parameter; 404 if it is not a valid id."""
    given = request.args.get(name, "")
    return (parse_id(given) or abort(404)) if given else None


LONG = 10
"""Rows of a list on a page that can become long."""


class Part(NamedTuple):
    """Some rows of a long list, and the places of the newer and the older ones; None at the ends."""

    shown: Sequence[Any]
    newer: int | None
    older: int | None


def part_of(rows: Sequence[Any], name: str) -> Part:
    """The rows from the place on that a query parameter gives, counted from 0."""
    text = request.args.get(name, "")
    start = min(int(text), len(rows)) if re.fullmatch("[0-9]{1,9}", text, re.ASCII) else 0
    newer, older = max(start - LONG, 0) if start else None, start + LONG
    return Part(rows[start:older], newer, older if older < len(rows) else None)


def text_field(
    label: str, needed: str = "", *, most: int = 200, description: str = "", **attributes: Any
) -> StringField:
    """A field for one line of text, which the browser does not fill in; `needed` is the message for an empty one."""
    checks = [*([InputRequired(needed)] if needed else []), Length(max=most)]
    attributes = {"autocomplete": "off", **attributes}
    return StringField(label, checks, description=description, render_kw=attributes)


class Checks(SelectMultipleField):  # type: ignore[misc]
    """Rows to tick by their ids."""

    option_widget = CheckboxInput()

    def __init__(self, label: str, **more: Any) -> None:
        super().__init__(label, coerce=chosen_id, **more)


class Count(IntegerField):  # type: ignore[misc]
    """A number of sessions, one or more."""

    data: Any

    def __init__(self, label: str, **more: Any) -> None:
        in_range = NumberRange(1, MAX_QUANTITY, noted("Write a whole number from 1 to 10000."))
        attributes = {"min": 1, "max": MAX_QUANTITY, "inputmode": "numeric", **more.pop("render_kw", {})}
        super().__init__(label, [in_range], render_kw=attributes, **more)

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read digits; anything else leaves the field empty."""
        text = valuelist[0].strip() if valuelist else ""
        self.data = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


class WholeNumber(IntegerField):  # type: ignore[misc]
    """A whole number whose range the rules check. Other text is refused here, and stays in the field as typed."""

    def __init__(self, label: str, **more: Any) -> None:
        super().__init__(label, [InputRequired(TYPE_A_NUMBER)], **more, render_kw={"min": 0, "inputmode": "numeric"})

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read digits, with or without a minus."""
        if valuelist and valuelist[0].strip():
            if not re.fullmatch(r"-?[0-9]{1,9}", valuelist[0].strip()):
                raise ValueError(TYPE_A_NUMBER)
            self.data = int(valuelist[0])


class Times(WholeNumber):
    """A whole number that can be left empty."""

    def __init__(self, label: str, **more: Any) -> None:
        super().__init__(label, **more)
        self.validators = [Optional()]


class Day(DateField):  # type: ignore[misc]
    """A local date."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read a date as browsers send it."""
        try:
            super().process_formdata(valuelist)
        except ValueError as error:
            raise ValueError(say("Write a date, such as 2026-11-30.")) from error


FIRST_DAY = noted(
    "Without one, payments from now on count by it. With today's date those of today do, for a change that the payment "
    "provider has billed already."
)
"""Of a change of plan: what its first day means."""


def day_in_range(form: Form, field: Field) -> None:  # noqa: ARG001 -- WTForms passes it
    """Refuse a date in a year that no page can be asked about."""
    if isinstance(field.data, date) and field.data.year not in YEARS:
        raise ValidationError(say("Write a date from {first} to {last}, such as 2026-11-30.", **_BOUNDS))


class Moment(StringField):  # type: ignore[misc]
    """A date and time, local in its `zone`; `data` is the text, `at` the same moment in UTC."""

    at: datetime | None = None
    zone: str | None = None
    """None is that of the first club."""

    def pre_validate(self, form: Form) -> None:  # noqa: ARG002 -- WTForms passes it
        """Read the text."""
        if text := (self.data or "").strip():
            self.at = utc(local_moment(text), self.zone or house_zone())


def local_moment(text: str) -> datetime:
    """The date and time that a browser sent, without a zone. Raises ValidationError, a ValueError."""
    try:
        local = datetime.fromisoformat(text)
    except ValueError:
        local = None
    if local is None or local.tzinfo or local.year not in YEARS:
        raise ValidationError(
            say("Write a date and a time from {first} to {last}, such as 2026-11-01T12:00.", **_BOUNDS)
        )
    return local


def utc(local: datetime, zone: str) -> datetime:
    """The moment of a local date and time in the zone."""
    return local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


_BOUNDS = {"first": YEARS[0], "last": YEARS[-1]}
