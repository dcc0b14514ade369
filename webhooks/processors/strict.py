"""Strict reading of bodies: an ambiguous, lossy or unstorable value is refused as unusable, never guessed."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

from models.currencies import digits, is_known
from models.database.naming import is_reference
from webhooks.processors.events import ParsedEvent, Unusable

is_name = is_reference

MAX_MINOR_UNITS = 10**12
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_CURRENCY = re.compile(r"[A-Za-z]{3}", re.ASCII)


def loads(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`; numbers with a fraction or an exponent come as Decimal.

    Raises Unusable for invalid UTF-8, a byte order mark, anything but an object at
    the top, duplicate keys, NaN and infinities, numbers or nesting beyond reason,
    NUL characters and lone surrogates.
    """
    try:
        text = body.decode()
        if r"\u" in text:
            # PostgreSQL's text takes no NUL and no lone surrogate; only escapes can spell them.
            json.dumps(json.loads(text), ensure_ascii=False).encode()
            if _NUL.search(text):
                raise ValueError("a NUL character")
        value = json.loads(text, object_pairs_hook=_object, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise Unusable(f"unparsable: {_brief(error)}") from None
    if not isinstance(value, dict):
        raise Unusable("unparsable: not an object at the top")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _brief(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)[:100]


def peek(body: bytes) -> dict[str, Any] | None:
    """The JSON object in `body` read leniently and fast, to find its id; None where there is none."""
    try:
        value = orjson.loads(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def canonical(body: bytes, *, without: str | None = None) -> bytes | None:
    """A form that is equal for all bodies with the same content, but for `without`; None for an unreadable body."""
    value = peek(body)
    if value is None:
        return None
    if without is not None:
        value.pop(without, None)
    try:
        # As text, because to Python 1, 1.0 and true are equal.
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # nested too deeply
        return None


def same(first: bytes, second: bytes, *, without: str | None = None) -> bool:
    """Whether two JSON bodies have the same content, apart from spacing, the order of keys, and the key `without`."""
    one = canonical(first, without=without)
    return one is not None and one == canonical(second, without=without)


def event(body: bytes, id_key: str, type_key: str, version_key: str) -> ParsedEvent:
    """The one event that a JSON body is, its id, type and API version under these keys."""
    found = peek(body)
    if found is None:
        return unreadable(body, "unparsable: not a JSON object")
    return parsed(found.get(id_key), found.get(type_key), body, "no event id or type", found.get(version_key))


def parsed(event_id: object, kind: object, body: bytes, otherwise: str, version: object = None) -> ParsedEvent:
    """The event of that id and type; in quarantine, for the reason `otherwise`, where one is not an identifier."""
    if not is_name(event_id) or not is_name(kind):
        return unreadable(body, f"unparsable: {otherwise}")
    return ParsedEvent(str(event_id), str(kind), body, str(version) if is_name(version) else None)


def unreadable(body: bytes, reason: str) -> ParsedEvent:
    """An authentic body that cannot be read as an event: kept under its own hash, in quarantine."""
    return ParsedEvent(f"sha256:{hashlib.sha256(body).hexdigest()}", "unparsable", body, quarantine_reason=reason)


def name(holder: Mapping[str, Any], key: str) -> str:
    """The identifier under `key`; of an expanded object, its id. Raises Unusable where there is none."""
    value = optional_name(holder, key)
    if value is None:
        raise Unusable(f"{key} is missing")
    return value


def optional_name(holder: Mapping[str, Any], key: str) -> str | None:
    """The identifier under `key`, or None where it is absent, null or empty. Raises Unusable for anything else."""
    value = holder.get(key)
    if isinstance(value, dict):
        value = value.get("id")
    if value is None or value == "":
        return None
    if not is_name(value):
        raise Unusable(f"{key} is not an identifier")
    return str(value)


def mapping(holder: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The object under `key`; empty where it is absent or null. Raises Unusable for anything else."""
    value = holder.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unusable(f"{key} is not an object")
    return value


def objects(holder: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """The objects in the list under `key`; none where it is absent or null. Raises Unusable for anything else."""
    value = holder.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise Unusable(f"{key} is not a list of objects")
    return value


def minor_units(holder: Mapping[str, Any], key: str) -> int:
    """The amount under `key`: a JSON integer from 0 to 10**12, nothing that only looks like one."""
    value = holder.get(key)
    if type(value) is not int or not 0 <= value <= MAX_MINOR_UNITS:
        raise Unusable(f"{key} is not an amount in minor units")
    return value


def decimal_amount(holder: Mapping[str, Any], key: str, currency: str) -> int:
    """The amount under `key` in minor units, from a decimal number or string in the currency's major unit.

    Raises Unusable for one that the currency's minor unit (ISO 4217) cannot express exactly.
    """
    value = holder.get(key)
    if type(value) is int or isinstance(value, Decimal):
        value = str(value)
    if not isinstance(value, str) or _DECIMAL.fullmatch(value) is None:
        raise Unusable(f"{key} is not a decimal amount")
    minor = Decimal(value).scaleb(digits(currency))
    if minor != int(minor) or minor > MAX_MINOR_UNITS:
        raise Unusable(f"{key} is not an amount in {currency}")
    return int(minor)


_DECIMAL = re.compile(r"[0-9]{1,13}(?:\.[0-9]{1,6})?", re.ASCII)


def currency(holder: Mapping[str, Any], key: str) -> str:
    """The ISO 4217 code under `key`, in upper case. Raises Unusable for a currency without a minor unit."""
    value = holder.get(key)
    if not isinstance(value, str) or _CURRENCY.fullmatch(value) is None:
        raise Unusable(f"{key} is not a currency code")
    if not is_known(code := value.upper()):
        raise Unusable(f"{key} is {code}, which is no currency that we know the minor unit of")
    return code


def money(
    holder: Mapping[str, Any], amount_key: str, currency_key: str = "currency", *, theirs: Mapping[str, int] = {}
) -> tuple[int, str]:
    """The amount in minor units of ISO 4217, and its currency. Raises Unusable.

    `theirs` has the processor's number of digits for the currencies in which it departs from ISO 4217.
    """
    amount, code = minor_units(holder, amount_key), currency(holder, currency_key)
    if code not in theirs:
        return amount, code
    whole, part = divmod(amount * 10 ** digits(code), 10 ** theirs[code])
    if part:
        raise Unusable(f"{amount_key} is not an amount in {code}, whose minor unit has {digits(code)} digits")
    return whole, code


def unix_time(holder: Mapping[str, Any], key: str) -> datetime:
    """The Unix seconds under `key`, in UTC."""
    value = holder.get(key)
    if type(value) is not int or not 0 < value < 10**11:
        raise Unusable(f"{key} is not a Unix time")
    return datetime.fromtimestamp(value, UTC)


def iso_time(holder: Mapping[str, Any], key: str) -> datetime:
    """The RFC 3339 time under `key`, with its offset, in UTC."""
    value = holder.get(key)
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment is None or moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unusable(f"{key} is not an RFC 3339 time with an offset") from None


def rfc3339(moment: datetime, timespec: str = "seconds") -> str:
    """The time in UTC, as APIs take it: 2026-11-01T09:00:00Z."""
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def written(value: object) -> bytes:
    """What this module read, as JSON again, digit for digit."""
    # json writes no Decimal: each goes in as a text that begins with NUL, which no text that was read has.
    text = json.dumps(value, default=lambda number: f"\0{number}", ensure_ascii=False, separators=(",", ":"))
    return _NUMBER.sub(r"\1", text).encode()


_NUMBER = re.compile(r'"\\u0000([^"]*)"')
