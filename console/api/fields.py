"""The parts of requests and answers. Only what JSON has no type for is converted.

Ids are 64-bit integers, times RFC 3339 (always UTC in answers), money whole minor units.
"""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    WithJsonSchema,
)

from console.request import MAX_ID, YEARS
from models.catalogue.rules import MAX_QUANTITY
from models.database.naming import MAX_NAME_LENGTH
from models.staff.actions import MAX_REASON_LENGTH

TIME = "2026-03-01T15:04:05Z"
"""An example."""
MAX_KEY_LENGTH = 255
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def field(description: str, example: Any, **rules: Any) -> Any:
    """A documented field of a body or an answer."""
    return Field(description=description, examples=[example], **rules)


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
    if value.year not in YEARS:
        raise ValueError(f"choose a time from {YEARS[0]} to {YEARS[-1]}")
    return value.astimezone(UTC)


def _key(value: str) -> str:
    wrong = re.search("[^!-~]", value)
    if wrong or not 1 <= len(value) <= MAX_KEY_LENGTH:
        found = f"it has {wrong[0]!a}" if wrong else f"it has {len(value)}" if value else "it is missing or empty"
        allowed = f"1 to {MAX_KEY_LENGTH} ASCII letters, digits and punctuation characters, without blanks"
        raise ValueError(f"send {allowed} ({found})")
    return value


whole = BeforeValidator(_whole)
"""Takes 8.0 for 8, as JSON means it."""
Id = Annotated[int, Field(ge=1, le=MAX_ID), whole]
Text = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""Text without control characters."""
Why = Annotated[Text, Field(max_length=MAX_REASON_LENGTH)]
"""The reason of an act."""
REASON = "Why; kept in the action log."
Sought = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]
"""An id of an endpoint's or a processor's to search for."""
Email = Annotated[str, Field(max_length=320, pattern=r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+$")]
Name = Annotated[Text, Field(max_length=MAX_NAME_LENGTH)]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$")]
Quantity = Annotated[int, Field(ge=1, le=MAX_QUANTITY), whole]
Expected = Annotated[int, Field(ge=1, le=MAX_ID), whole]
"""The number of rows that the caller saw and confirms."""
_KEY_SCHEMA = {"type": "string", "pattern": f"^[!-~]{{1,{MAX_KEY_LENGTH}}}$"}
Key = Annotated[str, AfterValidator(_key), WithJsonSchema(_KEY_SCHEMA)]
"""An idempotency key."""
Cursor = Annotated[str, Field(max_length=100, pattern="^[A-Za-z0-9_-]+$")]
Limit = Annotated[int, Field(ge=1, le=200), BeforeValidator(_digits)]
Day = Annotated[date, BeforeValidator(_day)]
"""A local day."""
Moment = Annotated[AwareDatetime, Strict(False), BeforeValidator(_with_offset), AfterValidator(_utc)]


class Query(BaseModel):
    """The query parameters. An unknown one is refused, so that a misspelt parameter is not ignored."""

    model_config = ConfigDict(extra="forbid")


class AsOfQuery(Query):
    """A moment to look back to."""

    as_of: Moment | None = parameter(
        f"A moment from {YEARS[0]} to {YEARS[-1]}: the state at that moment, by what had been recorded by then. "
        "Without it, the state now.",
        TIME,
        default=None,
    )


class KeyHeader(BaseModel):
    """The header that makes a request safe to repeat."""

    key: Key = parameter(
        f"1 to {MAX_KEY_LENGTH} ASCII letters, digits and punctuation characters, such as a UUID, not used for another "
        "act. A repetition with the same key and content has no effect and gets the first answer again, with "
        "`Idempotency-Replayed: true`.",
        "7f9c2ba4-e88f-4c1a-9d2b-6f3f5a0c1e77",
        alias="Idempotency-Key",
    )


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


class Body(BaseModel):
    """A JSON object with these members and no others."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Change(Body):
    """Fields to change. Each can be left out, and the row keeps its value; null only where the type allows it."""

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Make every field of the class one that can be left out; read them by `given`."""
        for one in cls.model_fields.values():
            one.default, one.json_schema_extra = None, _without_default
        cls.model_rebuild(force=True)

    @property
    def given(self) -> dict[str, Any]:
        """The fields that the request names."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class Answer(BaseModel):
    """A JSON object in an answer."""

    model_config = ConfigDict(from_attributes=True)

    @classmethod
    def of(cls, *rows: Any, **more: Any) -> Self:
        """The answer from `more`, and else from the first of the objects that has an attribute of a field's name.

        A field that none of them has is null.
        """
        for name in cls.model_fields.keys() - more.keys():
            more[name] = next((getattr(one, name) for one in rows if hasattr(one, name)), None)
        return cls(**more)
