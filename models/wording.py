"""Amounts, durations and counts in plain words, and amounts as people type them, in the language of what is shown."""

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from babel import Locale
from babel.lists import format_list
from babel.numbers import format_currency, format_percent, get_currency_symbol, get_decimal_symbol, get_group_symbol

from models.currencies import digits, is_known
from models.errors import NotAnAmount, WrongCurrencyCode
from runtime import language
from runtime.language import ENGLISH, locale, say, say_n

_NAMED_FOR_SESSIONS = re.compile(r"(?:^|\s+)session(?:s|\(s\))?$", re.IGNORECASE)


class Given(NamedTuple):
    """Sessions of one item that a paid due gives; days to expire 0 means never."""

    item: str
    quantity: int
    days_to_expire: int


def counted(number: int, noun: str) -> str:
    """`1 membership`, `2,000 memberships`. The noun is written out where this is called, for the catalogues."""
    return say_n(f"{{n}} {noun}", f"{{n}} {noun}s", number)


def day_of(day: date | None) -> str:
    """A local day as people write it, such as `Jan 31, 2027`; without one, `never`."""
    return language.day_of(day) if day else say("never")


def short_zone(moment: datetime, zone: str) -> str:
    """The short name that the zone has at that moment: `CST`, `CET`, `UTC`; `UTC-03` where it has none."""
    name = moment.astimezone(ZoneInfo(zone)).tzname() or "UTC"
    return f"UTC{name}" if name[0] in "+-" else name


def joined(parts: Sequence[str], *, apart: bool = False) -> str:
    """The parts in one enumeration: `a and b`, `a, b, and c`.

    Two parts are set apart by a comma if they contain commas themselves, or where they would be misread (`apart`).
    """
    if len(parts) == 2 and (apart or any("," in part for part in parts)):
        return say("{first}, and {last}", first=parts[0], last=parts[1])
    return format_list(parts, locale=locale())


def percent(share: float) -> str:
    """A share as a whole percentage: `4%`, in Spanish `4 %`."""
    return format_percent(share, locale=locale())


def duration(time: timedelta | float | None) -> str:
    """A duration in the largest unit that says it: `30 ms`, `1.2 s`, `12 min`, `5 h`, `3 days`.

    A number is in seconds. None, where there was nothing to measure, is a dash.
    """
    if time is None:
        return "\N{EN DASH}"
    seconds = max(0.0, time.total_seconds() if isinstance(time, timedelta) else time)
    if seconds >= 2 * 86_400:
        return counted(int(seconds // 86_400), "day")
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    if 0 < seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    part = f"{seconds:.1f}".replace(".", get_decimal_symbol(locale()))
    return f"{part} s" if 0 < seconds < 9.95 else f"{seconds:.0f} s"


def money(amount_minor: int, currency: str) -> str:
    """`$89.00` for 8900 minor units of US dollars, `¥8,900` for as many of yen, `RSD 89.00` where there is no sign.

    In Spanish `89,00 US$`.
    """
    return _money(amount_minor, currency, locale())


# A page and a group of payments write few amounts many times.
@lru_cache(4096)
def _money(amount_minor: int, currency: str, written: str) -> str:
    decimals = digits(currency)
    pattern = Locale.parse(written).currency_formats["standard"].pattern
    if pattern.startswith("¤") and get_currency_symbol(currency, written)[-1:].isalpha():
        pattern = f"¤\xa0{pattern[1:]}"
    pattern = pattern.replace(".00", f".{'0' * decimals}".rstrip("."))
    return format_currency(Decimal(amount_minor).scaleb(-decimals), currency, pattern, written, currency_digits=False)


def amount(amount_minor: int, currency: str) -> str:
    """The amount as one types it into a form: `89.00`, in Spanish `89,00`."""
    return f"{Decimal(amount_minor).scaleb(-digits(currency)):f}".replace(".", get_decimal_symbol(locale()))


def minor_units(text: str, currency: str) -> int:
    """What somebody typed as an amount, in minor units: `89`, `89.00` and `$1,089.50` in US dollars, `8900` in yen.

    The decimals are all there or left out, commas stand between thousands, and there is no sign; in Spanish `89,00` and
    `1.089,50`. Nothing is guessed: what can only be read in another language's way is refused. Raises NotAnAmount.
    """
    precision, written = digits(currency), locale()
    symbol = "|".join(re.escape(get_currency_symbol(currency, one)) for one in (written, ENGLISH))
    group, point = re.escape(get_group_symbol(written)), re.escape(get_decimal_symbol(written))
    decimals = rf"(?:{point}([0-9]{{{precision}}}))?" if precision else "()"
    number = rf"([0-9]{{1,12}}|[0-9]{{1,3}}(?:{group}[0-9]{{3}}){{1,3}}){decimals}"
    behind = rf"{number}\s*(?:{symbol})" if written == "es" else "()()(?!)"
    typed = re.fullmatch(rf"(?:{symbol})?\s*{number}|{behind}", text.strip())
    if typed is None:
        raise NotAnAmount(text=text.strip(), currency=currency, example=amount(89 * 10**precision, currency))
    whole, part = typed.groups()[:2] if typed[1] else typed.groups()[2:]
    return int(re.sub("[^0-9]", "", whole) + (part or "0" * precision))


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
    match interval:
        case "once":
            return say("once")
        case "week":
            return say_n("every week", "every {n} weeks", count)
        case "month":
            return say_n("every month", "every {n} months", count)
        case _:
            return say_n("every year", "every {n} years", count)


def lasting(days_to_expire: int) -> str:
    """How long sessions last: `30 days`, or `never expiring`."""
    return counted(days_to_expire, "day") if days_to_expire else say("never expiring")


def sessions_of(item: str, quantity: int) -> str:
    """`4 Spin sessions`.

    Where an item's name ends in the word session, it is not said twice: 8 of PT Sessions are `8 PT sessions`.
    """
    if name := _bare(item):
        return say_n("{n} {item} session", "{n} {item} sessions", quantity, item=name)
    return counted(quantity, "session")


def sessions_named(item: str) -> str:
    """Sessions of an item without their number: `Spin sessions`."""
    name = _bare(item)
    return say("{item} sessions", item=name) if name else say("sessions")


def _bare(item: str) -> str:
    return _NAMED_FOR_SESSIONS.sub("", item.strip())
