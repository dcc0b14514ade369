"""What requests and answers are made of. Nothing is converted that JSON has a type for.

Ids are 64-bit integers, times RFC 3339 (in answers always UTC), money whole minor units.
"""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from models.catalogue.tables import MAX_QUANTITY
from models.database.naming import MAX_NAME_LENGTH

MAX_ID = 2**63 - 1
TIME = "2026-03-01T15:04:05Z"
"""An example."""
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def field(description: str, example: Any, **rules: Any) -> Any:
    """A documented field of a body or an answer."""
    return Field(description=description, examples=[example], **rules)


def changed(description: str, example: Any, **rules: Any) -> Any:
    """A documented field of a change: left out, the row keeps what it has. Null is no value but where its type says so.

    Read it by `Change.given`: its attribute is None where it was left out.
    """

    def schema(made: dict[str, Any]) -> None:
        made.pop("default", None)

    return Field(default=None, description=description, examples=[example], json_schema_extra=schema, **rules)


def parameter(description: str, example: Any, **rules: Any) -> Any:
    """A documented parameter of a path, query or header: it has a value or is left out, and is never null."""

    def schema(made: dict[str, Any]) -> None:
        if len(parts := made.pop("anyOf", [])) == 2:
            made.update(parts[0])
        if made.get("default", ...) is None:
            del made["default"]
        if example is not None:
            made["example"] = example

    return Field(description=description, json_schema_extra=schema, **rules)


def id_of(what: str, **rules: Any) -> Any:
    """An id in an answer."""
    return field(f"The id of the {what}.", 1, **rules)


def _digits(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch("[0-9]{1,19}", value):
        raise ValueError("write a whole number in digits")
    return value


def _whole(value: object) -> object:
    # JSON has one kind of number: 8.0 is 8.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _day(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
        raise ValueError("write a date, such as 2026-03-31")
    return date.fromisoformat(value)


def _with_offset(value: object) -> object:
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        raise ValueError("write one time with its offset, such as 2026-03-01T00:00:00Z; in a URL, + is %2B")
    return value


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("choose a time from the year 1 to 9999, in UTC") from None


whole = BeforeValidator(_whole)
"""Takes 8.0 for 8, as JSON means it."""
Id = Annotated[int, Field(ge=1, le=MAX_ID), whole]
Text = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""Text without control characters."""
Sought = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]
"""What an endpoint or a processor calls something, to find it by."""
Name = Annotated[Text, Field(max_length=MAX_NAME_LENGTH)]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$")]
Quantity = Annotated[int, Field(ge=1, le=MAX_QUANTITY), whole]
Key = Annotated[str, Field(pattern="^[!-~]{1,255}$")]
"""An idempotency key: visible ASCII characters."""
Cursor = Annotated[str, Field(max_length=100, pattern="^[A-Za-z0-9_-]+$")]
Limit = Annotated[int, Field(ge=1, le=200), BeforeValidator(_digits)]
Day = Annotated[date, BeforeValidator(_day)]
"""A local day."""
Moment = Annotated[AwareDatetime, BeforeValidator(_with_offset), AfterValidator(_utc)]


class Path(BaseModel):
    """The part of a path that varies."""


class Query(BaseModel):
    """What follows the question mark. An unknown parameter is refused, so that a misspelt one is not overlooked."""

    model_config = ConfigDict(extra="forbid")


class AsOfQuery(Query):
    """When."""

    as_of: Moment | None = parameter(
        "As it stood at that moment, by what had been recorded by then. Without it, as it stands now.",
        TIME, default=None,
    )  # fmt: skip


class KeyHeader(BaseModel):
    """What makes a request safe to repeat."""

    key: Key = parameter(
        "Up to 255 visible ASCII characters, such as a UUID, that no other act has. A repetition with the same key "
        "and content has no effect and gets the first answer again, with `Idempotency-Replayed: true`.",
        "7f9c2ba4-e88f-4c1a-9d2b-6f3f5a0c1e77", alias="Idempotency-Key",
    )  # fmt: skip


class Body(BaseModel):
    """A JSON object with these members and no others."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Change(Body):
    """Fields to change."""

    @property
    def given(self) -> dict[str, Any]:
        """Those that are not left out, by name."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class Answer(BaseModel):
    """A JSON object that is answered."""

    model_config = ConfigDict(from_attributes=True)
