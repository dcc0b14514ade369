"""Formats of pages: money, days and moments in a club's zone, and enumerations in words."""

import re
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime, format_time, get_timezone_name
from babel.numbers import get_decimal_symbol
from flask import Flask, current_app, g, url_for

from console.request import database, utc_now
from models.catalogue import clubs, days
from models.catalogue.days import Period, local_day
from models.catalogue.tables import PaymentTerm
from models.catalogue.terms import life_words, released
from models.members.memberships import Membership
from models.payments.references import PaymentState
from models.wording import duration, lasting, money, percent, short_zone
from runtime.language import ENGLISH, day_of, grouped, locale, noted, say

_SHORT_DAYS = {ENGLISH: "MMM d", "en_GB": "d MMM", "es": "d MMM"}
_CLOCKS = {ENGLISH: ("h:mm a", "h:mm:ss a"), "en_GB": ("HH:mm", "HH:mm:ss"), "es": ("H:mm", "H:mm:ss")}


def install(app: Flask) -> None:
    """Give these to all templates."""
    app.jinja_env.filters.update(
        money=money,
        duration=duration,
        lasting=lasting,
        released=released,
        life_words=life_words,
        payment_state=payment_state,
        words=words,
        who=who,
        signed=signed,
        number=grouped,
        percent=percent,
        rate=rate,
        plan=plan,
        zone=zone_name,
    )
    app.jinja_env.filters.update(
        period=period,
        day=day,
        short_day=short_day,
        month=month,
        last_day=last_day,
        moment=moment,
        at=at,
        clock=clock,
        weekday=weekday,
        local_day=local_day,
    )
    app.jinja_env.globals.update(
        short_day=short_day,
        link=link,
        times=times,
        house_zone=house_zone,
        endpoints=endpoints,
        now=utc_now,
        test_endpoints=test_endpoints,
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


def day(value: date | datetime, zone: str | None = None) -> str:
    """`Nov 3, 2026`; of a moment, its local date in the zone."""
    if isinstance(value, datetime):
        value = value.astimezone(ZoneInfo(zone or house_zone())).date()
    return day_of(value)


def short_day(value: date | datetime, zone: str | None = None) -> str:
    """`Nov 3` of this year, `Nov 3, 2025` of another one; of a moment, its local date in the zone."""
    there = ZoneInfo(zone or house_zone())
    local = value.astimezone(there).date() if isinstance(value, datetime) else value
    if local.year != datetime.now(there).year:
        return day_of(local)
    return format_date(local, _SHORT_DAYS[locale()], locale())


def month(value: date) -> str:
    """`Nov 2026`, of any day of it."""
    return format_date(value, "MMM y", locale())


def period(covers: Period, zone: str | None = None) -> str:
    """`Nov 3, 2026 to Dec 2, 2026`: the first and the last local day of a period."""
    first, end = (moment.astimezone(ZoneInfo(zone or house_zone())).date() for moment in covers)
    return say("{first} to {last}", first=day(first), last=day(max(first, end - timedelta(days=1))))


def at(value: datetime, zone: str | None = None) -> str:
    """`Nov 3, 2026, 4:05 PM Central Time`, for a moment that stands alone."""
    zone = zone or house_zone()
    return f"{day(value, zone)}, {_time(value, zone)} {zone_name(zone)}"


def moment(value: datetime, zone: str | None = None) -> str:
    """`Nov 3, 2026, 4:05 PM CST` in the zone."""
    return f"{day(value, zone)}, {clock(value, zone, seconds=False)}"


def clock(value: datetime, zone: str | None = None, *, seconds: bool = True) -> str:
    """`4:05:09 PM CST` in the zone."""
    zone = zone or house_zone()
    return f"{_time(value, zone, seconds)} {short_zone(value, zone)}"


def _time(value: datetime, zone: str, seconds: bool = False) -> str:
    return format_time(value.astimezone(ZoneInfo(zone)), _CLOCKS[locale()][seconds], locale=locale())


def weekday(value: datetime, zone: str | None = None) -> str:
    """`Tue 4:05 PM CST` in the zone."""
    zone = zone or house_zone()
    there = format_datetime(value.astimezone(ZoneInfo(zone)), f"EEE {_CLOCKS[locale()][0]}", locale=locale())
    return f"{there} {short_zone(value, zone)}"


def last_day(expires_at: datetime | None, zone: str | None = None) -> str:
    """The last day on which what expires then can be used; `never` for what does not expire."""
    return say("never") if expires_at is None else day(days.last_day(expires_at, zone or house_zone()))


def plan(membership: Membership) -> PaymentTerm:
    """The payment term that a membership has now, and with it the offer."""
    return membership.plan_at(utc_now())


def zone_name(zone: str) -> str:
    """`Central Time`; `UTC`, which is no region's."""
    return zone if zone == str(UTC) else get_timezone_name(ZoneInfo(zone), locale=locale())


def times(zone: str | None = None) -> str:
    """The note that names the zone of a page's times."""
    return say("Times are {zone}.", zone=zone_name(zone or house_zone()))


def words(value: str) -> str:
    """An enumeration's value as people write it: `personal_training` is `Personal training`."""
    return say(value.replace("_", " ").capitalize())


def payment_state(state: str) -> str:
    """The state of a payment as people write it."""
    named = {
        PaymentState.FREEZE_FEE: noted("Fee of a freeze"),
        PaymentState.BEFORE_CUT_OVER: noted("Before the cut-over"),
    }
    return say(named[state]) if (state := PaymentState(state)) in named else words(state)


def who(actor: str) -> str:
    """The actor of an act as people know it: an API token by its name and owner, anybody else by login name."""
    token = re.fullmatch(r"token [0-9]+ \((.*)\) of (\S+)", actor, flags=re.DOTALL)
    return say("{name} (API token of {owner})", name=token[1], owner=token[2]) if token else say(actor)


def signed(number: int) -> str:
    """A movement with its sign, with a true minus."""
    return f"+{grouped(number)}" if number > 0 else grouped(number).replace("-", "\u2212")


def rate(per_second: float) -> str:
    """`1.5/s`"""
    return f"{per_second:.1f}/s".replace(".", get_decimal_symbol(locale()))


def link(page: str, /, **query: object) -> str:
    """The address of a page with these query parameters, whatever their names. What is None or empty is left out."""
    asked = urlencode({name: value for name, value in query.items() if value not in (None, "")})
    return f"{url_for(page)}?{asked}" if asked else url_for(page)


def endpoints() -> list[str]:
    """The names of the installation's endpoints."""
    return [endpoint.name for endpoint in current_app.config["SPP"].endpoints]


def test_endpoints() -> list[str]:
    """The names of those that are in test mode."""
    names: list[str] = current_app.config["SPP"].test_endpoints
    return names


def house_zone() -> str:
    """The zone for what belongs to no member: that of the first club, or UTC before there is one."""
    if "house_zone" not in g:
        g.house_zone = clubs.house_zone(database())
    zone: str = g.house_zone
    return zone
