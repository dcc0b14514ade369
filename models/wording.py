"""PURE: amounts, durations and counts in plain words, and amounts as people type them."""

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from babel.numbers import format_currency, get_currency_symbol

from models.currencies import digits, is_known
from models.errors import NotAnAmount, WrongCurrencyCode

LOCALE = "en_US"
_NAMED_FOR_SESSIONS = re.compile(r"(?:^|\s+)session(?:s|\(s\))?$", re.IGNORECASE)


class Given(NamedTuple):
    """Sessions of one item that a paid due gives; days to expire 0 means never."""

    item: str
    quantity: int
    days_to_expire: int


def counted(number: int, noun: str) -> str:
    """`1 membership`, `2,000 memberships`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def day_of(day: date | None) -> str:
    """A local day as people write it, such as `Jan 31, 2027`; without one, `never`."""
    return f"{day:%b} {day.day}, {day.year}" if day else "never"


def short_zone(moment: datetime, zone: str) -> str:
    """The short name that the zone has at that moment: `CST`, `CET`, `UTC`; `UTC-03` where it has none."""
    name = moment.astimezone(ZoneInfo(zone)).tzname() or "UTC"
    return f"UTC{name}" if name[0] in "+-" else name


def joined(parts: Sequence[str], *, apart: bool = False) -> str:
    """The parts in one enumeration: `a and b`, `a, b, and c`.

    Two parts are set apart by a comma if they contain commas themselves, or where they would be misread (`apart`).
    """
    *first, last = parts or [""]
    comma = "," if apart or len(first) > 1 or any("," in part for part in parts) else ""
    return f"{', '.join(first)}{comma} and {last}" if first else last


def duration(time: timedelta | float | None) -> str:
    """A duration in the largest unit that says it: `30 ms`, `1.2 s`, `12 min`, `5 h`, `3 days`.

    A number is in seconds. None, where there was nothing to measure, is a dash.
    """
    if time is None:
        return "\N{EN DASH}"
    seconds = max(0.0, time.total_seconds() if isinstance(time, timedelta) else time)
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    if 0 < seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if 0 < seconds < 9.95 else f"{seconds:.0f} s"


# A page and a group of payments write few amounts many times.
@lru_cache(4096)
def money(amount_minor: int, currency: str) -> str:
    """`$89.00` for 8900 minor units of US dollars, `¥8,900` for as many of yen, `RSD 89.00` where there is no sign."""
    decimals = digits(currency)
    gap = "\xa0" if get_currency_symbol(currency, LOCALE)[-1:].isalpha() else ""
    pattern = f"¤{gap}#,##0.{'0' * decimals}".removesuffix(".")
    return format_currency(Decimal(amount_minor).scaleb(-decimals), currency, pattern, LOCALE, currency_digits=False)


def amount(amount_minor: int, currency: str) -> str:
    """The amount as one types it into a form: `89.00`."""
    return f"{Decimal(amount_minor).scaleb(-digits(currency)):f}"


def minor_units(text: str, currency: str) -> int:
    """What somebody typed as an amount, in minor units: `89`, `89.00` and `$1,089.50` in US dollars, `8900` in yen.

    The decimals are all there or left out, commas stand between thousands, and there is no sign. Raises NotAnAmount.
    """
    precision = digits(currency)
    symbol = re.escape(get_currency_symbol(currency, locale=LOCALE))
    decimals = rf"(?:\.([0-9]{{{precision}}}))?" if precision else "()"
    typed = re.fullmatch(rf"(?:{symbol})?\s*([0-9]{{1,12}}|[0-9]{{1,3}}(?:,[0-9]{{3}}){{1,3}}){decimals}", text.strip())
    if typed is None:
        raise NotAnAmount(text=text.strip(), currency=currency, example=amount(89 * 10**precision, currency))
    whole, part = typed.groups()
    return int(whole.replace(",", "") + (part or "0" * precision))


def currency_code(text: str) -> str:
    """The ISO 4217 code of a currency that somebody typed, in upper case. Raises WrongCurrencyCode."""
    code = text.strip().upper()
    if not is_known(code):
        raise WrongCurrencyCode(code=text.strip())
    return code


def price(dues_minor: int, currency: str, interval: str, interval_count: int) -> str:
    """`$89.00 every month`, `$300.00 once`."""
    return f"{money(dues_minor, currency)} {every(interval, interval_count)}"


def every(interval: str, count: int) -> str:
    """How often dues fall due: `every month`, `every 2 weeks`, `once`."""
    if interval == "once":
        return "once"
    return f"every {interval}" if count == 1 else f"every {count} {interval}s"


def lasting(days_to_expire: int) -> str:
    """How long sessions last: `30 days`, or `never expiring`."""
    return counted(days_to_expire, "day") if days_to_expire else "never expiring"


def sessions_of(item: str, quantity: int) -> str:
    """`4 Spin sessions`.

    Where an item's name ends in the word session, it is not said twice: 8 of PT Sessions are `8 PT sessions`.
    """
    name = _NAMED_FOR_SESSIONS.sub("", item.strip())
    return counted(quantity, f"{name} session".lstrip())
